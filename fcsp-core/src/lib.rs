//! The vendor-neutral core of FCSP.
#![warn(missing_docs)]

pub mod backend;
pub mod failpoint;
#[cfg(not(loom))]
pub mod futex;
pub mod ledger;
pub mod policy;
pub mod region;
#[cfg(not(loom))]
pub mod sched;
pub mod sync;
