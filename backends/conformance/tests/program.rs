//! The program, over the simulated libraries of the install tree.

use fcsp_conformance::simulated::tree_with;
use std::ffi::OsString;
use std::process::{Command, Output};

/// Runs `fcsp-conformance` over the simulated libraries, with a device of its own. The run directory
/// is that, under a directory in memory that is gone afterwards.
fn conformance(run_dir: &str) -> Output {
    let scratch = tempfile::tempdir_in("/dev/shm").expect("a directory in memory");
    Command::new(env!("CARGO_BIN_EXE_fcsp-conformance"))
        .env("LD_LIBRARY_PATH", simulated_libraries())
        .env("FCSP_SIM_DIR", scratch.path().join("device"))
        .env("FCSP_RUN_DIR", scratch.path().join(run_dir))
        .output()
        .expect("the program starts")
}

/// Of all vendors, as `LD_LIBRARY_PATH` wants it.
fn simulated_libraries() -> OsString {
    let drivers = [
        "libcuda.so.1",
        "amd/libamdhip64.so.6",
        "intel/libze_intel_gpu.so.1",
    ];
    let directories = drivers.map(|driver| {
        let path = tree_with(driver).join("lib/sim").join(driver);
        path.parent().expect("in a directory").to_owned()
    });
    std::env::join_paths(directories).expect("no colon in the path")
}

#[test]
fn all_suites_are_printed_and_said_to_be_simulated() {
    let output = conformance("run");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(output.status.code(), Some(0));
    let headings = text.lines().filter(|line| !line.starts_with(' '));
    // Intel's loader is the machine's own, and may be missing.
    let skipped = |line: &str| line.starts_with("intel: skipped: ");
    let headings: Vec<_> = headings.filter(|line| !skipped(line)).collect();
    let vendors: &[&str] = match text.lines().any(skipped) {
        true => &["nvidia", "amd"],
        false => &["nvidia", "amd", "intel"],
    };
    assert!(headings.iter().all(|line| line.contains("(simulated)")));
    for vendor in vendors {
        for suite in ["backend", "gate: "] {
            let suite = format!("{vendor}: {suite}");
            let has = |line: &&str| line.starts_with(&suite);
            assert!(headings.iter().any(has), "{suite}");
        }
    }
    assert!(text.contains("  passed   a queue waits until the word is reached"));
}

#[test]
fn a_run_directory_that_cannot_be_used_is_a_failure() {
    let output = conformance("missing/run");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(output.status.code(), Some(1));
    for vendor in ["nvidia", "amd"] {
        assert!(text.contains(&format!("{vendor}: gate: FAILED: ")));
    }
}
