//! The driver under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The driver, built if need be.
pub fn driver() -> &'static Path {
    static DRIVER: OnceLock<PathBuf> = OnceLock::new();
    DRIVER.get_or_init(|| {
        let exe = std::env::current_exe().expect("own path");
        // <target>/<profile>/deps/<test>
        let profile = exe.ancestors().nth(2).expect("profile directory");
        let mut build = Command::new(env!("CARGO"));
        let target = profile.parent().expect("target directory");
        build.args([
            "build",
            "--quiet",
            "-p",
            "fcsp-sim-ze",
            "--lib",
            "--target-dir",
        ]);
        build.arg(target);
        if profile.ends_with("release") {
            build.arg("--release");
        }
        assert!(
            build.status().expect("cargo runs").success(),
            "the driver does not build"
        );
        profile.join("libfcsp_sim_ze.so")
    })
}
