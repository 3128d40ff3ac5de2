//! `cargo xtask bench`: the benchmarks that need no device.
//!
//! What a device does is measured by `cargo xtask hw`; here is only our own code on this machine.

use anyhow::Result;

use crate::workspace;

/// Arguments of `cargo xtask bench`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed to the benchmarks, for example a filter.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Packages with benchmarks.
const PACKAGES: &[&str] = &["fcsp-core", "fcsp-preload-example"];

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    let mut cargo = workspace::cargo();
    cargo.args(["bench", "--benches"]);
    for package in PACKAGES {
        cargo.args(["--package", package]);
    }
    if !args.rest.is_empty() {
        cargo.arg("--").args(&args.rest);
    }
    workspace::run(&mut cargo)
}
