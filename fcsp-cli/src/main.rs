//! The `fcsp` command: run programs as tenants of a device, see and change what they get.
//!
//! Every subcommand is a file of its own with its arguments and a `run`. They read the region that
//! the programs share, or write limits into it; they are never between a program and its device.
//! `fcsp run` becomes the program it starts, so nothing of it stays behind.

mod bench;
mod completions;
mod demo;
mod doctor;
mod exit;
mod hooks;
mod install;
mod level_zero;
mod mps;
mod policy;
mod regions;
mod run;
mod set;
mod status;
mod table;
mod trace;
mod vendor;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Share a GPU: memory quotas and compute shares for programs that know nothing of it.
#[derive(Debug, Parser)]
#[command(name = "fcsp", version, propagate_version = true, after_help = AFTER_HELP)]
struct Cli {
    /// Say more on stderr; twice for everything
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    #[command(subcommand)]
    command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  fcsp doctor                                   what is here, and what is missing
  fcsp demo                                     three tenants, measured, on a GPU or a simulated one
  fcsp bench --quick                            how FCSP compares with the GPU alone, in figures
  fcsp run --tenant a --compute 25% --memory 8GiB -- python train.py
  fcsp status --watch                           who gets what
  fcsp trace --events turns                     whose turn it is, and for how long
  fcsp mps start                                programs run together from now on (NVIDIA)
  fcsp set a --compute 60%                      while it runs

Exit codes:
  0    it worked
  1    it did not, or a check found something wrong; stderr says what
  2    the command line is wrong
  126  fcsp run: the program cannot be executed
  127  fcsp run: the program was not found
Otherwise fcsp run ends as the program it runs does.";

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Status(status::Args),
    Trace(trace::Args),
    Set(set::Args),
    Policy(policy::Args),
    Mps(mps::Args),
    Doctor(doctor::Args),
    Demo(demo::Args),
    Bench(bench::Args),
    Hooks(hooks::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    log_to_stderr(cli.verbose);
    let result = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Status(args) => status::run(&args),
        Command::Trace(args) => trace::run(&args),
        Command::Set(args) => set::run(&args),
        Command::Policy(args) => policy::run(&args),
        Command::Mps(args) => mps::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Hooks(args) => hooks::run(&args),
        Command::Completions(args) => completions::run(&args),
    };
    exit::code(result)
}

/// `-v` shows what is done, `-vv` everything; without it only warnings. `RUST_LOG` goes first.
fn log_to_stderr(verbose: u8) {
    let level = ["warn", "info", "debug", "trace"][usize::from(verbose.min(3))];
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(level));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .with_target(false)
        .init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }
}
