//! What nearly every hooked call looks at, in one line of the cache.
//!
//! Between two calls of ours the driver takes the nearest caches for itself, so what a call costs is how many lines it
//! reads more than how many instructions it is. Each word has its owner among the modules, which says what it means; here
//! is only that they lie together. So none of them may be written often: that would slow down every other call.

use core::ptr;
use core::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, AtomicU64, AtomicUsize};

use crate::device::{DEVICES_MAX, Device, ask};

/// The words. What comes first is read by every call, of the last one as a rule the first places.
#[repr(C, align(64))]
pub(crate) struct Line {
    /// Where [`crate::device::passes`] looks.
    pub gated: AtomicPtr<AtomicU32>,
    /// Devices attached so far.
    pub attached: AtomicUsize,
    /// The first of them; null while there is none.
    pub first: AtomicPtr<Device>,
    /// The driver's ordinal of that one.
    pub first_ordinal: AtomicI32,
    /// [`crate::capture`]'s: captures begun and not ended.
    pub captures: AtomicU32,
    /// [`crate::turn`]'s: small copies and fills that went before without a turn.
    pub passed: AtomicU32,
    /// [`crate::memory::pool::reuse`]'s: whether the quota was met by stream-ordered allocations.
    pub watched: AtomicBool,
    /// [`crate::usage_rhythm`]'s: whether a watcher wants to know when the program does something.
    pub listening: AtomicBool,
    /// [`crate::memory::pool::current`]'s: the pool stream-ordered allocation takes from, by device.
    pub current_pools: [AtomicU64; DEVICES_MAX],
}

pub(crate) static LINE: Line = Line {
    gated: AtomicPtr::new(ask()),
    attached: AtomicUsize::new(0),
    first: AtomicPtr::new(ptr::null_mut()),
    first_ordinal: AtomicI32::new(-1),
    captures: AtomicU32::new(0),
    passed: AtomicU32::new(0),
    watched: AtomicBool::new(false),
    listening: AtomicBool::new(false),
    current_pools: [const { AtomicU64::new(0) }; DEVICES_MAX],
};

// Of the last one the first two places are in the line.
const _: () = assert!(core::mem::offset_of!(Line, current_pools) <= 48);
