//! Whether the account of a device can be compared with the driver's figure: [`Activity`].
//!
//! The management library's figure is read without stopping anybody. It means something only if, while it was
//! read, no call was between its reservation and the driver's answer, and nothing came or went. And memory
//! that was charged but has not come to the device yet (managed memory before it is touched, a graph's
//! before its first launch) hides as much of what the driver itself takes.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

/// What the calls of one process do on a device. One counter for all threads: these calls take
/// microseconds. Allocations from pools, which do not, count only where what is charged changes.
#[derive(Debug, Default)]
pub struct Activity {
    at_work: AtomicU32,
    changes: AtomicU64,
    lazy: AtomicBool,
}

/// A call that is under way while this lives.
pub struct AtWork<'a>(&'a Activity);

impl Activity {
    /// Nothing happens yet.
    pub const fn new() -> Self {
        Self {
            at_work: AtomicU32::new(0),
            changes: AtomicU64::new(0),
            lazy: AtomicBool::new(false),
        }
    }

    /// A call that changes what is on the device begins; before its reservation.
    pub fn begin(&self) -> AtWork<'_> {
        // AcqRel: not after the driver's call, as `AtWork::drop` is not before it.
        self.at_work.fetch_add(1, Ordering::AcqRel);
        AtWork(self)
    }

    /// What is charged changes.
    #[inline]
    pub fn note(&self) {
        self.changes.fetch_add(1, Ordering::AcqRel);
    }

    /// Something is charged that will come to the device later.
    pub fn note_lazy(&self) {
        self.lazy.store(true, Ordering::Release);
    }

    /// The last context is gone, and all that was charged with it.
    pub fn forget_lazy(&self) {
        self.lazy.store(false, Ordering::Release);
    }

    /// True while some call is under way.
    pub fn is_at_work(&self) -> bool {
        self.at_work.load(Ordering::Acquire) != 0
    }

    /// A number that is the same twice only if nothing happened in between; `None` while something does,
    /// or what is charged is not all on the device.
    pub fn quiet(&self) -> Option<u64> {
        let changes = self.changes.load(Ordering::Acquire);
        let idle = !self.is_at_work() && !self.lazy.load(Ordering::Acquire);
        idle.then_some(changes)
    }
}

impl Drop for AtWork<'_> {
    fn drop(&mut self) {
        self.0.changes.fetch_add(1, Ordering::AcqRel);
        self.0.at_work.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_quiet_only_while_nothing_happens() {
        let activity = Activity::new();
        let before = activity.quiet();
        assert!(before.is_some());
        let at_work = activity.begin();
        assert_eq!(activity.quiet(), None);
        drop(at_work);
        let after = activity.quiet();
        assert!(after.is_some_and(|after| Some(after) != before));
        activity.note();
        assert_ne!(activity.quiet(), after);
        activity.note_lazy();
        assert_eq!(activity.quiet(), None);
        activity.forget_lazy();
        assert!(activity.quiet().is_some());
    }
}
