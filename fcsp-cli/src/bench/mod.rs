//! `fcsp bench`: measures sharing systems against the device without any.
//!
//! What is measured and how is in `fcsp-bench`, what is made of it in `fcsp-bench-report`; here are the command line, the
//! progress on a terminal and the files.

mod compare;
mod files;
mod list;
mod measure;
mod only;
mod progress;
mod show;

use crate::exit::Outcome;
use crate::run::Simulated;
use anyhow::{Result, bail};
use fcsp_bench::Vendor;
use std::path::PathBuf;

/// Measure how FCSP and other systems share a GPU, against the GPU without any
#[derive(Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  fcsp bench                                        native and FCSP in all modes, all 56 metrics
  fcsp bench --quick --html report.html
  fcsp bench --only 'OH-*,IS-008' --system fcsp-strict --json result.json
  fcsp bench --peer other=other.toml                another system beside them
  fcsp bench --aa --system native                   how far this machine can be trusted: native against native
  fcsp bench --simulated --quick                    no GPU needed; shows the machinery only
  fcsp bench --simulated=amd --quick                the same with AMD's interface
  fcsp bench list                                   what is measured
  fcsp bench compare before.json after.json
  fcsp bench show before.json --html before.html

The file of a peer says what its tenants are started with:
  preload = \"/usr/lib/libvgpu.so\"
  hard_limit = true        # a lone tenant has no more than its limit
  [environment]
  CUDA_DEVICE_SM_LIMIT = \"{compute_percent}\"
  CUDA_DEVICE_MEMORY_LIMIT = \"{memory_mib}m\"
There are {compute_percent}, {memory_bytes}, {memory_mib}, {tenant} and {directory}.

Ctrl-C ends it early; what was measured by then is shown and written."
)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    measure: measure::Options,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Compare(compare::Args),
    List(list::Args),
    Show(show::Args),
    /// A tenant of a run, which asks it over its pipes
    #[command(hide = true)]
    Worker {
        /// Whose devices
        vendor: Simulated,
    },
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    match &args.command {
        None => measure::run(&args.measure),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::List(args)) => list::run(args),
        Some(Command::Show(args)) => show::run(args),
        Some(Command::Worker { vendor }) => {
            fcsp_bench::serve(of(*vendor))?;
            Ok(Outcome::Good)
        }
    }
}

/// The vendor, as the benchmark has it.
fn of(vendor: Simulated) -> Vendor {
    match vendor {
        Simulated::Nvidia => Vendor::Nvidia,
        Simulated::Amd => Vendor::Amd,
        Simulated::Intel => Vendor::Intel,
    }
}

/// `NAME=FILE`.
#[derive(Clone, Debug)]
struct PeerArg {
    name: String,
    file: PathBuf,
}

fn parse_peer(text: &str) -> Result<PeerArg> {
    let good = |name: &str| {
        !name.is_empty()
            && name
                .chars()
                .all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    match text.split_once('=') {
        Some((name, file)) if good(name) && !file.is_empty() => Ok(PeerArg {
            name: name.to_owned(),
            file: file.into(),
        }),
        _ => bail!("it is NAME=FILE, where the name is made of letters, digits, - _ and ."),
    }
}
