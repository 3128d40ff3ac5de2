//! The way in for what [`Producer::enter`] does not do itself: submissions that begin a segment or end one,
//! that are measured, that go to another queue than the last, or whose threads must wait.

use std::time::Duration;

use super::ends::Ends;
use super::{AHEAD, Changing, End, Open, Producer, State, Ticket};
use crate::backend::{QueueId, StreamGate};
use crate::failpoint::failpoint;
use crate::region::layout::{GATED_ON_TRIAL, GATED_WITHIN_REACH, SEGMENTS};
use crate::sched::class::Class;
#[cfg(test)]
use crate::sched::clock::virtual_time;
use crate::sched::clock::{now_ns, us};
use crate::sched::cost::{Cost, CostKey};
use crate::sched::sampler::{FIRST_SAMPLES, SampleId, Subject};
use crate::sched::segment::{SegmentState, reached};
use crate::sched::{handshake, preempt};
use crate::sync::{Ordering, ThreadId};

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
/// After so much that passed within allowances a submission is measured: once in an allowance, or in two where several
/// processes share one.
const MEASURED_AFTER_NS: u64 = us(500);
/// One segment in this many is measured to learn what a hand-over costs. Prime to the number of
/// segments in a turn, so that the first of a turn, the one that tells, is among them.
const SEGMENT_SAMPLE_EVERY: u32 = 5;

/// Longest segment of work that goes on beyond one that was full: there is more of it than was known when it was decided how
/// long one may be, and a turn should end next to its time.
const GOES_ON_NS_MAX: u64 = us(1_000);

impl Producer {
    /// Admits a submission of whatever kind.
    #[cold]
    #[inline(never)]
    pub(super) fn admit(
        &self,
        gate: &dyn StreamGate,
        queue: QueueId,
        key: CostKey,
        class: Class,
        prior_ns: u64,
    ) -> Ticket {
        let (cost, full_ns) = self.cost(key, prior_ns);
        let mut guard = self.state.lock(ThreadId::current());
        if cost.samples >= FIRST_SAMPLES
            && let Some(joined) = self.join_open(&mut guard, queue, cost.ns, class)
        {
            return joined.ticket(queue);
        }
        let mut guard = self.with_room(Changing(guard), gate, queue, cost.ns, full_ns);
        if cost.samples >= FIRST_SAMPLES
            && self.is_drained(&mut guard)
            && let Some(joined) = self.pass(&mut guard, cost.ns, class)
        {
            return joined.ticket(queue);
        }
        // Only now: waiting for room is no part of filling a segment.
        let now = guard.clock.now_ns();
        failpoint!("sched.enter.locked");
        let state = &mut *guard;
        let fresh = state.open.is_none();
        state.is_drained = false;
        self.note_arrivals(gate, state, queue);
        let open = match &mut state.open {
            Some(open) => open,
            none => none.insert(self.open(now, state.ended_full, &mut state.ends)),
        };
        let lane = state.lanes.take(queue, open.number, open.lanes, self.page);
        open.newest_lane = lane.map(|lane| lane as u8).or(open.newest_lane);
        let first_of_lane = lane.filter(|lane| open.lanes & (1 << lane) == 0);
        let number = open.number;
        // Acquire pairs with the arbiter's Release: granted before we came, no gate needed, unless that may be
        // taken back.
        let granted = || {
            reached(self.page.grant.load(Ordering::Acquire), number)
                && !matches!(
                    self.slot.gate.gated.load(Ordering::Relaxed),
                    GATED_WITHIN_REACH | GATED_ON_TRIAL
                )
        };
        // It is not any more once all before it in its queue is over: then it begins at once. Acquire as everywhere. Where no
        // queue can wait, nothing that was granted can be taken back.
        let begins = |lane: usize| {
            let done = self.page.done[lane].load(Ordering::Acquire);
            reached(done, number.wrapping_sub(1)) || self.threads_wait()
        };
        if let Some(lane) = first_of_lane {
            let goes = open.thread_waits || granted() && begins(lane);
            if !goes {
                open.thread_waits = !gate.wait(queue, &self.page.grant, open.number);
                // Relaxed: a hint.
                self.slot
                    .queue
                    .threads_wait
                    .store(open.thread_waits.into(), Ordering::Relaxed);
                failpoint!("sched.enter.waits");
            }
            open.lanes |= 1 << lane;
        }
        // More queues than lanes: this submission is charged but not held back.
        open.launches += 1;
        open.entered += 1;
        open.predicted_ns += cost.ns;
        state.classes_ns[class.place()] += cost.ns;
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
        if open.predicted_ns >= full_ns.min(open.most_ns) && open.end.is_none() {
            open.end = Some(End::Full);
        }
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
        self.learn(gate, &mut guard);
        // Measured from here: what a thread waits for is no part of a cost.
        let sample = self.measure(gate, &mut guard, number, queue, key, cost.samples);
        drop(guard);
        if fresh && !thread_waits && !self.runs_ahead(number) {
            self.announce(number);
        }
        Ticket {
            number: Some(number),
            queue,
            sample,
        }
    }

    /// Whether nothing is pending, and nothing is to be looked at before the next submission.
    fn is_drained(&self, state: &mut State) -> bool {
        // Acquire pairs with the arbiter's Release of `retired`: an allowance that it gave with that is seen.
        let retired = self.slot.compute.retired.load(Ordering::Acquire);
        state.is_drained = retired == self.slot.queue.opened.load(Ordering::Relaxed);
        state.judge_clear()
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
        // What passes is not measured: the next one that does not is.
        let passed_ns = self.slot.gate.passed_ns.load(Ordering::Relaxed);
        let lately_ns = passed_ns.wrapping_sub(state.measured_at_ns);
        let is_due = lately_ns >= MEASURED_AFTER_NS;
        if key == CostKey::UNMEASURED || !(state.turns.wants(samples) || is_due) {
            return None;
        }
        state.measured_at_ns = passed_ns;
        let subject = Subject::Submission(key);
        state.sampler.begin(gate, queue, subject, number)
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

    /// Why the open segment ends before a submission of `cost_ns` joins it, if it does.
    fn ends_before(&self, open: &Open, cost_ns: u64, full_ns: u64) -> Option<End> {
        let state = self.segment(open.number).state.load(Ordering::Acquire);
        if state == SegmentState::Expired as u32 {
            return Some(End::Expired);
        }
        let full_ns = full_ns.min(open.most_ns);
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
    pub(in crate::sched) fn has_room(
        &self,
        gate: &dyn StreamGate,
        key: CostKey,
        prior_ns: u64,
    ) -> bool {
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
        let full_ns = self.full_ns();
        let most_ns = PRIOR_NS_MAX.clamp(full_ns / 8, full_ns / 2);
        let prior_ns = prior_ns.min(most_ns);
        (self.costs.expect(key, prior_ns), full_ns)
    }

    /// The state, with an open segment that a submission of `cost_ns` fits into, or room for one.
    fn with_room<'a>(
        &'a self,
        mut state: Changing<'a>,
        gate: &dyn StreamGate,
        queue: QueueId,
        cost_ns: u64,
        full_ns: u64,
    ) -> Changing<'a> {
        let mut counted = false;
        loop {
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
            state = self.lock();
        }
    }

    /// The thread waits in place of the queue.
    #[cold]
    fn wait_for_grant(&self, gate: &dyn StreamGate, number: u32) {
        let is_granted = || reached(self.page.grant.load(Ordering::Acquire), number);
        #[cfg(test)]
        if virtual_time::get().is_some() {
            // Whoever turns the clock holds the program back.
            return;
        }
        while self.gated() && !is_granted() {
            let nap = self.look(gate, &mut self.lock());
            self.sleep_while(nap, || !is_granted());
        }
    }

    /// Looks at what no queue will tell. How long a thread that waits may sleep until it looks again.
    pub(super) fn look(&self, gate: &dyn StreamGate, state: &mut State) -> Duration {
        if state.watches.is_empty() {
            return ROOM_WAIT;
        }
        if state.watches.look(gate, &self.page.done) {
            self.ring();
        }
        let Some(oldest) = state.watches.oldest() else {
            return ROOM_WAIT;
        };
        // Relaxed: a hint, read beside the done words.
        self.slot.queue.looked_ns.store(now_ns(), Ordering::Relaxed);
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

    /// Tells the arbiter of a new segment.
    fn announce(&self, number: u32) {
        if self.is_among_oldest(number, 0) {
            preempt::cut_short(self.region, self.me);
        }
        self.ring_if_among_oldest(number, 0);
    }

    /// Wakes the arbiter only if it knows of no more than so many others of this process in front of a segment:
    /// while it does it has a timer, and finds what became of this one then.
    pub(super) fn ring_if_among_oldest(&self, number: u32, before: u32) {
        let header = &self.region.header;
        handshake::ring_if(&header.doorbell, &header.arbiter_asleep, || {
            self.is_among_oldest(number, before)
        });
        self.bench.wake();
    }

    fn is_among_oldest(&self, number: u32, before: u32) -> bool {
        // Relaxed: the fence in `ring_if` orders it.
        let retired = self.slot.compute.retired.load(Ordering::Relaxed);
        let in_front = number.wrapping_sub(retired).wrapping_sub(1);
        // What the slot's last owner left is no segment of this one.
        let own = number.wrapping_sub(self.before_first).wrapping_sub(1);
        in_front.min(own) <= before
    }

    /// Whether threads wait for grants, since no queue can: one more segment is one more wait.
    fn threads_wait(&self) -> bool {
        // Relaxed: a hint.
        self.slot.queue.threads_wait.load(Ordering::Relaxed) != 0
    }

    /// Begins a segment; `goes_on` if the last one was full, and no thread has waited since.
    pub(super) fn open(&self, now: u64, goes_on: bool, ends: &mut Ends) -> Open {
        let number = self
            .slot
            .queue
            .opened
            .load(Ordering::Relaxed)
            .wrapping_add(1);
        handshake::open_segment(self.segment(number), &self.slot.queue.opened, number, now);
        Open {
            most_ns: match goes_on && self.full_ns() >= 2 * GOES_ON_NS_MAX && !self.threads_wait() {
                true => GOES_ON_NS_MAX,
                false => self.most_ns(ends, number),
            },
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
}
