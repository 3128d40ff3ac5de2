//! The thread that lets device time have effects when nobody waits.
//!
//! Owns: when to look. It sleeps until the next effect the host can see (a written word, a host
//! function, a gate that may have opened) and notices plain completions every half millisecond.
//! It never waits for the application, except inside a host function.

use super::Inner;
use super::clock::{EARLY_NS, precise_sleep};
use crate::device::now_ns;
use std::sync::Arc;
use std::time::Duration;

/// Starts the worker with all signals blocked: the application's handlers are not for this thread.
pub(super) fn start(inner: Arc<Inner>) -> std::io::Result<()> {
    // SAFETY: plain signal-mask calls on sets that live on this stack.
    let mut previous = unsafe { std::mem::zeroed::<libc::sigset_t>() };
    // SAFETY: as above.
    unsafe {
        let mut all = std::mem::zeroed::<libc::sigset_t>();
        libc::sigfillset(&mut all);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut previous);
    }
    let started = std::thread::Builder::new()
        .name("fcsp-sim".into())
        .stack_size(512 << 10)
        .spawn(move || run(&inner));
    // SAFETY: restores the mask saved above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &previous, std::ptr::null_mut()) };
    started.map(drop)
}

fn run(inner: &Inner) {
    precise_sleep();
    let mut state = inner.lock();
    while !state.stop {
        let now = now_ns();
        inner.pump(&mut state, now);
        if let Some((stream, call)) = state.calls.pop_front() {
            drop(state);
            call();
            state = inner.lock();
            state.called(stream, now_ns());
            continue;
        }
        let wake = state.next_wake(&inner.device, now);
        let wake_ns = wake.map_or(u64::MAX, |wake| wake.at_ns);
        state.worker_wake_ns = wake_ns;
        state.newly_held = false;
        let sleep_ns = wake_ns.saturating_sub(now_ns());
        state = match wake {
            None => inner.worker.wait(state).unwrap_or_else(|e| e.into_inner()),
            Some(wake) if wake.exact && sleep_ns < EARLY_NS => {
                drop(state);
                std::thread::yield_now();
                inner.lock()
            }
            Some(wake) => {
                let early_ns = if wake.exact { EARLY_NS } else { 0 };
                let sleep = Duration::from_nanos(sleep_ns.saturating_sub(early_ns).max(1));
                inner
                    .worker
                    .wait_timeout(state, sleep)
                    .unwrap_or_else(|e| e.into_inner())
                    .0
            }
        };
    }
}
