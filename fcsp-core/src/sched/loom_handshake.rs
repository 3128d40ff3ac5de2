//! Models of the handshakes: every interleaving of a program and the arbiter, up to three
//! preemptions. A wake-up that is lost is a deadlock, which loom reports.

use super::handshake::{
    claim, end_segment, join_segment, open_segment, owner_of, read_segment, resign, ring, ring_if,
    sleep_unless_rung, sleep_while, take_allowance, wake_sleepers,
};
use super::segment::{SegmentState, reached};
use crate::failpoint::model::killed_at;
use crate::region::layout::{DeviceWord, LANES, Segment};
use crate::sync::{AtomicU32, AtomicU64, Ordering};
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

fn explore(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(model);
}

fn spawn<S: 'static, T: 'static>(
    shared: &Arc<S>,
    work: impl FnOnce(&S) -> T + 'static,
) -> JoinHandle<T> {
    let shared = Arc::clone(shared);
    thread::spawn(move || work(&shared))
}

#[derive(Default)]
struct Bell {
    doorbell: AtomicU32,
    asleep: AtomicU32,
    news: AtomicU32,
}

impl Bell {
    /// The arbiter: looks, and sleeps while there is less than it waits for.
    fn await_news(&self, enough: u32) {
        loop {
            let seen = self.doorbell.load(Ordering::Acquire);
            if self.news.load(Ordering::Relaxed) >= enough {
                return;
            }
            sleep_unless_rung(&self.doorbell, &self.asleep, seen, None);
        }
    }

    fn tell(&self) {
        self.news.fetch_add(1, Ordering::Relaxed);
        ring(&self.doorbell, &self.asleep);
    }
}

#[test]
fn loom_a_ring_is_never_slept_through() {
    explore(|| {
        let bell = Arc::new(Bell::default());
        let program = spawn(&bell, Bell::tell);
        bell.await_news(1);
        program.join().expect("a thread");
    });
}

#[test]
fn loom_neither_of_two_rings_is_slept_through() {
    explore(|| {
        let bell = Arc::new(Bell::default());
        let programs = [(); 2].map(|()| spawn(&bell, Bell::tell));
        bell.await_news(2);
        for program in programs {
            program.join().expect("a thread");
        }
    });
}

#[test]
fn loom_a_program_killed_while_it_rings_takes_no_other_ring_with_it() {
    explore(|| {
        let bell = Arc::new(Bell::default());
        let killed = spawn(&bell, |bell| {
            killed_at("sched.ring.counted", || bell.tell())
        });
        let program = spawn(&bell, Bell::tell);
        bell.await_news(1);
        program.join().expect("a thread");
        killed.join().expect("a thread");
    });
}

#[derive(Default)]
struct Queue {
    doorbell: AtomicU32,
    asleep: AtomicU32,
    opened: AtomicU32,
    retired: AtomicU32,
}

#[test]
fn loom_a_segment_behind_others_is_not_slept_through() {
    explore(|| {
        let queue = Arc::new(Queue::default());
        queue.opened.store(1, Ordering::Relaxed);
        let program = spawn(&queue, |queue| {
            queue.opened.store(2, Ordering::Release);
            ring_if(&queue.doorbell, &queue.asleep, || {
                queue.retired.load(Ordering::Relaxed) == 1
            });
        });
        // The arbiter retires what it sees, and sleeps without a timer only if it sees nothing.
        loop {
            let seen = queue.doorbell.load(Ordering::Acquire);
            let opened = queue.opened.load(Ordering::Acquire);
            if opened == 2 {
                break;
            }
            queue.retired.store(opened, Ordering::Release);
            sleep_unless_rung(&queue.doorbell, &queue.asleep, seen, None);
        }
        program.join().expect("a thread");
    });
}

#[derive(Default)]
struct Room {
    room: AtomicU32,
    sleepers: AtomicU32,
    retired: AtomicU32,
}

impl Room {
    /// A thread of the program, which goes on once segment `number` is retired.
    fn await_retired(&self, number: u32) {
        loop {
            let retired = self.retired.load(Ordering::Acquire);
            if reached(retired, number) {
                return;
            }
            let is_full = || self.retired.load(Ordering::Relaxed) == retired;
            sleep_while(&self.room, &self.sleepers, None, is_full);
        }
    }

    /// The arbiter.
    fn retire(&self, number: u32) {
        self.retired.store(number, Ordering::Release);
        wake_sleepers(&self.room, &self.sleepers);
    }
}

#[test]
fn loom_a_thread_that_waits_for_room_is_woken() {
    explore(|| {
        let room = Arc::new(Room::default());
        let program = spawn(&room, |room| room.await_retired(2));
        room.retire(1);
        room.retire(2);
        program.join().expect("a thread");
        assert_eq!(room.sleepers.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn loom_all_threads_that_wait_for_room_are_woken() {
    explore(|| {
        let room = Arc::new(Room::default());
        let threads = [(); 2].map(|()| spawn(&room, |room| room.await_retired(1)));
        room.retire(1);
        for thread in threads {
            thread.join().expect("a thread");
        }
    });
}

struct Place {
    segment: Segment,
    opened: AtomicU32,
    done: [DeviceWord; LANES],
}

impl Default for Place {
    fn default() -> Self {
        let long = || AtomicU64::new(99);
        let short = || AtomicU32::new(99);
        Self {
            // As an earlier segment left it.
            segment: Segment {
                number: short(),
                state: AtomicU32::new(SegmentState::Closed as u32),
                lanes: long(),
                predicted_ns: long(),
                opened_ns: long(),
                submitted_ns: long(),
                granted_ns: long(),
                finished_ns: long(),
                launches: short(),
                first_of_turn: short(),
            },
            opened: AtomicU32::new(0),
            done: std::array::from_fn(|_| DeviceWord::default()),
        }
    }
}

#[test]
fn loom_a_segment_that_is_seen_is_described() {
    explore(|| {
        let place = Arc::new(Place::default());
        let program = spawn(&place, |place| {
            open_segment(&place.segment, &place.opened, 1, 7);
            join_segment(&place.segment, 500, 8, 1);
            place.segment.lanes.store(1, Ordering::Relaxed);
            assert!(end_segment(&place.segment, SegmentState::Closed));
            // The device.
            place.done[0].store(1, Ordering::Release);
        });
        if place.opened.load(Ordering::Acquire) == 1 {
            let seen = read_segment(&place.segment, &place.done, 1);
            assert_eq!((seen.number, seen.opened_ns), (1, 7));
            assert!(matches!(
                (seen.launches, seen.predicted_ns, seen.submitted_ns),
                (0, 0 | 500, 7 | 8) | (1, 500, 8)
            ));
            match seen.state {
                SegmentState::Open => assert!(!seen.done),
                SegmentState::Closed => assert_eq!(seen.launches, 1),
                other => panic!("{other:?} was never written"),
            }
            let lanes = place.segment.lanes.load(Ordering::Relaxed);
            assert!(!seen.done || lanes == 1);
        }
        program.join().expect("a thread");
        assert!(read_segment(&place.segment, &place.done, 1).done);
    });
}

#[test]
fn loom_exactly_one_side_ends_a_segment() {
    explore(|| {
        let place = Arc::new(Place::default());
        open_segment(&place.segment, &place.opened, 1, 7);
        let arbiter = spawn(&place, |place| {
            end_segment(&place.segment, SegmentState::Expired)
        });
        place.segment.lanes.store(1, Ordering::Relaxed);
        let closed = end_segment(&place.segment, SegmentState::Closed);
        let expired = arbiter.join().expect("a thread");
        assert!(closed != expired);
        let state = read_segment(&place.segment, &place.done, 1).state;
        let expected = if closed {
            SegmentState::Closed
        } else {
            SegmentState::Expired
        };
        assert_eq!(state, expected);
    });
}

#[derive(Default)]
struct Allowance {
    allowed_ns: AtomicU64,
    passed_ns: AtomicU64,
    /// What the arbiter has charged.
    charged_ns: AtomicU64,
    /// The most that was ever allowed.
    most_ns: AtomicU64,
}

impl Allowance {
    /// A step of the arbiter: takes all back, and gives so much.
    fn step(&self, gives_ns: u64) {
        let allowed_ns = self.allowed_ns.load(Ordering::Relaxed);
        let passed_ns = self.passed_ns.load(Ordering::Relaxed);
        let charged_ns = self.charged_ns.load(Ordering::Relaxed);
        let charged_ns = charged_ns + gives_ns - allowed_ns.saturating_sub(passed_ns)
            + passed_ns.saturating_sub(allowed_ns);
        self.charged_ns.store(charged_ns, Ordering::Relaxed);
        let gives_to_ns = passed_ns + gives_ns;
        self.allowed_ns.store(gives_to_ns, Ordering::Relaxed);
        self.most_ns.store(
            gives_to_ns.max(self.most_ns.load(Ordering::Relaxed)),
            Ordering::Relaxed,
        );
    }

    /// The program, which submits so often what takes 2 ns each time; what passed of that.
    fn submit(&self, times: u64) -> u64 {
        let passes = |_: &u64| take_allowance(&self.allowed_ns, &self.passed_ns, 2);
        2 * (0..times).filter(passes).count() as u64
    }
}

#[test]
fn loom_what_passes_is_charged_once_however_allowances_come_and_go() {
    for steps in [[0, 0], [3, 0], [5, 2]] {
        explore(move || {
            let allowance = Arc::new(Allowance::default());
            allowance.step(5);
            let program = spawn(&allowance, |allowance| allowance.submit(3));
            for gives_ns in steps {
                allowance.step(gives_ns);
            }
            let passed_ns = program.join().expect("a thread");
            let most_ns = allowance.most_ns.load(Ordering::Relaxed);
            assert!(passed_ns <= most_ns, "{passed_ns} of {most_ns} ns");
            allowance.step(0);
            assert_eq!(allowance.passed_ns.load(Ordering::Relaxed), passed_ns);
            assert_eq!(allowance.charged_ns.load(Ordering::Relaxed), passed_ns);
        });
    }
}

#[derive(Default)]
struct Seat {
    owner: AtomicU64,
    /// What an arbiter writes down, and the next takes over.
    account: AtomicU64,
}

impl Seat {
    /// Arbitrates once, if the seat is free.
    fn serve(&self, me: usize) -> bool {
        let word = self.owner.load(Ordering::Acquire);
        if owner_of(word).is_some() || !claim(&self.owner, word, me) {
            return false;
        }
        let account = self.account.load(Ordering::Relaxed);
        self.account.store(account + 1, Ordering::Relaxed);
        resign(&self.owner, me);
        true
    }
}

#[test]
fn loom_one_at_a_time_arbitrates_and_takes_over_what_the_last_wrote() {
    explore(|| {
        let seat = Arc::new(Seat::default());
        let others = [1, 2].map(|me| spawn(&seat, move |seat| seat.serve(me)));
        let served = u64::from(seat.serve(0))
            + others
                .map(|other| u64::from(other.join().expect("a thread")))
                .iter()
                .sum::<u64>();
        assert!(served >= 1);
        assert_eq!(seat.account.load(Ordering::Relaxed), served);
    });
}

#[test]
fn loom_a_silent_arbiter_is_replaced_once_and_does_not_take_its_seat_back() {
    explore(|| {
        let seat = Arc::new(Seat::default());
        assert!(claim(&seat.owner, 0, 0));
        let word = seat.owner.load(Ordering::Acquire);
        let others = [1, 2].map(|me| spawn(&seat, move |seat| claim(&seat.owner, word, me)));
        // It was only slow, and now gives up.
        resign(&seat.owner, 0);
        let claimed = others.map(|other| other.join().expect("a thread"));
        assert!(claimed != [true, true]);
        let owner = owner_of(seat.owner.load(Ordering::Acquire));
        let expected = claimed.iter().position(|it| *it).map(|at| at + 1);
        assert_eq!(owner, expected);
    });
}
