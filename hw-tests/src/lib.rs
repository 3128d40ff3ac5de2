//! Load programs and the tests that run them on real or simulated devices.
