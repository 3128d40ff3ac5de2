//! Memory accounting: exact, without locks, and indifferent to where its users are killed.
//!
//! An allocation is reserved here before the driver is asked and given back if the driver refuses;
//! a free gives it back. [`Ledger`] is the door; [`account`] is the protocol and its proof, [`word`]
//! the sixteen bytes it turns on, `locks` keeps the threads of one process apart, [`live`] remembers
//! what each live allocation was charged, [`pool`] what each memory pool is.
//!
//! This module counts. It does not know what a tenant is entitled to (the page says so), nor who is
//! alive ([`crate::region::liveness`]).

pub mod account;
pub mod live;
#[cfg(not(loom))]
pub(crate) mod locks;
#[cfg(all(loom, test))]
mod loom_pool;
#[cfg(all(loom, test))]
mod loom_tests;
pub mod pool;
pub mod word;

#[cfg(not(loom))]
mod handle;

pub use word::UsedWord;

#[cfg(not(loom))]
pub(crate) use handle::recover;
#[cfg(not(loom))]
pub use handle::{Ledger, Refused, slot_bytes};
