//! `cargo xtask demo`: builds, then becomes `fcsp demo`.

use anyhow::Result;

use crate::{build, workspace};

/// Arguments of `cargo xtask demo`.
#[derive(clap::Args)]
pub struct Args {
    /// Passed to `fcsp demo`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

/// Runs the task.
pub fn run(args: &Args) -> Result<()> {
    build::run(&build::Args::default())?;
    let mut fcsp = std::process::Command::new(build::tree().join("bin/fcsp"));
    fcsp.arg("demo").args(&args.rest);
    workspace::become_program(fcsp)
}
