//! For tests over the simulated libraries of the install tree.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The install tree that `cargo xtask build` makes, or the one that `FCSP_INSTALL` names.
///
/// # Panics
/// If `library` is not among its simulated libraries (`lib/sim`).
pub fn tree_with(library: &str) -> PathBuf {
    let tree = match std::env::var_os("FCSP_INSTALL") {
        Some(tree) => PathBuf::from(tree),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/fcsp"),
    };
    let library = tree.join("lib/sim").join(library);
    assert!(
        library.exists(),
        "{} is missing: this test needs the install tree; cargo xtask build makes it, and cargo \
         xtask test does so first",
        library.display()
    );
    tree
}

/// Runs `body` in a process of its own that finds `library` and those beside it: where libraries are looked for is
/// settled when a process starts. `name` is the test's own. Blocks until that process has ended.
///
/// # Panics
/// As [`tree_with`], and if `body` does, with what it said.
pub fn with_libraries(library: &str, name: &str, variables: &[(&str, &str)], body: fn()) {
    const INNER: &str = "FCSP_TEST_INNER";
    if std::env::var_os(INNER).is_some() {
        return body();
    }
    let library = tree_with(library).join("lib/sim").join(library);
    let directory = std::env::temp_dir().join(format!("fcsp-{name}-{}", std::process::id()));
    // In memory, where the device can reach what is in it.
    let run_dir = format!("/dev/shm/fcsp-{name}-{}", std::process::id());
    let output = Command::new(std::env::current_exe().expect("this test"))
        .args([name, "--exact", "--nocapture"])
        .env(INNER, "1")
        .env("LD_LIBRARY_PATH", library.parent().expect("in a directory"))
        .env("FCSP_SIM_DIR", &directory)
        .env("FCSP_RUN_DIR", &run_dir)
        .envs(variables.iter().copied())
        .output()
        .expect("this test starts once more");
    // Neither may have been needed.
    let _removed = std::fs::remove_dir_all(&directory);
    let _removed = std::fs::remove_dir_all(&run_dir);
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
