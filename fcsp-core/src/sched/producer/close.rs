//! The end of a segment, and what is learnt from those that are over.

use super::{Changing, End, Joined, Open, Producer, State, Ticket};
use crate::backend::StreamGate;
use crate::failpoint::failpoint;
use crate::region::layout::{GATED_BESIDE_OTHERS, GATED_ON_TRIAL};
use crate::sched::cost::{Cost, CostKey};
use crate::sched::handover;
use crate::sched::handshake;
use crate::sched::sampler::{FIRST_SAMPLES, Subject};
use crate::sched::segment::{SegmentState, reached};
use crate::sync::{Ordering, ThreadId};

/// Most that one submission counts.
const SPREAD_PPM_MAX: u64 = 2_000_000;

/// A program that waits has few segments in front of the one it closes; one with more of them is not held up
/// by when that is seen.
const WAITING_BEHIND: u32 = 1;

impl Producer {
    /// Completes a submission that was measured, or that something waits for.
    #[cold]
    #[inline(never)]
    pub(super) fn settle(&self, gate: &dyn StreamGate, ticket: Ticket, launched: bool) {
        let Some(entered) = ticket.number else { return };
        let mut guard = self.state.lock(ThreadId::current());
        let usual = Joined(ticket.number);
        if ticket.sample.is_none() && Self::part_from_open(&mut guard, &usual) {
            return;
        }
        let mut state = Changing(guard);
        let state = &mut *state;
        if let Some(id) = ticket.sample {
            if launched {
                let granted = self.is_granted(entered);
                state.sampler.end(gate, ticket.queue, id, granted);
            } else {
                state.sampler.drop(id);
            }
        }
        if let Some(open) = state.open.as_mut().filter(|open| open.number == entered) {
            open.entered -= 1;
            if open.entered == 0 && open.end.is_some() {
                self.close(gate, state);
            }
        }
        if !state.watches.is_empty() {
            self.look(gate, state);
        }
        self.learn(gate, state);
    }

    /// Ends the open segment: every queue it used will write its number.
    pub(super) fn close(&self, gate: &dyn StreamGate, state: &mut State) {
        let Some(mut open) = state.open.take() else {
            return;
        };
        if let Some(id) = open.sample {
            // With several queues nobody knows which will be the last to finish.
            let only_lane = open.newest_lane.filter(|_| open.lanes.count_ones() == 1);
            match only_lane.and_then(|lane| state.lanes.queue(usize::from(lane))) {
                Some(queue) => state
                    .sampler
                    .end(gate, queue, id, self.is_granted(open.number)),
                None => state.sampler.drop(id),
            }
        }
        for (lane, done) in self.page.done.iter().enumerate() {
            if open.lanes & (1 << lane) == 0 {
                continue;
            }
            failpoint!("sched.close.writing");
            let queue = state.lanes.queue(lane);
            if queue.is_some_and(|queue| gate.write(queue, done, open.number)) {
                continue;
            }
            let watches = &mut state.watches;
            if queue.is_some_and(|queue| watches.begin(gate, queue, open.number, lane)) {
                if open.closed_as == SegmentState::Closed {
                    open.closed_as = SegmentState::Watched;
                }
            } else {
                // Nobody will tell when this lane is done. So that it can be used again:
                done.store(open.number, Ordering::Release);
                open.closed_as = SegmentState::Unmarked;
            }
        }
        self.publish_sums(state);
        let end = open.end.unwrap_or(End::Waiting);
        state.ended_full = end == End::Full;
        self.publish_closed(&open, end);
        match end {
            _ if self.runs_ahead(open.number) => {}
            End::Stalled => self.ring(),
            End::Waiting => self.ring_if_among_oldest(open.number, WAITING_BEHIND),
            End::Full | End::Expired => {}
        }
    }

    /// Tells what was submitted so far.
    pub(super) fn publish_sums(&self, state: &mut State) {
        for (place, ns) in self.slot.classes_ns.iter().zip(state.classes_ns) {
            // Relaxed: a number alone, which only whoever holds the lock writes.
            place.store(ns, Ordering::Relaxed);
        }
        let passed = std::mem::take(&mut state.passed);
        self.slot
            .queue
            .launches
            .fetch_add(u64::from(passed), Ordering::Relaxed);
    }

    /// True if even the segment after `number` is granted: the arbiter need not be woken for this one.
    pub(super) fn runs_ahead(&self, number: u32) -> bool {
        self.is_granted(number.wrapping_add(1))
    }

    /// True if the device may begin with that segment.
    pub(super) fn is_granted(&self, number: u32) -> bool {
        // Relaxed: a hint.
        reached(self.page.grant.load(Ordering::Relaxed), number)
    }

    pub(super) fn publish_closed(&self, open: &Open, end: End) {
        let segment = self.segment(open.number);
        failpoint!("sched.close.written");
        segment.lanes.store(open.lanes, Ordering::Relaxed);
        // Publishes the lanes. Fails if the arbiter has ended the segment already.
        let _not_expired = handshake::end_segment(segment, open.closed_as);
        failpoint!("sched.close.closed");
        if end == End::Waiting {
            self.slot.queue.synced.fetch_add(1, Ordering::Relaxed);
        }
        self.slot
            .queue
            .launches
            .fetch_add(u64::from(open.launches), Ordering::Relaxed);
        self.slot.queue.closed.store(open.number, Ordering::Release);
        failpoint!("sched.close.published");
    }

    pub(super) fn learn(&self, gate: &dyn StreamGate, state: &mut State) {
        if state.sampler.is_empty() {
            return;
        }
        // Acquire pairs with the arbiter's Release of `retired`: the segment's times are there.
        let retired = self.slot.compute.retired.load(Ordering::Acquire);
        let measured = state.sampler.poll(gate, retired);
        // Relaxed: what was measured just before or after a change is one of many.
        let gated = self.slot.gate.gated.load(Ordering::Relaxed);
        if matches!(gated, GATED_BESIDE_OTHERS | GATED_ON_TRIAL) {
            return;
        }
        let Some(measured) = measured else { return };
        match measured.subject {
            Subject::Submission(key) => self.learn_cost(key, measured.ns, measured.waited_ns_max),
            Subject::Segment(number) => self.learn_handover(number, measured.ns),
        }
    }

    /// Learns from a measurement of `most_ns`, of which the device may have waited for the program for `waited_ns_max`: what
    /// is within that is as good as what was expected. A program whose processor is the slower of the two would otherwise be
    /// taken for one that keeps the device busy, and given time for that.
    pub(super) fn learn_cost(&self, key: CostKey, most_ns: u64, waited_ns_max: u64) {
        let least_ns = most_ns.saturating_sub(waited_ns_max);
        let Cost {
            ns: expected,
            samples,
        } = self.costs.expect(key, most_ns);
        let ns = expected.clamp(least_ns, most_ns);
        if !self.costs.learn(key, ns) || samples < FIRST_SAMPLES {
            return;
        }
        let off_ppm = expected.abs_diff(ns) * 1_000_000 / expected.max(1);
        let spread = &self.slot.queue.spread_ppm;
        let old = u64::from(spread.load(Ordering::Relaxed));
        // A moving average with weight 1/16, rounded up so that it can grow from nothing.
        let new = (old * 15 + off_ppm.min(SPREAD_PPM_MAX)).div_ceil(16);
        spread.store(new as u32, Ordering::Relaxed);
    }

    /// What lay between grant and done beyond the device's own time is the hand-over.
    fn learn_handover(&self, number: u32, device_ns: u64) {
        let segment = self.segment(number);
        let finished = segment.finished_ns.load(Ordering::Acquire);
        let granted = segment.granted_ns.load(Ordering::Relaxed);
        let first = segment.first_of_turn.load(Ordering::Relaxed) != 0;
        let told = granted != 0 && finished != 0 && first;
        if segment.number.load(Ordering::Relaxed) != number || !told {
            return;
        }
        let seen_ns = finished.saturating_sub(granted).saturating_sub(device_ns);
        let old = self.slot.queue.handover_ns.load(Ordering::Relaxed);
        let new = handover::learn(old, seen_ns);
        self.slot.queue.handover_ns.store(new, Ordering::Relaxed);
    }
}
