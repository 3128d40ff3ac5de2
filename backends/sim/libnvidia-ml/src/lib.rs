//! A simulated `libnvidia-ml.so.1`.
//!
//! Owns: the management library's view of the simulated devices of `fcsp-sim`: identity, memory,
//! processes, utilization. What a simulation cannot know (power, temperature, clocks) is not
//! supported rather than invented. `CUDA_VISIBLE_DEVICES` does not apply here, as on a real system.
//!
//! The path of a call: [`exports`] (C symbol) → [`border`] (no panic) → a handler in [`library`],
//! [`device`] or [`table`] → the model.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share the contract of nvml.h, stated once in exports.rs"
)]

mod border;
mod device;
pub mod exports;
mod library;
mod table;
