//! Who may use how much: the policy file, the environment, and what follows from both.
//!
//! This module turns text into numbers and numbers into [`Limits`]. It decides nothing while a
//! program runs: the memory limit is enforced by [`crate::ledger`], the compute limit by
//! [`crate::sched`], both from the tenant's page in the region, where [`Limits::store`] puts them.
//!
//! On the path of a call it stands at the very beginning: when a program first touches a device,
//! the preload library reads the [`file`](mod@file) and the [`env`](mod@env), makes [`Limits`] of
//! the two ([`resolve()`]) and writes them into the region. What changes while programs run goes
//! through [`live`].
//! Everything here is pure except [`Policy::find`], [`EnvSettings::from_process`] and
//! [`tenant_name::from_process`], which read what their names say, and [`live`] and [`mod@watch`].

mod amend;
pub mod classes;
mod decimal;
#[cfg(test)]
mod docs_shares_tests;
#[cfg(test)]
mod docs_tests;
pub mod edition;
pub mod env;
mod environ;
pub mod file;
pub mod limits;
#[cfg(not(loom))]
pub mod live;
pub mod memory;
pub mod mode;
mod nearest;
pub mod partition;
pub mod priority;
pub mod profile;
pub mod resolve;
pub mod share;
pub mod sharing;
pub mod tenant_name;
pub mod unheeded;
pub mod validate;
#[cfg(not(loom))]
pub mod watch;

pub use classes::{ClassWeight, ClassWeights};
pub use edition::Edition;
pub use env::{EnvError, EnvSettings};
pub use file::{Policy, PolicyError};
pub use limits::{Limits, Pools};
pub use memory::MemoryAmount;
pub use mode::{Fail, MemoryMode, Mode};
pub use priority::{LowPriority, Priority, Weight};
pub use profile::Profile;
pub use resolve::{Limited, Note, Resolved, resolve};
pub use share::Share;
pub use sharing::Sharing;
pub use unheeded::Unheeded;

/// A text that is not the value it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not {what}: {fix}")]
pub struct ValueError {
    /// What was written.
    pub value: String,
    /// What it should have been, with its article.
    pub what: &'static str,
    /// What would be right.
    pub fix: String,
}
