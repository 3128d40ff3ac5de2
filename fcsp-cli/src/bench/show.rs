//! `fcsp bench show`: a report once more.

use super::files::Files;
use crate::exit::Outcome;
use anyhow::Result;
use fcsp_bench_report::model::Report;
use fcsp_bench_report::table::{self, Look};
use std::io::Write;
use std::path::PathBuf;

/// Show a report again, or make its page or table of it
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The report, as JSON
    report: PathBuf,
    #[command(flatten)]
    files: Files,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let report = Report::read(&args.report)?;
    write!(
        std::io::stdout(),
        "{}",
        table::render(&report, Look::of_stdout())
    )?;
    args.files.write(&report)?;
    Ok(Outcome::Good)
}
