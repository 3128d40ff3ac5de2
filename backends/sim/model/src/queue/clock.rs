//! Sleeping precisely.

/// How much earlier to wake than needed: what a wake-up takes on an idle machine. Whoever is early
/// yields until it is time, so a wait costs at most this much of a processor.
pub(super) const EARLY_NS: u64 = 20_000;

const WORKER_NICE: libc::c_int = -15;

/// Time slice of the worker: the least that Linux gives. Short slices preempt longer ones at a
/// wake-up (Linux 6.12 and later).
const WORKER_SLICE_NS: u64 = 100_000;

/// Lets the calling thread's timers fire on time, and its wake-ups go before threads that compute:
/// hardware does not wait for a processor.
///
/// The priority needs a privilege. Without it, and on a busy machine, effects are seen later.
pub(super) fn precise_sleep() {
    // SAFETY: sets the calling thread's timer slack to a nanosecond.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_u64) };
    // SAFETY: for PRIO_PROCESS, 0 means the calling thread on Linux.
    unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, WORKER_NICE) };
    // SAFETY: as above; what it says is what the thread has.
    let nice = unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) };
    let attributes = libc::sched_attr {
        size: size_of::<libc::sched_attr>() as u32,
        sched_policy: libc::SCHED_OTHER as u32,
        sched_flags: 0,
        sched_nice: nice,
        sched_priority: 0,
        sched_runtime: WORKER_SLICE_NS,
        sched_deadline: 0,
        sched_period: 0,
    };
    // SAFETY: sets attributes of the calling thread; the structure is as long as it says.
    unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
}

/// Precise timers for the calling thread until dropped.
pub struct PreciseWait {
    slack_ns: libc::c_int,
}

impl PreciseWait {
    /// From now on.
    pub fn begin() -> Self {
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
