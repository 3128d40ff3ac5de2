//! What every measurement needs, whoever makes it: the clock that all processes of a host share, statistics of
//! what was measured, and a seeded generator. `hw-tests` and `fcsp bench` both measure with it. No GPU code.

pub mod clock;
pub mod random;
pub mod stats;
