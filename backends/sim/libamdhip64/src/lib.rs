//! A simulated `libamdhip64.so.5` and `libamdhip64.so.6`.
//!
//! Owns: the HIP ABI over `fcsp-sim-driver`. Signatures come from the vendor's headers, names and versions from what the
//! real libraries export. Everything it reports is simulated and says so; kernels compute nothing but the counter of
//! `fcsp_work`, and their code objects are read for names and sizes of arguments only.
//!
//! The path of a call: [`exports`] (C symbol) → [`dispatch`] (since version 6, a table that tools edit) → [`border`] (device there? context current? no panic) → a handler in one of
//! the files below, or in `fcsp-sim-driver` → the model's queues. Where the real library calls a function that it exports,
//! so does this one, through the linkage table ([`own`]): an interposer sees such a call again.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share the contract of hip_runtime_api.h, stated once in exports.rs"
)]

mod array;
mod border;
mod code_object;
mod copy;
mod device;
mod dispatch;
mod driver;
pub mod exports;
mod graph;
mod launch;
mod memory;
mod module;
mod occupancy;
mod own;
mod pool;
mod procaddr;
mod properties;
mod registry;
mod stream;
mod vmm;
