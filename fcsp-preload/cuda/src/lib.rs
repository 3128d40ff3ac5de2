//! libfcsp-cuda.so: the CUDA preload library.
//!
//! `hooks` says which calls are intercepted; `memory`, `launch`, `sync` and `info` hold the handlers; `procaddr` answers
//! the driver's own symbol lookup. Mechanism (wrappers, `dlsym`, guard, panic border) is `fcsp_preload`'s.

mod hooks;
mod info;
mod launch;
mod memory;
mod procaddr;
mod sync;

pub use hooks::{CUDA, NVML};

fcsp_preload::export_dlsym!(&CUDA, &NVML);
