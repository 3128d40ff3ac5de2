//! When [`crate::usage`] looks at what the process really uses: soon and then less and less often after a context
//! or code came or went; once more some time after the program did anything else that could matter; and not at
//! all while it does nothing, so that an idle program is never woken up.
//!
//! What else could matter is the growth of stacks and heaps with the kernels that are launched, and code that is
//! loaded with a first launch. Launches tell nobody: they must cost nothing. But whoever launches waits for the
//! device sooner or later, or allocates, or frees, and these calls look whether somebody rests ([`stirred`]: one
//! load; a system call once per rest).

use core::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use fcsp_core::futex;

use crate::line::LINE;

/// When to look after something changed, each time from the look before.
const LOOKS: [Duration; 4] = [
    Duration::from_millis(20),
    Duration::from_millis(200),
    Duration::from_secs(1),
    Duration::from_secs(5),
];
/// When to look while nothing that we know of changes and the program is at work. A millisecond each time.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How often a context or code came or went.
static CHANGES: AtomicU32 = AtomicU32::new(0);
/// How often a watcher was to wake up, for a change or because the program stirred. Watchers sleep on it.
static CALLS: AtomicU32 = AtomicU32::new(0);

/// A context or code came or went.
pub fn changed() {
    CHANGES.fetch_add(1, Ordering::Release);
    call();
}

/// Whether the program should say that it does something.
#[inline]
pub fn is_listening() -> bool {
    // Relaxed: seen a call later is soon enough.
    LINE.listening.load(Ordering::Relaxed)
}

/// The program waits for the device, allocates or frees.
#[inline]
pub fn stirred() {
    if is_listening() {
        wake_listener();
    }
}

#[cold]
fn wake_listener() {
    // AcqRel: one of many threads wakes the watcher.
    if LINE.listening.swap(false, Ordering::AcqRel) {
        call();
    }
}

fn call() {
    // Release: after the change, which the watcher reads when it has seen the call.
    CALLS.fetch_add(1, Ordering::Release);
    futex::wake(&CALLS, u32::MAX);
}

/// One watcher's state.
#[derive(Debug)]
pub struct Rhythm {
    /// Of [`CHANGES`].
    changes: u32,
    /// Of [`CALLS`], when it last began to listen.
    listens_since: u32,
    /// Looks since the last change.
    looks: usize,
    next: Next,
}

/// What a watcher waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    At(Instant),
    /// Until it is called.
    Rest,
}

/// What a watcher is to do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Look,
    /// Something changed: look when the burst of changes is over, for the driver is busy with this one.
    Settle,
    Sleep(Option<Duration>),
}

impl Rhythm {
    /// Sleeps until there is a context; then the first look is due soon.
    pub fn begin() -> Self {
        loop {
            let calls = CALLS.load(Ordering::Acquire);
            if CHANGES.load(Ordering::Acquire) != 0 {
                return Self::at(Instant::now());
            }
            futex::wait(&CALLS, calls, None);
        }
    }

    fn at(now: Instant) -> Self {
        Self {
            changes: 0,
            listens_since: 0,
            looks: 0,
            next: Next::At(now + LOOKS[0]),
        }
    }

    /// Sleeps until a look is due.
    pub fn wait(&mut self) {
        loop {
            let calls = CALLS.load(Ordering::Acquire);
            let changes = CHANGES.load(Ordering::Acquire);
            match self.step(Instant::now(), calls, changes) {
                Step::Look => break,
                Step::Settle => {
                    std::thread::sleep(LOOKS[0]);
                    self.changes = CHANGES.load(Ordering::Acquire);
                    break;
                }
                Step::Sleep(pause) => {
                    futex::wait(&CALLS, calls, pause);
                }
            }
        }
        if self.may_be_last() {
            // Before the look: what the program does from here on it does not cover.
            self.listens_since = CALLS.load(Ordering::Acquire);
            LINE.listening.store(true, Ordering::SeqCst);
        }
    }

    /// A look is over; `settled` if it found what the one before found.
    pub fn looked(&mut self, settled: bool) {
        self.plan(Instant::now(), CALLS.load(Ordering::Acquire), settled);
    }

    fn may_be_last(&self) -> bool {
        self.looks + 1 >= LOOKS.len()
    }

    fn step(&mut self, now: Instant, calls: u32, changes: u32) -> Step {
        if changes != self.changes {
            (self.changes, self.looks) = (changes, 0);
            return Step::Settle;
        }
        if self.next == Next::Rest && calls != self.listens_since {
            self.next = Next::At(now + LOOK_EVERY);
        }
        match self.next {
            Next::At(due) if due <= now => Step::Look,
            Next::At(due) => Step::Sleep(Some(due - now)),
            Next::Rest => Step::Sleep(None),
        }
    }

    fn plan(&mut self, now: Instant, calls: u32, settled: bool) {
        let last = self.may_be_last();
        self.looks = (self.looks + 1).min(LOOKS.len());
        self.next = match LOOKS.get(self.looks) {
            Some(pause) => Next::At(now + *pause),
            None if last && settled && calls == self.listens_since => Next::Rest,
            None => Next::At(now + LOOK_EVERY),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A watcher with a clock of its own.
    struct Watcher {
        rhythm: Rhythm,
        now: Instant,
        calls: u32,
        changes: u32,
    }

    impl Watcher {
        fn new() -> Self {
            let now = Instant::now();
            Self {
                rhythm: Rhythm::at(now),
                now,
                calls: 1,
                changes: 1,
            }
        }

        /// Looks as `wait` and `looked` do; how long it slept before, `None` if it would for ever.
        fn look(&mut self, settled: bool) -> Option<Duration> {
            let began = self.now;
            loop {
                match self.rhythm.step(self.now, self.calls, self.changes) {
                    Step::Look => break,
                    Step::Settle => {
                        self.now += LOOKS[0];
                        break;
                    }
                    Step::Sleep(pause) => self.now += pause?,
                }
            }
            if self.rhythm.may_be_last() {
                self.rhythm.listens_since = self.calls;
            }
            self.rhythm.plan(self.now, self.calls, settled);
            Some(self.now - began)
        }

        /// All looks that follow a change; then it rests.
        fn rest(&mut self) {
            for pause in LOOKS {
                assert_eq!(self.look(true), Some(pause));
            }
            assert_eq!(self.look(true), None);
        }
    }

    #[test]
    fn after_a_change_it_looks_less_and_less_often_and_then_rests() {
        Watcher::new().rest();
    }

    #[test]
    fn a_change_wakes_it_from_its_rest_and_begins_anew() {
        let mut watcher = Watcher::new();
        watcher.rest();
        (watcher.calls, watcher.changes) = (2, 2);
        watcher.rest();
    }

    #[test]
    fn a_program_that_does_something_is_looked_at_once_and_some_time_later() {
        let mut watcher = Watcher::new();
        watcher.rest();
        watcher.calls += 1;
        assert_eq!(watcher.look(true), Some(LOOK_EVERY));
        assert_eq!(watcher.look(true), None);
    }

    #[test]
    fn what_happens_during_the_last_look_is_looked_at_too() {
        let mut watcher = Watcher::new();
        for _ in &LOOKS[1..] {
            watcher.look(true);
        }
        let last = LOOKS[LOOKS.len() - 1];
        watcher.now += last;
        assert_eq!(
            watcher
                .rhythm
                .step(watcher.now, watcher.calls, watcher.changes),
            Step::Look
        );
        watcher.rhythm.listens_since = watcher.calls;
        watcher.calls += 1;
        watcher.rhythm.plan(watcher.now, watcher.calls, true);
        assert_eq!(watcher.look(true), Some(LOOK_EVERY));
        assert_eq!(watcher.look(true), None);
    }

    #[test]
    fn it_does_not_rest_before_two_looks_agree() {
        let mut watcher = Watcher::new();
        for pause in LOOKS {
            assert_eq!(watcher.look(false), Some(pause));
        }
        assert_eq!(watcher.look(false), Some(LOOK_EVERY));
        assert_eq!(watcher.look(true), Some(LOOK_EVERY));
        assert_eq!(watcher.look(true), None);
    }
}
