//! libfcsp-cuda.so: the CUDA preload library.
//!
//! `hooks` says which calls are intercepted, and `procaddr` answers the driver's own symbol lookup. The handlers:
//!
//! | | |
//! |---|---|
//! | `memory/` | what is allocated and freed: charged to the tenant, by kind of memory |
//! | `launch`, `launch_legacy`, `graph`, `transfer/` (copies and fills) | what takes device time |
//! | `sync`, `order`, `communication`, `capture` | what waits, what waits for others, and what is only recorded |
//! | `info/` | what a program is told of the device, by the driver and by the management library |
//! | `context` | where a device is attached as the program makes a context on it |
//!
//! They turn a call's arguments into what knows no vendor, which is `fcsp_program`'s; what that asks of the driver in
//! turn is in `driver/`, with `identity` (what the driver says a device is) and `mps` (whether this program runs beside
//! others). Mechanism (wrappers, `dlsym`, guard, panic border) is `fcsp_preload`'s, decisions are `fcsp_core`'s.

mod capture;
mod communication;
mod context;
mod driver;
mod graph;
mod hooks;
mod identity;
mod info;
mod launch;
mod launch_legacy;
mod memory;
mod mps;
mod order;
mod procaddr;
mod start;
mod sync;
mod transfer;

pub use hooks::{CUDA, NVML};

fcsp_preload::export_dlsym!(&CUDA, &NVML);
