//! `cargo xtask hw`: builds, then becomes the runner of the hardware suites.
//!
//! The suites need a device. Where there is none they say so and fail; they are never counted as passed.

use anyhow::Result;

use crate::{build, workspace};

/// Arguments of `cargo xtask hw`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed to `fcsp-hw`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    build::run(&build::Args::default())?;
    let mut suites = std::process::Command::new(build::tree().join("bin/fcsp-hw"));
    suites.args(&args.rest);
    workspace::become_program(suites)
}
