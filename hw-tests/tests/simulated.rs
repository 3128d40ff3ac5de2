//! The measuring suites on the simulated device: that the whole of FCSP works together, from the
//! preload library to the arbiter. Simulated, so it says nothing about any vendor's timing.
//!
//! The bounds are far looser than the bars of `fcsp-hw`, because these tests run on whatever machine
//! builds FCSP, beside whatever it builds; what they forbid is still impossible without limits that
//! hold. What a busy machine spoils is measured again, four times at most.

use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

const TRIES: u32 = 5;

/// One test at a time: each keeps the device's processors busy.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An install tree of what cargo built, built if need be: it does not build the libraries of other
/// packages for a test.
fn install() -> &'static Path {
    static TREE: OnceLock<TempDir> = OnceLock::new();
    let tree = TREE.get_or_init(|| {
        let harness = PathBuf::from(env!("CARGO_BIN_EXE_fcsp-hw"));
        let profile = harness.parent().expect("a profile directory");
        let build = |what: &[&str]| {
            let mut build = Command::new(env!("CARGO"));
            build.args(["build", "--quiet", "--target-dir"]);
            build.arg(profile.parent().expect("a target directory"));
            build.args(what);
            if profile.ends_with("release") {
                build.arg("--release");
            }
            let status = build.status().expect("cargo runs");
            assert!(status.success(), "{what:?} does not build");
        };
        build(&[
            "--lib",
            "-p",
            "fcsp-preload-cuda",
            "-p",
            "fcsp-sim-cuda",
            "-p",
            "fcsp-sim-nvml",
        ]);
        build(&["--bin", "fcsp", "-p", "fcsp-cli"]);
        let tree = tempfile::tempdir().expect("a temporary directory");
        let files = [
            (
                PathBuf::from(env!("CARGO_BIN_EXE_fcsp-load")),
                "bin/fcsp-load",
            ),
            (profile.join("fcsp"), "bin/fcsp"),
            (profile.join("libfcsp_cuda.so"), "lib/libfcsp-cuda.so"),
            (profile.join("libfcsp_sim_cuda.so"), "lib/sim/libcuda.so.1"),
            (
                profile.join("libfcsp_sim_nvml.so"),
                "lib/sim/libnvidia-ml.so.1",
            ),
        ];
        for (built, installed) in files {
            let installed = tree.path().join(installed);
            let folder = installed.parent().expect("a folder");
            std::fs::create_dir_all(folder).expect("room for it");
            std::fs::copy(&built, &installed)
                .unwrap_or_else(|error| panic!("{}: {error}", built.display()));
        }
        tree
    });
    tree.path()
}

/// What a suite found.
struct Rows(Vec<Value>);

impl Rows {
    /// The value of the row whose text contains every one of `parts`.
    fn value(&self, parts: &[&str]) -> f64 {
        let row = self.row(parts);
        row["value"]
            .as_f64()
            .unwrap_or_else(|| panic!("no number: {row}"))
    }

    /// Whether the statement whose text contains every one of `parts` holds.
    fn holds(&self, parts: &[&str]) -> bool {
        self.row(parts)["verdict"] == "PASS"
    }

    fn row(&self, parts: &[&str]) -> &Value {
        let text = |row: &Value| row["measure"].as_str().unwrap_or_default().to_owned();
        let fits = |row: &&Value| parts.iter().all(|part| text(row).contains(part));
        let found = self.0.iter().find(fits);
        found.unwrap_or_else(|| panic!("no row of {parts:?} in {:?}", self.0))
    }
}

/// The harness, to run suites briefly and write what they find into `out`.
fn harness(suites: &[&str], out: &Path) -> Command {
    let mut harness = Command::new(env!("CARGO_BIN_EXE_fcsp-hw"));
    harness.args(["run", "--simulated", "--quick", "--only", &suites.join(",")]);
    harness.arg("--install").arg(install());
    harness.arg("--out").arg(out);
    harness
}

/// Runs it to its end.
fn finish(harness: &mut Command) {
    let output = harness.output().expect("the harness starts");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    eprintln!("{said}");
}

/// Runs suites briefly, with variables of the simulated device.
fn run(suites: &[&str], variables: &[(&str, &str)]) -> impl Fn(&str) -> Rows + use<> {
    run_cases(suites, &[], variables)
}

/// The same, with some of their cases only, or all if none is named.
fn run_cases(
    suites: &[&str],
    cases: &[&str],
    variables: &[(&str, &str)],
) -> impl Fn(&str) -> Rows + use<> {
    let out = tempfile::tempdir().expect("a temporary directory");
    let mut harness = harness(suites, out.path());
    for case in cases {
        harness.args(["--case", case]);
    }
    finish(harness.envs(variables.iter().copied()));
    move |suite| {
        let path = out.path().join(format!("{suite}.json"));
        let text = std::fs::read_to_string(&path).expect("the suite wrote its results");
        let file: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(
            file["simulated"], true,
            "results must say that they are simulated"
        );
        Rows(file["rows"].as_array().expect("rows").clone())
    }
}

/// Measures until nothing is amiss, a few times at most.
fn eventually(measure: impl Fn() -> Vec<String>) {
    let mut seen = Vec::new();
    for _ in 0..TRIES {
        let amiss = measure();
        if amiss.is_empty() {
            return;
        }
        seen.push(amiss);
    }
    panic!("{seen:#?}");
}

/// Says what is not within its bounds.
fn check(amiss: &mut Vec<String>, what: &str, value: f64, bounds: std::ops::RangeInclusive<f64>) {
    if !bounds.contains(&value) {
        amiss.push(format!("{what}: {value} is not within {bounds:?}"));
    }
}

fn check_shares(amiss: &mut Vec<String>, shares: &Rows) {
    for mix in ["25/75", "25/35/40", "10/90"] {
        let error = shares.value(&[mix, "share error, mean"]);
        check(amiss, &format!("{mix}: mean share error"), error, 0.0..=3.0);
        let total = shares.value(&[mix, "total"]);
        check(amiss, &format!("{mix}: total"), total, 0.85..=1.1);
    }
}

fn check_strict(amiss: &mut Vec<String>, strict: &Rows) {
    let percent = strict.value(&["mean, of the whole device"]);
    check(amiss, "strict 25 % alone", percent, 21.0..=26.0);
}

fn check_kill(amiss: &mut Vec<String>, kill: &Rows) {
    if !kill.holds(&["the tenant that is killed had its part"]) {
        amiss.push("the tenant that is killed had no part".into());
    }
    let resumed_ms = kill.value(&["the others resume, median"]);
    // Of the 60 ms after most kills, half at most as if it had not been; what other programs of this machine take
    // from the simulated device can fall on any of them.
    check(amiss, "ms until the others resume", resumed_ms, 0.0..=30.0);
}

#[test]
fn a_strict_tenant_gets_its_part_and_the_part_of_a_killed_one_goes_to_the_others() {
    let _alone = alone();
    eventually(|| {
        let rows = run(&["strict", "kill"], &[]);
        let mut amiss = Vec::new();
        check_strict(&mut amiss, &rows("strict"));
        check_kill(&mut amiss, &rows("kill"));
        amiss
    });
}

/// A device that maps no memory of the host cannot make its queues wait: threads wait, and look
/// themselves when work is done.
#[test]
fn shares_hold_where_threads_wait_in_place_of_queues() {
    let _alone = alone();
    eventually(|| {
        let rows = run(&["shares"], &[("FCSP_SIM_NO_PIN", "1")]);
        let mut amiss = Vec::new();
        check_shares(&mut amiss, &rows("shares"));
        amiss
    });
}

/// Of each group that runs together under FCSP, and of no other: the suite has a native one as well.
#[test]
fn what_the_scheduler_decides_is_recorded_for_whoever_asks() {
    let _alone = alone();
    let out = tempfile::tempdir().expect("a temporary directory");
    finish(harness(&["kill"], out.path()).arg("--trace"));
    let folder = std::fs::read_dir(out.path().join("traces")).expect("traces");
    let paths = folder.map(|entry| entry.expect("readable").path());
    let [trace]: [PathBuf; 1] = paths.collect::<Vec<_>>().try_into().expect("one group");
    let text = std::fs::read_to_string(&trace).expect("readable");
    let events = text.lines().map(|line| -> Value {
        serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
    });
    let turns = events.filter(|event| event["event"] == "turn_began");
    let whose = turns.map(|event| event["tenant"].to_string());
    let whose: std::collections::BTreeSet<String> = whose.collect();
    assert!(whose.len() >= 2, "{}: turns of {whose:?}", trace.display());
}

/// Ctrl-C in a run of minutes: what was measured by then is reported, and what was not says so.
#[test]
fn an_interrupted_run_reports_what_it_has() {
    let _alone = alone();
    let out = tempfile::tempdir().expect("a temporary directory");
    let mut run = harness(&["soak", "frameworks"], out.path());
    let mut run = run
        .args(["--seconds", "600"])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the harness starts");
    let said = BufReader::new(run.stderr.take().expect("piped"));
    let mut lines = said.lines().map(|line| line.expect("readable"));
    assert!(lines.any(|line| line.starts_with("soak:")), "it begins");
    std::thread::sleep(Duration::from_secs(6));
    let pid = i32::try_from(run.id()).expect("a process id");
    // SAFETY: signals a child that was not waited for.
    assert_eq!(unsafe { libc::kill(pid, libc::SIGINT) }, 0);
    let rest: Vec<String> = lines.collect();
    assert!(run.wait().expect("it ends").success(), "{rest:#?}");
    let summary = std::fs::read_to_string(out.path().join("summary.md")).expect("a summary");
    let rows = |suite: &str| -> Vec<&str> {
        let begins = format!("| {suite} | ");
        let lines = summary.lines();
        lines.filter(|line| line.starts_with(&begins)).collect()
    };
    assert!(rows("soak").len() >= 2, "{summary}");
    let [frameworks]: [&str; 1] = rows("frameworks").try_into().expect("one row");
    assert!(frameworks.contains("interrupted"), "{frameworks}");
}

#[test]
fn limits_change_under_running_programs_and_programs_that_end_leave_nothing() {
    let _alone = alone();
    eventually(|| {
        let rows = run(&["limits", "restarts"], &[]);
        let (limits, restarts) = (rows("limits"), rows("restarts"));
        assert!(limits.holds(&["a quota set below use refuses new allocations"]));
        assert!(limits.holds(&["raised again, it grants again"]));
        assert!(restarts.holds(&["what is left of them"]));
        let mut amiss = Vec::new();
        for how in ["fcsp set", "an edited policy file"] {
            let points = limits.value(&[how, "off in the last 200 ms"]);
            let what = format!("points off what {how} said");
            check(&mut amiss, &what, points, 0.0..=12.0);
        }
        let speed = limits.value(&["its speed, of before"]);
        check(&mut amiss, "speed under a lowered quota", speed, 0.5..=2.0);
        amiss
    });
}

/// What is measured past FCSP is not what is measured through it, and without FCSP both are one.
#[test]
fn launches_past_the_library_lead_to_the_driver_itself() {
    let _alone = alone();
    let preload = install().join("lib/libfcsp-cuda.so");
    for (library, elsewhere) in [(Some(preload), true), (None, false)] {
        let meeting = tempfile::tempdir().expect("a temporary directory");
        let mut load = Command::new(install().join("bin/fcsp-load"));
        load.args(["overhead", "--what", "launch-past,launch"]);
        load.args(["--samples", "100", "--sample-ms", "0"]);
        load.env("LD_LIBRARY_PATH", install().join("lib/sim"));
        load.env("FCSP_RUN_DIR", meeting.path());
        load.envs(library.map(|library| ("LD_PRELOAD", library)));
        let output = load.output().expect("it starts");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        let lines = output.stdout.split(|byte| *byte == b'\n');
        let mut records = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let summary = records.find(|it| it["record"] == "summary");
        let outcome = summary.expect("a summary")["outcome"].take();
        assert_eq!(outcome["launches_elsewhere"], elsewhere, "{outcome}");
    }
}

/// How much each gets is a matter of the machine's time; that it runs, under MPS, is not.
#[test]
fn a_pair_runs_under_mps_with_fcsp_and_without() {
    let _alone = alone();
    let together = run_cases(&["together"], &["25-75"], &[])("together");
    assert!(together.holds(&["25/75", "fcsp status says that programs run together"]));
    for measure in ["the least of an entitlement", "total, of plain MPS's"] {
        let value = together.value(&["25/75", measure]);
        assert!(value > 0.0, "{measure}: {value}");
    }
}

/// The way of every framework case, with the one whose framework is Python's own `ctypes`.
#[test]
fn a_python_program_that_calls_the_driver_gives_the_same_and_keeps_its_quota() {
    let _alone = alone();
    // Where Python finds modules is the user's to say, for both programs alike.
    let modules = tempfile::tempdir().expect("a temporary directory");
    let note = "import os\nside = 'fcsp' if 'FCSP_TENANT' in os.environ else 'native'\n\
                open(os.path.join(os.path.dirname(__file__), side), 'w').close()\n";
    std::fs::write(modules.path().join("sitecustomize.py"), note).expect("room for it");
    let path = modules.path().to_str().expect("UTF-8");
    let rows = run(&["frameworks"], &[("PYTHONPATH", path)])("frameworks");
    if Command::new("python3").arg("--version").output().is_err() {
        // Not a pass of anything, and told as such.
        assert_eq!(rows.row(&["ctypes"])["verdict"], "SKIPPED");
        return;
    }
    for promise in [
        "same result as native",
        "same result beside a saturating tenant",
        "the total it sees is the quota",
        "gives its own out-of-memory error, and it goes on",
        "seen from outside it stays within the quota",
    ] {
        assert!(rows.holds(&["ctypes", promise]), "{promise}");
    }
    assert_eq!(rows.row(&["PyTorch eager"])["verdict"], "SKIPPED");
    for side in ["native", "fcsp"] {
        let imported = modules.path().join(side).exists();
        assert!(imported, "PYTHONPATH did not reach the {side} program");
    }
}

#[test]
#[ignore = "takes more than a minute"]
fn everything_is_in_order_after_kills_and_changes_of_every_limit() {
    let _alone = alone();
    eventually(|| {
        let soak = run(&["soak"], &[])("soak");
        assert!(soak.holds(&["what is left"]));
        assert!(soak.holds(&["everybody made progress"]));
        let mut amiss = Vec::new();
        let error = soak.value(&["share error then"]);
        check(&mut amiss, "share error after a soak", error, 0.0..=4.0);
        amiss
    });
}

#[test]
#[ignore = "takes more than a minute"]
fn every_limit_holds() {
    let _alone = alone();
    eventually(|| {
        let rows = run(
            &["shares", "streams", "graphs", "strict", "quota", "kill"],
            &[],
        );
        let mut amiss = Vec::new();
        check_shares(&mut amiss, &rows("shares"));
        for suite in ["streams", "graphs"] {
            let rows = rows(suite);
            let error = rows.value(&["share error, mean"]);
            check(
                &mut amiss,
                &format!("{suite}: mean share error"),
                error,
                0.0..=3.0,
            );
            let total = rows.value(&["total"]);
            check(&mut amiss, &format!("{suite}: total"), total, 0.85..=1.1);
        }
        check_strict(&mut amiss, &rows("strict"));
        check_kill(&mut amiss, &rows("kill"));
        let quota = rows("quota");
        assert_eq!(
            quota.value(&["bytes over the quota, by the tenants' own"]),
            0.0
        );
        assert!(quota.holds(&["the race reached the quota"]));
        for family in [
            "malloc",
            "pitch",
            "managed",
            "async",
            "from-pool",
            "create",
            "map",
            "array",
            "mipmap",
            "graph",
        ] {
            let measure = format!("{family} alone: bytes over the quota by NVML");
            assert_eq!(quota.value(&[&measure]), 0.0, "{family}");
        }
        for family in ["malloc", "async", "create"] {
            assert!(quota.holds(&[family, "refused at the quota, goes on after"]));
        }
        amiss
    });
}
