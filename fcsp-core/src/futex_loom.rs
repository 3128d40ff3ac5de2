//! What a futex promises, for the models under `--cfg loom`: looking at the word and falling asleep
//! are one step for whoever wakes. Time does not pass in a model, so no wait ends by itself: a lost
//! wake-up is a deadlock, which loom reports.

use crate::sync::{AtomicU32, Ordering};
use loom::sync::{Condvar, Mutex};
use std::time::Duration;

loom::lazy_static! {
    static ref KERNEL: (Mutex<()>, Condvar) = (Mutex::new(()), Condvar::new());
}

/// Sleeps until somebody calls [`wake`], unless `word` does not hold `expected`.
pub fn wait(word: &AtomicU32, expected: u32, _timeout: Option<Duration>) {
    let (lock, sleepers) = &*KERNEL;
    let held = lock.lock().expect("no thread of a model panics with it");
    if word.load(Ordering::Relaxed) == expected {
        drop(sleepers.wait(held));
    }
}

/// Wakes every sleeper; those of other words look again and go on sleeping, or go on.
pub fn wake(_word: &AtomicU32, _count: u32) {
    let (lock, sleepers) = &*KERNEL;
    let _held = lock.lock().expect("no thread of a model panics with it");
    sleepers.notify_all();
}
