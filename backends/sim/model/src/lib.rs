//! The simulated device model shared by the fake vendor libraries.
//!
//! Owns: a device that several processes share through a file: its memory, its timeline, and the
//! streams of each process. Everything here is *simulated*: it proves ABI, accounting, policy and
//! fault handling, and nothing about a vendor's timing. Does not own: any vendor's ABI.
//!
//! The path of a kernel: a fake vendor library turns a launch into [`Op::Work`] and gives it to
//! [`Queues`]; once nothing holds it back it goes into the process's ring in the shared file; the
//! engine, which any process brings up to date, decides when it starts and ends; the worker or a
//! waiting thread of its own process then carries out its effect.
//!
//! Threads: everything is safe to use from any thread. Fork: a child must not use what its parent
//! opened, and closes [`Device::fork_sensitive_fd`].

mod arena;
pub mod calibration;
mod config;
mod device;
mod engine;
#[cfg(test)]
mod engine_tests;
pub mod export;
mod liveness;
mod observer;
mod queue;
mod ranges;
mod rng;
mod shared;
pub mod space;
pub mod work;

pub use arena::Arena;
pub use config::{Config, DEVICES_MAX, Vendor};
pub use device::{Device, Memory, OutOfMemory, Process, now_ns};
pub use observer::Observer;
pub use queue::{
    Comparison, Effect, EventId, EventStatus, Gate, Gone, Key, Op, PreciseWait, Queues, Slab,
    StreamId, StreamKind, Width,
};
pub use ranges::Ranges;
