//! Tells when segments are done where no queue can write a word: markers, looked at by the process's
//! own threads.
//!
//! Guarded by the producer's lock. Nothing here waits; the threads that wait for room or for a grant
//! look now and then ([`super::producer`]), and the arbiter goes by the predicted end of a segment
//! that nobody looked at.

use super::segment::reached;
use crate::backend::{Elapsed, Marker, QueueId, StreamGate};
use crate::region::layout::DeviceWord;
use crate::sync::Ordering;

/// Ends that can be watched at once: all lanes of two segments of a program with eight queues.
const WATCHES: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Watch {
    marker: Marker,
    /// Segment and lane it stands behind, while it is watched.
    behind: Option<(u32, usize)>,
}

/// The ends that one process watches.
#[derive(Debug, Default)]
pub struct Watches {
    watches: [Option<Watch>; WATCHES],
    watched: usize,
}

impl Watches {
    /// True while nothing is watched.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.watched == 0
    }

    /// Watches for the end of everything in `queue`, which is `lane` of segment `number`. False if it
    /// cannot be watched.
    pub fn begin(
        &mut self,
        gate: &dyn StreamGate,
        queue: QueueId,
        number: u32,
        lane: usize,
    ) -> bool {
        let is_free = |watch: &Option<Watch>| watch.is_none_or(|watch| watch.behind.is_none());
        let Some(place) = self.watches.iter_mut().find(|watch| is_free(watch)) else {
            return false;
        };
        let Some(marker) = place.map(|watch| watch.marker).or_else(|| gate.marker()) else {
            return false;
        };
        let recorded = gate.record(marker, queue);
        let behind = recorded.then_some((number, lane));
        *place = Some(Watch { marker, behind });
        self.watched += usize::from(recorded);
        recorded
    }

    /// Writes the numbers of what is done into `done`, one word a lane. True if there was any.
    pub fn look(&mut self, gate: &dyn StreamGate, done: &[DeviceWord]) -> bool {
        let mut any = false;
        for watch in self.watches.iter_mut().flatten() {
            let Some((number, lane)) = watch.behind else {
                continue;
            };
            if gate.elapsed(watch.marker, watch.marker) == Elapsed::Pending {
                continue;
            }
            watch.behind = None;
            self.watched -= 1;
            any = true;
            // Relaxed: only this process writes the word, under the lock.
            if !reached(done[lane].load(Ordering::Relaxed), number) {
                // Release pairs with the arbiter's Acquire.
                done[lane].store(number, Ordering::Release);
            }
        }
        any
    }

    /// The oldest segment watched.
    pub fn oldest(&self) -> Option<u32> {
        let numbers = self.watches.iter().flatten();
        let numbers = numbers.filter_map(|watch| watch.behind.map(|(number, _)| number));
        numbers.reduce(|oldest, number| {
            if reached(number, oldest) {
                oldest
            } else {
                number
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::AtomicU32;
    use std::cell::{Cell, RefCell};

    /// Markers that pass when the test says so.
    #[derive(Default)]
    struct Markers {
        passed: RefCell<Vec<bool>>,
        refuses: Cell<bool>,
    }

    impl StreamGate for Markers {
        fn wait(&self, _: QueueId, _: &AtomicU32, _: u32) -> bool {
            false
        }

        fn write(&self, _: QueueId, _: &AtomicU32, _: u32) -> bool {
            false
        }

        fn marker(&self) -> Option<Marker> {
            self.passed.borrow_mut().push(false);
            Some(Marker(self.passed.borrow().len() as u64 - 1))
        }

        fn record(&self, marker: Marker, _: QueueId) -> bool {
            self.passed.borrow_mut()[marker.0 as usize] = false;
            !self.refuses.get()
        }

        fn elapsed(&self, _: Marker, end: Marker) -> Elapsed {
            match self.passed.borrow()[end.0 as usize] {
                true => Elapsed::Ns(0),
                false => Elapsed::Pending,
            }
        }
    }

    fn words() -> [DeviceWord; 2] {
        Default::default()
    }

    fn read(words: &[DeviceWord; 2]) -> [u32; 2] {
        [0, 1].map(|at: usize| words[at].load(Ordering::Relaxed))
    }

    #[test]
    fn a_word_is_written_once_its_marker_has_passed_and_never_falls() {
        let (gate, mut watches, done) = (Markers::default(), Watches::default(), words());
        assert!(watches.begin(&gate, QueueId(1), 7, 0));
        assert!(watches.begin(&gate, QueueId(2), 7, 1));
        assert!(watches.begin(&gate, QueueId(1), 8, 0));
        assert!(!watches.look(&gate, &done));
        assert_eq!((read(&done), watches.oldest()), ([0, 0], Some(7)));
        gate.passed.borrow_mut()[2] = true;
        assert!(watches.look(&gate, &done));
        assert_eq!((read(&done), watches.oldest()), ([8, 0], Some(7)));
        gate.passed.borrow_mut().fill(true);
        assert!(watches.look(&gate, &done));
        assert_eq!((read(&done), watches.oldest()), ([8, 7], None));
        assert!(!watches.look(&gate, &done));
    }

    #[test]
    fn markers_are_used_again_and_limited() {
        let (gate, mut watches, done) = (Markers::default(), Watches::default(), words());
        for number in 1..=100 {
            assert!(watches.begin(&gate, QueueId(1), number, 0));
            gate.passed.borrow_mut().fill(true);
            assert!(watches.look(&gate, &done));
        }
        assert_eq!(gate.passed.borrow().len(), 1);
        let begun = (0..100).filter(|lane| watches.begin(&gate, QueueId(1), 101, lane % 2));
        assert_eq!(begun.count(), WATCHES);
    }

    #[test]
    fn what_cannot_be_marked_is_not_watched() {
        let (gate, mut watches) = (Markers::default(), Watches::default());
        gate.refuses.set(true);
        assert!(!watches.begin(&gate, QueueId(1), 1, 0));
        assert_eq!(watches.oldest(), None);
    }
}
