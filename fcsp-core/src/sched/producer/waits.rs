//! What threads say before and after they wait for the device, or ask it.

use super::{End, Producer, State};
use crate::backend::StreamGate;
use crate::region::layout::SEGMENTS;
use crate::sched::segment::reached;
use crate::sync::Ordering;

/// Unanswered questions for an event or a queue after which a program counts as waiting.
const QUERIES_BEFORE_SYNC: u32 = 8;

impl Producer {
    /// A thread is about to wait for the device: ends the open segment, so that what it waits for
    /// can be granted and judged. Does not block.
    pub fn sync(&self, gate: &dyn StreamGate) {
        let mut state = self.lock();
        self.wait(gate, &mut state);
        if state.passed > 0 {
            self.publish_sums(&mut state);
        }
        self.learn(gate, &mut state);
    }

    /// A thread has waited for the device: where only threads can tell what is done, it looks.
    pub fn waited(&self, gate: &dyn StreamGate) {
        self.look(gate, &mut self.lock());
    }

    /// As [`Producer::waited`], for something that need not be the newest thing in its queue. If there is more behind it, the
    /// program does not wait for its results: it keeps itself from running too far ahead.
    pub fn waited_for_event(&self, gate: &dyn StreamGate) {
        self.waited(gate);
        if self.has_more_in_one_queue() {
            self.slot.queue.blocked.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether the device has not done all segments that are complete, and all that it has not done are in one queue: with
    /// several nobody knows in which of them the event was.
    fn has_more_in_one_queue(&self) -> bool {
        // Relaxed: hints.
        let newest = self.slot.queue.closed.load(Ordering::Relaxed);
        let retired = self.slot.compute.retired.load(Ordering::Relaxed);
        let pending = newest.wrapping_sub(retired).min(SEGMENTS as u32);
        let lanes_of = |back: u32| {
            let segment = self.segment(newest.wrapping_sub(back));
            segment.lanes.load(Ordering::Relaxed)
        };
        let lanes = (0..pending).fold(0, |lanes, back| lanes | lanes_of(back));
        let mut done = self.page.done.iter().enumerate();
        let of_lane = done.find(|(lane, _)| lanes == 1 << lane);
        // Acquire pairs with the device's write, as everywhere.
        of_lane.is_some_and(|(_, done)| !reached(done.load(Ordering::Acquire), newest))
    }

    /// A thread asked whether the device is done and was told no. Programs that ask again and again
    /// are waiting.
    pub fn unanswered(&self, gate: &dyn StreamGate) {
        let mut state = self.lock();
        state.queries += 1;
        if state.queries == QUERIES_BEFORE_SYNC {
            self.wait(gate, &mut state);
        }
    }

    /// Ends the open segment for a thread that waits. Where the last one ended by itself just before, it waits for that.
    fn wait(&self, gate: &dyn StreamGate, state: &mut State) {
        // Relaxed: hints. Before the wait is counted, so that whoever sees that knows what it can be for.
        let newest = self.slot.queue.opened.load(Ordering::Relaxed);
        self.slot.queue.waits_at.store(newest, Ordering::Relaxed);
        let ended_full = std::mem::take(&mut state.ended_full);
        if state.open.is_some() {
            self.end(gate, state, End::Waiting);
        } else if ended_full {
            self.slot.queue.synced.fetch_add(1, Ordering::Relaxed);
        }
    }
}
