//! What every [`StreamGate`] does, on queues and words that the caller provides.

use crate::report::{Report, ensure};
use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};
use fcsp_core::sync::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long a gate must hold to count as shut.
const SHUT: Duration = Duration::from_millis(20);
/// Time after which something that should have happened will not.
const PATIENCE: Duration = Duration::from_secs(5);
/// Device time of a piece of work.
const WORK_NS: u64 = 20_000_000;
/// No method waits for the device: a slow machine's worst hiccup is less than this.
const CALL: Duration = Duration::from_millis(10);

/// What a vendor's tests must provide. Words live in memory that the device can reach, and are taken
/// by number; queues are fresh and idle.
pub trait Workbench {
    /// A new queue.
    fn queue(&self) -> QueueId;
    /// A word that device and processor share, 0 at first, another with each call.
    fn word(&self) -> &AtomicU32;
    /// Puts about `ns` of work into `queue`.
    fn work(&self, queue: QueueId, ns: u64);
}

type Checked = Result<(), String>;

/// Runs every check.
pub fn run(gate: &dyn StreamGate, bench: &dyn Workbench) -> Report {
    let mut report = Report::default();
    let probe = bench.word();
    probe.store(1, Ordering::Release);
    if !gate.wait(bench.queue(), probe, 1) {
        report.skip("queues wait for words", "the vendor refuses waits");
    } else {
        report.add(
            "a queue waits until the word is reached",
            waits(gate, bench),
        );
        report.add(
            "a word that is reached is not waited for",
            passes(gate, bench),
        );
        report.add("words compare across the wrap", wraps(gate, bench));
        report.add("a queue that waits holds up no other", others(gate, bench));
        report.add("no call waits for the device", calls(gate, bench));
    }
    let lands = "a write lands after the work before it";
    match gate.write(bench.queue(), bench.word(), 1) {
        true => report.add(lands, writes(gate, bench)),
        false => report.skip(lands, "the vendor refuses writes"),
    }
    let measures = "markers measure the work between them";
    match (gate.marker(), gate.marker()) {
        (Some(begin), Some(end)) => report.add(measures, marks(gate, bench, begin, end)),
        _ => report.skip(measures, "the vendor has no markers to give"),
    }
    report
}

fn taken(call: &str, accepted: bool) -> Checked {
    ensure(accepted, || format!("{call} was refused"))
}

/// Waits until `word` holds `value`.
fn lands(word: &AtomicU32, value: u32) -> Checked {
    let started = Instant::now();
    while word.load(Ordering::Acquire) != value {
        if started.elapsed() > PATIENCE {
            let holds = word.load(Ordering::Acquire);
            return Err(format!("a word holds {holds} and not {value}"));
        }
        std::thread::sleep(Duration::from_micros(50));
    }
    Ok(())
}

/// A queue that waits for `value` in a word that holds `from`, and then writes 1 to another.
fn gated<'a>(
    gate: &dyn StreamGate,
    bench: &'a dyn Workbench,
    from: u32,
    value: u32,
) -> Result<(&'a AtomicU32, &'a AtomicU32), String> {
    let (queue, word, done) = (bench.queue(), bench.word(), bench.word());
    word.store(from, Ordering::Release);
    taken("wait", gate.wait(queue, word, value))?;
    taken("write", gate.write(queue, done, 1))?;
    Ok((word, done))
}

fn stays_shut(done: &AtomicU32) -> Checked {
    std::thread::sleep(SHUT);
    ensure(done.load(Ordering::Acquire) == 0, || {
        "the queue went on before the word was reached".to_owned()
    })
}

fn waits(gate: &dyn StreamGate, bench: &dyn Workbench) -> Checked {
    let (word, done) = gated(gate, bench, 0, 3)?;
    stays_shut(done)?;
    word.store(2, Ordering::Release);
    stays_shut(done)?;
    word.store(3, Ordering::Release);
    lands(done, 1)
}

fn passes(gate: &dyn StreamGate, bench: &dyn Workbench) -> Checked {
    for (holds, value) in [(3, 3), (7, 3)] {
        let (_, done) = gated(gate, bench, holds, value)?;
        lands(done, 1).map_err(|seen| format!("{holds} does not reach {value}: {seen}"))?;
    }
    Ok(())
}

/// A gate that cannot compare there says so, and the thread waits; what it accepts must come out right.
fn wraps(gate: &dyn StreamGate, bench: &dyn Workbench) -> Checked {
    let refuses = |from: u32, value: u32| {
        let (queue, word) = (bench.queue(), bench.word());
        word.store(from, Ordering::Release);
        // If it does not, nothing holds this queue for long: the word is brought to the value.
        let refused = !gate.wait(queue, word, value);
        word.store(value, Ordering::Release);
        refused
    };
    if refuses(2, u32::MAX - 1) && refuses(u32::MAX - 1, 2) {
        return Ok(());
    }
    let (_, behind) = gated(gate, bench, 2, u32::MAX - 1)?;
    lands(behind, 1).map_err(|seen| format!("2 does not reach {}: {seen}", u32::MAX - 1))?;
    let (word, done) = gated(gate, bench, u32::MAX - 1, 2)?;
    let before_wrap = stays_shut(done);
    word.store(2, Ordering::Release);
    before_wrap.map_err(|_| format!("{} was taken to reach 2", u32::MAX - 1))?;
    lands(done, 1)
}

fn others(gate: &dyn StreamGate, bench: &dyn Workbench) -> Checked {
    let (word, shut) = gated(gate, bench, 0, 1)?;
    let (queue, done) = (bench.queue(), bench.word());
    taken("write", gate.write(queue, done, 1))?;
    let result = lands(done, 1).and_then(|()| stays_shut(shut));
    word.store(1, Ordering::Release);
    result.and_then(|()| lands(shut, 1))
}

fn calls(gate: &dyn StreamGate, bench: &dyn Workbench) -> Checked {
    let (queue, word, done) = (bench.queue(), bench.word(), bench.word());
    let began = Instant::now();
    taken("wait", gate.wait(queue, word, 1))?;
    bench.work(queue, WORK_NS);
    taken("write", gate.write(queue, done, 1))?;
    let took = began.elapsed();
    word.store(1, Ordering::Release);
    lands(done, 1)?;
    ensure(took < CALL, || format!("they took {took:?}"))
}

fn writes(gate: &dyn StreamGate, bench: &dyn Workbench) -> Checked {
    let (queue, done) = (bench.queue(), bench.word());
    let began = Instant::now();
    bench.work(queue, WORK_NS);
    taken("write", gate.write(queue, done, 1))?;
    taken("write", gate.write(queue, done, 2))?;
    lands(done, 2)?;
    let took = began.elapsed();
    ensure(took >= Duration::from_nanos(WORK_NS / 10 * 9), || {
        format!("{WORK_NS} ns of work were done after {took:?}")
    })
}

fn marks(gate: &dyn StreamGate, bench: &dyn Workbench, begin: Marker, end: Marker) -> Checked {
    // Twice, because markers are used again.
    for _ in 0..2 {
        let queue = bench.queue();
        let began = Instant::now();
        taken("record", gate.record(begin, queue))?;
        bench.work(queue, WORK_NS);
        taken("record", gate.record(end, queue))?;
        let early = gate.elapsed(begin, end);
        let told = loop {
            match gate.elapsed(begin, end) {
                Elapsed::Pending if began.elapsed() < PATIENCE => {
                    std::thread::sleep(Duration::from_micros(50));
                }
                told => break told,
            }
        };
        let took_ns = began.elapsed().as_nanos() as u64;
        let Elapsed::Ns(ns) = told else {
            return Err(format!("they tell {told:?} though the work is done"));
        };
        ensure(ns >= WORK_NS / 10 * 9 && ns <= took_ns, || {
            format!("{ns} ns for {WORK_NS} ns of work that took {took_ns} ns")
        })?;
        ensure(early == Elapsed::Pending, || {
            format!("they told {early:?} before the work was done")
        })?;
    }
    Ok(())
}
