//! A simulated `libamd_smi.so.27`.
//!
//! Owns: AMD SMI's view of the simulated AMD devices of `fcsp-sim`: sockets and processors, identity, memory, processes,
//! how busy they are. Each device is a processor in a socket of its own. What a simulation cannot know (power,
//! temperature, clocks) is absent rather than invented.
//!
//! The path of a call: [`exports`] (C symbol) → [`border`] (no panic) → a handler in [`library`] or [`device`] → the model.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share the contract of amdsmi.h, stated once in exports.rs"
)]

mod border;
mod device;
pub mod exports;
mod library;
mod processes;
