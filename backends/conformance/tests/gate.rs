//! The gate suite on a simulated gate that does everything right, and on some that each do one thing
//! wrong: a suite that cannot fail proves nothing.

use fcsp_conformance::gate::{Workbench, run};
use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};
use fcsp_core::sched::segment::reached;
use fcsp_core::sync::{AtomicU32, AtomicU64, Ordering};
use std::sync::Mutex;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};

/// What a simulated vendor does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    /// Words are compared as unsigned numbers.
    ComparesUnsigned,
    /// Waits are forgotten.
    DoesNotWait,
    /// Writes land at once.
    WritesEarly,
    /// The calling thread waits instead of the queue.
    BlocksTheCaller,
    /// Markers note the time when they are recorded.
    MarksEarly,
    /// A wait in one queue is a wait in all.
    OneQueue,
}

type Op = Box<dyn FnOnce() + Send>;

struct Simulated {
    fault: Fault,
    queues: Mutex<Vec<Sender<Op>>>,
    began: Instant,
    marks: [&'static AtomicU64; 8],
    marks_given: AtomicU32,
}

fn forever(word: &AtomicU32) -> &'static AtomicU32 {
    // SAFETY: every word comes from `Workbench::word`, which leaks it.
    unsafe { &*std::ptr::from_ref(word) }
}

impl Simulated {
    fn new(fault: Fault) -> Self {
        Self {
            fault,
            queues: Mutex::default(),
            began: Instant::now(),
            marks: std::array::from_fn(|_| &*Box::leak(Box::default())),
            marks_given: AtomicU32::new(0),
        }
    }

    fn put(&self, queue: QueueId, op: impl FnOnce() + Send + 'static) {
        let queues = self.queues.lock().expect("no test panics with it");
        let at = match self.fault {
            Fault::OneQueue => 0,
            _ => queue.0 as usize,
        };
        queues[at].send(Box::new(op)).expect("its thread lives");
    }

    fn mark(&self, marker: Marker) -> &'static AtomicU64 {
        self.marks[marker.0 as usize]
    }
}

impl Workbench for Simulated {
    fn queue(&self) -> QueueId {
        let (sender, ops) = channel::<Op>();
        std::thread::spawn(move || ops.into_iter().for_each(|op| op()));
        let mut queues = self.queues.lock().expect("no test panics with it");
        queues.push(sender);
        QueueId(queues.len() as u64 - 1)
    }

    fn word(&self) -> &AtomicU32 {
        Box::leak(Box::default())
    }

    fn work(&self, queue: QueueId, ns: u64) {
        self.put(queue, move || std::thread::sleep(Duration::from_nanos(ns)));
    }
}

impl StreamGate for Simulated {
    fn wait(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let (word, fault) = (forever(word), self.fault);
        let is_reached = move |it: u32| match fault {
            Fault::ComparesUnsigned => it >= value,
            _ => reached(it, value),
        };
        let wait = move || {
            let until = Instant::now() + Duration::from_millis(500);
            while !is_reached(word.load(Ordering::Acquire)) && Instant::now() < until {
                std::thread::sleep(Duration::from_micros(50));
            }
        };
        match fault {
            Fault::DoesNotWait => {}
            Fault::BlocksTheCaller => wait(),
            _ => self.put(queue, wait),
        }
        true
    }

    fn write(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let word = forever(word);
        if self.fault == Fault::WritesEarly {
            word.store(value, Ordering::Release);
        } else {
            self.put(queue, move || word.store(value, Ordering::Release));
        }
        true
    }

    fn marker(&self) -> Option<Marker> {
        let number = self.marks_given.fetch_add(1, Ordering::Relaxed);
        (number < 8).then_some(Marker(u64::from(number)))
    }

    fn record(&self, marker: Marker, queue: QueueId) -> bool {
        let (mark, began) = (self.mark(marker), self.began);
        let note = move || mark.store(began.elapsed().as_nanos() as u64, Ordering::Release);
        mark.store(0, Ordering::Release);
        if self.fault == Fault::MarksEarly {
            note();
        } else {
            self.put(queue, note);
        }
        true
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let at = |marker| self.mark(marker).load(Ordering::Acquire);
        match (at(begin), at(end)) {
            (0, _) | (_, 0) => Elapsed::Pending,
            (begin, end) => Elapsed::Ns(end.saturating_sub(begin)),
        }
    }
}

fn failures(fault: Fault) -> Vec<&'static str> {
    let simulated = Simulated::new(fault);
    let report = run(&simulated, &simulated);
    println!("{fault:?}\n{report}");
    assert_eq!(report.skipped().count(), 0);
    report.failures().collect()
}

#[test]
fn a_gate_that_does_everything_right_passes() {
    assert_eq!(failures(Fault::None), [""; 0]);
}

#[test]
fn each_fault_is_found_by_the_check_that_is_named_for_it() {
    let cases = [
        (Fault::ComparesUnsigned, "words compare across the wrap"),
        (
            Fault::DoesNotWait,
            "a queue waits until the word is reached",
        ),
        (Fault::WritesEarly, "a write lands after the work before it"),
        (Fault::BlocksTheCaller, "no call waits for the device"),
        (Fault::MarksEarly, "markers measure the work between them"),
        (Fault::OneQueue, "a queue that waits holds up no other"),
    ];
    for (fault, check) in cases {
        let found = failures(fault);
        assert!(found.contains(&check), "{fault:?}: {found:?}");
    }
}

/// A vendor that has neither waits nor markers.
struct Bare(Simulated);

impl StreamGate for Bare {
    fn wait(&self, _: QueueId, _: &AtomicU32, _: u32) -> bool {
        false
    }

    fn write(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        self.0.write(queue, word, value)
    }

    fn marker(&self) -> Option<Marker> {
        None
    }

    fn record(&self, _: Marker, _: QueueId) -> bool {
        false
    }

    fn elapsed(&self, _: Marker, _: Marker) -> Elapsed {
        Elapsed::Lost
    }
}

#[test]
fn what_a_vendor_does_not_have_is_skipped_and_said() {
    let bare = Bare(Simulated::new(Fault::None));
    let report = run(&bare, &bare.0);
    assert!(report.passed(), "{report}");
    assert_eq!(report.skipped().count(), 2, "{report}");
}
