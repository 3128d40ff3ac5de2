//! libfcsp-hip.so: the HIP preload library.
//!
//! `hooks` says which calls are intercepted, `procaddr` answers the driver's own symbol lookup, and `dispatch` stands in
//! the table that its exported functions go through. The handlers:
//!
//! | | |
//! |---|---|
//! | `memory/` | what is allocated and freed: charged to the tenant, by kind of memory |
//! | `launch`, `graph`, `transfer/` (copies and fills) | what takes device time |
//! | `sync`, `order`, `communication`, `capture` | what waits, what waits for others, and what is only recorded |
//! | `info/` | what a program is told of the device, by the driver and by the management libraries |
//! | `context` | where a device comes into use, and what ends with it |
//!
//! They turn a call's arguments into what knows no vendor, which is `fcsp_program`'s; what that asks of the driver in
//! turn is in `driver/`, with `identity` (what the driver says a device is), `version` (which family of the interface
//! it is) and `errors` (our own calls leave no trace in the thread's last error). Mechanism (wrappers, `dlsym`, guard,
//! panic border) is `fcsp_preload`'s, decisions are `fcsp_core`'s.

mod capture;
mod communication;
mod context;
mod dispatch;
mod driver;
mod errors;
mod graph;
mod hooks;
mod identity;
mod info;
mod launch;
mod mask;
mod memory;
mod order;
mod procaddr;
mod since_7;
mod start;
mod sync;
mod transfer;
mod version;

pub use hooks::{AMD_SMI, HIP, HIP_7, ROCM_SMI};

fcsp_preload::export_dlsym!(&HIP, &HIP_7, &ROCM_SMI, &AMD_SMI);
