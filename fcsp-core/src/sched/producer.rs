//! The program's side of the gate: turns submissions into segments.
//!
//! A hook that submits work calls [`Producer::enter`], then the vendor, then [`Producer::leave`]. A
//! hook that is about to wait for the device calls [`Producer::sync`] first. All of this happens only
//! while the slot is gated; see [`Producer::gated`].
//!
//! One lock per process and device guards the open segment. It is there because segments must be
//! numbered in the order of submission over the whole process: then a dependency between two queues
//! always points to the same or an earlier segment, and waiting in the queues cannot form a cycle.
//! It is taken only while gated, held for some tens of nanoseconds (a microsecond when a segment
//! begins or ends), and never while a thread waits. The one thread that submits takes it without an
//! atomic instruction ([`super::biased`]).

use std::time::Duration;

use super::biased::{Biased, Guard};
use super::clock::{now_ns, us};
use super::cost::{Cost, CostKey, CostTable};
use super::handshake;
use super::lanes::Lanes;
use super::observer::Bench;
use super::sampler::{SampleId, Sampler, Subject};
use super::segment::{SegmentState, reached};
use super::stalls::Stalls;
use super::ticks::Ticks;
use super::watch::Watches;
use crate::backend::{QueueId, StreamGate};
use crate::failpoint::failpoint;
use crate::region::layout::{
    GATED_BESIDE_OTHERS, GatePage, Header, RegionLayout, SEGMENTS, Segment, Slot, SlotPages,
};
use crate::sync::{Ordering, ThreadId};

/// Segments a process may be ahead of the device. A thread that wants more waits.
pub const AHEAD: u32 = 24;
/// Unanswered questions for an event or a queue after which a program counts as waiting.
const QUERIES_BEFORE_SYNC: u32 = 8;
/// Longest sleep of a thread that waits for room before it looks again by itself.
const ROOM_WAIT: Duration = Duration::from_millis(5);
/// So many of these in vain, and the arbiter is asked to look as well: a turn of others is over by then.
const ROOM_WAITS: u32 = 10;
/// Between two looks of a waiting thread at whether the device is done, where only threads can tell.
const LOOK: Duration = Duration::from_micros(50);
/// The same, while the end is expected to be far away; expectations may be wrong.
const LOOK_AHEAD: Duration = Duration::from_micros(500);
/// What a submission of unknown cost counts at most, but an eighth of a segment at least and half of one
/// at most: a program may have [`AHEAD`] segments of such before the first is learnt.
const PRIOR_NS_MAX: u64 = us(500);
/// One segment in this many is measured to learn what a hand-over costs. Prime to the number of
/// segments in a turn, so that the first of a turn, the one that tells, is among them.
const SEGMENT_SAMPLE_EVERY: u32 = 5;
/// Most that the first measurement of a hand-over is believed.
const HANDOVER_NS_FIRST: u64 = us(200);
/// Least step from one estimate of it to the next.
const HANDOVER_STEP_NS: u64 = us(5);

const _: () = assert!((AHEAD as usize) < SEGMENTS);

/// The submitting side of one process on one device. Shared by all its threads.
#[derive(Debug)]
pub struct Producer {
    header: &'static Header,
    slot: &'static Slot,
    page: &'static GatePage,
    bench: &'static Bench,
    costs: CostTable,
    state: Biased<State>,
}

#[derive(Debug, Default)]
struct State {
    open: Option<Open>,
    clock: Ticks,
    lanes: Lanes,
    sampler: Sampler,
    watches: Watches,
    stalls: Stalls,
    /// Queue of the newest segment that the device must come to before it is shown.
    awaited: Option<QueueId>,
    queries: u32,
}

#[derive(Debug)]
struct Open {
    number: u32,
    lanes: u64,
    predicted_ns: u64,
    launches: u32,
    /// Threads between `enter` and `leave`.
    entered: u32,
    end: Option<End>,
    /// No queue can wait for the grant, so threads do.
    thread_waits: bool,
    sample: Option<SampleId>,
    /// What it will be once it is closed.
    closed_as: SegmentState,
    /// Lane of the newest submission: as a rule the last to finish.
    newest_lane: Option<usize>,
}

/// Why a segment ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Full,
    Waiting,
    Expired,
    /// What comes next in one of its queues stands behind something.
    Stalled,
}

/// A submission on its way. Give it back to [`Producer::leave`].
#[derive(Debug)]
#[must_use = "a submission that entered must leave"]
pub struct Ticket {
    number: u32,
    queue: QueueId,
    sample: Option<SampleId>,
}

impl Producer {
    /// The producer of the process that owns slot `me`; `bench` is its observer's.
    pub fn new(region: &'static RegionLayout, me: usize, bench: &'static Bench) -> Self {
        let SlotPages { slot, page } = &region.slots[me];
        let (costs, state) = Default::default();
        // What the slot's last owner left there. Release, Relaxed: the device writes it next.
        let opened = slot.queue.opened.load(Ordering::Relaxed);
        page.arrival.arrived.store(opened, Ordering::Release);
        page.arrival.awaited.store(0, Ordering::Relaxed);
        Self {
            header: &region.header,
            slot,
            page,
            bench,
            costs,
            state,
        }
    }

    /// Allocates what the first submissions would have to otherwise. For a thread that nobody waits for.
    pub fn prepare(&self) {
        self.costs.prepare();
    }

    /// Whether submissions form segments now: the one word an uncontended submission reads.
    #[inline]
    pub fn gated(&self) -> bool {
        // Relaxed: the word carries no data; acting a moment late is what a change costs anyway.
        self.slot.gate.gated.load(Ordering::Relaxed) != 0
    }

    /// Admits one submission of kind `key` to `queue`: puts the gate into the queue if the segment
    /// is new to it. `prior_ns` is what it may cost if nothing was learnt. Blocks while the process
    /// is [`AHEAD`] segments ahead, and until the grant where the vendor cannot make the queue wait;
    /// otherwise takes about 100 ns, and about 2 µs once per segment.
    pub fn enter(
        &self,
        gate: &dyn StreamGate,
        queue: QueueId,
        key: CostKey,
        prior_ns: u64,
    ) -> Ticket {
        let (cost, full_ns) = self.cost(key, prior_ns);
        let mut guard = self.lock_with_room(gate, queue, cost.ns, full_ns);
        // Only now: waiting for room is no part of filling a segment.
        let now = guard.clock.now_ns();
        failpoint!("sched.enter.locked");
        let state = &mut *guard;
        let fresh = state.open.is_none();
        self.note_arrivals(gate, state, queue);
        let open = state.open.get_or_insert_with(|| self.open(now));
        let lane = state.lanes.take(queue, open.number, open.lanes, self.page);
        open.newest_lane = lane.or(open.newest_lane);
        let first_of_lane = lane.filter(|lane| open.lanes & (1 << lane) == 0);
        // Acquire pairs with the arbiter's Release: granted before we came, no gate needed.
        let granted = || reached(self.page.grant.load(Ordering::Acquire), open.number);
        if let Some(lane) = first_of_lane {
            if !open.thread_waits && !granted() {
                open.thread_waits = !gate.wait(queue, &self.page.grant, open.number);
                failpoint!("sched.enter.waits");
            }
            open.lanes |= 1 << lane;
        }
        // More queues than lanes: this submission is charged but not held back.
        open.launches += 1;
        open.entered += 1;
        open.predicted_ns += cost.ns;
        state.queries = 0;
        if cost.samples == 0 {
            // Relaxed: a hint.
            self.slot
                .queue
                .guessed
                .store(open.number, Ordering::Relaxed);
        }
        let segment = self.segment(open.number);
        handshake::join_segment(segment, open.predicted_ns, now, open.launches);
        failpoint!("sched.enter.joined");
        if open.predicted_ns >= full_ns && open.end.is_none() {
            open.end = Some(End::Full);
        }
        let number = open.number;
        let thread_waits = open.thread_waits && !granted();
        if thread_waits {
            drop(guard);
            if fresh {
                self.ring();
            }
            self.wait_for_grant(gate, number);
            guard = self.lock();
            // It fills from here on. Relaxed: a hint, read beside others of its kind.
            segment.opened_ns.store(now_ns(), Ordering::Relaxed);
        }
        // Measured from here: what a thread waits for is no part of a cost.
        let sample = self.measure(gate, &mut guard, number, queue, key, cost.samples);
        drop(guard);
        if fresh && !thread_waits && !self.runs_ahead(number) {
            self.ring();
        }
        Ticket {
            number,
            queue,
            sample,
        }
    }

    /// Begins to measure a submission, and the segment `number` if this is its first, as far as they
    /// are to be measured.
    fn measure(
        &self,
        gate: &dyn StreamGate,
        state: &mut State,
        number: u32,
        queue: QueueId,
        key: CostKey,
        samples: u32,
    ) -> Option<SampleId> {
        let open = state.open.as_mut().filter(|open| open.number == number);
        if let Some(open) = open.filter(|open| open.launches == 1)
            && number.is_multiple_of(SEGMENT_SAMPLE_EVERY)
        {
            let subject = Subject::Segment(number);
            open.sample = state.sampler.begin(gate, queue, subject, number);
        }
        if key == CostKey::UNMEASURED || !state.sampler.wants(samples) {
            return None;
        }
        let subject = Subject::Submission(key);
        state.sampler.begin(gate, queue, subject, number)
    }

    /// Completes a submission; `launched` is false if the vendor refused it.
    pub fn leave(&self, gate: &dyn StreamGate, ticket: Ticket, launched: bool) {
        failpoint!("sched.leave.begun");
        let mut state = self.lock();
        let state = &mut *state;
        if let Some(id) = ticket.sample {
            if launched {
                state.sampler.end(gate, ticket.queue, id);
            } else {
                state.sampler.drop(id);
            }
        }
        if let Some(open) = state
            .open
            .as_mut()
            .filter(|open| open.number == ticket.number)
        {
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

    /// A thread is about to wait for the device: ends the open segment, so that what it waits for
    /// can be granted and judged. Does not block.
    pub fn sync(&self, gate: &dyn StreamGate) {
        let mut state = self.lock();
        self.end(gate, &mut state, End::Waiting);
        self.learn(gate, &mut state);
    }

    /// What comes next in `queue` stands behind something that FCSP cannot bring about, and that is
    /// put there now, or is there. Ends the open segment if it uses the queue, so that its end does
    /// not wait for that; the next segment of the queue is shown to the arbiter when the device has
    /// come to it. Does not block.
    pub fn stall(&self, gate: &dyn StreamGate, queue: QueueId) {
        let mut state = self.lock();
        if self.uses(&state, queue) {
            self.end(gate, &mut state, End::Stalled);
        }
        state.stalls.add(queue);
        self.learn(gate, &mut state);
    }

    /// Work of kind `key` is no longer what was measured: the old cost is the guess until it is measured
    /// again, which happens at the next submission. Does not block.
    pub fn relearn(&self, key: CostKey) {
        self.lock().sampler.drop_all(Subject::Submission(key));
        self.costs.relearn(key);
    }

    /// A thread has waited for the device: where only threads can tell what is done, it looks.
    pub fn waited(&self, gate: &dyn StreamGate) {
        self.look(gate, &mut self.lock());
    }

    /// A thread asked whether the device is done and was told no. Programs that ask again and again
    /// are waiting.
    pub fn unanswered(&self, gate: &dyn StreamGate) {
        let mut state = self.lock();
        state.queries += 1;
        if state.queries == QUERIES_BEFORE_SYNC {
            self.end(gate, &mut state, End::Waiting);
        }
    }

    /// A queue is about to be destroyed.
    pub fn forget(&self, gate: &dyn StreamGate, queue: QueueId) {
        let mut state = self.lock();
        if self.uses(&state, queue) {
            self.end(gate, &mut state, End::Waiting);
        }
        state.lanes.forget(queue);
        state.stalls.take(queue);
    }

    /// Everything the process had on the device is gone (its context was destroyed): counts all of
    /// it as done.
    pub fn reset(&self) {
        let mut state = self.lock();
        let state = &mut *state;
        let newest = self.slot.queue.opened.load(Ordering::Relaxed);
        for done in &self.page.done {
            done.store(newest, Ordering::Release);
        }
        if let Some(open) = state.open.take() {
            self.publish_closed(&open, End::Waiting);
        }
        self.page.arrival.awaited.store(0, Ordering::Relaxed);
        *state = State::default();
        self.ring();
    }

    /// Whether the open segment has work in `queue`.
    fn uses(&self, state: &State, queue: QueueId) -> bool {
        let lane = state.lanes.find(queue);
        let both = state.open.as_ref().zip(lane);
        both.is_some_and(|(open, lane)| open.lanes & (1 << lane) != 0)
    }

    /// Before a submission to `queue` joins a segment, or begins one: if the queue is stalled, the
    /// device will say when it has come to the segment that begins.
    fn note_arrivals(&self, gate: &dyn StreamGate, state: &mut State, queue: QueueId) {
        let begins = state.open.is_none();
        if !begins && state.awaited.is_none() {
            return;
        }
        let arrival = &self.page.arrival;
        if state.awaited.is_some_and(|awaited| awaited != queue) {
            // This can run now, and may be what the other queue waits for: nothing is hidden.
            state.awaited = None;
            arrival.awaited.store(0, Ordering::Relaxed);
            self.ring();
        }
        if !begins {
            return;
        }
        let opened = self.slot.queue.opened.load(Ordering::Relaxed);
        let number = opened.wrapping_add(1);
        let bit = 1 << (number as usize % SEGMENTS);
        // Without what an earlier segment left in that place.
        let mut awaited = arrival.awaited.load(Ordering::Relaxed) & !bit;
        if state.stalls.take(queue) && gate.write(queue, &arrival.arrived, number) {
            awaited |= bit;
            state.awaited = Some(queue);
        }
        // Relaxed: published with the segment, by the Release of `opened`.
        arrival.awaited.store(awaited, Ordering::Relaxed);
    }

    fn end(&self, gate: &dyn StreamGate, state: &mut State, end: End) {
        let Some(open) = &mut state.open else { return };
        open.end = Some(end);
        if open.entered == 0 {
            self.close(gate, state);
        }
    }

    fn lock(&self) -> Guard<'_, State> {
        // A panic in a hook is caught at the border; the state it leaves is still consistent enough
        // to go on with, and going on is what the program needs.
        self.state.lock(ThreadId::current())
    }

    /// Why the open segment ends before a submission of `cost_ns` joins it, if it does.
    fn ends_before(&self, open: &Open, cost_ns: u64, full_ns: u64) -> Option<End> {
        let state = self.segment(open.number).state.load(Ordering::Acquire);
        if state == SegmentState::Expired as u32 {
            return Some(End::Expired);
        }
        // Nearer to the segment's length without this submission than with it.
        let with_ns = open.predicted_ns + cost_ns;
        let overshoots =
            with_ns > full_ns && full_ns.saturating_sub(open.predicted_ns) < with_ns - full_ns;
        overshoots.then_some(End::Full)
    }

    fn may_open(&self, retired: u32) -> bool {
        let opened = self.slot.queue.opened.load(Ordering::Relaxed);
        !reached(opened, retired.wrapping_add(AHEAD)) || !self.gated()
    }

    /// Whether [`Producer::enter`] goes through without sleeping; does what it would do before that.
    #[cfg(test)]
    pub(super) fn has_room(&self, gate: &dyn StreamGate, key: CostKey, prior_ns: u64) -> bool {
        let (cost, full_ns) = self.cost(key, prior_ns);
        let mut state = self.lock();
        if !self.make_way(gate, &mut state, QueueId(1), cost.ns, full_ns) {
            return true;
        }
        self.may_open(self.slot.compute.retired.load(Ordering::Acquire))
    }

    /// Ends the open segment if a submission of `cost_ns` is not to join it; true if none is open now.
    fn make_way(
        &self,
        gate: &dyn StreamGate,
        state: &mut State,
        queue: QueueId,
        cost_ns: u64,
        full_ns: u64,
    ) -> bool {
        let stalled = state.stalls.contains(queue);
        let Some(open) = &mut state.open else {
            return true;
        };
        let end = match stalled {
            true => Some(End::Stalled),
            false => self.ends_before(open, cost_ns, full_ns),
        };
        match end {
            Some(end) if open.entered == 0 => {
                open.end = Some(end);
                self.close(gate, state);
                true
            }
            _ => false,
        }
    }

    /// What a submission is expected to cost, and how long a segment may be.
    fn cost(&self, key: CostKey, prior_ns: u64) -> (Cost, u64) {
        let full_ns = u64::from(self.slot.gate.segment_us.load(Ordering::Relaxed)).max(1) * 1000;
        let most_ns = PRIOR_NS_MAX.clamp(full_ns / 8, full_ns / 2);
        let prior_ns = prior_ns.min(most_ns);
        (self.costs.expect(key, prior_ns), full_ns)
    }

    /// The lock, with an open segment that a submission of `cost_ns` fits into, or room for one.
    fn lock_with_room(
        &self,
        gate: &dyn StreamGate,
        queue: QueueId,
        cost_ns: u64,
        full_ns: u64,
    ) -> Guard<'_, State> {
        let mut counted = false;
        loop {
            let mut state = self.lock();
            if !self.make_way(gate, &mut state, queue, cost_ns, full_ns) {
                return state;
            }
            // Acquire pairs with the arbiter's Release of `retired`.
            let retired = self.slot.compute.retired.load(Ordering::Acquire);
            if self.may_open(retired) {
                return state;
            }
            if !counted {
                self.slot.queue.blocked.fetch_add(1, Ordering::Relaxed);
                counted = true;
            }
            let nap = self.look(gate, &mut state);
            drop(state);
            // Relaxed: the handshake orders it.
            let is_full = || self.slot.compute.retired.load(Ordering::Relaxed) == retired;
            self.sleep_while(nap, is_full);
        }
    }

    /// The thread waits in place of the queue.
    #[cold]
    fn wait_for_grant(&self, gate: &dyn StreamGate, number: u32) {
        let is_granted = || reached(self.page.grant.load(Ordering::Acquire), number);
        while self.gated() && !is_granted() {
            let nap = self.look(gate, &mut self.lock());
            self.sleep_while(nap, || !is_granted());
        }
    }

    /// Looks at what no queue will tell. How long a thread that waits may sleep until it looks again.
    fn look(&self, gate: &dyn StreamGate, state: &mut State) -> Duration {
        if state.watches.is_empty() {
            return ROOM_WAIT;
        }
        if state.watches.look(gate, &self.page.done) {
            self.ring();
        }
        let Some(oldest) = state.watches.oldest() else {
            return ROOM_WAIT;
        };
        let segment = self.segment(oldest);
        let granted = segment.granted_ns.load(Ordering::Relaxed);
        let end = granted + segment.predicted_ns.load(Ordering::Relaxed);
        let left = Duration::from_nanos(end.saturating_sub(now_ns()));
        left.saturating_sub(LOOK).clamp(LOOK, LOOK_AHEAD)
    }

    fn sleep_while(&self, nap: Duration, is_needed: impl Fn() -> bool) {
        let queue = &self.slot.queue;
        for _ in 0..ROOM_WAITS {
            handshake::sleep_while(&queue.room, &queue.sleepers, Some(nap), &is_needed);
            if nap != ROOM_WAIT || !is_needed() {
                return;
            }
        }
        // So long without anything: whatever put the arbiter to sleep, it looks again.
        self.ring();
    }

    fn segment(&self, number: u32) -> &'static Segment {
        &self.page.segments[number as usize % SEGMENTS]
    }

    fn open(&self, now: u64) -> Open {
        let number = self
            .slot
            .queue
            .opened
            .load(Ordering::Relaxed)
            .wrapping_add(1);
        handshake::open_segment(self.segment(number), &self.slot.queue.opened, number, now);
        Open {
            number,
            lanes: 0,
            predicted_ns: 0,
            launches: 0,
            entered: 0,
            end: None,
            thread_waits: false,
            sample: None,
            closed_as: SegmentState::Closed,
            newest_lane: None,
        }
    }

    /// Ends the open segment: every queue it used will write its number.
    fn close(&self, gate: &dyn StreamGate, state: &mut State) {
        let Some(mut open) = state.open.take() else {
            return;
        };
        if let Some(id) = open.sample {
            // With several queues nobody knows which will be the last to finish.
            let only_lane = open.newest_lane.filter(|_| open.lanes.count_ones() == 1);
            match only_lane.and_then(|lane| state.lanes.queue(lane)) {
                Some(queue) => state.sampler.end(gate, queue, id),
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
        let end = open.end.unwrap_or(End::Waiting);
        self.publish_closed(&open, end);
        if matches!(end, End::Waiting | End::Stalled) && !self.runs_ahead(open.number) {
            self.ring();
        }
    }

    /// True if even the segment after `number` is granted: the arbiter need not be woken for this one.
    fn runs_ahead(&self, number: u32) -> bool {
        reached(
            self.page.grant.load(Ordering::Relaxed),
            number.wrapping_add(1),
        )
    }

    fn publish_closed(&self, open: &Open, end: End) {
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

    fn learn(&self, gate: &dyn StreamGate, state: &mut State) {
        if state.sampler.is_empty() {
            return;
        }
        // Acquire pairs with the arbiter's Release of `retired`: the segment's times are there.
        let retired = self.slot.compute.retired.load(Ordering::Acquire);
        let measured = state.sampler.poll(gate, retired);
        // Relaxed: what was measured just before or after a change is one of many.
        if self.slot.gate.gated.load(Ordering::Relaxed) == GATED_BESIDE_OTHERS {
            return;
        }
        match measured {
            Some((Subject::Submission(key), ns)) => self.costs.learn(key, ns),
            Some((Subject::Segment(number), device_ns)) => self.learn_handover(number, device_ns),
            None => {}
        }
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
        let handover = finished.saturating_sub(granted).saturating_sub(device_ns);
        let old = self.slot.queue.handover_ns.load(Ordering::Relaxed);
        // Towards the median: what a late look or a stopped program adds once in a while says nothing.
        let step = (old / 8).max(HANDOVER_STEP_NS);
        let new = match old {
            0 => handover.min(HANDOVER_NS_FIRST),
            _ if handover > old => old + (handover - old).min(step),
            _ => old - (old - handover).min(step),
        };
        self.slot.queue.handover_ns.store(new, Ordering::Relaxed);
    }

    /// Tells the arbiter that something happened.
    fn ring(&self) {
        ring(self.header);
        self.bench.wake();
    }
}

/// Rings the doorbell of a region: the arbiter looks at once. One atomic addition, and a system call
/// only if the arbiter sleeps.
pub fn ring(header: &Header) {
    handshake::ring(&header.doorbell, &header.arbiter_asleep);
}
