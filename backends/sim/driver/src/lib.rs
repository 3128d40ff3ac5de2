//! What the simulated driver libraries have in common: contexts, streams, events, memory, pools, code, launches, captures
//! and graphs of one process, over the simulated devices of `fcsp-sim`.
//!
//! Owns: handles and what they stand for, argument checks, and what each call does to the model's queues. Does not own:
//! any vendor's names, structures and image formats. CUDA and HIP have the same calls with the same numbers for results,
//! flags and attributes; those are kept here, and what differs is in the vendor's library or in its [`Profile`]. Comments
//! name a handler by CUDA's call.
//!
//! The path of a call: the vendor's export (C symbol) → its border (initialized?) → a handler here → the model's queues.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share one contract: pointers are null or as the vendor's header wants them"
)]

pub mod array;
pub mod border;
pub mod capture;
pub mod context;
pub mod copy;
pub mod driver;
pub mod event;
pub mod graph;
pub mod graph_child;
pub mod graph_exec;
pub mod graph_memory;
pub mod graph_update;
pub mod handles;
pub mod host;
pub mod ipc;
pub mod launch;
pub mod memory;
pub mod module;
pub mod pinning;
pub mod pool;
mod pool_chunks;
pub mod profile;
pub mod stream;
pub mod transfer;
pub mod types;
pub mod visible;
pub mod vmm;

pub use profile::Profile;
pub use types::Failure;
