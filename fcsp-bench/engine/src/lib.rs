//! Measures GPU sharing systems against the device without any.
//!
//! A run ([`run`]) takes some of the field's 56 metrics and some systems. Tenants are processes of their own ([`serve`]),
//! started under the environment of a system ([`System`]) and asked over their pipes. Before anything is measured, checks
//! show whether a system's limits are in force (`gate`). Then, metric by metric (`metrics`), the systems take turns block by
//! block, so that what drifts meets all of them alike; the n-th block of a system is paired with the n-th of native.
//!
//! What a metric is, and what a report looks like, is in `fcsp-bench-report`. A worker knows nothing of systems, and the run
//! makes no call of the driver.

mod assemble;
mod budget;
mod driver;
mod failure;
mod figures;
mod gate;
mod host;
mod lab;
mod metrics;
mod process;
mod protocol;
mod run;
mod system;
mod turn;
mod worker;

pub use driver::Vendor;
pub use run::{Asked, Event, run};
pub use system::{
    Libraries, Mode, Peer, PeerError, Preload, Priority, Site, System, Tenant, Variables,
};
pub use worker::serve;
