//! The simulated device model shared by the fake vendor libraries.
