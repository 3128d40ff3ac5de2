//! What every measurement needs, whoever makes it: the clock that all processes of a host share, statistics of
//! what was measured, a seeded generator, and Ctrl-C. `hw-tests` and `fcsp bench` both measure with it. No GPU code.

pub mod clock;
pub mod interrupt;
pub mod random;
pub mod stats;
