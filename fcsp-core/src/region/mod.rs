//! The shared-memory file through which the programs on one device agree.
//!
//! A program's first touch of a device leads here: it maps the device's [`Region`], finds or makes
//! its tenant ([`tenant`]) and takes a slot of its own ([`Attachment`]). From then on the hot paths
//! read and write the mapped words directly, through [`crate::ledger`] for memory and
//! [`crate::sched`] for compute; nothing here is called again until the program leaves, forks, or
//! meets a slot whose owner is gone ([`liveness`], [`reclaim`]).
//!
//! This module owns the file, who is in it, and what becomes of what the dead leave behind. It does
//! not know what a limit means.

#[cfg(not(loom))]
mod attach;
#[cfg(not(loom))]
mod duty;
#[cfg(not(loom))]
mod error;
pub mod layout;
#[cfg(not(loom))]
mod limits_lock;
#[cfg(not(loom))]
pub mod liveness;
#[cfg(not(loom))]
mod locks;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod process;
#[cfg(not(loom))]
pub mod reclaim;
#[cfg(not(loom))]
mod robust;
#[cfg(not(loom))]
mod run_dir;
#[cfg(not(loom))]
pub mod scan;
#[cfg(not(loom))]
pub mod sharing;
#[cfg(not(loom))]
pub mod tenant;
pub mod text;

#[cfg(all(test, not(loom)))]
pub(crate) use attach::forget_queue;
#[cfg(not(loom))]
pub use attach::{Attachment, SEARCH_EVERY_NS};
#[cfg(not(loom))]
pub use duty::Duty;
#[cfg(not(loom))]
pub use error::RegionError;
#[cfg(not(loom))]
pub use limits_lock::LimitsLock;
#[cfg(not(loom))]
pub use map::{Listed, Region, list};
#[cfg(not(loom))]
pub use robust::RobustHold;
#[cfg(not(loom))]
pub use run_dir::{existing_run_dir, is_in_memory, run_dir};

/// Which tenant page; below [`layout::TENANTS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TenantIndex(pub u32);

/// Which slot; below [`layout::SLOTS_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SlotIndex(pub u32);
