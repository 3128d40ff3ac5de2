//! The program's side of the gate: turns submissions into segments.
//!
//! A hook that submits work calls [`Producer::enter`], then the vendor, then [`Producer::leave`]. A
//! hook that is about to wait for the device calls [`Producer::sync`] first. All of this happens only
//! while the slot is gated; see [`Producer::gated`].
//!
//! One lock per process and device guards the open segment. It is there because segments must be
//! numbered in the order of submission over the whole process: then a dependency between two queues
//! always points to the same or an earlier segment, and waiting in the queues cannot form a cycle.
//! It is taken only while gated, held for some nanoseconds (a microsecond when a segment begins or
//! ends), and never while a thread waits. The one thread that submits takes it without an atomic
//! instruction ([`super::biased`]).
//!
//! Here is what programs call, and the way of the usual submission: of known cost, into the open segment,
//! after another to the same queue. It is compiled into the hook, and reads four lines of the cache of our
//! own. All others go by `admit` on their way in and by `close` on their way out.

mod admit;
mod close;
mod ends;
#[cfg(test)]
mod tests;
mod waits;

use self::ends::Ends;
use std::ops::{Deref, DerefMut};

use super::biased::{Biased, Guard};
use super::class::{CLASSES, Class};
use super::clock::now_ns;
use super::cost::{CostKey, CostTable};
use super::handshake;
use super::lanes::Lanes;
use super::observer::Bench;
use super::sampler::{FIRST_SAMPLES, SampleId, Sampler, Subject, Turns};
use super::segment::SegmentState;
use super::stalls::Stalls;
use super::ticks::Ticks;
use super::watch::Watches;
use crate::backend::{QueueId, StreamGate};
use crate::failpoint::failpoint;
use crate::region::layout::{GatePage, Header, RegionLayout, SEGMENTS, Segment, Slot, SlotPages};
use crate::sync::{AtomicU32, Ordering, ThreadId};

/// Segments a process may be ahead of the device. A thread that wants more waits.
pub const AHEAD: u32 = 24;

const _: () = assert!((AHEAD as usize) < SEGMENTS);

/// The submitting side of one process on one device. Shared by all its threads. What the usual submission reads comes
/// first, beside the first line of the state.
#[derive(Debug)]
#[repr(C)]
pub struct Producer {
    slot: &'static Slot,
    page: &'static GatePage,
    costs: CostTable,
    region: &'static RegionLayout,
    me: usize,
    bench: &'static Bench,
    /// Newest segment of the slot's last owner.
    before_first: u32,
    state: Biased<State>,
}

/// What the usual submission reads comes first and together: between two submissions the vendor's own code
/// takes the nearest caches for itself.
#[derive(Debug, Default)]
#[repr(C)]
struct State {
    /// Queue whose next submission may join the open segment without more ado; see [`State::judge`].
    usual: Option<QueueId>,
    open: Option<Open>,
    /// The newest segment ended because it was full, and no thread has waited since.
    ended_full: bool,
    clock: Ticks,
    queries: u32,
    turns: Turns,
    /// Nothing is pending, and nothing is to be looked at before the next submission: it may pass within the allowance.
    is_clear: bool,
    /// Nothing was pending when that was last looked at, and nothing was submitted since but what passed.
    is_drained: bool,
    /// Submissions that passed; the slot counts them from the next wait or the next segment's end on.
    passed: u32,
    /// Expected device time of what was submitted, by class; the slot has it since then as well.
    classes_ns: [u64; CLASSES],
    sampler: Sampler,
    /// What had passed when one of those after it was last measured.
    measured_at_ns: u64,
    /// Collectives so far.
    collectives: u32,
    /// Queue of the newest segment that the device must come to before it is shown.
    awaited: Option<QueueId>,
    stalls: Stalls,
    watches: Watches,
    lanes: Lanes,
    ends: Ends,
}

#[derive(Debug)]
struct Open {
    lanes: u64,
    predicted_ns: u64,
    /// How long it may be where it is in its turn.
    most_ns: u64,
    number: u32,
    launches: u32,
    /// Threads between `enter` and `leave`.
    entered: u32,
    /// What it will be once it is closed.
    closed_as: SegmentState,
    end: Option<End>,
    /// No queue can wait for the grant, so threads do.
    thread_waits: bool,
    sample: Option<SampleId>,
    /// Lane of the newest submission: as a rule the last to finish.
    newest_lane: Option<u8>,
}

impl State {
    /// The queue of the newest submission, if nothing is to be looked at before the next to it, nor after.
    fn judge(&self) -> Option<QueueId> {
        let open = self.open.as_ref()?;
        if open.end.is_some() || open.thread_waits || !self.watches.is_empty() {
            return None;
        }
        let queue = self.lanes.queue(usize::from(open.newest_lane?))?;
        let is_free = self.awaited.is_none_or(|awaited| awaited == queue);
        (is_free && !self.stalls.contains(queue)).then_some(queue)
    }

    /// Whether the next submission may pass, as far as is known without a look at the region.
    fn judge_clear(&self) -> bool {
        let is_idle = self.is_drained && self.open.is_none();
        is_idle && self.watches.is_empty() && self.stalls.is_empty()
    }
}

/// The state of a producer while it is changed. What is usual is judged anew when that is over.
struct Changing<'a>(Guard<'a, State>);

impl Deref for Changing<'_> {
    type Target = State;

    fn deref(&self) -> &State {
        &self.0
    }
}

impl DerefMut for Changing<'_> {
    fn deref_mut(&mut self) -> &mut State {
        &mut self.0
    }
}

impl Drop for Changing<'_> {
    fn drop(&mut self) {
        self.0.usual = self.0.judge();
        self.0.is_clear = self.0.judge_clear();
    }
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
    queue: QueueId,
    /// Its segment; `None` if it passes within the allowance.
    number: Option<u32>,
    sample: Option<SampleId>,
}

/// A usual submission on its way, in the segment with that number, or in none if it passes within the allowance. Give it to
/// [`Producer::part`].
#[derive(Debug)]
#[must_use = "a submission that entered must leave"]
pub struct Joined(Option<u32>);

impl Joined {
    /// As any other submission to `queue`, for [`Producer::leave`].
    pub fn ticket(self, queue: QueueId) -> Ticket {
        Ticket {
            queue,
            number: self.0,
            sample: None,
        }
    }
}

/// A collective on its way. Give it back to [`Producer::collective_submitted`].
#[derive(Debug)]
#[must_use = "the device is to say when it is over"]
pub struct Collective {
    queue: QueueId,
    /// `None` if the device cannot say when it comes to it.
    number: Option<u32>,
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
        page.arrival.collective_begun.store(0, Ordering::Relaxed);
        page.arrival.collective_done.store(0, Ordering::Relaxed);
        slot.queue.threads_wait.store(0, Ordering::Relaxed);
        for place in slot.classes_ns.iter() {
            place.store(0, Ordering::Relaxed);
        }
        Self {
            region,
            me,
            slot,
            page,
            bench,
            before_first: opened,
            costs,
            state,
        }
    }

    /// Allocates what the first submissions would have to otherwise. For a thread that nobody waits for.
    pub fn prepare(&self) {
        self.costs.prepare();
    }

    /// Where it says whether submissions form segments now: zero while they do not.
    pub fn gated_word(&self) -> &'static AtomicU32 {
        &self.slot.gate.gated
    }

    /// Whether submissions form segments now: the one word an uncontended submission reads.
    #[inline]
    pub fn gated(&self) -> bool {
        // Relaxed: the word carries no data; acting a moment late is what a change costs anyway.
        self.slot.gate.gated.load(Ordering::Relaxed) != 0
    }

    /// Admits one submission of kind `key` to `queue`: puts the gate into the queue if the segment
    /// is new to it. `class` is what its time counts as. `prior_ns` says what it may cost if nothing was learnt. Blocks while the process
    /// is [`AHEAD`] segments ahead, and until the grant where the vendor cannot make the queue wait;
    /// otherwise takes some tens of nanoseconds, and about 2 µs once per segment. Within the process's allowance
    /// ([`crate::region::layout::SlotGate::allowed_ns`]) it does not block, and opens no segment.
    #[inline]
    pub fn enter(
        &self,
        gate: &dyn StreamGate,
        queue: QueueId,
        key: CostKey,
        class: Class,
        prior_ns: u64,
    ) -> Ticket {
        match self.join(queue, key, class) {
            Some(joined) => joined.ticket(queue),
            None => self.admit(gate, queue, key, class, prior_ns),
        }
    }

    /// Completes a submission; `launched` is false if the vendor refused it.
    #[inline]
    pub fn leave(&self, gate: &dyn StreamGate, ticket: Ticket, launched: bool) {
        failpoint!("sched.leave.begun");
        if ticket.sample.is_some() || !self.part(&Joined(ticket.number)) {
            self.settle(gate, ticket, launched);
        }
    }

    /// [`Producer::enter`] for the usual submission, in a few instructions: of known cost, by the lock's favourite, and
    /// after another to the same queue, or within the allowance. `None`, and nothing is done, for all others.
    ///
    /// No closures on this way, and nothing but a number to keep: what closures capture goes through memory, and what is
    /// larger comes back in pieces that a processor must wait for.
    #[inline(always)]
    pub fn join(&self, queue: QueueId, key: CostKey, class: Class) -> Option<Joined> {
        let cost_ns = self.costs.known_ns(key, FIRST_SAMPLES)?;
        let mut state = self.state.favoured(ThreadId::current())?;
        if state.is_clear {
            self.pass(&mut state, cost_ns, class)
        } else {
            self.join_open(&mut state, queue, cost_ns, class)
        }
    }

    /// [`Producer::leave`] for the usual submission. False, and nothing is done, if more than that is to be done.
    #[inline(always)]
    pub fn part(&self, joined: &Joined) -> bool {
        if joined.0.is_none() {
            return true;
        }
        match self.state.favoured(ThreadId::current()) {
            Some(mut state) => Self::part_from_open(&mut state, joined),
            None => false,
        }
    }

    #[inline(always)]
    fn join_open(
        &self,
        state: &mut State,
        queue: QueueId,
        cost_ns: u64,
        class: Class,
    ) -> Option<Joined> {
        if state.usual != Some(queue) {
            return None;
        }
        let open = state.open.as_mut()?;
        let segment = self.segment(open.number);
        let predicted_ns = open.predicted_ns + cost_ns;
        // Acquire: as in `ends_before`.
        let expired = segment.state.load(Ordering::Acquire) == SegmentState::Expired as u32;
        if expired || predicted_ns >= self.full_ns().min(open.most_ns) || !state.turns.pass() {
            return None;
        }
        open.launches += 1;
        open.entered += 1;
        open.predicted_ns = predicted_ns;
        state.classes_ns[class.place()] += cost_ns;
        state.queries = 0;
        handshake::join_segment(segment, predicted_ns, state.clock.now_ns(), open.launches);
        failpoint!("sched.enter.joined");
        Some(Joined(Some(open.number)))
    }

    /// Lets a submission of that cost pass within the allowance, if what passed before it is expected to be over: then its
    /// queue is empty, or as good as that, and what forms a segment next stands behind one submission at most.
    #[inline(always)]
    fn pass(&self, state: &mut State, cost_ns: u64, class: Class) -> Option<Joined> {
        let gate = &self.slot.gate;
        let now = state.clock.now_ns();
        // Relaxed: only whoever holds the lock writes it.
        if now < gate.passed_until_ns.load(Ordering::Relaxed)
            || !handshake::take_allowance(&gate.allowed_ns, &gate.passed_ns, cost_ns)
        {
            return None;
        }
        gate.passed_until_ns.store(now + cost_ns, Ordering::Relaxed);
        state.passed += 1;
        state.classes_ns[class.place()] += cost_ns;
        state.queries = 0;
        Some(Joined(None))
    }

    #[inline(always)]
    fn part_from_open(state: &mut State, joined: &Joined) -> bool {
        if state.usual.is_none() {
            return false;
        }
        match &mut state.open {
            Some(open) if Some(open.number) == joined.0 => {
                open.entered -= 1;
                true
            }
            _ => false,
        }
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

    /// `queue` is about to wait for what another queue does. If that may have to wait for its turn, so does
    /// `queue`, for the same grant: a queue that waits for another one keeps the device from other processes
    /// in a way that one that waits for a word does not. Does not block.
    pub fn follow(&self, gate: &dyn StreamGate, queue: QueueId) {
        let state = self.lock();
        let newest = self.slot.queue.opened.load(Ordering::Relaxed);
        let is_gated = self.uses(&state, queue);
        let own = newest != self.before_first;
        // One that is granted at this moment is waited for in vain, for a moment.
        if own && !is_gated && !self.is_granted(newest) {
            // Where queues cannot wait, threads do, and have.
            gate.wait(queue, &self.page.grant, newest);
        }
    }

    /// Work that other devices take part in is about to be put into `queue`: as [`Producer::stall`], and the
    /// device will say when it has come to it. What is returned goes to [`Producer::collective_submitted`].
    /// Does not block.
    pub fn collective(&self, gate: &dyn StreamGate, queue: QueueId) -> Collective {
        // Relaxed: a hint.
        self.slot
            .queue
            .collective_ns
            .store(now_ns(), Ordering::Relaxed);
        self.stall(gate, queue);
        let mut state = self.lock();
        state.collectives = state.collectives.wrapping_add(1);
        let number = state.collectives;
        let told = gate.write(queue, &self.page.arrival.collective_begun, number);
        Collective {
            queue,
            number: told.then_some(number),
        }
    }

    /// It was put there. Does not block.
    pub fn collective_submitted(&self, gate: &dyn StreamGate, collective: Collective) {
        let Some(number) = collective.number else {
            return;
        };
        let done = &self.page.arrival.collective_done;
        if !gate.write(collective.queue, done, number) {
            // Nobody will tell. Relaxed: the device may write an older number later, and a turn is longer then.
            done.store(number, Ordering::Relaxed);
        }
    }

    /// Work of kind `key` is no longer what was measured: the old cost is the guess until it is measured
    /// again, which happens at the next submission. Does not block.
    pub fn relearn(&self, key: CostKey) {
        self.lock().sampler.drop_all(Subject::Submission(key));
        self.costs.relearn(key);
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
        let arrival = &self.page.arrival;
        arrival.awaited.store(0, Ordering::Relaxed);
        arrival.collective_begun.store(0, Ordering::Relaxed);
        arrival.collective_done.store(0, Ordering::Relaxed);
        *state = State {
            classes_ns: state.classes_ns,
            passed: state.passed,
            ..State::default()
        };
        self.ring();
    }

    /// Whether the open segment has work in `queue`.
    fn uses(&self, state: &State, queue: QueueId) -> bool {
        let lane = state.lanes.find(queue);
        let both = state.open.as_ref().zip(lane);
        both.is_some_and(|(open, lane)| open.lanes & (1 << lane) != 0)
    }

    fn end(&self, gate: &dyn StreamGate, state: &mut State, end: End) {
        let Some(open) = &mut state.open else { return };
        open.end = Some(end);
        if open.entered == 0 {
            self.close(gate, state);
        }
    }

    fn lock(&self) -> Changing<'_> {
        // A panic in a hook is caught at the border; the state it leaves is still consistent enough
        // to go on with, and going on is what the program needs.
        Changing(self.state.lock(ThreadId::current()))
    }

    /// How long a segment may be.
    #[inline]
    fn full_ns(&self) -> u64 {
        // Relaxed: the next submission will do for a change.
        u64::from(self.slot.gate.segment_us.load(Ordering::Relaxed)).max(1) * 1000
    }

    #[inline]
    fn segment(&self, number: u32) -> &'static Segment {
        &self.page.segments[number as usize % SEGMENTS]
    }

    /// Tells the arbiter that something happened.
    fn ring(&self) {
        ring(&self.region.header);
        self.bench.wake();
    }
}

/// Rings the doorbell of a region: the arbiter looks at once. One atomic addition, and a system call
/// only if the arbiter sleeps.
pub fn ring(header: &Header) {
    handshake::ring(&header.doorbell, &header.arbiter_asleep);
}
