//! What goes wrong: on the command line, in a peer, with the device, by Ctrl-C.

use super::preloads::{CRASHES, HANGS, STRAYS, compile};
use super::{alone, bench, left_of, metric, peer, reason, report};
use crate::demo::installed;
use crate::node::{stderr, stdout};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

#[test]
fn a_bad_selection_names_what_may_be_meant() {
    let output = bench(&["--only", "OH-001,IS-08"])
        .output()
        .expect("it starts");
    assert_eq!(output.status.code(), Some(2));
    let said = stderr(&output);
    assert!(said.contains("IS-08") && said.contains("IS-008"), "{said}");
}

#[test]
fn a_peer_whose_file_is_wrong_is_told_before_anything_runs() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let said = |argument: &str| {
        let output = bench(&["--simulated", "--peer", argument])
            .output()
            .expect("it starts");
        assert!(!output.status.success());
        assert!(stdout(&output).is_empty(), "{}", stdout(&output));
        stderr(&output)
    };
    assert!(said("other=/nowhere/peer.toml").contains("/nowhere/peer.toml"));
    let bad = peer(directory.path(), "bad", "preload = [1]\n");
    assert!(said(&bad).contains("TOML parse error at line 1"));
    assert!(said("nofile").contains("NAME=FILE"));
    let output = bench(&["--simulated", "--json", "/nowhere/result.json"])
        .output()
        .expect("it starts");
    assert!(stderr(&output).contains("/nowhere/result.json cannot be written"));
}

#[test]
fn a_run_writes_every_form_and_can_be_shown_and_compared() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = |name: &str| directory.path().join(name).display().to_string();
    let (html, csv) = (path("result.html"), path("result.csv"));
    let (output, report) = report(
        directory.path(),
        &[
            "--system",
            "fcsp-balanced",
            "--only",
            "OH-001,OH-005,IS-001,CACHE-001,NCCL-001",
            "--html",
            &html,
            "--csv",
            &csv,
        ],
    );
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(stdout(&output).contains("SIMULATED"), "{}", stdout(&output));
    assert_eq!(report["simulated"], true);
    assert_eq!(metric(&report, "fcsp-balanced", "OH-001")["success"], true);
    assert_eq!(
        reason(&report, "native", "NCCL-001"),
        ("not_run", "needs 2 GPUs")
    );
    assert_eq!(metric(&report, "native", "CACHE-001")["success"], true);
    assert!(stdout(&output).contains("Goals of FCSP"));
    assert!(
        std::fs::read_to_string(&html)
            .expect("written")
            .contains("OH-001")
    );
    assert!(
        std::fs::read_to_string(&csv)
            .expect("written")
            .contains("fcsp-balanced")
    );

    let json = path("result.json");
    let again = bench(&["show", &json]).output().expect("it starts");
    assert!(again.status.success() && stdout(&again).contains("Kernel Launch Latency"));
    let same = bench(&["compare", &json, &json])
        .output()
        .expect("it starts");
    assert!(same.status.success(), "nothing moved: {}", stdout(&same));
}

#[test]
fn a_peer_that_crashes_costs_its_own_metrics_only() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = compile(directory.path(), "crashes", CRASHES);
    let crashes = peer(
        directory.path(),
        "crashes",
        &format!("preload = {:?}\n", library.display().to_string()),
    );
    let (output, report) = report(
        directory.path(),
        &[
            "--system",
            "native",
            "--peer",
            &crashes,
            "--only",
            "OH-001,OH-002",
        ],
    );
    assert!(!output.status.success());
    assert_eq!(metric(&report, "native", "OH-002")["success"], true);
    assert_eq!(metric(&report, "crashes", "OH-001")["success"], true);
    let (state, why) = reason(&report, "crashes", "OH-002");
    assert_eq!(state, "failed");
    assert!(why.contains("ended by signal 6"), "{why}");
}

#[test]
fn a_peer_that_hangs_is_killed_and_given_up() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = compile(directory.path(), "hangs", HANGS);
    let hangs = peer(
        directory.path(),
        "hangs",
        &format!("preload = {:?}\n", library.display().to_string()),
    );
    let began = Instant::now();
    let (_, report) = report(
        directory.path(),
        &[
            "--system",
            "native",
            "--peer",
            &hangs,
            "--patience",
            "1",
            "--only",
            "OH-001,OH-002,OH-003,FRAG-*,LLM-007",
        ],
    );
    assert_eq!(metric(&report, "native", "OH-003")["success"], true);
    let (state, why) = reason(&report, "hangs", "OH-002");
    assert!(
        state == "failed" && why.contains("no answer within"),
        "{why}"
    );
    let (state, why) = reason(&report, "hangs", "LLM-007");
    assert!(state == "failed" && why.contains("given up"), "{why}");
    assert!(
        began.elapsed() < Duration::from_secs(60),
        "{:?}",
        began.elapsed()
    );
}

/// A run in the background; what it says is read until a line contains `until`.
fn begun(arguments: &[&str], json: &Path, until: &str) -> Child {
    let mut child = bench(arguments)
        .arg("--json")
        .arg(json)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("fcsp starts");
    let said = BufReader::new(child.stderr.take().expect("a pipe"));
    let mut lines = said.lines().map_while(Result::ok);
    assert!(
        lines.any(|line| line.contains(until)),
        "it ended without saying {until}"
    );
    // Its pipe must stay open; nobody needs the rest.
    std::thread::spawn(move || lines.count());
    child
}

fn signal(child: &Child, signal: libc::c_int) {
    // SAFETY: no memory is involved; the child is ours and not waited for yet.
    assert_eq!(unsafe { libc::kill(child.id() as libc::pid_t, signal) }, 0);
}

fn nobody_is_left(run: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !left_of(run).is_empty() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(left_of(run), Vec::<std::path::PathBuf>::new());
}

fn written(json: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(json).expect("written")).expect("JSON")
}

#[test]
fn ctrl_c_keeps_what_was_measured_and_leaves_nobody_behind() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("result.json");
    let arguments = [
        "--simulated",
        "--quick",
        "--system",
        "fcsp-strict",
        "--only",
        "OH-001,IS-*",
    ];
    let mut child = begun(&arguments, &json, "OH-001");
    signal(&child, libc::SIGINT);
    let asked = Instant::now();
    let status = child.wait().expect("it ends");
    assert!(
        asked.elapsed() < Duration::from_secs(10),
        "{:?}",
        asked.elapsed()
    );
    assert_eq!(status.code(), Some(1));
    let report = written(&json);
    assert_eq!(report["interrupted"], true);
    assert_eq!(metric(&report, "fcsp-strict", "OH-001")["success"], true);
    assert_eq!(reason(&report, "fcsp-strict", "IS-010").0, "interrupted");
    nobody_is_left(child.id());
    let scratch = format!("/dev/shm/fcsp-bench-{}", child.id());
    assert!(!Path::new(&scratch).exists(), "{scratch} is still there");
}

#[test]
fn what_a_peer_starts_beside_its_tenants_ends_with_the_run() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let library = compile(directory.path(), "strays", STRAYS);
    let strays = peer(
        directory.path(),
        "strays",
        &format!(
            "preload = {:?}\n[environment]\nTENANTS = \"{{directory}}\"\n",
            library.display().to_string()
        ),
    );
    let json = directory.path().join("result.json");
    let mut child = begun(
        &[
            "--simulated",
            "--quick",
            "--system",
            "native",
            "--peer",
            &strays,
            "--only",
            "OH-001",
        ],
        &json,
        "OH-001",
    );
    child.wait().expect("it ends");
    assert_eq!(metric(&written(&json), "strays", "OH-001")["success"], true);
    nobody_is_left(child.id());
}

#[test]
fn a_run_that_is_killed_leaves_no_tenant_behind() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("result.json");
    let arguments = [
        "--simulated",
        "--quick",
        "--system",
        "fcsp-strict",
        "--only",
        "OH-001,OH-010,IS-008",
    ];
    let mut child = begun(&arguments, &json, "OH-001");
    assert!(!left_of(child.id()).is_empty(), "there are tenants");
    signal(&child, libc::SIGKILL);
    child.wait().expect("it ends");
    nobody_is_left(child.id());
    // Nobody was left who could have done it.
    std::fs::remove_dir_all(format!("/dev/shm/fcsp-bench-{}", child.id())).expect("clean up");
}

#[test]
fn a_device_that_disappears_ends_the_run_with_what_was_measured() {
    let _alone = alone();
    let directory = tempfile::tempdir().expect("a temporary directory");
    let json = directory.path().join("result.json");
    // A driver of its own, which can be taken away.
    let driver = directory.path().join("driver");
    std::fs::create_dir(&driver).expect("a directory");
    let lib = installed()
        .ancestors()
        .nth(2)
        .expect("a tree")
        .join("lib/sim");
    for name in ["libcuda.so.1", "libnvidia-ml.so.1"] {
        std::fs::copy(lib.join(name), driver.join(name)).expect("copied");
    }
    let mut child = bench(&[
        "--quick",
        "--system",
        "native",
        "--only",
        "OH-001,OH-007,ERR-001,OH-006",
    ])
    .env("LD_LIBRARY_PATH", &driver)
    .env("FCSP_SIM_DIR", directory.path().join("device"))
    .arg("--json")
    .arg(&json)
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .expect("fcsp starts");
    let mut said = BufReader::new(child.stderr.take().expect("a pipe"))
        .lines()
        .map_while(Result::ok);
    assert!(said.any(|line| line.contains("OH-001")), "it ended before");
    std::fs::remove_file(driver.join("libcuda.so.1")).expect("removed");
    let rest: Vec<String> = said.collect();
    assert_eq!(child.wait().expect("it ends").code(), Some(1));
    assert!(
        rest.iter()
            .any(|line| line.contains("cannot be used any more")),
        "{rest:?}"
    );
    let report = written(&json);
    assert_eq!(report["interrupted"], true);
    assert_eq!(metric(&report, "native", "OH-001")["success"], true);
    assert_eq!(reason(&report, "native", "ERR-001").0, "failed");
    let (state, why) = reason(&report, "native", "OH-006");
    assert!(
        state == "not_run" && why.contains("cannot be used any more"),
        "{why}"
    );
}
