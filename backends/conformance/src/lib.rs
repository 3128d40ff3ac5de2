//! One suite that every backend passes.
//!
//! What a vendor's backend must do stands here once, as checks with names, and not in each backend's
//! tests: [`backend::run`] for what the tools ask of a [`GpuBackend`](fcsp_core::backend::GpuBackend),
//! [`gate::run`] for what the scheduler asks of a [`StreamGate`](fcsp_core::backend::StreamGate).
//! Both give a [`Report`] and never panic, so that they run as a test over a simulated vendor library
//! and as a program (`fcsp-conformance`) on real hardware. The gate suite needs queues and work of a
//! vendor's: [`cuda`] has NVIDIA's, [`hip`] AMD's, [`ze`] Intel's. [`simulated`] is for tests that run them.
//!
//! They check what the core relies on, not a vendor's figures: that a device is found again by its
//! identity, that a queue waits for a word, that a total is possible; not how fast anything is.

pub mod backend;
pub mod cuda;
mod device;
pub mod gate;
pub mod hip;
mod pace;
mod report;
pub mod simulated;
pub mod ze;

pub use device::{Found, Kind};
pub use report::{Check, Outcome, Report};
