//! `cargo xtask test`: everything that can be tested without a device.
//!
//! First the install tree, because the tests of whole programs use it as a user would. Then the loom models, which need
//! a build of their own: under `--cfg loom` every atomic of the core is loom's. Then the core's tests, with the points
//! compiled in at which they kill it; last the rest of the workspace. What tests need of the vendors' tools is installed
//! first where that is permitted; which were skipped for want of it stands at the end, by name and reason.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{build, tools, workspace};

/// Arguments of `cargo xtask test`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed to `cargo test` of the workspace, for example a test's name.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
    /// Leave out the loom models.
    #[arg(long)]
    no_loom: bool,
    /// Install nothing: skip the tests that need what is missing.
    #[arg(long)]
    no_install: bool,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    tools::install_missing(args.no_install);
    build::run(&build::Args::default())?;
    if !args.no_loom {
        loom_models()?;
    }
    let skipped = workspace::target_directory()?.join("skipped-tests");
    std::fs::write(&skipped, "").with_context(|| skipped.display().to_string())?;
    let result = tests(args, &skipped);
    report(&skipped)?;
    result
}

fn tests(args: &Args, skipped: &Path) -> Result<()> {
    let cargo_test = |what: &[&str]| -> Command {
        let mut cargo = workspace::cargo();
        cargo.arg("test").args(what).args(&args.rest);
        cargo.env(fcsp_skipped::FILE_VARIABLE, skipped);
        cargo
    };
    // The kill points are compiled in for the core's own tests only.
    workspace::run(&mut cargo_test(&[
        "--package",
        "fcsp-core",
        "--features",
        "failpoints",
    ]))?;
    workspace::run(&mut cargo_test(&["--workspace", "--exclude", "fcsp-core"]))
}

/// Shows what could not run.
fn report(skipped: &Path) -> Result<()> {
    let lines = std::fs::read_to_string(skipped)?;
    let lines: BTreeSet<&str> = lines.lines().collect();
    match lines.len() {
        0 => println!("no test was skipped"),
        count => println!("{count} tests were skipped:"),
    }
    for line in lines {
        println!("  {line}");
    }
    Ok(())
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
