//! What the arbiter met and decided, for operators (`fcsp trace`): a ring of events in the region, which
//! the arbiter fills while somebody reads it.
//!
//! The events of a step follow from what the arbiter saw, what it planned, and what it held before and
//! after, so the arbiter itself knows nothing of this. They are recorded before the plan is carried out:
//! the region then still says what gates and shares were. While nobody traces, a step costs one load.
//!
//! Owns the events ([`event`]), the ring ([`ring`]) and who derives the one from the other ([`Step`]). Does
//! not own names of tenants and processes, which its readers find in the region.

#[cfg(not(loom))]
pub mod event;
pub mod ring;
#[cfg(not(loom))]
mod step;
#[cfg(all(test, not(loom)))]
mod tests;

#[cfg(not(loom))]
pub use event::{Event, How, What};
#[cfg(not(loom))]
pub(in crate::sched) use step::{Nap, Step, elected, taken_back};

#[cfg(not(loom))]
use crate::region::layout::RegionLayout;

/// The ring of a region.
#[cfg(not(loom))]
pub fn ring(region: &RegionLayout) -> ring::Ring<'_> {
    ring::Ring::new(&region.header.trace, &region.trace)
}
