//! The one clock of a measurement: `CLOCK_MONOTONIC`, in nanoseconds.
//!
//! All processes of a host read the same value, so samples of different tenants can be laid over
//! each other without any exchange. Wall time appears only where several programs agree on when to
//! begin, since that is what a person or a script can pass to them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Nanoseconds in a millisecond.
pub const NS_PER_MS: u64 = 1_000_000;
/// Nanoseconds in a second.
pub const NS_PER_S: u64 = 1_000_000_000;

/// Now, on `CLOCK_MONOTONIC`.
pub fn now_ns() -> u64 {
    let mut ts = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `ts` is a live, writable timespec; CLOCK_MONOTONIC exists on every Linux.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut ts) };
    ts.tv_sec as u64 * NS_PER_S + ts.tv_nsec as u64
}

/// Milliseconds since the Unix epoch.
pub fn unix_now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_millis() as u64
}

/// Where a moment of wall time lies on the monotonic clock. A moment in the past gives the past.
pub fn monotonic_of_unix_ms(unix_ms: u64) -> u64 {
    let wall_ns = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or(Duration::ZERO)
        .as_nanos() as i128;
    let ahead_ns = i128::from(unix_ms) * i128::from(NS_PER_MS) - wall_ns;
    (i128::from(now_ns()) + ahead_ns).max(0) as u64
}

/// Sleeps until the monotonic clock reads `deadline_ns`; returns at once if it already does.
pub fn sleep_until_ns(deadline_ns: u64) {
    let ts = libc::timespec {
        tv_sec: (deadline_ns / NS_PER_S) as libc::time_t,
        tv_nsec: (deadline_ns % NS_PER_S) as libc::c_long,
    };
    loop {
        // SAFETY: `ts` is live for the call; with TIMER_ABSTIME the remainder may be null.
        let rc = unsafe {
            libc::clock_nanosleep(
                libc::CLOCK_MONOTONIC,
                libc::TIMER_ABSTIME,
                &ts,
                std::ptr::null_mut(),
            )
        };
        // EINTR is the only failure with valid arguments, and the deadline is absolute: go on.
        if rc != libc::EINTR {
            return;
        }
    }
}

/// Keeps this CPU busy for `duration_ns`, as a program that computes would.
pub fn spin_ns(duration_ns: u64) {
    let end_ns = now_ns() + duration_ns;
    while now_ns() < end_ns {
        std::hint::spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_until_a_deadline_reaches_it() {
        let deadline_ns = now_ns() + 3 * NS_PER_MS;
        sleep_until_ns(deadline_ns);
        assert!(now_ns() >= deadline_ns);
    }

    #[test]
    fn wall_time_maps_onto_the_monotonic_clock() {
        let mapped_ns = monotonic_of_unix_ms(unix_now_ms() + 1_000);
        let ahead_ns = mapped_ns.saturating_sub(now_ns());
        assert!(
            (900 * NS_PER_MS..=1_001 * NS_PER_MS).contains(&ahead_ns),
            "{ahead_ns} ns ahead"
        );
    }
}
