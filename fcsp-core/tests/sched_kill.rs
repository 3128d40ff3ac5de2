//! Processes are killed, and stopped, at every step of grant and hand-over; the others go on, and
//! nothing is lost. The device is a simulated one, the processes are real.
#![cfg(feature = "failpoints")]

mod common;
mod sched_node;

use common::{Helper, open, role, say, soon, within};
use fcsp_core::failpoint;
use fcsp_core::region::{Region, scan};
use fcsp_core::sched::clock::{ms, now_ns, us};
use fcsp_core::sched::producer::AHEAD;
use fcsp_core::sched::trace;
use sched_node::{Device, Member};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// Rings of the device.
const STEADY: usize = 0;
const STEPPING: usize = 1;
const VICTIM: usize = 2;

/// A victim lives that long if nothing kills it.
const VICTIM_LIFE_NS: u64 = ms(350);
/// How long after a death the others are watched.
const WATCHED_NS: u64 = ms(60);
/// What half of the deaths may cost the others at most (the product's promise), and what any may on
/// a busy machine.
const GAP_NS_MEDIAN_MAX: u64 = ms(10);
const GAP_NS_MAX: u64 = ms(60);
/// A stopped arbiter is taken for gone after 25 ms and the next looks soon after; work that its
/// program left unfinished on the device loses its turn after 50 ms.
const STOPPED_GAP_NS_MAX: u64 = ms(25 + 2 + 50 + 40);

#[test]
#[ignore = "run by the other tests in processes of their own"]
fn helper_process() {
    let Some((role, dir)) = role() else { return };
    match role.as_str() {
        "steady" => steady(&dir),
        "stepping" => stepping(&dir),
        "victim" => live(&dir, false),
        "arbiter" => live(&dir, true),
        _ => {}
    }
}

/// Submits as fast as it may, for ever.
fn steady(dir: &Path) {
    let member = Member::join(&open(dir), dir, STEADY, "steady", 25, false);
    say("joined");
    loop {
        member.launch(us(200));
    }
}

/// Submits a little and waits for it, for ever.
fn stepping(dir: &Path) {
    let member = Member::join(&open(dir), dir, STEPPING, "stepping", 25, false);
    say("joined");
    loop {
        for _ in 0..4 {
            member.launch(us(200));
        }
        member.synchronize();
    }
}

/// Does everything a program does.
fn live(dir: &Path, seat: bool) {
    let until = now_ns() + VICTIM_LIFE_NS;
    let member = Member::join(&open(dir), dir, VICTIM, "victim", 50, seat);
    member.attachment().ledger().reserve(1000).expect("fits");
    while now_ns() < until {
        for _ in 0..4 {
            (0..3).for_each(|_| member.launch(us(200)));
            member.synchronize();
        }
        for _ in 0..3 {
            member.launch(us(200));
            // Quiet, with an open segment.
            std::thread::sleep(Duration::from_millis(3));
        }
        // More than it may be ahead: eight of what nobody has measured fill a segment, however long it may be.
        for _ in 0..10 * AHEAD {
            member.launch_expecting(ms(100), us(100));
        }
    }
    member.synchronize();
    member.leave();
}

/// The node: two programs that stay, and the device.
struct Node {
    region: Arc<Region>,
    device: Device,
    _staying: [Helper; 2],
    dir: TempDir,
    /// Deaths are timed, so that no two tests run at once.
    _alone: MutexGuard<'static, ()>,
}

/// What a process was doing when it was killed or stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Program,
    ArbiterToo,
}

impl Part {
    fn role(self) -> &'static str {
        match self {
            Self::Program => "victim",
            Self::ArbiterToo => "arbiter",
        }
    }

    fn points(self) -> Vec<&'static str> {
        let arbiters = [
            "sched.observer.",
            "sched.trace.",
            "sched.apply.",
            "sched.publish.",
        ];
        let mut points = failpoint::all();
        points.retain(|point| {
            point.starts_with("sched.")
                && (self == Self::ArbiterToo || !arbiters.iter().any(|it| point.starts_with(it)))
        });
        points
    }
}

impl Node {
    fn new() -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = tempfile::tempdir().expect("a temporary directory");
        let region = open(dir.path());
        trace::ring(region.layout()).keep_on(u64::MAX);
        let device = Device::start(&region, dir.path());
        let staying = ["steady", "stepping"].map(|role| {
            let mut helper = Helper::spawn(role, dir.path(), &[]);
            helper.hear("joined");
            helper
        });
        let node = Self {
            region,
            device,
            _staying: staying,
            dir,
            _alone: alone,
        };
        // What the first submitted while it was alone must be gone, as much as its queue holds.
        within(Duration::from_secs(5), "both programs run", || {
            let finished = node.device.finished(now_ns() - ms(100), now_ns());
            [STEADY, STEPPING].iter().all(|at| {
                let count = finished.iter().filter(|f| f.0 == *at).count();
                count * 3 > finished.len()
            })
        });
        node
    }

    fn told(&self) -> PathBuf {
        self.dir.path().join("told")
    }

    fn spawn(&self, part: Part, point: &str, action: &str) -> Helper {
        let told = self.told();
        // It may not be there.
        std::fs::remove_file(&told).ok();
        Helper::spawn(
            part.role(),
            self.dir.path(),
            &[
                ("FCSP_FAILPOINT", point),
                ("FCSP_FAILPOINT_ACTION", action),
                ("FCSP_FAILPOINT_TOLD", told.to_str().expect("a plain path")),
            ],
        )
    }

    fn told_ns(&self) -> u64 {
        let told = std::fs::read_to_string(self.told()).expect("the point was met");
        told.parse().expect("a time")
    }

    /// Longest time within which no program that stays finished anything.
    fn gap_ns(&self, from_ns: u64, to_ns: u64) -> u64 {
        if let Some(left) = to_ns.checked_sub(now_ns()) {
            std::thread::sleep(Duration::from_nanos(left));
        }
        let finished = self.device.finished(from_ns, to_ns);
        let times = finished.iter().filter(|f| f.0 != VICTIM).map(|f| f.1);
        let ends: Vec<_> = times.chain([to_ns]).collect();
        let begins = std::iter::once(from_ns).chain(ends.iter().copied());
        let gaps = ends.iter().zip(begins).map(|(end, begin)| end - begin);
        gaps.max().expect("one at least")
    }

    /// Nothing of the victim is left, and both who stay have the device.
    fn assert_whole(&self, context: &str) {
        soon(context, || {
            let victims = scan::live_tenants(self.region.layout())
                .find(|(_, tenant)| tenant.name.is("victim"));
            let bytes = victims.map_or(0, |(_, tenant)| tenant.used.bytes());
            bytes == 0 && scan::slots(self.region.layout()).count() == 2
        });
        let from_ns = self.told_ns();
        let finished = self.device.finished(from_ns, now_ns());
        for at in [STEADY, STEPPING] {
            assert!(
                finished.iter().any(|f| f.0 == at),
                "{context}: the program on ring {at} got nothing"
            );
        }
    }
}

/// Which meetings of a point are tried: a point may be met without end.
const MEETINGS: [u32; 4] = [1, 2, 7, 40];

/// How often a point is tried until it is met for the first time: who gates a newcomer, say, is a matter of who
/// looks first.
const TRIES: u32 = 5;

/// Runs `trial` at every point; gives the points that were met at all, and what the trials gave.
fn at_every_point(
    part: Part,
    meetings: &[u32],
    trial: impl Fn(&str) -> Option<u64>,
) -> (BTreeSet<&'static str>, Vec<u64>) {
    let (mut met, mut gaps) = (BTreeSet::new(), Vec::new());
    for point in part.points() {
        for nth in meetings {
            let tries = if met.contains(point) { 1 } else { TRIES };
            let Some(gap) = (0..tries).find_map(|_| trial(&format!("{point}:{nth}"))) else {
                break;
            };
            met.insert(point);
            if gap > GAP_NS_MEDIAN_MAX {
                println!("{part:?} at {point}:{nth}: {} µs", gap / 1000);
            }
            gaps.push(gap);
        }
    }
    gaps.sort_unstable();
    (met, gaps)
}

fn summary(part: Part, what: &str, gaps: &[u64]) -> u64 {
    let at = |percent: usize| gaps[(gaps.len() - 1) * percent / 100];
    println!(
        "{part:?} {what} {} times: the others stood still for {} µs in the middle, {} µs at p90, {} µs at most",
        gaps.len(),
        at(50) / 1000,
        at(90) / 1000,
        at(100) / 1000,
    );
    at(50)
}

fn kill_everywhere(part: Part) {
    let node = Node::new();
    let (met, gaps) = at_every_point(part, &MEETINGS, |point| {
        let victim = node.spawn(part, point, "kill");
        let was_killed = victim.was_killed();
        node.device.forget(VICTIM);
        if !was_killed {
            return None;
        }
        let context = format!("{part:?}, killed at {point}");
        let died_ns = node.told_ns();
        let gap = node.gap_ns(died_ns, died_ns + WATCHED_NS);
        assert!(gap <= GAP_NS_MAX, "{context}: {gap} ns without progress");
        node.assert_whole(&context);
        Some(gap)
    });
    let all: BTreeSet<_> = part.points().into_iter().collect();
    assert_eq!(met, all, "a point was never met: the victim must do more");
    let median = summary(part, "killed", &gaps);
    assert!(median <= GAP_NS_MEDIAN_MAX, "{median} ns without progress");
}

#[test]
fn a_program_killed_at_any_point_of_a_hand_over_stops_nobody() {
    kill_everywhere(Part::Program);
}

#[test]
fn an_arbiter_killed_at_any_point_stops_nobody() {
    kill_everywhere(Part::ArbiterToo);
}

fn stop_everywhere(part: Part) {
    let node = Node::new();
    let (_, gaps) = at_every_point(part, &[1, 7], |point| {
        let victim = node.spawn(part, point, "stop");
        if !victim.is_stopped() {
            node.device.forget(VICTIM);
            return None;
        }
        let context = format!("{part:?}, stopped at {point}");
        let stopped_ns = node.told_ns();
        let stopped_gap = node.gap_ns(stopped_ns, stopped_ns + ms(150));
        assert!(
            stopped_gap <= STOPPED_GAP_NS_MAX,
            "{context}: {stopped_gap} ns without progress"
        );
        // It goes on where it was, with what it knew then.
        let again_ns = now_ns();
        victim.signal(libc::SIGCONT);
        let again_gap = node.gap_ns(again_ns, again_ns + ms(100));
        assert!(
            again_gap <= STOPPED_GAP_NS_MAX,
            "{context}, then let go: {again_gap} ns without progress"
        );
        assert!(!victim.was_killed(), "{context}");
        node.device.forget(VICTIM);
        node.assert_whole(&context);
        Some(stopped_gap)
    });
    summary(part, "stopped", &gaps);
}

#[test]
fn a_program_stopped_at_any_point_of_a_hand_over_is_passed_by() {
    stop_everywhere(Part::Program);
}

#[test]
fn an_arbiter_stopped_at_any_point_is_replaced_and_does_no_harm_when_it_goes_on() {
    stop_everywhere(Part::ArbiterToo);
}
