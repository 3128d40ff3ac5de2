//! `cargo xtask test`: everything that can be tested without a device.
//!
//! First the install tree, because the tests of whole programs use it as a user would. Then the loom models, which need
//! a build of their own: under `--cfg loom` every atomic of the core is loom's. Then the core's tests, with the points
//! compiled in at which they kill it; last the rest of the workspace, so that the output ends with theirs.

use anyhow::Result;

use crate::{build, workspace};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed to `cargo test` of the workspace, for example a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
    /// Leave out the loom models.
    #[arg(long)]
    no_loom: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    build::run(&build::Args::default())?;
    if !args.no_loom {
        loom_models()?;
    }
    // The kill points are compiled in for the core's own tests only.
    workspace::run(
        workspace::cargo()
            .args(["test", "--package", "fcsp-core", "--features", "failpoints"])
            .args(&args.rest),
    )?;
    workspace::run(
        workspace::cargo()
            .args(["test", "--workspace", "--exclude", "fcsp-core"])
            .args(&args.rest),
    )
}

fn loom_models() -> Result<()> {
    let mut flags = std::env::var("RUSTFLAGS").unwrap_or_default();
    flags.push_str(" --cfg loom");
    let target = workspace::target_directory()?.join("loom");
    workspace::run(
        workspace::cargo()
            .args([
                "test",
                "--package",
                "fcsp-core",
                "--release",
                "--lib",
                "--target-dir",
            ])
            .arg(&target)
            .arg("loom_")
            .env("RUSTFLAGS", flags.trim()),
    )
}
