//! What streams promise, in real time. Bounds are generous: the machine may be busy.

use super::*;
use crate::calibration::SWITCH_IDLE_NS;
use crate::config::Config;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::time::Instant;

const MS: u64 = 1_000_000;

struct Rig {
    queues: Queues,
    config: Config,
    _dir: tempfile::TempDir,
    _alone: MutexGuard<'static, ()>,
}

/// Device time between two events that have been reached.
fn between_ns(rig: &Rig, events: [EventId; 2]) -> u64 {
    let times = events.map(|event| match rig.queues.event_status(event) {
        Ok(EventStatus::Reached { time_ns }) => time_ns,
        other => panic!("event {other:?}"),
    });
    times[1] - times[0]
}

/// Measures until it fits, a few times at most: a busy machine may keep the test itself waiting.
fn eventually(fits: std::ops::Range<u64>, measure: impl Fn(&Rig) -> u64) {
    let rig = rig();
    let mut seen = Vec::new();
    for _ in 0..8 {
        let took_ns = measure(&rig);
        if fits.contains(&took_ns) {
            return;
        }
        seen.push(took_ns);
    }
    panic!("took {seen:?} ns");
}

/// One test at a time: they all want a processor at the right moment.
fn rig() -> Rig {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(|e| e.into_inner());
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut config = Config::from_env();
    config.dir = dir.path().to_owned();
    config.mps = false;
    let device = Arc::new(Device::open(&config, 0).expect("device file"));
    Rig {
        queues: Queues::new(device).expect("a free place"),
        config,
        _dir: dir,
        _alone: alone,
    }
}

fn work(duration_ns: u64) -> Op {
    Op::Work {
        duration_ns,
        effect: Effect::None,
    }
}

fn count(counter: &'static AtomicU64, duration_ns: u64) -> Op {
    let address = std::ptr::from_ref(counter) as u64;
    Op::Work {
        duration_ns,
        effect: Effect::AddU64 { address, add: 1 },
    }
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

fn gate(word: &'static AtomicU32, value: u64) -> Op {
    Op::Wait(Gate {
        address: std::ptr::from_ref(word) as u64,
        width: Width::Bits32,
        comparison: Comparison::AtLeast,
        value,
        mask: u64::MAX,
    })
}

fn write(word: &'static AtomicU32, value: u64) -> Op {
    Op::Write {
        address: std::ptr::from_ref(word) as u64,
        width: Width::Bits32,
        value,
    }
}

#[test]
fn waiting_takes_as_long_as_the_work() {
    let rig = rig();
    let stream = rig.queues.create_stream(1, StreamKind::Blocking);
    let counter = leak(AtomicU64::new(0));
    let began = Instant::now();
    rig.queues
        .submit(stream, (0..10).map(|_| count(counter, 2 * MS)))
        .expect("stream");
    assert!(!rig.queues.stream_done(stream).expect("stream"));
    rig.queues.wait_stream(stream).expect("stream");
    let took = began.elapsed().as_secs_f64();
    assert_eq!(counter.load(Acquire), 10);
    assert!((0.0195..0.5).contains(&took), "took {took}");
}

#[test]
fn work_has_its_effect_without_anybody_waiting() {
    let rig = rig();
    let stream = rig.queues.create_stream(1, StreamKind::NonBlocking);
    let counter = leak(AtomicU64::new(0));
    rig.queues
        .submit(stream, [count(counter, 1000)])
        .expect("stream");
    let began = Instant::now();
    while counter.load(Acquire) == 0 {
        assert!(began.elapsed().as_secs() < 5, "the worker never noticed");
        std::thread::sleep(Duration::from_micros(100));
    }
}

#[test]
fn a_gate_holds_the_stream_until_the_word_is_written() {
    let rig = rig();
    let (gated, free) = (
        rig.queues.create_stream(1, StreamKind::NonBlocking),
        rig.queues.create_stream(1, StreamKind::NonBlocking),
    );
    let (grant, done) = (leak(AtomicU32::new(0)), leak(AtomicU32::new(0)));
    rig.queues
        .submit(gated, [gate(grant, 1), work(MS), write(done, 1)])
        .expect("stream");
    rig.queues.submit(free, [work(MS)]).expect("stream");
    rig.queues.wait_stream(free).expect("stream");
    std::thread::sleep(Duration::from_millis(10));
    assert_eq!(done.load(Acquire), 0);
    assert!(!rig.queues.stream_done(gated).expect("stream"));
    grant.store(1, Release);
    let began = Instant::now();
    while done.load(Acquire) == 0 {
        assert!(began.elapsed().as_secs() < 5, "the gate never opened");
        std::thread::sleep(Duration::from_micros(50));
    }
}

#[test]
fn a_gate_that_opened_in_time_costs_nothing() {
    let grant = leak(AtomicU32::new(1));
    // Ten milliseconds of work: every late look would add its lateness.
    eventually(9_850_000..10_600_000, |rig| {
        let stream = rig.queues.create_stream(1, StreamKind::NonBlocking);
        let events = [rig.queues.create_event(), rig.queues.create_event()];
        rig.queues.record(events[0], stream).expect("event");
        for _ in 0..10 {
            rig.queues
                .submit(stream, [gate(grant, 1), work(MS)])
                .expect("stream");
        }
        rig.queues.record(events[1], stream).expect("event");
        rig.queues.wait_event(events[1]).expect("event");
        between_ns(rig, events)
    });
}

#[test]
fn events_order_streams() {
    let rig = rig();
    let (a, b) = (
        rig.queues.create_stream(1, StreamKind::NonBlocking),
        rig.queues.create_stream(1, StreamKind::NonBlocking),
    );
    let grant = leak(AtomicU32::new(0));
    let counter = leak(AtomicU64::new(0));
    let event = rig.queues.create_event();
    assert_eq!(rig.queues.event_status(event), Ok(EventStatus::Unrecorded));
    rig.queues
        .submit(a, [gate(grant, 1), work(MS)])
        .expect("stream");
    rig.queues.record(event, a).expect("event");
    rig.queues.wait_event_in_stream(b, event).expect("event");
    rig.queues
        .submit(b, [count(counter, 1000)])
        .expect("stream");
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(counter.load(Acquire), 0);
    assert_eq!(rig.queues.event_status(event), Ok(EventStatus::Pending));
    grant.store(1, Release);
    rig.queues.wait_stream(b).expect("stream");
    assert_eq!(counter.load(Acquire), 1);
    assert!(matches!(
        rig.queues.event_status(event),
        Ok(EventStatus::Reached { .. })
    ));
}

#[test]
fn the_default_stream_takes_turns_with_blocking_streams_only() {
    let rig = rig();
    let default = rig.queues.create_stream(1, StreamKind::Default);
    let blocking = rig.queues.create_stream(1, StreamKind::Blocking);
    let free = rig.queues.create_stream(1, StreamKind::NonBlocking);
    let elsewhere = rig.queues.create_stream(2, StreamKind::Blocking);
    let grant = leak(AtomicU32::new(0));
    let counter = leak(AtomicU64::new(0));
    rig.queues
        .submit(blocking, [gate(grant, 1)])
        .expect("stream");
    rig.queues
        .submit(default, [count(counter, 1000)])
        .expect("stream");
    for stream in [free, elsewhere] {
        rig.queues.submit(stream, [work(1000)]).expect("stream");
        rig.queues.wait_stream(stream).expect("stream");
    }
    std::thread::sleep(Duration::from_millis(5));
    assert_eq!(
        counter.load(Acquire),
        0,
        "the default stream overtook a blocking stream"
    );
    grant.store(1, Release);
    rig.queues.wait_group(1);
    assert_eq!(counter.load(Acquire), 1);
}

#[test]
fn a_deep_stream_makes_its_submitter_wait() {
    let rig = rig();
    let stream = rig.queues.create_stream(1, StreamKind::NonBlocking);
    let began = Instant::now();
    for _ in 0..STREAM_DEPTH + 500 {
        rig.queues.submit(stream, [work(20_000)]).expect("stream");
    }
    let submitted = began.elapsed().as_secs_f64();
    rig.queues.wait_stream(stream).expect("stream");
    // 500 kernels of 20 us had to end first.
    assert!(submitted > 0.0095, "submitted in {submitted} s");
}

#[test]
fn host_functions_run_in_order_and_hold_the_stream() {
    let rig = rig();
    let stream = rig.queues.create_stream(1, StreamKind::NonBlocking);
    let order = Arc::new(Mutex::new(Vec::new()));
    let note = |what: &'static str| {
        let order = Arc::clone(&order);
        move || order.lock().expect("not poisoned").push(what)
    };
    let ops = [
        Op::Work {
            duration_ns: MS,
            effect: Effect::Run(Box::new(note("kernel"))),
        },
        Op::Call(Box::new(note("call"))),
        Op::Work {
            duration_ns: 1000,
            effect: Effect::Run(Box::new(note("after"))),
        },
    ];
    rig.queues.submit(stream, ops).expect("stream");
    rig.queues.wait_stream(stream).expect("stream");
    assert_eq!(
        *order.lock().expect("not poisoned"),
        ["kernel", "call", "after"]
    );
}

#[test]
fn many_small_kernels_keep_the_device_busy() {
    eventually(99 * MS..103 * MS, |rig| {
        let stream = rig.queues.create_stream(1, StreamKind::NonBlocking);
        let events = [rig.queues.create_event(), rig.queues.create_event()];
        rig.queues.record(events[0], stream).expect("event");
        for _ in 0..10_000 {
            rig.queues.submit(stream, [work(10_000)]).expect("stream");
        }
        rig.queues.record(events[1], stream).expect("event");
        rig.queues.wait_event(events[1]).expect("event");
        between_ns(rig, events)
    });
}

#[test]
fn streams_that_open_together_work_in_the_order_of_submission() {
    let rig = rig();
    let word = leak(AtomicU32::new(0));
    let order = Arc::new(Mutex::new(Vec::new()));
    let streams = [(); 2].map(|()| rig.queues.create_stream(1, StreamKind::NonBlocking));
    for stream in streams {
        rig.queues.submit(stream, [gate(word, 1)]).expect("stream");
    }
    for number in 0..6 {
        let order = Arc::clone(&order);
        let note = move || order.lock().expect("not poisoned").push(number);
        let op = Op::Work {
            duration_ns: 1000,
            effect: Effect::Run(Box::new(note)),
        };
        rig.queues
            .submit(streams[number % 2], [op])
            .expect("stream");
    }
    word.store(1, Release);
    for stream in streams {
        rig.queues.wait_stream(stream).expect("stream");
    }
    assert_eq!(*order.lock().expect("not poisoned"), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn a_time_stamp_waits_for_the_device_to_come() {
    let rig = rig();
    let device = Arc::new(Device::open(&rig.config, 0).expect("device file"));
    let other = Queues::new(device).expect("a second place");
    let (mine, theirs) = (
        rig.queues.create_stream(1, StreamKind::NonBlocking),
        other.create_stream(1, StreamKind::NonBlocking),
    );
    let event = rig.queues.create_event();
    let stamp_after_ns = || {
        let began_ns = now_ns();
        rig.queues.submit(mine, [Op::Arrive]).expect("stream");
        rig.queues.record(event, mine).expect("event");
        rig.queues.wait_event(event).expect("event");
        match rig.queues.event_status(event) {
            Ok(EventStatus::Reached { time_ns }) => time_ns - began_ns,
            other => panic!("event {other:?}"),
        }
    };
    rig.queues.submit(mine, [work(1000)]).expect("stream");
    rig.queues.wait_stream(mine).expect("stream");
    // The time of a call; of a few tries, since the machine may be busy.
    let here_ns = (0..20).map(|_| stamp_after_ns()).min();
    other.submit(theirs, [work(1000)]).expect("stream");
    other.wait_stream(theirs).expect("stream");
    let elsewhere_ns = stamp_after_ns();
    assert!(here_ns < Some(SWITCH_IDLE_NS), "{here_ns:?}");
    assert!(elsewhere_ns >= SWITCH_IDLE_NS, "{elsewhere_ns}");
}

#[test]
fn unknown_handles_are_reported() {
    let rig = rig();
    let stream = rig.queues.create_stream(1, StreamKind::Blocking);
    let event = rig.queues.create_event();
    rig.queues.close_stream(stream).expect("stream");
    rig.queues.close_event(event).expect("event");
    assert_eq!(rig.queues.close_stream(stream), Err(Gone));
    assert_eq!(rig.queues.submit(stream, [work(1)]), Err(Gone));
    assert_eq!(rig.queues.event_status(event), Err(Gone));
    assert_eq!(rig.queues.wait_event(event), Err(Gone));
}

#[test]
fn memory_that_disappears_is_left_alone() {
    let rig = rig();
    let stream = rig.queues.create_stream(1, StreamKind::NonBlocking);
    let (word, counter) = (leak(AtomicU32::new(0)), leak(AtomicU64::new(0)));
    let ops = [
        count(counter, MS),
        write(word, 1),
        gate(word, 2),
        count(counter, MS),
        write(word, 3),
    ];
    rig.queues.submit(stream, ops).expect("stream");
    let (word_at, counter_at) = (
        std::ptr::from_ref(word) as u64,
        std::ptr::from_ref(counter) as u64,
    );
    rig.queues.forget_memory(counter_at..counter_at + 8);
    rig.queues.forget_memory(word_at..word_at + 4);
    rig.queues.wait_stream(stream).expect("stream");
    assert_eq!((word.load(Relaxed), counter.load(Relaxed)), (0, 0));
}
