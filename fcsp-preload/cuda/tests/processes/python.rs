//! Python, whose `multiprocessing` starts programs in three ways. Skipped, loudly, where there is no `python3`.

use std::path::Path;
use std::process::Command;

use crate::{QUOTA, is_left_clean, seen, stage};

/// Runs the script with a way of starting; what it prints.
fn run(here: &str, way: &str) -> Option<String> {
    if !Command::new("python3")
        .arg("-V")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        eprintln!("SKIPPED: {here} needs python3, which is not here");
        return None;
    }
    let stage = stage(here);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/processes/workers.py");
    let mut program = stage.program("python3");
    program
        .arg(script)
        .arg(way)
        .envs([QUOTA])
        .env("FCSP_SIM_MEMORY_BYTES", "17179869184");
    let printed = seen(&mut program);
    is_left_clean(&stage);
    Some(printed)
}

/// Each worker alone has the quota; none gets more.
const EACH: &str = "worker: granted=0 over=2 total=1024\n";

#[test]
fn workers_of_a_fork_server_are_limited() {
    if let Some(printed) = run(crate::here!(), "forkserver") {
        assert_eq!(printed, EACH.repeat(3));
    }
}

#[test]
fn spawned_workers_are_limited() {
    if let Some(printed) = run(crate::here!(), "spawn") {
        assert_eq!(printed, EACH.repeat(3));
    }
}

#[test]
fn forked_workers_are_limited() {
    if let Some(printed) = run(crate::here!(), "fork") {
        assert_eq!(printed, EACH.repeat(3));
    }
}
