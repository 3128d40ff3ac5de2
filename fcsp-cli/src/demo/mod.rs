//! `fcsp demo`: three tenants with real programs under the real preload library, watched and
//! measured.
//!
//! What a tenant received is computed from the work that its own program reports, never from the
//! accounting of FCSP, which could not find its own mistakes.
//!
//! [`stage`] is where it plays (device, run directory, programs), [`program`] one running program,
//! [`play`] the course of events, [`cast`] the three tenants, [`view`] what is seen meanwhile,
//! [`judge`] what it comes to, [`measure`] the arithmetic, [`report`] what is said at the end.

mod cast;
mod judge;
mod measure;
mod play;
mod program;
mod report;
mod stage;
mod view;

use crate::exit::Outcome;
use crate::install::Install;
use crate::run::Simulated;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::PathBuf;

/// Run three tenants for some seconds and show what each was entitled to and received
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Three tenants at 25, 35 and 40 % run together. One asks for more memory than its quota and is
refused; one is killed with -9, and its share and memory come back to the others; one is alone at
the end and has the whole device.

Examples:
  fcsp demo                                  on the GPU here, or a simulated one if there is none
  fcsp demo --simulated --seconds 30
  fcsp demo --simulated=amd
  fcsp demo --json result.json

A simulated device shows that the machinery works. It says nothing about real hardware.")]
pub struct Args {
    /// How long the tenants run, all phases together; at least 8
    #[arg(long, default_value_t = 16.0, value_parser = parse_seconds)]
    seconds: f64,
    /// Also write the result to this file
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Use a simulated device even if there is a GPU
    #[arg(long, value_name = "VENDOR", num_args = 0..=1, require_equals = true,
          default_missing_value = "nvidia")]
    simulated: Option<Simulated>,
}

fn parse_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (8.0..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("the demo takes from 8 to 3600 seconds".to_owned()),
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let install = Install::find()?;
    let stage = stage::Stage::set(&install, args.simulated)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "{}", stage.announcement())?;
    let played = play::play(&stage, args.seconds)?;
    let report = report::Report::new(&stage.calibration.device, played);
    if let Some(path) = &args.json {
        let json = serde_json::to_string_pretty(&report)? + "\n";
        std::fs::write(path, json)
            .with_context(|| format!("cannot write the result to {}", path.display()))?;
    }
    stdout.write_all(report.text().as_bytes())?;
    Ok(Outcome::Good)
}
