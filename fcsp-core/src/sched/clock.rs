//! The one clock: nanoseconds of `CLOCK_MONOTONIC`, which all processes of a node share.

/// Now, nanoseconds since an arbitrary point in the past. Does not block; a vDSO call of about
/// 20 ns. Never 0, so that 0 can mean "never".
#[inline]
pub fn now_ns() -> u64 {
    #[cfg(test)]
    if let Some(now) = virtual_time::get() {
        return now;
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is a valid timespec that outlives the call.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Milliseconds to nanoseconds.
pub const fn ms(count: u64) -> u64 {
    count * 1_000_000
}

/// Microseconds to nanoseconds.
pub const fn us(count: u64) -> u64 {
    count * 1_000
}

/// A clock that a test turns by hand, for its own thread.
#[cfg(test)]
pub(crate) mod virtual_time {
    use std::cell::Cell;

    thread_local! {
        static NOW_NS: Cell<Option<u64>> = const { Cell::new(None) };
    }

    pub fn get() -> Option<u64> {
        NOW_NS.get()
    }

    pub fn set(now_ns: u64) {
        NOW_NS.set(Some(now_ns));
    }
}
