//! libfcsp-ze.so: the Level Zero preload library, and a shim driver in the same file.
//!
//! Two ways in. A program that is linked to the loader, or looks its functions up, comes by the exports of the same
//! names (`LD_PRELOAD`). The loader itself, wherever it is, opens this library as a driver (`ZE_ENABLE_ALT_DRIVERS`) and
//! is given tables in which some functions are ours ([`shim`]). Where the second is in use the first lets everything
//! through, so that nothing is counted twice.
//!
//! [`hooks`] says which calls are intercepted, once for both ways. The handlers:
//!
//! | | |
//! |---|---|
//! | `memory/` | what is allocated and freed: charged to the device that the call names |
//! | `launch`, `transfer` | what is appended to command lists |
//! | `lists`, `queues` | what lists have recorded, and where it is executed |
//! | `graph` | lists that are captured, and graphs |
//! | `kernel` | group sizes, and kernels that wait for other devices |
//! | `sync` | what waits for the device, or asks whether it is done |
//! | `info/` | what a program is told of the device, by the core interface and by Sysman |
//! | `devices` | which handle is which device; where a device comes into use |
//!
//! They turn a call's arguments into what knows no vendor, which is `fcsp_program`'s; what that asks of the driver in
//! turn is in `driver/`. Level Zero has no device of a thread and no default queue: handlers name both.

#![allow(
    clippy::too_many_arguments,
    reason = "handlers have the specification's signatures"
)]

mod devices;
mod driver;
mod graph;
mod hooks;
mod info;
mod kernel;
mod launch;
mod lists;
mod memory;
mod queues;
mod shim;
mod start;
mod sync;
mod transfer;

pub use hooks::LEVEL_ZERO;
pub use shim::GETTERS;

fcsp_preload::export_dlsym!(&LEVEL_ZERO, &GETTERS);
