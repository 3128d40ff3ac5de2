//! Programs that hipcc compiles, which check what they get themselves, run under the library as they run without it: with
//! a quota, and held to a ceiling, so that everything they submit waits for its turn. They are the simulated library's
//! (`backends/sim/libamdhip64/tests/programs`).

use crate::support::{QUOTA_BYTES, Stage, linked};
use std::io::ErrorKind;
use std::path::Path;
use std::process::Command;

/// `-fgpu-default-stream=per-thread` and what the header needs with it.
const PER_THREAD: &[&str] = &[
    "-fgpu-default-stream=per-thread",
    "-DHIP_API_PER_THREAD_DEFAULT_STREAM",
    "-pthread",
];

/// Compiles a program and runs it to its end, which must be a good one.
fn done(here: &str, name: &str, options: &[&str]) {
    let stage = Stage::new(here);
    let program = stage.file(name);
    let source = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../backends/sim/libamdhip64/tests/programs")
        .join(format!("{name}.cpp"));
    let compiled = Command::new("hipcc")
        .args(["--offload-arch=gfx90a", "-O1", "-std=c++17"])
        .args(options)
        .arg("-o")
        .args([&program, &source])
        .output();
    let compiled = match compiled {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            fcsp_skipped::skip("hipcc is not installed (Debian: apt-get install hipcc)");
            return;
        }
        other => other.expect("hipcc starts"),
    };
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    // The version that hipcc is of.
    stage.link(&linked(5), "libamdhip64.so.5");
    let output = stage
        .program(&program)
        .env("BUD_MEMORY_LIMIT", QUOTA_BYTES.to_string())
        .env("BUD_SM_LIMIT", "50")
        .env("BUD_ISOLATION_MODE", "strict")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name}: {}\n{said}", output.status);
    assert_eq!(output.stdout, b"done\n", "{name}");
}

#[test]
fn launches_of_every_kind() {
    done(crate::here!(), "launches", &[]);
}

#[test]
fn default_streams_of_threads() {
    done(crate::here!(), "per_thread", PER_THREAD);
}

#[test]
fn graphs() {
    done(crate::here!(), "graphs", &[]);
}

#[test]
fn memory_of_every_kind() {
    done(crate::here!(), "memory", &[]);
}

#[test]
fn memory_of_another_process() {
    done(crate::here!(), "sharing", &[]);
}
