//! `fcsp trace`: on the simulated device of a complete install tree, and where there is nothing to see.

use crate::demo::installed;
use crate::node::{DEVICE, GIB, Node, fcsp_in, stderr, stdout};
use fcsp_core::region::{Attachment, Region};
use fcsp_core::sched::trace::{self, Event, What};
use fcsp_core::sync::Ordering::Relaxed;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

fn refused(output: &Output, why: &str) {
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(output).contains(why), "{}", stderr(output));
}

#[test]
fn where_nothing_can_be_traced_it_says_what_to_do() {
    let empty = tempfile::tempdir().expect("a temporary directory");
    let output = fcsp_in(empty.path(), &["trace"]);
    refused(
        &output,
        "no program has been started there yet; start one with fcsp run",
    );

    let node = Node::new();
    node.tenant("a", 25, GIB);
    let nobody = node.fcsp(&["trace"]);
    refused(&nobody, &format!("no program uses {DEVICE} now"));
    let unknown = node.fcsp(&["trace", "--device", "GPU-9"]);
    refused(
        &unknown,
        &format!("there is no device GPU-9; there are {DEVICE}"),
    );
    assert_eq!(
        node.fcsp(&["trace", "--seconds", "0"]).status.code(),
        Some(2)
    );

    std::fs::write(empty.path().join("nvidia-x.region"), "hello").expect("writes");
    let broken = fcsp_in(empty.path(), &["trace"]);
    refused(&broken, "nothing in");
    refused(&broken, "nvidia-x.region");
}

#[test]
fn a_region_of_another_user_is_refused_with_what_to_do() {
    let node = Node::new();
    let all_may_look = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(node.run_dir.path(), all_may_look).expect("changes the mode");
    let mut command = Command::new(env!("CARGO_BIN_EXE_fcsp"));
    command
        .args(["trace", "--run-dir"])
        .arg(node.run_dir.path());
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } == 0 {
        // The region is root's, and root may do everything.
        command.uid(65_534);
    } else {
        let nobody_may = std::fs::Permissions::from_mode(0o000);
        std::fs::set_permissions(node.region.path(), nobody_may).expect("changes the mode");
    }
    let output = command.output().expect("fcsp starts");
    refused(&output, "trace them as the user who runs them or as root");
}

#[test]
fn a_device_that_decides_nothing_has_an_empty_trace() {
    let node = Node::new();
    let attachment = Attachment::join(&node.region, "a", |_| {}).expect("joins");
    let output = node.fcsp(&["trace", "--seconds", "0.05"]);
    assert!(output.status.success(), "{}", stderr(&output));
    assert_eq!(stdout(&output), "");
    assert!(
        stderr(&output).contains("0 hand-overs") && stderr(&output).contains("nothing was decided"),
        "{}",
        stderr(&output)
    );
    attachment.detach().expect("leaves");
}

#[test]
fn events_are_told_with_the_names_of_those_they_concern() {
    let node = Node::new();
    let attachment = Attachment::join(&node.region, "a", |_| {}).expect("joins");
    let slot = attachment.slot_index().0 as usize;
    let layout = node.region.layout();
    let event = |slot, what| Event {
        time_ns: fcsp_core::sched::clock::now_ns(),
        tenant: None,
        slot,
        what,
    };
    let output = std::thread::scope(|scope| {
        let tracer = scope.spawn(|| node.fcsp(&["trace", "--seconds", "0.5", "--json"]));
        let ring = trace::ring(layout);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !ring.is_on(fcsp_core::sched::clock::now_ns()) {
            assert!(Instant::now() < deadline, "nobody traces");
            std::thread::sleep(Duration::from_millis(1));
        }
        let woke = What::Woke {
            rung: true,
            late_ns: None,
        };
        ring.record(event(None, woke).encode());
        let ended = What::TurnEnded { used_ns: 7 };
        ring.record(event(Some(slot), ended).encode());
        tracer.join().expect("runs")
    });
    // Wakes are not among what is shown by default.
    let line: Value = serde_json::from_str(&stdout(&output)).expect("one line of JSON");
    assert_eq!(line["event"], "turn_ended");
    assert_eq!(line["used_ns"], 7);
    assert_eq!(line["device"], DEVICE);
    assert_eq!(
        (&line["tenant"], &line["pid"]),
        (&"a".into(), &std::process::id().into())
    );
    assert_eq!(line["slot"], slot);
    assert!(
        line["at_ns"].as_u64().is_some_and(|it| it < 500_000_000),
        "{line}"
    );
    attachment.detach().expect("leaves");
}

/// A program on the simulated device, killed at the end of the test.
struct Load(Child);

impl Load {
    /// One that never waits.
    fn saturating(run_dir: &Path, tenant: &str, compute: &str) -> Self {
        Self::start(run_dir, tenant, compute, &["saturate"])
    }

    fn start(run_dir: &Path, tenant: &str, compute: &str, mode: &[&str]) -> Self {
        let fcsp = installed();
        let load = fcsp.with_file_name("fcsp-load");
        let mut command = Command::new(&fcsp);
        command
            .args([
                "run",
                "--simulated",
                "--tenant",
                tenant,
                "--compute",
                compute,
                "--",
            ])
            .arg(load)
            .args(mode)
            .args(["--seconds", "120", "--iters-per-us", "100"])
            .env("FCSP_RUN_DIR", run_dir)
            .stdout(Stdio::null());
        Self(command.spawn().expect("fcsp starts"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        // Fails if it has ended, which is what is wanted.
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// The region of the only device, once more turns than that are handed over on it in 0.2 s.
fn contended(run_dir: &Path, more_than: u64) -> Region {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut regions = fcsp_core::region::list(run_dir).expect("a directory");
        if let Some((_, Ok(region))) = regions.pop() {
            let handoffs = &region.layout().header.arbiter.handoffs;
            let before = handoffs.load(Relaxed);
            std::thread::sleep(Duration::from_millis(200));
            if handoffs.load(Relaxed) > before + more_than {
                return region;
            }
        }
        assert!(Instant::now() < deadline, "nobody takes turns");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// It sleeps while nobody works; that somebody begins to is no reason to replace it, and what it has learnt
/// would be lost.
#[test]
fn an_arbiter_that_slept_keeps_its_place_when_work_comes() {
    let run_dir = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
    let rests = |ms| ["resume", "--rest-ms", ms, "--repetitions", "1000"];
    let _programs = [
        Load::start(run_dir.path(), "a", "50%", &rests("250")),
        Load::start(run_dir.path(), "b", "50%", &rests("330")),
    ];
    contended(run_dir.path(), 0);
    std::thread::sleep(Duration::from_secs(1));
    let arguments = ["trace", "--seconds", "4", "--json", "--events", "all"];
    let output = fcsp_in(run_dir.path(), &arguments);
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = stdout(&output);
    let events = lines.lines().map(serde_json::from_str::<Value>);
    let events: Vec<Value> = events.map(|it| it.expect("JSON")).collect();
    let count = |wanted: &dyn Fn(&Value) -> bool| events.iter().filter(|it| wanted(it)).count();
    let began = count(&|it| it["event"] == "turn_began");
    assert!(began >= 10, "they began again {began} times");
    // On a busy machine it may not come for so long that it is replaced with good reason.
    let elected = count(&|it| it["event"] == "elected");
    println!("simulated: {elected} arbiters replaced in {began} turns");
    assert!(elected <= began / 5, "{elected} arbiters in {began} turns");
}

#[test]
fn turns_and_changed_shares_of_two_tenants_are_told() {
    let run_dir = tempfile::tempdir_in("/dev/shm").expect("a temporary directory");
    let _programs = [("a", "25%"), ("b", "75%")]
        .map(|(tenant, compute)| Load::saturating(run_dir.path(), tenant, compute));
    let region = contended(run_dir.path(), 4);
    let output = std::thread::scope(|scope| {
        let tracer =
            scope.spawn(|| fcsp_in(run_dir.path(), &["trace", "--seconds", "3", "--json"]));
        std::thread::sleep(Duration::from_millis(1500));
        let set = fcsp_in(run_dir.path(), &["set", "a", "--compute", "75%"]);
        assert!(set.status.success(), "{}", stderr(&set));
        tracer.join().expect("runs")
    });
    assert!(output.status.success(), "{}", stderr(&output));
    let recorded = &region.layout().header.trace.reserved;
    let at_the_end = recorded.load(Relaxed);

    let events: Vec<Value> = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    let number = |event: &Value, key: &str| event[key].as_f64().expect("a number");
    let times: Vec<f64> = events.iter().map(|it| number(it, "at_ns")).collect();
    assert!(times.is_sorted());
    let is = |event: &Value, name: &str| event["event"] == name;

    let changed = events
        .iter()
        .find(|it| is(it, "share") && it["tenant"] == "a");
    let changed = changed.expect("the share changed");
    assert_eq!(changed["share_ppm_before"], 250_000);
    assert_eq!(changed["share_ppm"], 500_000, "75 of 75 and 75");

    // Before it, turns are as long as shares are large, and each is followed by the other tenant's.
    let until_ns = number(changed, "at_ns");
    let turns: Vec<&Value> = events
        .iter()
        .filter(|it| is(it, "turn_began") && number(it, "at_ns") < until_ns)
        .collect();
    assert!(turns.len() > 20, "{} turns", turns.len());
    let alternate = turns
        .windows(2)
        .filter(|it| it[0]["tenant"] != it[1]["tenant"]);
    // A program whose thread is kept from its processor may miss its turn.
    assert!(alternate.count() * 10 > turns.len() * 8, "{turns:?}");
    let budget_ns = |tenant: &str| {
        let theirs = turns.iter().filter(|it| it["tenant"] == tenant);
        let (sum, count) = theirs.fold((0.0, 0), |(sum, count), it| {
            (sum + number(it, "budget_ns"), count + 1)
        });
        sum / f64::from(count)
    };
    let part = budget_ns("a") / (budget_ns("a") + budget_ns("b"));
    assert!((part - 0.25).abs() < 0.08, "{part}");

    // What is retired was granted, as far as both were seen.
    let granted: Vec<&Value> = events.iter().filter(|it| is(it, "granted")).collect();
    let retired: Vec<&Value> = events.iter().filter(|it| is(it, "retired")).collect();
    assert!(retired.len() > 100, "{} segments", retired.len());
    for segment in &retired[retired.len() / 2..] {
        let holds = |grant: &&&Value| {
            grant["slot"] == segment["slot"]
                && number(grant, "from") <= number(segment, "number")
                && number(segment, "number") <= number(grant, "to")
        };
        assert!(granted.iter().any(|it| holds(&it)), "{segment}");
    }
    assert!(
        stderr(&output).contains("no event lost"),
        "{}",
        stderr(&output)
    );

    // Turns go on, and nobody records them.
    let handoffs = &region.layout().header.arbiter.handoffs;
    let before = handoffs.load(Relaxed);
    std::thread::sleep(Duration::from_millis(500));
    assert!(handoffs.load(Relaxed) > before);
    assert_eq!(recorded.load(Relaxed), at_the_end);
}
