//! A simulated `librocm_smi64.so.1`.
//!
//! Owns: ROCm SMI's view of the simulated AMD devices of `fcsp-sim`: identity, memory, processes, how busy they are. What a
//! simulation cannot know (power, temperature, clocks) is not supported rather than invented. Variables that hide devices
//! do not apply here, as on a real system.
//!
//! The path of a call: [`exports`] (C symbol) → [`border`] (no panic) → a handler in [`library`] or [`device`] → the model.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share the contract of rocm_smi.h, stated once in exports.rs"
)]

mod border;
mod device;
pub mod exports;
mod library;
