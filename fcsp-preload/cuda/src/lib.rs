//! libfcsp-cuda.so: the CUDA preload library.
//!
//! `hooks` says which calls are intercepted. `context` attaches devices as the program makes contexts
//! on them (`device`, `identity`); `memory` and its like, `launch`, `sync` and `info` hold the handlers of work; `queue` says
//! which stream is which for the gate (`fcsp_nvidia_queue`) and `capture` which must be left alone; `usage`
//! counts what the driver itself takes; `policy_watch` follows the policy file; `mps` says whether this
//! program runs beside others; `procaddr` answers the driver's own symbol lookup. Mechanism (wrappers,
//! `dlsym`, guard, panic border) is `fcsp_preload`'s, decisions are `fcsp_core`'s.

mod activity;
mod attach;
mod capture;
mod communication;
mod context;
mod copy;
mod copy_batch;
mod device;
mod fill;
mod graph;
mod hooks;
mod identity;
mod info;
mod info_nvml;
mod info_tenant;
mod info_utilization;
mod launch;
mod launch_legacy;
mod memory;
mod memory_array;
mod memory_charge;
mod memory_code;
mod memory_contexts;
mod memory_graph;
mod memory_graph_charge;
mod memory_pool;
mod memory_pool_current;
mod memory_pool_reuse;
mod memory_pool_settle;
mod memory_pool_table;
mod memory_vmm;
mod mps;
mod observe;
mod order;
mod policy_watch;
mod procaddr;
mod queue;
mod start;
mod steps;
mod sync;
mod transfer;
mod turn;
mod usage;
mod usage_rhythm;

pub use hooks::{CUDA, NVML};

fcsp_preload::export_dlsym!(&CUDA, &NVML);
