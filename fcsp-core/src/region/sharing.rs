//! Whether the programs on a device run together now, or take turns, and what decides it.
//!
//! Three things must agree before programs run together: the policy allows it, the device can do it,
//! and every process on it can. Where that is settled for each process when it starts, one that cannot keeps the
//! whole device to turns, because the driver would cut it off in the middle of the others' work; when
//! it ends, the others run together again. So nothing is stored that would have to be put right
//! afterwards: the answer is read from the slots each time.
//!
//! The arbiter asks at each step (through [`crate::sched::view`]), `fcsp status` when it looks.

use super::SlotIndex;
use super::layout::RegionLayout;
use super::scan::live_slots;
use crate::backend::SharingMode;
use crate::policy::Sharing;
use crate::sync::Ordering::Relaxed;

/// What decides how a device is shared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Because {
    /// Every process on it can run beside the others.
    AllCan,
    /// The policy says that programs take turns.
    Policy,
    /// No process on it can run beside others, or none is there.
    NoneCan,
    /// This process cannot, and others could.
    OneCannot(SlotIndex),
}

/// How the programs on the device share it now, and why. Neither allocates nor makes system calls.
pub fn in_force(layout: &RegionLayout) -> (SharingMode, Because) {
    // Relaxed, here and below: numbers alone; a step later they count.
    let wanted = Sharing::from_number(layout.header.sharing_wanted.load(Relaxed));
    if wanted == Sharing::Exclusive {
        return (SharingMode::Exclusive, Because::Policy);
    }
    if SharingMode::from_number(layout.header.sharing.load(Relaxed)) == SharingMode::Exclusive {
        return (SharingMode::Exclusive, Because::NoneCan);
    }
    let (mut alone, mut beside_others) = (None, false);
    for found in live_slots(layout) {
        if found.slot.takes_turns.load(Relaxed) == 0 {
            beside_others = true;
        } else {
            alone = alone.or(Some(found.index));
        }
    }
    match (alone, beside_others) {
        (None, true) => (SharingMode::Concurrent, Because::AllCan),
        (Some(slot), true) => (SharingMode::Exclusive, Because::OneCannot(slot)),
        (_, false) => (SharingMode::Exclusive, Because::NoneCan),
    }
}

/// Notes what the operator wants of the device. The caller rings the doorbell.
pub fn want(layout: &RegionLayout, sharing: Sharing) {
    layout
        .header
        .sharing_wanted
        .store(sharing.number(), Relaxed);
}
