//! What is charged for memory of graphs beside what living ones need: [`GraphCharge`].
//!
//! The vendor's handlers say what happens to graphs, and [`crate::waiting`] when somebody has waited.

use std::sync::{MutexGuard, PoisonError};

use crate::device::Device;
use crate::driver::Driver;
use crate::memory::pool::settle::{correct, note_use};

/// What is charged for graphs of a device: `needs_bytes`, for which living executable graphs were charged when
/// they were instantiated, and `kept_bytes` beside that.
///
/// The driver tells only how much it has for all graphs. Some of that is living graphs' (those that were
/// launched), some is kept. While work of a destroyed graph may still run, its memory is not there for others,
/// so it is counted as kept, whatever graphs not launched yet may need; once somebody has waited for everything,
/// it is there for them, and only what the driver has beyond all needs is kept.
#[derive(Debug, Default)]
pub struct GraphCharge {
    needs_bytes: u64,
    kept_bytes: u64,
    /// Destroyed since the oldest wait began that is under way, or the last one.
    destroyed_bytes: u64,
    waits: u32,
}

/// What happened to graphs.
pub enum Change {
    /// A graph that needs so many bytes, which are in the ledger.
    Instantiated(u64),
    /// The same; they are in the ledger still.
    Destroyed(u64),
    /// All work that was under way is done.
    Waited,
    /// The driver gave back what it could.
    Trimmed,
}

impl GraphCharge {
    /// What is kept after `change`, when the driver has `reserved_bytes`.
    fn kept_after(&mut self, change: &Change, reserved_bytes: u64) -> u64 {
        let mut kept_bytes = self.kept_bytes;
        match *change {
            Change::Instantiated(bytes) => self.needs_bytes += bytes,
            Change::Destroyed(bytes) => {
                self.needs_bytes = self.needs_bytes.saturating_sub(bytes);
                self.destroyed_bytes += bytes;
                kept_bytes += bytes;
            }
            Change::Waited | Change::Trimmed => {}
        }
        let beyond_bytes = reserved_bytes.saturating_sub(self.needs_bytes);
        kept_bytes
            .min(beyond_bytes + self.destroyed_bytes)
            .min(reserved_bytes)
            .max(beyond_bytes)
    }
}

fn charge_of(device: &Device) -> MutexGuard<'_, GraphCharge> {
    device.graphs.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Charges what the driver has beyond the needs of living graphs, which are in the ledger already, or still.
/// Behind a lock: graphs are instantiated seldom.
pub fn settle<D: Driver>(device: &Device, change: &Change) {
    let mut charge = charge_of(device);
    // A driver that does not say keeps nothing, as far as is known.
    let reserved_bytes = D::graphs_reserved(device.ordinal).unwrap_or(0);
    let kept_bytes = charge.kept_after(change, reserved_bytes);
    let before = core::mem::replace(&mut charge.kept_bytes, kept_bytes);
    if kept_bytes != before {
        device.activity.note();
        correct(device, kept_bytes.wrapping_sub(before) as i64);
        note_use();
    }
}

/// Bytes of graphs that were destroyed before a wait.
pub struct Destroyed(u64);

/// A thread is about to wait for everything on `device`.
pub fn about_to_wait(device: &Device) -> Destroyed {
    let mut charge = charge_of(device);
    let first = charge.waits == 0;
    charge.waits += 1;
    Destroyed(if first {
        core::mem::take(&mut charge.destroyed_bytes)
    } else {
        0
    })
}

/// The wait is over; `done` if there is nothing left to wait for.
pub fn waited<D: Driver>(device: &Device, destroyed: Destroyed, done: bool) {
    if done {
        settle::<D>(device, &Change::Waited);
    }
    let mut charge = charge_of(device);
    charge.waits = charge.waits.saturating_sub(1);
    if !done {
        charge.destroyed_bytes += destroyed.0;
    }
}

/// A context was made on `device`: what the driver kept for graphs beyond the one before is charged.
pub fn learn<D: Driver>(device: &Device) {
    settle::<D>(device, &Change::Trimmed);
}

/// True if the driver has memory for graphs that do not need it.
pub fn keeps(device: &Device) -> bool {
    kept_bytes(device) > 0
}

fn kept_bytes(device: &Device) -> u64 {
    charge_of(device).kept_bytes
}

/// Makes the driver give back what it keeps for graphs; true if that was anything.
pub fn shed<D: Driver>(device: &Device) -> bool {
    let before = kept_bytes(device);
    if before == 0 {
        return false;
    }
    // If the driver does not do it, its figure says so.
    D::trim_graphs(device.ordinal);
    settle::<D>(device, &Change::Trimmed);
    kept_bytes(device) < before
}

/// The last context of `device` is gone, and its graphs with it; gives what was charged beside them.
pub fn forget(device: &Device) -> u64 {
    core::mem::take(&mut *charge_of(device)).kept_bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_destroyed_graphs_is_counted_until_it_is_there_for_others() {
        let mut charge = GraphCharge::default();
        let mut after = |change, reserved_bytes| {
            charge.kept_bytes = charge.kept_after(&change, reserved_bytes);
            (charge.needs_bytes, charge.kept_bytes)
        };
        assert_eq!(after(Change::Instantiated(600), 0), (600, 0));
        assert_eq!(after(Change::Instantiated(400), 600), (1000, 0));
        assert_eq!(after(Change::Destroyed(600), 1000), (400, 600));
        assert_eq!(after(Change::Instantiated(700), 1000), (1100, 600));
        assert_eq!(after(Change::Trimmed, 400), (1100, 400));
        charge.destroyed_bytes = 0;
        let mut after = |change, reserved_bytes| {
            charge.kept_bytes = charge.kept_after(&change, reserved_bytes);
            (charge.needs_bytes, charge.kept_bytes)
        };
        assert_eq!(after(Change::Waited, 400), (1100, 0), "for the next launch");
        assert_eq!(
            after(Change::Waited, 1500),
            (1100, 400),
            "more than they need"
        );
    }
}
