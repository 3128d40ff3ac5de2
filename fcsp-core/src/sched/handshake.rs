//! The small protocols between programs and the arbiter, each in one place so that the models in
//! `loom_handshake` explore the very code that ships: the doorbell, waiting for room or a grant,
//! opening and ending a segment, passing within an allowance, electing the arbiter.
//!
//! Nothing here decides anything; [`super::producer`], [`super::observer`] and [`super::view`] do.

use std::time::Duration;

use super::plan::SegmentView;
use super::segment::{SegmentState, reached};
use crate::failpoint::failpoint;
use crate::futex;
use crate::region::layout::{DeviceWord, LANES, Segment};
use crate::sync::{AtomicU32, AtomicU64, Ordering, fence};

/// Rings a doorbell. One atomic addition, and a system call only if somebody is `asleep` on it.
pub fn ring(doorbell: &AtomicU32, asleep: &AtomicU32) {
    ring_if(doorbell, asleep, || true);
}

/// Rings a doorbell, and wakes who is `asleep` on it if that is `urgent`: otherwise it has set a timer, or
/// is about to sleep and will hear. What `urgent` loads may be as old as when the sleeper fell asleep.
pub fn ring_if(doorbell: &AtomicU32, asleep: &AtomicU32, urgent: impl Fn() -> bool) {
    doorbell.fetch_add(1, Ordering::Release);
    failpoint!("sched.ring.counted");
    // Pairs with the fence in `sleep_unless_rung`: either the sleeper sees the new count, or we see
    // it asleep.
    fence(Ordering::SeqCst);
    if asleep.load(Ordering::Relaxed) != 0 && urgent() {
        futex::wake(doorbell, u32::MAX);
        #[cfg(test)]
        woken::RINGS.with(|rings| rings.set(rings.get() + 1));
    }
}

/// Sleeps until the doorbell rings or `timeout` is over; not at all if it rang since it was `seen`.
pub fn sleep_unless_rung(
    doorbell: &AtomicU32,
    asleep: &AtomicU32,
    seen: u32,
    timeout: Option<Duration>,
) {
    asleep.store(1, Ordering::Relaxed);
    // Pairs with the fence in `ring`: either it sees us asleep, or we see its count.
    fence(Ordering::SeqCst);
    failpoint!("sched.observer.asleep");
    futex::wait(doorbell, seen, timeout);
    failpoint!("sched.observer.woken");
    asleep.store(0, Ordering::Relaxed);
}

/// Sleeps on `room` while `is_needed` says so, until [`wake_sleepers`] or `timeout`.
pub fn sleep_while(
    room: &AtomicU32,
    sleepers: &AtomicU32,
    timeout: Option<Duration>,
    is_needed: impl Fn() -> bool,
) {
    let seen = room.load(Ordering::Acquire);
    sleepers.fetch_add(1, Ordering::Relaxed);
    // Pairs with the fence in `wake_sleepers`: either it sees us asleep, or we see what it changed.
    fence(Ordering::SeqCst);
    failpoint!("sched.room.announced");
    if is_needed() {
        futex::wait(room, seen, timeout);
    }
    failpoint!("sched.room.woken");
    sleepers.fetch_sub(1, Ordering::Relaxed);
}

/// Wakes the threads of a process that wait for room or for a grant, after what they wait for was
/// changed.
pub fn wake_sleepers(room: &AtomicU32, sleepers: &AtomicU32) {
    room.fetch_add(1, Ordering::Release);
    // Pairs with the fence in `sleep_while`.
    fence(Ordering::SeqCst);
    if sleepers.load(Ordering::Relaxed) != 0 {
        failpoint!("sched.apply.waking");
        futex::wake(room, u32::MAX);
    }
}

/// Describes a new segment in its place, then publishes it as the newest.
pub fn open_segment(segment: &Segment, opened: &AtomicU32, number: u32, now_ns: u64) {
    segment.number.store(number, Ordering::Relaxed);
    segment.lanes.store(0, Ordering::Relaxed);
    segment.predicted_ns.store(0, Ordering::Relaxed);
    segment.opened_ns.store(now_ns, Ordering::Relaxed);
    segment.submitted_ns.store(now_ns, Ordering::Relaxed);
    segment.launches.store(0, Ordering::Relaxed);
    segment.granted_ns.store(0, Ordering::Relaxed);
    segment.finished_ns.store(0, Ordering::Relaxed);
    segment.first_of_turn.store(0, Ordering::Relaxed);
    let state = SegmentState::Open as u32;
    segment.state.store(state, Ordering::Relaxed);
    failpoint!("sched.open.described");
    // Release publishes the segment; the arbiter's Acquire of `opened` pairs with it.
    opened.store(number, Ordering::Release);
    failpoint!("sched.open.opened");
}

/// Tells what has joined an open segment so far.
#[inline]
pub fn join_segment(segment: &Segment, predicted_ns: u64, now_ns: u64, launches: u32) {
    segment.predicted_ns.store(predicted_ns, Ordering::Relaxed);
    segment.submitted_ns.store(now_ns, Ordering::Relaxed);
    // Release publishes the two above; the arbiter reads launches first.
    segment.launches.store(launches, Ordering::Release);
}

/// Ends an open segment as `state`; false if the other side has ended it already. Publishes what
/// was written before to whoever reads the state.
pub fn end_segment(segment: &Segment, state: SegmentState) -> bool {
    segment
        .state
        .compare_exchange(
            SegmentState::Open as u32,
            state as u32,
            Ordering::AcqRel,
            Ordering::Relaxed,
        )
        .is_ok()
}

/// Takes `cost_ns` from an allowance; false, and nothing is done, if not so much is left. Only whoever holds the producer's
/// lock calls it.
///
/// Each word has one writer and tells a sum since the process attached, so nothing has to be exchanged: the arbiter charges
/// `allowed_ns`, gives by raising it, and takes back by lowering it to the `passed_ns` that it read. What passed in that
/// instant stands in `passed_ns` beyond it, and is charged by the next step.
#[inline(always)]
pub fn take_allowance(allowed_ns: &AtomicU64, passed_ns: &AtomicU64, cost_ns: u64) -> bool {
    // Relaxed: nothing else hangs on either.
    let passes_ns = passed_ns.load(Ordering::Relaxed) + cost_ns;
    let is_allowed = passes_ns <= allowed_ns.load(Ordering::Relaxed);
    if is_allowed {
        passed_ns.store(passes_ns, Ordering::Relaxed);
    }
    is_allowed
}

/// Reads the segment with that number, which must be published; `done` are its process's words.
pub fn read_segment(segment: &Segment, done: &[DeviceWord; LANES], number: u32) -> SegmentView {
    // Acquire pairs with the Release of the closing thread: the lanes are final.
    let state = SegmentState::from_number(segment.state.load(Ordering::Acquire));
    let lanes = segment.lanes.load(Ordering::Relaxed);
    // Acquire pairs with the Release in `join_segment`.
    let launches = segment.launches.load(Ordering::Acquire);
    let done = matches!(state, SegmentState::Closed | SegmentState::Watched)
        && (0..LANES)
            .filter(|lane| lanes & (1 << lane) != 0)
            .all(|lane| reached(done[lane].load(Ordering::Acquire), number));
    SegmentView {
        number,
        state,
        predicted_ns: segment.predicted_ns.load(Ordering::Relaxed),
        opened_ns: segment.opened_ns.load(Ordering::Relaxed),
        submitted_ns: segment.submitted_ns.load(Ordering::Relaxed),
        launches,
        is_spread: lanes.count_ones() > 1 && state != SegmentState::Open,
        done,
    }
}

/// Slot of the arbiter, from the word that names it.
pub fn owner_of(word: u64) -> Option<usize> {
    ((word as u32) as usize).checked_sub(1)
}

/// Makes the process in slot `me` the arbiter, unless somebody else became it since `word` was read.
pub fn claim(owner: &AtomicU64, word: u64, me: usize) -> bool {
    let term = (word >> 32).wrapping_add(1);
    let claim = term << 32 | (me as u64 + 1);
    // AcqRel: we must see what the last owner wrote, and the next must see what we do.
    owner
        .compare_exchange(word, claim, Ordering::AcqRel, Ordering::Relaxed)
        .is_ok()
}

/// Gives the arbiter's place up, if the process in slot `me` still has it.
pub fn resign(owner: &AtomicU64, me: usize) {
    let word = owner.load(Ordering::Acquire);
    if owner_of(word) == Some(me) {
        let _taken_over_meanwhile =
            owner.compare_exchange(word, word >> 32 << 32, Ordering::AcqRel, Ordering::Relaxed);
        failpoint!("sched.observer.resigned");
    }
}

/// What tests know of sleepers that they only pretend.
#[cfg(test)]
pub mod woken {
    use std::cell::Cell;

    thread_local! {
        /// Rings of the calling thread that woke somebody.
        pub static RINGS: Cell<u32> = const { Cell::new(0) };
    }
}
