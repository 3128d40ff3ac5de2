//! Giving back what a slot holds: for the dead, and for those who leave.
//!
//! One at a time works on a slot, under a lock that the kernel gives back if its holder dies. The
//! steps are in an order in which any of them may be the last: bytes back to the tenant (in one step,
//! see [`crate::ledger::account`]), slot free, mark clear. Whoever comes next goes on where the last
//! one was killed.

use super::layout::SlotState;
use super::liveness::{self, Liveness};
use super::locks::{Byte, Description};
use super::process::Process;
use super::{Region, RegionError, SlotIndex, scan};
use crate::failpoint::failpoint;
use crate::ledger;
use crate::sync::Ordering;

/// What was taken from the dead.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reclaimed {
    /// Slots that are free again.
    pub slots: usize,
    /// Bytes their tenants have back.
    pub bytes: u64,
}

/// Frees every slot whose process is dead. Blocks on nobody; slots that somebody else is freeing
/// right now are left to them.
///
/// # Errors
/// If the lock file cannot be opened; slots freed before that stay free.
pub fn reclaim_dead(region: &Region) -> Result<Reclaimed, RegionError> {
    let mut reclaimed = Reclaimed::default();
    for found in scan::marked_slots(region.layout()) {
        if liveness::verdict(region, found.index) == Liveness::Dead
            && let Some(bytes) = reclaim(region, found.index)?
        {
            reclaimed.slots += 1;
            reclaimed.bytes += bytes;
        }
    }
    Ok(reclaimed)
}

/// Frees `slot` if its process is dead, and rings the arbiter; gives the bytes its tenant has back,
/// or nothing if the process lives, the slot was free, or somebody else is freeing it.
///
/// # Errors
/// If the lock file cannot be opened.
pub fn reclaim(region: &Region, slot: SlotIndex) -> Result<Option<u64>, RegionError> {
    reclaim_if(region, slot, || {
        liveness::verdict(region, slot) == Liveness::Dead
    })
}

/// Frees what this process had before it called `exec`, on the same terms. Only it can tell that
/// from its present: seen from outside, the same process has mapped the region all along.
pub(super) fn reclaim_own_past(region: &Region, own: &Process) -> Result<(), RegionError> {
    for found in scan::live_slots(region.layout()) {
        if liveness::is_own_past(region, found.index, own) {
            reclaim_if(region, found.index, || {
                liveness::is_own_past(region, found.index, own)
            })?;
        }
    }
    Ok(())
}

fn reclaim_if(
    region: &Region,
    slot: SlotIndex,
    is_dead: impl FnOnce() -> bool,
) -> Result<Option<u64>, RegionError> {
    // Not the probe's descriptor: another thread of this process must be kept out too.
    let work = region
        .locks
        .description()
        .map_err(RegionError::io("open the lock file of", region.path()))?;
    if !work
        .try_lock(Byte::work(slot))
        .map_err(RegionError::io("lock a slot of", region.path()))?
    {
        return Ok(None);
    }
    failpoint!("reclaim.locked");
    // Again, now that nobody else can attach, leave or reclaim here.
    if !is_dead() {
        return Ok(None);
    }
    let state = &region.slot(slot).state;
    let found = state.load(Ordering::Acquire);
    match SlotState::from_number(found) {
        SlotState::Free => {
            // Somebody marked it and was killed before taking it, or after giving it back.
            scan::mark(&region.layout().header.slots_used.0, slot.0, false);
            return Ok(None);
        }
        SlotState::Reclaiming => {}
        SlotState::Attaching | SlotState::Live => {
            // An attaching process that lost its lock with all its descriptors may be going live
            // this instant: one of the two changes succeeds.
            if state
                .compare_exchange(
                    found,
                    SlotState::Reclaiming as u32,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                )
                .is_err()
            {
                return Ok(None);
            }
        }
    }
    failpoint!("reclaim.taken");
    let bytes = give_back(region, slot);
    drop(work);
    failpoint!("reclaim.unlocked");
    region.ring();
    Ok(Some(bytes))
}

/// Gives back what `slot` holds and frees it. Its state is [`SlotState::Reclaiming`], and the caller
/// has its work lock.
fn give_back(region: &Region, slot: SlotIndex) -> u64 {
    let layout = region.layout();
    let page = region.slot(slot);
    let bytes = ledger::recover(layout, scan::tenant_of(page), slot);
    failpoint!("reclaim.bytes_returned");
    // Release: the cells are settled for whoever takes the slot next.
    page.state.store(SlotState::Free as u32, Ordering::Release);
    failpoint!("reclaim.freed");
    scan::mark(&layout.header.slots_used.0, slot.0, false);
    failpoint!("reclaim.unmarked");
    bytes
}

/// Gives back this process's own slot, under a lock of `work`; gives the bytes it held. If it cannot
/// have the lock, others reclaim the slot when the process is gone.
pub(super) fn leave(region: &Region, slot: SlotIndex, work: &Description) -> std::io::Result<u64> {
    // Whoever holds it finds out that this process lives, and lets go at once.
    if !work.lock_within(Byte::work(slot), std::time::Duration::from_secs(1))? {
        return Err(std::io::Error::other(
            "somebody else has been examining the slot for a second",
        ));
    }
    failpoint!("detach.locked");
    // Release: nothing this process did on the slot comes later.
    region
        .slot(slot)
        .state
        .store(SlotState::Reclaiming as u32, Ordering::Release);
    failpoint!("detach.reclaiming");
    let bytes = give_back(region, slot);
    work.unlock(Byte::work(slot))?;
    failpoint!("detach.unlocked");
    region.ring();
    Ok(bytes)
}
