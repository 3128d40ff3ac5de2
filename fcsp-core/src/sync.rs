//! The only door to atomics.
//!
//! Everything shared between threads or processes takes its atomics from here, so that the models
//! under `--cfg loom` explore the very code that ships. Loom's types are larger than the machine's,
//! so under loom the region is an ordinary allocation and its layout assertions are off.

#[cfg(loom)]
pub use loom::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering, fence};
#[cfg(not(loom))]
pub use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, AtomicU64, Ordering, fence};

/// Tells the processor that this thread is waiting for another.
#[inline]
pub fn spin_hint() {
    #[cfg(loom)]
    loom::thread::yield_now();
    #[cfg(not(loom))]
    std::hint::spin_loop();
}
