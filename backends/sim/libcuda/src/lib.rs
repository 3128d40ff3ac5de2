//! A simulated `libcuda.so.1`.
//!
//! Owns: the CUDA driver ABI over the simulated device of `fcsp-sim`. Signatures come from the
//! vendor's header, names and versions from what a real driver exports. Everything it reports is
//! simulated and says so: kernels compute nothing but the counter of `fcsp_work`, and time is the
//! model's.
//!
//! The path of a call: [`exports`] (C symbol) → [`border`] (initialized? no panic) → a handler in
//! one of the files below → the model's queues.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share the contract of cuda.h, stated once in exports.rs"
)]

mod array;
mod border;
mod capture;
mod context;
mod copy;
mod copy_batch;
mod device;
mod driver;
mod event;
pub mod exports;
mod graph;
mod graph_child;
mod graph_exec;
mod graph_memory;
mod graph_update;
mod handles;
mod host;
mod ipc;
mod launch;
mod launch_old;
mod memory;
mod module;
mod occupancy;
mod pinning;
mod pointer;
mod pool;
mod pool_chunks;
mod procaddr;
mod ptx;
mod stream;
mod transfer;
mod visible;
mod vmm;
