//! Models of the biased lock: every interleaving of threads that favour each other away, up to three
//! preemptions. Two threads inside at once are two that reach the same cell, which loom reports.

use super::biased::Biased;
use crate::sync::ThreadId;
use loom::cell::UnsafeCell;
use loom::sync::Arc;
use loom::thread;

/// A lock around a count.
#[derive(Default)]
struct Counter(Biased<Count>);

struct Count(UnsafeCell<u32>);

impl Default for Count {
    fn default() -> Self {
        Self(UnsafeCell::new(0))
    }
}

impl Counter {
    fn count(&self, thread: usize) -> u32 {
        let inside = self.0.lock(ThreadId(thread * ThreadId::APART));
        inside.0.with_mut(|count| {
            // SAFETY: only the thread that is inside reaches it; loom checks that.
            unsafe {
                *count += 1;
                *count
            }
        })
    }
}

/// Threads that each take the lock so often; all of it is counted.
fn explore(times: &'static [u32]) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let counter = Arc::new(Counter::default());
        let threads: Vec<_> = times[1..]
            .iter()
            .zip(2..)
            .map(|(times, thread)| {
                let counter = Arc::clone(&counter);
                thread::spawn(move || (0..*times).for_each(|_| _ = counter.count(thread)))
            })
            .collect();
        (0..times[0]).for_each(|_| _ = counter.count(1));
        for thread in threads {
            thread.join().expect("a thread");
        }
        assert_eq!(counter.count(1), times.iter().sum::<u32>() + 1);
    });
}

#[test]
fn loom_a_favourite_and_another_are_never_inside_at_once() {
    explore(&[3, 1]);
}

#[test]
fn loom_two_that_take_the_favour_from_each_other_are_never_inside_at_once() {
    explore(&[2, 2]);
}

#[test]
fn loom_one_that_lost_the_favour_is_not_taken_for_the_next() {
    explore(&[2, 2, 1]);
}
