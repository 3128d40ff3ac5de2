//! The program, over the simulated libraries of the install tree.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
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

/// Of both vendors, as `LD_LIBRARY_PATH` wants it.
fn simulated_libraries() -> OsString {
    let tree = match std::env::var_os("FCSP_INSTALL") {
        Some(tree) => PathBuf::from(tree),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fcsp"),
    };
    let libraries = [tree.join("lib/sim"), tree.join("lib/sim/amd")];
    for (directory, driver) in libraries.iter().zip(["libcuda.so.1", "libamdhip64.so.6"]) {
        assert!(
            directory.join(driver).exists(),
            "{} has no simulated driver: cargo xtask build makes it",
            directory.display()
        );
    }
    std::env::join_paths(libraries).expect("no colon in the path")
}

#[test]
fn both_suites_are_printed_and_said_to_be_simulated() {
    let output = conformance("run");
    let text = String::from_utf8_lossy(&output.stdout);
    println!("{text}");
    assert_eq!(output.status.code(), Some(0));
    let headings: Vec<_> = text.lines().filter(|line| !line.starts_with(' ')).collect();
    assert!(headings.iter().all(|line| line.contains("(simulated)")));
    for suite in [
        "nvidia: backend",
        "nvidia: gate: ",
        "amd: backend",
        "amd: gate: ",
    ] {
        assert!(
            headings.iter().any(|line| line.starts_with(suite)),
            "{suite}"
        );
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
