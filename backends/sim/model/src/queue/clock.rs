//! Sleeping precisely.

/// How much earlier to wake than needed: what a wake-up takes on an idle machine. Whoever is early
/// yields until it is time, so a wait costs at most this much of a processor.
pub(super) const EARLY_NS: u64 = 20_000;

/// Lets the calling thread's timers fire on time, and its wake-ups go before threads that compute.
///
/// Both are requests the kernel may refuse (an old kernel, a sandbox); then sleeps are less
/// precise and nothing else changes.
pub(super) fn precise_sleep() {
    // SAFETY: sets the calling thread's timer slack to a nanosecond.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
    /// `struct sched_attr` up to `sched_period`, from Linux' `sched/types.h`.
    #[repr(C)]
    #[derive(Default)]
    struct SchedAttr {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime_ns: u64,
        deadline_ns: u64,
        period_ns: u64,
    }
    /// A request this short gives a thread that wakes the earlier deadline (EEVDF, Linux 6.12).
    const SLICE_NS: u64 = 100_000;
    let mut attr = SchedAttr {
        size: size_of::<SchedAttr>() as u32,
        ..Default::default()
    };
    // SAFETY: the kernel writes at most `size` bytes into `attr`.
    let known =
        unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attr, attr.size, 0) == 0 };
    if known && attr.policy == libc::SCHED_OTHER as u32 {
        attr.runtime_ns = SLICE_NS;
        // SAFETY: `attr` is what the kernel gave us with another slice.
        unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attr, 0) };
    }
}

/// Precise timers for the calling thread until dropped.
pub(super) struct PreciseWait {
    slack_ns: libc::c_int,
}

impl PreciseWait {
    pub(super) fn begin() -> Self {
        // SAFETY: reads and sets the calling thread's timer slack.
        let slack_ns = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        // SAFETY: as above.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
        Self { slack_ns }
    }
}

impl Drop for PreciseWait {
    fn drop(&mut self) {
        if self.slack_ns > 0 {
            // SAFETY: restores what the application had.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, self.slack_ns as u64) };
        }
    }
}
