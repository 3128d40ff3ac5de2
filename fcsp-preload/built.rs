// Libraries that cargo does not build for a package's tests by itself. Included by the tests of the preload libraries; not
// part of any crate.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Where cargo puts libraries, after building those of `packages` if need be.
pub fn built(packages: &[&str]) -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let exe = std::env::current_exe().expect("own path");
        // <target>/<profile>/deps/<test>
        let profile = exe.ancestors().nth(2).expect("profile directory");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--quiet", "--lib", "--target-dir"]);
        build.arg(profile.parent().expect("target directory"));
        for package in packages {
            build.args(["-p", package]);
        }
        if profile.ends_with("release") {
            build.arg("--release");
        }
        let status = build.status().expect("cargo runs");
        assert!(status.success(), "the libraries do not build");
        profile.to_owned()
    })
}
