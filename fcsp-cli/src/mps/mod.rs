//! `fcsp mps`: NVIDIA's Multi-Process Service for this node, so that programs run together.
//!
//! An MPS control daemon of our own, with its pipes and logs under the run directory (`place`), driven
//! by NVIDIA's `nvidia-cuda-mps-control` (`control`): never the default directories, which may be
//! somebody else's, and no setting of a GPU is changed. `fcsp run` makes programs its clients (`join`);
//! `fcsp status` asks it for its servers. A simulated device has no daemon: there a mark in the
//! run directory stands for one, and everything that is printed says so.

mod control;
mod join;
mod place;
mod start;
mod status;
mod stop;

pub use join::join;
pub use place::{Place, State};
pub use status::servers;

use crate::exit::Outcome;
use crate::regions::RunDirArg;
use anyhow::Result;
use std::time::Duration;

/// What everybody who turns MPS on has to know.
pub const SHARED_FATE: &str = "under MPS a fatal fault of one program (an illegal access, an assertion) ends all programs on \
     the device";

/// Run programs together under NVIDIA's MPS: start, stop, look at its daemon
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp mps start                          then start programs with fcsp run
  fcsp mps status --json
  fcsp mps stop                           waits until its programs have ended
  fcsp mps stop --force                   ends its programs

Shared fate: under MPS a fatal fault of one program (an illegal access, an assertion) ends all
programs on the device. Where that must not be, let programs take turns (without MPS), or use MIG.

Programs that are started with fcsp run in the same run directory become clients; others by
CUDA_MPS_PIPE_DIRECTORY. A program that is no client keeps its device to turns while it runs. The
daemon serves one user's programs at a time; another user's wait until they have ended. No setting of the GPU is changed. docs/sharing.md says when to use what.")]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Start the daemon of this run directory, and wait until it answers
    #[command(after_help = "\
Examples:
  fcsp mps start
  fcsp mps start --devices 0,2
  fcsp mps start --simulated

Shared fate: under MPS a fatal fault of one program (an illegal access, an assertion) ends all
programs on the device.")]
    Start {
        /// Devices it serves, by number or identity; programs then see only these [default: all]
        #[arg(long, value_name = "DEVICE", value_delimiter = ',')]
        devices: Vec<String>,
        /// Let the programs of simulated devices run together; no daemon is started
        #[arg(long, conflicts_with = "devices")]
        simulated: bool,
        /// Seconds to wait for the daemon
        #[arg(long, value_name = "SECONDS", default_value = "10", value_parser = seconds)]
        timeout: Duration,
        #[command(flatten)]
        run_dir: RunDirArg,
    },
    /// Stop the daemon: it takes no new programs, and ends when those it serves have ended
    Stop {
        /// End the programs it serves, too
        #[arg(long)]
        force: bool,
        /// Remove its logs, too
        #[arg(long)]
        purge: bool,
        /// Seconds to wait for its end
        #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
        timeout: Duration,
        #[command(flatten)]
        run_dir: RunDirArg,
    },
    /// Say whether it runs, for which devices, and whom it serves
    Status {
        /// One JSON object
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        run_dir: RunDirArg,
    },
}

fn seconds(text: &str) -> Result<Duration, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.1..=3600.0).contains(&seconds) => Ok(Duration::from_secs_f64(seconds)),
        _ => Err("a time is from 0.1 to 3600 seconds".to_owned()),
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let place = |run_dir: &RunDirArg| Place::in_run_dir(&run_dir.path()?);
    match &args.command {
        Command::Start {
            devices,
            simulated,
            timeout,
            run_dir,
        } => {
            let place = place(run_dir)?;
            if *simulated {
                start::simulated(&place, *timeout)
            } else {
                start::daemon(&place, devices, *timeout)
            }
        }
        Command::Stop {
            force,
            purge,
            timeout,
            run_dir,
        } => stop::stop(&place(run_dir)?, *force, *purge, *timeout),
        Command::Status { json, run_dir } => status::show(&place(run_dir)?, *json),
    }
}
