//! A simulated `libcuda.so.1`.
//!
//! Owns: the CUDA driver ABI over `fcsp-sim-driver`, which has what is not CUDA's alone. Signatures come from the
//! vendor's header, names and versions from what a real driver exports. Everything it reports is
//! simulated and says so: kernels compute nothing but the counter of `fcsp_work`, and time is the
//! model's.
//!
//! The path of a call: [`exports`] (C symbol) → [`border`] (initialized? no panic) → a handler in
//! one of the files below, or in `fcsp-sim-driver` → the model's queues.

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
pub mod exports;
mod graph;
mod graph_exec;
mod graph_memory;
mod graph_update;
mod ipc;
mod launch;
mod launch_old;
mod module;
mod occupancy;
mod pointer;
mod pool;
mod procaddr;
mod ptx;
mod stream;
mod vmm;

use fcsp_sim_driver::{event, graph_child, host, memory, types};
