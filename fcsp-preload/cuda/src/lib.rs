//! libfcsp-cuda.so: the CUDA preload library.
//!
//! `hooks` says which calls are intercepted. `context` attaches devices as the program makes contexts
//! on them (`device`, `identity`); `memory` and its like, `launch`, `sync` and `info` hold the handlers of work; `queue` puts
//! gates into streams and `capture` knows which streams must be left alone; `usage` counts what the
//! driver itself takes; `procaddr` answers the driver's own symbol lookup. Mechanism (wrappers,
//! `dlsym`, guard, panic border) is `fcsp_preload`'s, decisions are `fcsp_core`'s.

mod capture;
mod context;
mod device;
mod hooks;
mod identity;
mod info;
mod info_nvml;
mod info_tenant;
mod launch;
mod memory;
mod memory_array;
mod memory_charge;
mod memory_code;
mod memory_contexts;
mod memory_graph;
mod memory_pool;
mod memory_pool_table;
mod memory_vmm;
mod procaddr;
mod queue;
mod start;
mod sync;
mod usage;

pub use hooks::{CUDA, NVML};

fcsp_preload::export_dlsym!(&CUDA, &NVML);
