//! What the load program and the measuring harness share.
//!
//! `fcsp-load` is an ordinary CUDA program that knows nothing of FCSP; `fcsp-hw` starts several of
//! them as tenants, natively or under the preload library, and compares what they report. Between
//! the two stands only the text protocol in [`record`]: one JSON object a line. This library owns
//! that protocol; the clock both sides read and the statistics made of it are `fcsp-measure`'s, shared
//! with the benchmark. It owns no GPU code and starts no process.

pub mod ledger;
pub mod record;

pub use fcsp_measure::{clock, interrupt, random, stats};
