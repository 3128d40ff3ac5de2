//! Threads that submit at once, on a device that is done at once.

use super::*;
use crate::backend::{Elapsed, Marker};
use crate::region::layout::RegionLayout;
use crate::sched::class::Class;
use crate::sched::clock::us;
use crate::sync::{AtomicU32, prepare_fences};
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;

const KERNEL_NS: u64 = us(10);

/// What the device finds.
#[derive(Default)]
struct Device {
    /// Submissions under way by segment, as far as numbers go before they come again.
    under_way: [AtomicU32; SEGMENTS],
    /// Waits put into queues: which queue, for what.
    waits: Mutex<Vec<(QueueId, u32)>>,
    /// Ends nothing.
    is_busy: AtomicBool,
}

impl Device {
    fn of(&self, number: u32) -> &AtomicU32 {
        &self.under_way[number as usize % SEGMENTS]
    }
}

impl StreamGate for Device {
    fn wait(&self, queue: QueueId, _: &AtomicU32, value: u32) -> bool {
        self.waits.lock().expect("no panic").push((queue, value));
        true
    }

    fn write(&self, _: QueueId, word: &AtomicU32, value: u32) -> bool {
        let under_way = self.of(value).load(Ordering::SeqCst);
        assert_eq!(
            under_way, 0,
            "segment {value} is done before it is submitted"
        );
        if !self.is_busy.load(Ordering::Relaxed) {
            word.store(value, Ordering::Release);
        }
        true
    }

    fn marker(&self) -> Option<Marker> {
        Some(Marker(1))
    }

    fn record(&self, _: Marker, _: QueueId) -> bool {
        true
    }

    fn elapsed(&self, _: Marker, _: Marker) -> Elapsed {
        Elapsed::Ns(KERNEL_NS)
    }
}

struct Node {
    producer: Producer,
    slot: &'static Slot,
    device: Device,
}

impl Node {
    fn new() -> Self {
        prepare_fences();
        // SAFETY: a zeroed region is a valid empty one.
        let region: &'static RegionLayout = unsafe { Box::leak(Box::new_zeroed().assume_init()) };
        let slot = &region.slots[0].slot;
        slot.gate.gated.store(1, Ordering::Relaxed);
        slot.gate.segment_us.store(1_000, Ordering::Relaxed);
        Self {
            producer: Producer::new(region, 0, Box::leak(Box::default())),
            slot,
            device: Device::default(),
        }
    }

    /// Whether it passed within an allowance.
    fn submit(&self, queue: u64) -> bool {
        let key = CostKey::new(&[7]);
        let ticket = self
            .producer
            .enter(&self.device, QueueId(queue), key, Class::Other, us(20));
        if let Some(number) = ticket.number {
            let under_way = self.device.of(number);
            under_way.fetch_add(1, Ordering::SeqCst);
            under_way.fetch_sub(1, Ordering::SeqCst);
        }
        let passes = ticket.number.is_none();
        self.producer.leave(&self.device, ticket, true);
        // The arbiter is as quick as the device.
        let opened = self.slot.queue.opened.load(Ordering::Relaxed);
        self.slot
            .compute
            .retired
            .fetch_max(opened, Ordering::Release);
        passes
    }

    fn check(&self, submitted: u64) {
        self.producer.sync(&self.device);
        let queue = &self.slot.queue;
        assert_eq!(queue.launches.load(Ordering::Relaxed), submitted);
        assert_eq!(
            queue.opened.load(Ordering::Relaxed),
            queue.closed.load(Ordering::Relaxed)
        );
    }
}

#[test]
fn a_segment_tells_exactly_what_joined_it() {
    let node = Node::new();
    for _ in 0..1_000 {
        node.submit(1);
    }
    node.producer.sync(&node.device);
    for launches in 1..=99 {
        node.submit(1);
        let number = node.slot.queue.opened.load(Ordering::Relaxed);
        let segment = node.producer.segment(number);
        assert_eq!(segment.launches.load(Ordering::Relaxed), launches);
        let predicted_ns = segment.predicted_ns.load(Ordering::Relaxed);
        assert_eq!(predicted_ns, u64::from(launches) * KERNEL_NS);
    }
    node.check(1_099);
}

impl Node {
    /// A node with a kernel whose cost is known, and nothing pending.
    fn learnt() -> Self {
        let node = Self::new();
        for _ in 0..1_000 {
            node.submit(1);
        }
        node.producer.sync(&node.device);
        assert_eq!(node.segments_of(1), 1, "without an allowance");
        node
    }

    /// Gives so much more, as the arbiter does.
    fn allow(&self, ns: u64) {
        let passed_ns = self.slot.gate.passed_ns.load(Ordering::Relaxed);
        let allowed_ns = &self.slot.gate.allowed_ns;
        allowed_ns.store(passed_ns + ns, Ordering::Relaxed);
    }

    /// Segments that so many launches open which each come when the device is done with the last one.
    fn segments_of(&self, launches: u64) -> u32 {
        let opened = || self.slot.queue.opened.load(Ordering::Relaxed);
        let before = opened();
        for _ in 0..launches {
            self.submit(1);
            self.producer.sync(&self.device);
            self.pause();
        }
        opened().wrapping_sub(before)
    }

    /// Until what passed is over.
    fn pause(&self) {
        let until_ns = self.slot.gate.passed_until_ns.load(Ordering::Relaxed);
        while now_ns() <= until_ns + us(10) {
            std::hint::spin_loop();
        }
    }
}

#[test]
fn what_is_within_the_allowance_opens_no_segment_and_what_is_beyond_it_does() {
    // By the lock's favourite, and by a thread that is none.
    for is_favoured in [true, false] {
        let node = Node::learnt();
        if !is_favoured {
            std::thread::scope(|scope| _ = scope.spawn(|| node.submit(1)));
            node.producer.sync(&node.device);
        }
        let launches = || node.slot.queue.launches.load(Ordering::Relaxed);
        let before = launches();
        node.allow(20 * KERNEL_NS);
        assert_eq!(node.segments_of(20), 0);
        let passed_ns = node.slot.gate.passed_ns.load(Ordering::Relaxed);
        assert_eq!(passed_ns, 20 * KERNEL_NS);
        assert_eq!(node.segments_of(3), 3);
        node.allow(KERNEL_NS - 1);
        assert_eq!(node.segments_of(1), 1, "a part of it is not enough");
        node.allow(KERNEL_NS);
        assert_eq!(node.segments_of(2), 1);
        assert_eq!(launches() - before, 26, "all of them count");
        // What was taken back is not there.
        node.allow(KERNEL_NS);
        node.allow(0);
        assert_eq!(node.segments_of(2), 2);
    }
}

#[test]
fn what_was_never_measured_opens_a_segment_whatever_is_allowed() {
    let node = Node::new();
    node.allow(us(1_000));
    assert_eq!(node.segments_of(u64::from(FIRST_SAMPLES)), FIRST_SAMPLES);
    assert_eq!(node.segments_of(10), 0, "now it is known");
    node.producer.relearn(CostKey::new(&[7]));
    assert_eq!(node.segments_of(1), 1);
}

#[test]
fn what_comes_while_something_is_pending_opens_a_segment() {
    let node = Node::learnt();
    let opened = || node.slot.queue.opened.load(Ordering::Relaxed);
    node.allow(us(1_000));
    // Behind what passed a moment ago. That the device is still at it is what is expected, not what is so.
    let until_ns = now_ns() + us(1_000_000);
    let passed_until_ns = &node.slot.gate.passed_until_ns;
    passed_until_ns.store(until_ns, Ordering::Relaxed);
    let before = opened();
    node.submit(1);
    assert_eq!(opened(), before.wrapping_add(1));
    // Into that one, though nothing that passed is there any more.
    passed_until_ns.store(0, Ordering::Relaxed);
    node.submit(1);
    node.producer.sync(&node.device);
    assert_eq!(opened(), before.wrapping_add(1));
    // Behind a segment that is not over.
    let retired = &node.slot.compute.retired;
    retired.store(before, Ordering::Release);
    node.submit(1);
    assert_eq!(opened(), before.wrapping_add(2));
    node.producer.sync(&node.device);
    // Behind what only others can end, in whichever queue.
    node.producer.stall(&node.device, QueueId(2));
    node.submit(1);
    assert_eq!(opened(), before.wrapping_add(3));
    node.producer.sync(&node.device);
    node.submit(2);
    node.producer.sync(&node.device);
    assert_eq!(opened(), before.wrapping_add(4));
    assert_eq!(node.segments_of(10), 0, "nothing is pending now");
}

#[test]
fn what_passes_is_measured_now_and_then() {
    let node = Node::learnt();
    let samples = || node.producer.costs.expect(CostKey::new(&[7]), 0).samples;
    let before = samples();
    for _ in 0..10 {
        node.allow(us(1_000));
        // What is beyond it is the only one that is measured.
        assert_eq!(node.segments_of(101), 1);
    }
    node.producer.sync(&node.device);
    assert!(samples() - before >= 9, "{} of 1010", samples() - before);
}

/// Threads that pass at once take no more than what was given, and each of them what it counts.
#[test]
fn threads_that_pass_at_once_take_what_they_count() {
    let node = &Node::learnt();
    node.allow(u64::MAX / 2);
    let before_ns = node.slot.gate.passed_ns.load(Ordering::Relaxed);
    let passed: Vec<u64> = std::thread::scope(|scope| {
        let count = || {
            (0..2_000)
                .filter(|_| {
                    node.slot.gate.passed_until_ns.store(0, Ordering::Relaxed);
                    // It does not if another did just now: then it is in a segment that stands in nobody's way.
                    let passes = node.submit(1);
                    node.producer.sync(&node.device);
                    passes
                })
                .count() as u64
        };
        let threads = [(); 3].map(|()| scope.spawn(count));
        threads.map(|it| it.join().expect("no panic")).to_vec()
    });
    let passed_ns = node.slot.gate.passed_ns.load(Ordering::Relaxed) - before_ns;
    assert!(passed.iter().sum::<u64>() > 0);
    assert_eq!(passed_ns, passed.iter().sum::<u64>() * KERNEL_NS);
}

#[test]
fn a_full_segment_ends_with_the_submission_that_fills_it() {
    let node = Node::new();
    for _ in 0..1_000 {
        node.submit(1);
    }
    node.producer.sync(&node.device);
    let closed = || node.slot.queue.closed.load(Ordering::Relaxed);
    let before = closed();
    for _ in 0..99 {
        node.submit(1);
    }
    assert_eq!(closed(), before);
    node.submit(1);
    assert_eq!(closed(), before + 1);
}

/// A program of which each result takes as long as a segment has nothing open when it waits.
#[test]
fn who_waits_for_a_segment_that_was_full_waits_once() {
    let node = Node::new();
    for _ in 0..1_000 {
        node.submit(1);
    }
    node.producer.sync(&node.device);
    let synced = || node.slot.queue.synced.load(Ordering::Relaxed);
    let before = synced();
    node.slot.gate.segment_us.store(1, Ordering::Relaxed);
    for waits in 1..=3 {
        node.submit(1);
        assert_eq!(synced(), before + waits - 1, "it has not waited yet");
        node.producer.sync(&node.device);
        node.producer.sync(&node.device);
        assert_eq!(synced(), before + waits);
    }
}

#[test]
fn a_segment_that_was_ended_by_time_is_not_joined() {
    let node = Node::new();
    for _ in 0..1_000 {
        node.submit(1);
    }
    node.producer.sync(&node.device);
    node.submit(1);
    let number = node.slot.queue.opened.load(Ordering::Relaxed);
    let state = &node.producer.segment(number).state;
    state.store(SegmentState::Expired as u32, Ordering::Release);
    node.submit(1);
    assert_eq!(
        node.slot.queue.opened.load(Ordering::Relaxed),
        number.wrapping_add(1)
    );
    node.check(1_002);
}

#[test]
fn a_stalled_queue_is_no_reason_to_look_at_another() {
    let node = Node::new();
    let usual = || node.producer.state.lock(ThreadId::current()).usual;
    node.submit(1);
    assert_eq!(usual(), Some(QueueId(1)));
    node.producer.stall(&node.device, QueueId(2));
    node.submit(1);
    assert_eq!(usual(), Some(QueueId(1)));
    node.producer.stall(&node.device, QueueId(1));
    assert_eq!(usual(), None);
    node.submit(1);
    assert_eq!(usual(), Some(QueueId(1)), "it stands behind that once");
    node.check(3);
}

#[test]
fn a_queue_that_waits_for_another_waits_for_its_grant() {
    let node = Node::new();
    let other = QueueId(2);
    let waits = || {
        let waits = node.device.waits.lock().expect("no panic");
        let its = waits.iter().filter(|(queue, _)| *queue == other);
        its.map(|(_, number)| *number).collect::<Vec<_>>()
    };
    node.producer.follow(&node.device, other);
    assert!(waits().is_empty(), "there is nothing to wait for");
    node.submit(1);
    let first = node.slot.queue.opened.load(Ordering::Relaxed);
    node.producer.follow(&node.device, other);
    assert_eq!(waits(), [first]);
    node.producer.page.grant.store(first, Ordering::Relaxed);
    node.producer.follow(&node.device, other);
    assert_eq!(waits(), [first], "it is granted");
    node.producer.sync(&node.device);
    node.submit(2);
    let second = node.slot.queue.opened.load(Ordering::Relaxed);
    assert_eq!(waits(), [first, second], "its own gate");
    node.producer.follow(&node.device, other);
    assert_eq!(waits(), [first, second], "it is behind that already");
}

#[test]
fn the_device_tells_when_a_collective_runs() {
    let node = Node::new();
    let arrival = &node.producer.page.arrival;
    let words = || {
        [&arrival.collective_begun, &arrival.collective_done].map(|it| it.load(Ordering::Relaxed))
    };
    let collective = node.producer.collective(&node.device, QueueId(2));
    assert_eq!(words(), [1, 0], "this device is there at once");
    node.producer.collective_submitted(&node.device, collective);
    assert_eq!(words(), [1, 1]);
    assert!(node.slot.queue.collective_ns.load(Ordering::Relaxed) > 0);
    node.submit(1);
    node.producer.sync(&node.device);
    let opened = node.slot.queue.opened.load(Ordering::Relaxed);
    assert_eq!(node.slot.queue.waits_at.load(Ordering::Relaxed), opened);
}

#[test]
fn threads_that_submit_at_once_lose_nothing() {
    const SUBMISSIONS: u64 = 20_000;
    // One queue for all, one for each; one thread for long, then several, then one again.
    for queues in [1, 3] {
        let node = &Node::new();
        for threads in [1, 3, 1, 2] {
            std::thread::scope(|scope| {
                for thread in 0..threads {
                    scope.spawn(move || {
                        for i in 0..SUBMISSIONS {
                            node.submit(thread % queues);
                            if i % 1_000 == 999 {
                                node.producer.sync(&node.device);
                            }
                        }
                    });
                }
            });
        }
        node.check(7 * SUBMISSIONS);
    }
}

/// Waiting for what was submitted a while ago, with more behind it, is no waiting for results.
#[test]
fn who_waits_for_something_older_than_its_newest_work_is_far_ahead() {
    let node = Node::new();
    let submit = |queue| {
        let ticket = node.producer.enter(
            &node.device,
            QueueId(queue),
            CostKey::new(&[7]),
            Class::Other,
            us(20),
        );
        node.producer.leave(&node.device, ticket, true);
    };
    let was_far_ahead = || {
        let blocked = node.slot.queue.blocked.load(Ordering::Relaxed);
        node.producer.sync(&node.device);
        node.producer.waited_for_event(&node.device);
        node.slot.queue.blocked.load(Ordering::Relaxed) != blocked
    };
    submit(1);
    assert!(!was_far_ahead(), "all of it is done");
    node.device.is_busy.store(true, Ordering::Relaxed);
    submit(1);
    assert!(was_far_ahead());
    submit(2);
    assert!(!was_far_ahead(), "the event may have been in either queue");
    node.device.is_busy.store(false, Ordering::Relaxed);
    let opened = node.slot.queue.opened.load(Ordering::Relaxed);
    node.slot.compute.retired.store(opened, Ordering::Release);
    submit(1);
    assert!(!was_far_ahead(), "all of it is done again");
}

/// The device runs each submission as soon as it is there, and what lies between two markers is mostly the program.
#[test]
fn what_the_device_waits_for_is_no_part_of_what_a_submission_takes() {
    let node = Node::new();
    let key = CostKey::new(&[7]);
    let cost_ns = || node.producer.costs.expect(key, 0).ns;
    node.producer.learn_cost(key, us(60), us(55));
    assert_eq!(
        cost_ns(),
        us(60),
        "at first the most that it can be: nobody is charged too little"
    );
    node.producer.learn_cost(key, us(40), us(38));
    node.producer.learn_cost(key, us(9), us(9));
    assert_eq!(cost_ns(), us(9), "and the least of that later");
    for _ in 0..40 {
        node.producer.learn_cost(key, KERNEL_NS, 0);
    }
    assert!(cost_ns().abs_diff(KERNEL_NS) <= us(1), "{}", cost_ns());
    for _ in 0..40 {
        node.producer.learn_cost(key, us(100), us(95));
    }
    assert!(cost_ns().abs_diff(KERNEL_NS) <= us(1), "{}", cost_ns());
    assert_eq!(
        node.slot.queue.spread_ppm.load(Ordering::Relaxed) / 100_000,
        0
    );
}

#[test]
fn the_ends_of_turns_are_counted_from_the_newest_one() {
    let node = Node::learnt();
    let opened = || node.slot.queue.opened.load(Ordering::Relaxed);
    let lengths_on = |queues: &[u64], count: u32| -> Vec<u64> {
        let first = opened().wrapping_add(1);
        for queue in queues.iter().cycle() {
            if opened() == first.wrapping_add(count) {
                break;
            }
            node.submit(*queue);
        }
        node.producer.sync(&node.device);
        let segments = (0..count).map(|it| node.producer.segment(first.wrapping_add(it)));
        segments
            .map(|it| it.predicted_ns.load(Ordering::Relaxed) / us(1))
            .collect()
    };
    let lengths_us = |count| lengths_on(&[1], count);
    let begin_turn = || {
        let next = opened().wrapping_add(1);
        node.slot.gate.turn_from.store(next, Ordering::Relaxed);
    };
    assert_eq!(lengths_us(3), [1_000; 3], "turns have no places");
    node.slot.gate.turn_us.store(3_000, Ordering::Relaxed);
    begin_turn();
    let turn = [250, 250, 1_000, 1_000, 250, 250];
    assert_eq!(lengths_us(12), [turn, turn].concat());
    // The next one begins, before or after this one had its time.
    begin_turn();
    assert_eq!(lengths_us(4), turn[..4]);
    // On several queues segments would cost the device more; how many they are is known from the first of them on.
    let on_two = lengths_on(&[1, 2], 12);
    assert_eq!(on_two[1..], [1_000; 11], "{on_two:?}");
    node.slot.gate.turn_us.store(0, Ordering::Relaxed);
    assert_eq!(lengths_us(3), [1_000; 3]);
}
