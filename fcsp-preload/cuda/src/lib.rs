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
//! What they use: `device` and `identity` are the devices this process has; `turn` says what is submitted in its
//! turn; `queue` says which stream is which for the gate (`fcsp_gate`), which calls the `driver`; `usage` counts what the driver
//! itself takes; `policy_watch` follows the policy file; `mps` says whether this program runs beside others.
//! Mechanism (wrappers, `dlsym`, guard, panic border) is `fcsp_preload`'s, decisions are `fcsp_core`'s.

mod activity;
mod attach;
mod capture;
mod communication;
mod context;
mod device;
mod driver;
mod graph;
mod hooks;
mod identity;
mod info;
mod launch;
mod launch_legacy;
mod memory;
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
