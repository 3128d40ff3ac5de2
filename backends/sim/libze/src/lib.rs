//! A simulated Level Zero driver, which the real loader loads: `ZE_ENABLE_ALT_DRIVERS=<path>`.
//!
//! Owns: Level Zero's ABI as a driver has it (functions that fill tables), over the simulated device of `fcsp-sim`.
//! Everything it reports is simulated and says so: kernels compute nothing but the counter of `fcsp_work`, and time is
//! the model's. What it lacks is null in the tables, which the loader answers with "unsupported".
//!
//! The path of a call: the loader → a function of [`functions`] → [`border`] (initialized? no panic) → a handler in one
//! of the files below → commands ([`command`]) → the model's queues ([`queue`]).
//!
//! A command list is recorded once and executed as often as the program likes; an immediate list hands each command to
//! its queue at once. An event is a word in memory that queues write and wait for, so it works between queues, devices
//! and processes, and the host sets it as a device does.

#![allow(
    clippy::missing_safety_doc,
    reason = "handlers share one contract: pointers are null or as ze_api.h wants them"
)]
#![allow(
    clippy::too_many_arguments,
    reason = "handlers have the specification's signatures"
)]

mod append;
mod border;
mod command;
mod context;
mod copy;
mod device;
mod driver;
mod event;
mod extension;
mod fence;
mod functions;
mod handles;
mod image;
mod ipc;
mod kernel;
mod launch;
mod list;
mod memory;
mod module;
mod physical;
mod queue;
mod runtime;
mod spirv;
mod sysman;
mod tables;
