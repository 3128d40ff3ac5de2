//! Under the real library on a machine without a device every answer is the library's own, and its calls of its own
//! public functions, which arrive at our wrappers, end.
//!
//! Skipped where the library is not installed (Debian: `libamdhip64-5`, or a later one).

#[path = "../../built.rs"]
mod build;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The real library of the newest version installed.
fn real_library() -> Option<PathBuf> {
    ["7", "6", "5"].iter().find_map(|version| {
        let name = format!("libamdhip64.so.{version}");
        let output = Command::new("cc")
            .arg(format!("-print-file-name={name}"))
            .output()
            .expect("a C compiler named cc");
        let path = PathBuf::from(String::from_utf8(output.stdout).expect("a path").trim());
        path.is_absolute().then_some(path)
    })
}

fn run(client: &Path, preload: Option<&Path>, run_dir: &Path) -> Output {
    let mut program = Command::new(client);
    program
        .env("FCSP_RUN_DIR", run_dir)
        .env("FCSP_TENANT", "tester");
    if let Some(preload) = preload {
        program.env("LD_PRELOAD", preload);
    }
    program.output().expect("the program starts")
}

#[test]
fn no_answer_changes_where_there_is_no_device() {
    let Some(real) = real_library() else {
        fcsp_skipped::skip("libamdhip64 is not installed (Debian: apt-get install libamdhip64-5)");
        return;
    };
    if Path::new("/dev/kfd").exists() {
        fcsp_skipped::skip("there may be a device here");
        return;
    }
    let library = build::built(&["fcsp-preload-hip"]).join("libfcsp_hip.so");
    let name = format!("fcsp-test-hip-no-device-{}", std::process::id());
    let directory = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&directory).expect("a directory");
    let client = directory.join("client");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/no_device/client.c");
    let compiled = Command::new("cc")
        .args(["-Wall", "-Werror", "-O1", "-o"])
        .args([&client, &source, &real])
        .arg("-ldl")
        .status()
        .expect("a C compiler named cc");
    assert!(compiled.success(), "the program is compiled");

    let run_dir = directory.join("run");
    let plain = run(&client, None, &run_dir);
    let limited = run(&client, Some(&library), &run_dir);
    let attached = run_dir.exists();
    std::fs::remove_dir_all(&directory).expect("our own directory");

    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(plain.status.success(), "{plain:?}");
    assert!(limited.status.success(), "{limited:?}");
    assert_eq!(text(&limited.stdout), text(&plain.stdout));
    assert!(text(&plain.stdout).contains("hipGetDeviceCount(&number): 100"));
    let places = text(&limited.stderr);
    assert_eq!(
        places
            .lines()
            .filter(|it| it.ends_with("libfcsp_hip.so"))
            .count(),
        3,
        "every way of looking finds us, and nothing else is said: {places}"
    );
    assert_eq!(places.lines().count(), 3, "{places}");
    assert!(!attached, "nothing is made for a device that is not there");
}
