//! Whether the process in a slot is gone.
//!
//! There are three witnesses, and none is enough:
//!
//! | Witness | says "gone" | is wrong when |
//! |---|---|---|
//! | life lock, see `locks` | nobody holds it | the program closed descriptors it did not open; or, saying "alive", when a child made by raw `clone` still has the descriptor |
//! | robust word, see `robust` | its thread ended | that thread ended and the process did not; says nothing if no thread ever held it |
//! | process id | no such process, or it began at another time | says nothing from another PID namespace |
//!
//! A process is dead when two of them say so, and not before. A process of this PID namespace that
//! still has its id and its starting time is alive whatever the other two say, unless it maps no
//! region any more: then it has called `exec`, and what it was before is gone.
//!
//! Asked off the hot path: by the arbiter of the process it waits for, by attaching processes and
//! tools of every slot. Costs two system calls for a process that is alive.

use super::layout::{Slot, SlotState};
use super::locks::Byte;
use super::process::{self, Birth, Process, Trace};
use super::robust::RobustState;
use super::{Region, SlotIndex};
use crate::sync::Ordering;
use std::os::unix::fs::MetadataExt;

/// What is known of a slot's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Liveness {
    /// It lives, or nothing says otherwise.
    Alive,
    /// Two witnesses say it is gone, or it left: what the slot holds can be taken.
    Dead,
    /// One witness says it is gone and no other can be heard. What it holds stays.
    Unknown,
}

/// Asks after the process in `slot`. A free slot's process is gone.
pub fn verdict(region: &Region, slot: SlotIndex) -> Liveness {
    let page = region.slot(slot);
    // Acquire: pairs with the release that made it so; the owner's marks are there.
    match SlotState::from_number(page.state.load(Ordering::Acquire)) {
        SlotState::Free | SlotState::Reclaiming => Liveness::Dead,
        // Its marks may not be there yet. An attaching process that lost its lock notices, and looks
        // for another slot.
        SlotState::Attaching if lock_is_free(region, slot) => Liveness::Dead,
        SlotState::Attaching => Liveness::Alive,
        SlotState::Live => weigh(
            page.robust.state(),
            || lock_is_free(region, slot),
            || trace(page),
            || maps_region(region, page),
        ),
    }
}

/// True if the process in `slot` was this one before it called `exec`.
pub(super) fn is_own_past(region: &Region, slot: SlotIndex, own: &Process) -> bool {
    let page = region.slot(slot);
    page.pid.load(Ordering::Relaxed) == own.pid
        && page.pid_namespace.load(Ordering::Relaxed) == own.pid_namespace
        // A thread that stood for it before has ended, if there was one yet.
        && page.robust.state() != RobustState::Held
        && lock_is_free(region, slot)
        && match page.start_ticks.load(Ordering::Relaxed) {
            // It called `exec` before it told.
            0 => true,
            start_ticks => start_ticks == Birth::own().start_ticks,
        }
}

/// True if the kernel has marked the end of the thread that stands for the process in `slot`. One
/// witness only, but the first to know: a killed process may need tens of milliseconds more to give
/// up its descriptors. Enough to pass on what costs little to have passed on wrongly (the lease),
/// never to take what the slot holds. One load.
pub fn is_suspect(region: &Region, slot: SlotIndex) -> bool {
    region.slot(slot).robust.state() == RobustState::Died
}

/// The rule, asking what costs more only if it matters.
fn weigh(
    robust: RobustState,
    lock_is_free: impl FnOnce() -> bool,
    trace: impl FnOnce() -> Trace,
    maps_region: impl FnOnce() -> Option<bool>,
) -> Liveness {
    match (robust, lock_is_free()) {
        (RobustState::Held | RobustState::Unheld, false) => Liveness::Alive,
        (RobustState::Died, false) => match trace() {
            Trace::Gone => Liveness::Dead,
            Trace::Lives | Trace::Unclear => Liveness::Alive,
        },
        (RobustState::Died, true) => match trace() {
            Trace::Gone | Trace::Unclear => Liveness::Dead,
            Trace::Lives if maps_region() == Some(false) => Liveness::Dead,
            Trace::Lives => Liveness::Alive,
        },
        (RobustState::Held, true) => match trace() {
            Trace::Gone => Liveness::Dead,
            Trace::Lives | Trace::Unclear => Liveness::Alive,
        },
        (RobustState::Unheld, true) => match trace() {
            Trace::Gone => Liveness::Dead,
            // It called exec before any thread watched.
            Trace::Lives if maps_region() == Some(false) => Liveness::Dead,
            Trace::Lives => Liveness::Alive,
            Trace::Unclear => Liveness::Unknown,
        },
    }
}

fn lock_is_free(region: &Region, slot: SlotIndex) -> bool {
    // A witness that cannot be heard (no descriptors left, the file replaced) does not say "gone".
    region.locks.is_free(Byte::life(slot)).unwrap_or(false)
}

fn trace(page: &Slot) -> Trace {
    Process::trace(
        page.pid.load(Ordering::Relaxed),
        page.pid_namespace.load(Ordering::Relaxed),
        page.start_ticks.load(Ordering::Relaxed),
    )
}

fn maps_region(region: &Region, page: &Slot) -> Option<bool> {
    let inode = std::fs::metadata(region.path()).ok()?.ino();
    let name = region.path().file_name()?.to_str()?;
    process::maps_file(page.pid.load(Ordering::Relaxed), inode, name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_witness_is_never_enough() {
        use Liveness::*;
        use RobustState::*;
        let cases = [
            // Nothing is wrong.
            (Held, false, Trace::Lives, Alive),
            (Unheld, false, Trace::Unclear, Alive),
            // The program closed the lock's descriptor.
            (Held, true, Trace::Lives, Alive),
            (Held, true, Trace::Unclear, Alive),
            (Unheld, true, Trace::Lives, Alive),
            // Only the watching thread ended.
            (Died, false, Trace::Lives, Alive),
            (Died, false, Trace::Unclear, Alive),
            // Both of these, and the process is still seen.
            (Died, true, Trace::Lives, Alive),
            // Killed: in this PID namespace, in another, and before any thread watched.
            (Died, true, Trace::Gone, Dead),
            (Died, true, Trace::Unclear, Dead),
            (Unheld, true, Trace::Gone, Dead),
            // Killed, and the kernel could not write the word (out of memory).
            (Held, true, Trace::Gone, Dead),
            // Killed, and a raw clone's child keeps the lock.
            (Died, false, Trace::Gone, Dead),
            // Nobody else to ask.
            (Unheld, true, Trace::Unclear, Unknown),
        ];
        for (robust, lock_is_free, trace, expected) in cases {
            assert_eq!(
                weigh(robust, || lock_is_free, || trace, || Some(true)),
                expected,
                "{robust:?}, lock free: {lock_is_free}, {trace:?}"
            );
        }
    }

    #[test]
    fn a_process_that_called_exec_is_not_the_one_that_attached() {
        for robust in [RobustState::Died, RobustState::Unheld] {
            let verdict = |maps| weigh(robust, || true, || Trace::Lives, || maps);
            assert_eq!(verdict(Some(false)), Liveness::Dead);
            assert_eq!(verdict(Some(true)), Liveness::Alive);
            assert_eq!(verdict(None), Liveness::Alive);
        }
    }
}
