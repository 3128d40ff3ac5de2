//! The vendor-neutral core of FCSP.
#![warn(missing_docs)]

pub mod backend;
pub mod policy;
pub mod region;
pub mod sync;
