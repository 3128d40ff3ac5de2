//! `fcsp bench compare`: what moved between two runs, and whether it is more than noise.

use crate::exit::Outcome;
use anyhow::{Context, Result};
use fcsp_bench_report::compare::{self, Options, Verdict};
use fcsp_bench_report::model::Report;
use fcsp_bench_report::table::Look;
use std::io::Write;
use std::path::PathBuf;

/// Show what moved between two reports, and whether it is more than noise
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code 1 where something is worse or was lost.")]
pub struct Args {
    /// The report of before, as JSON
    before: PathBuf,
    /// The report of after
    after: PathBuf,
    /// Compare even if the devices differ
    #[arg(long)]
    anyway: bool,
    /// What moved by less is noise
    #[arg(long, value_name = "PERCENT", default_value_t = Options::default().least_percent)]
    least: f64,
    /// Also write it to this file, as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let (before, after) = (Report::read(&args.before)?, Report::read(&args.after)?);
    let options = Options {
        anyway: args.anyway,
        least_percent: args.least,
    };
    let comparison = compare::compare(&before, &after, options)?;
    write!(
        std::io::stdout(),
        "{}",
        compare::render(&comparison, Look::of_stdout())
    )?;
    if let Some(path) = &args.json {
        std::fs::write(path, comparison.to_json())
            .with_context(|| format!("{} cannot be written", path.display()))?;
    }
    let bad = comparison
        .changes
        .iter()
        .any(|change| matches!(change.verdict, Verdict::Worse | Verdict::Lost));
    Ok(match bad {
        true => Outcome::Bad,
        false => Outcome::Good,
    })
}
