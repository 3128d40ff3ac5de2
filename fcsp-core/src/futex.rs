//! Sleeping on a word in the region until another process changes it.
//!
//! These are shared futexes (the kernel finds the sleepers by file and offset, not by address), so
//! they work between processes that map the region at different places. Not for hot paths: each
//! call is a system call. Neither allocates; both may change `errno`.

use crate::sync::AtomicU32;
use std::time::Duration;

/// Why a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// Woken, or interrupted by a signal: look at the word again.
    Woken,
    /// The word did not hold the expected value.
    Changed,
    /// The time was over.
    TimedOut,
}

/// Sleeps until somebody calls [`wake`] on `word`, unless it does not hold `expected`; for `timeout`
/// at most, if there is one. Blocks the thread.
pub fn wait(word: &AtomicU32, expected: u32, timeout: Option<Duration>) -> Wait {
    let timespec = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::time_t::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    });
    // SAFETY: the word outlives the call, and so does the time, which is null if there is none.
    let result = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            timespec
                .as_ref()
                .map_or(std::ptr::null(), std::ptr::from_ref),
        )
    };
    if result == 0 {
        return Wait::Woken;
    }
    match std::io::Error::last_os_error().raw_os_error() {
        Some(libc::EAGAIN) => Wait::Changed,
        Some(libc::ETIMEDOUT) => Wait::TimedOut,
        _ => Wait::Woken,
    }
}

/// Wakes up to `count` sleepers on `word`; gives how many there were.
pub fn wake(word: &AtomicU32, count: u32) -> u32 {
    // SAFETY: the word outlives the call; the kernel only uses its address.
    let woken = unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAKE,
            count.min(i32::MAX as u32),
        )
    };
    woken.try_into().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::Ordering;

    #[test]
    fn a_changed_word_is_not_waited_for() {
        assert_eq!(wait(&AtomicU32::new(1), 0, None), Wait::Changed);
    }

    #[test]
    fn a_wait_ends_when_its_time_is_over() {
        let word = AtomicU32::new(0);
        assert_eq!(
            wait(&word, 0, Some(Duration::from_millis(1))),
            Wait::TimedOut
        );
    }

    #[test]
    fn a_wake_ends_a_wait() {
        let word = AtomicU32::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                word.store(1, Ordering::Release);
                while wake(&word, 1) == 0 && word.load(Ordering::Acquire) == 1 {
                    std::thread::yield_now();
                }
            });
            while wait(&word, 0, None) == Wait::Woken {}
            word.store(2, Ordering::Release);
        });
    }
}
