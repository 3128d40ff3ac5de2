//! Queues whose next work stands behind something that FCSP cannot bring about: a collective that
//! waits for another device, a word that the program writes, another interface's semaphore.
//!
//! Guarded by the producer's lock. What comes next in such a queue begins a segment of its own, which
//! the arbiter is not shown before the device has come to it ([`super::view`]): a turn given to it
//! earlier would pass with nothing to run, and two jobs on two devices could each hold the turn that
//! the other's half of a collective waits for.

use crate::backend::QueueId;

/// Queues remembered at once. One more takes the place of the oldest, whose next segment is then
/// judged like any other: by the bound.
const QUEUES: usize = 8;

/// The stalled queues of one process.
#[derive(Debug, Default)]
pub struct Stalls {
    queues: [Option<QueueId>; QUEUES],
    next: usize,
}

impl Stalls {
    /// What comes next in `queue` stands behind something.
    pub fn add(&mut self, queue: QueueId) {
        if !self.contains(queue) {
            self.queues[self.next] = Some(queue);
            self.next = (self.next + 1) % QUEUES;
        }
    }

    /// Whether no queue does.
    pub fn is_empty(&self) -> bool {
        self.queues.iter().all(Option::is_none)
    }

    /// Whether it does.
    #[inline]
    pub fn contains(&self, queue: QueueId) -> bool {
        self.queues.contains(&Some(queue))
    }

    /// Forgets it; true if it did.
    pub fn take(&mut self, queue: QueueId) -> bool {
        let found = self.queues.iter_mut().find(|it| **it == Some(queue));
        found.is_some_and(|place| place.take().is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_stalled_until_it_is_taken() {
        let mut stalls = Stalls::default();
        stalls.add(QueueId(1));
        stalls.add(QueueId(1));
        assert!(stalls.contains(QueueId(1)) && !stalls.contains(QueueId(2)));
        assert!(stalls.take(QueueId(1)));
        assert!(!stalls.take(QueueId(1)), "it was there once");
    }

    #[test]
    fn the_oldest_makes_room() {
        let mut stalls = Stalls::default();
        (0..=QUEUES as u64).for_each(|queue| stalls.add(QueueId(queue)));
        assert!(!stalls.contains(QueueId(0)));
        assert!((1..=QUEUES as u64).all(|queue| stalls.contains(QueueId(queue))));
    }
}
