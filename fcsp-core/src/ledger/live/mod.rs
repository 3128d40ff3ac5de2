//! What each live allocation of this process was charged: [`LiveMap`].
//!
//! Lives in the process and dies with it (the region's cells hold the sum that others need). On the
//! path of a call it stands right after the driver: an allocation that succeeded is entered, a free
//! takes its entry out, and what it finds there is what goes back to the ledger.
//!
//! A chain of tables, each larger than the one before. A key belongs to one bucket of each; it is
//! in the first that had room. Nothing moves while it is live, so readers never meet a table that is
//! being rebuilt; the place of a removed entry is used again by the next key of its bucket. No locks,
//! and no memory but the tables, which are mapped when they are first needed.

mod bucket;
#[cfg(not(loom))]
mod map;
#[cfg(not(loom))]
mod table;

#[cfg(not(loom))]
pub use map::{Live, LiveMap, NotEntered};

#[cfg(all(test, not(loom)))]
mod tests;
