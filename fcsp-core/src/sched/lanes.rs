//! Which queue of a process writes which done word.
//!
//! A lane is a done word of the process's [`GatePage`](crate::region::layout::GatePage). A queue
//! keeps its lane while it is in use; when all are taken, the lane of a queue whose last write has
//! landed goes to the next.

use super::segment::reached;
use crate::backend::QueueId;
use crate::region::layout::{GatePage, LANES};
use crate::sync::Ordering;

#[derive(Clone, Copy, Debug)]
struct Lane {
    queue: QueueId,
    /// Newest segment it was used in.
    number: u32,
}

/// The lanes of one process. Guarded by the producer's lock.
#[derive(Debug)]
pub struct Lanes {
    lanes: [Option<Lane>; LANES],
    newest: usize,
}

impl Default for Lanes {
    fn default() -> Self {
        Self {
            lanes: [None; LANES],
            newest: 0,
        }
    }
}

impl Lanes {
    /// The queue's lane, for segment `number`; `busy` has a bit for each lane that the segment uses
    /// already. `None` if more than [`LANES`] queues have unfinished work.
    pub fn take(
        &mut self,
        queue: QueueId,
        number: u32,
        busy: u64,
        page: &GatePage,
    ) -> Option<usize> {
        let at = self.find(queue).or_else(|| self.free(busy, page))?;
        self.lanes[at] = Some(Lane { queue, number });
        self.newest = at;
        Some(at)
    }

    /// The queue on a lane.
    pub fn queue(&self, lane: usize) -> Option<QueueId> {
        self.lanes[lane].map(|lane| lane.queue)
    }

    /// The lane of a queue.
    pub fn find(&self, queue: QueueId) -> Option<usize> {
        let is = |at: usize| self.lanes[at].is_some_and(|lane| lane.queue == queue);
        if is(self.newest) {
            return Some(self.newest);
        }
        (0..LANES).find(|at| is(*at))
    }

    /// Forgets a queue that is about to be destroyed, so that a later queue with the same handle is
    /// not taken for it. Its pending writes still land.
    pub fn forget(&mut self, queue: QueueId) {
        if let Some(at) = self.find(queue) {
            // A queue nobody can have keeps the lane taken until its last write has landed.
            if let Some(lane) = &mut self.lanes[at] {
                lane.queue = QueueId(u64::MAX);
            }
        }
    }

    fn free(&self, busy: u64, page: &GatePage) -> Option<usize> {
        let landed = |at: usize| match self.lanes[at] {
            None => true,
            // Acquire pairs with the device's write: what the queue did before is finished.
            Some(lane) => reached(page.done[at].load(Ordering::Acquire), lane.number),
        };
        (0..LANES).find(|at| busy & (1 << at) == 0 && landed(*at))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn page() -> Box<GatePage> {
        // SAFETY: every field is an atomic integer, for which zero is a value.
        unsafe { Box::new_zeroed().assume_init() }
    }

    #[test]
    fn a_queue_keeps_its_lane() {
        let (mut lanes, page) = (Lanes::default(), page());
        let first = lanes.take(QueueId(7), 1, 0, &page);
        assert_eq!(lanes.take(QueueId(7), 2, 0, &page), first);
        assert_ne!(lanes.take(QueueId(8), 2, 1, &page), first);
    }

    #[test]
    fn a_lane_is_reused_only_after_its_last_write_has_landed() {
        let (mut lanes, page) = (Lanes::default(), page());
        for queue in 0..LANES as u64 {
            assert!(lanes.take(QueueId(queue), 5, 0, &page).is_some());
        }
        assert_eq!(lanes.take(QueueId(99), 6, 0, &page), None);
        page.done[17].store(5, Ordering::Release);
        assert_eq!(lanes.take(QueueId(99), 6, 0, &page), Some(17));
    }

    #[test]
    fn a_forgotten_queue_is_not_found_again() {
        let (mut lanes, page) = (Lanes::default(), page());
        lanes.take(QueueId(3), 1, 0, &page);
        lanes.forget(QueueId(3));
        assert_eq!(lanes.find(QueueId(3)), None);
    }
}
