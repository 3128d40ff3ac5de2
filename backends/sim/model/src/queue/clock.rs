//! Sleeping precisely.

/// How much earlier to wake than needed: what a wake-up takes on an idle machine. Whoever is early
/// yields until it is time, so a wait costs at most this much of a processor.
pub(super) const EARLY_NS: u64 = 20_000;

const WORKER_NICE: libc::c_int = -15;

/// Lets the calling thread's timers fire on time, and its wake-ups go before threads that compute:
/// hardware does not wait for a processor.
///
/// The second needs a privilege. Without it, and on a busy machine, effects are seen later.
pub(super) fn precise_sleep() {
    // SAFETY: sets the calling thread's timer slack to a nanosecond.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
    // SAFETY: for PRIO_PROCESS, 0 means the calling thread on Linux.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, WORKER_NICE) };
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
