//! `fcsp status`: who is on which device, entitled to what, and getting what.

mod drivers;
mod reading;
mod sharing;
mod text;

use crate::exit::Outcome;
use crate::regions::{Regions, RunDirArg};
use anyhow::Result;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Show the tenants of every device: entitled, received, memory, processes
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp status
  fcsp status --watch
  fcsp status --json | jq '.regions[].tenants[] | {name, received}'

'now' is the share the tenant may have with those that are active now; 'received' is device time
charged during the interval. Each device says whether its programs run together or take turns, and why. A tenant that is alone and has no ceiling runs unmetered: it has the
whole device, and nothing is charged.")]
pub struct Args {
    #[command(flatten)]
    run_dir: RunDirArg,
    /// One JSON object; with --watch one a line
    #[arg(long)]
    json: bool,
    /// Go on until interrupted
    #[arg(long)]
    watch: bool,
    /// Seconds between two looks; what is received is measured between them
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = parse_interval)]
    interval: f64,
}

fn parse_interval(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("an interval is from 0.05 to 3600 seconds".to_owned()),
    }
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let interval = Duration::from_secs_f64(args.interval);
    let drivers = drivers::Drivers::open();
    let mut regions = args.run_dir.open()?;
    let mut before = reading::Reading::of(&regions);
    let mut stdout = std::io::stdout();
    let redraw = args.watch && !args.json && stdout.is_terminal();
    loop {
        if !regions.usable.is_empty() || args.watch {
            std::thread::sleep(interval);
        }
        regions = refreshed(regions, args)?;
        let now = reading::Reading::of(&regions);
        let status = now.since(&before, &regions, &drivers);
        if args.json {
            let json = if args.watch {
                serde_json::to_string(&status)?
            } else {
                serde_json::to_string_pretty(&status)?
            };
            writeln!(stdout, "{json}")?;
        } else {
            // Home, then clear what is left of the picture before.
            let clear = if redraw { "\x1b[H\x1b[J" } else { "" };
            write!(stdout, "{clear}{}", text::render(&status))?;
        }
        stdout.flush()?;
        if !args.watch {
            return Ok(Outcome::Good);
        }
        before = now;
    }
}

/// A watch sees devices come; a single look keeps the regions it has begun with.
fn refreshed(regions: Regions, args: &Args) -> Result<Regions> {
    if args.watch {
        args.run_dir.open()
    } else {
        Ok(regions)
    }
}
