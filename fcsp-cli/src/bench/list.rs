//! `fcsp bench list`: what can be measured.

use crate::exit::Outcome;
use crate::table::{Align, Table};
use anyhow::Result;
use std::io::Write;

/// List the metrics: what each is, and its unit
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only these: ids, * for anything
    #[arg(value_name = "ID")]
    only: Vec<String>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let mut table = Table::new(&[
        ("id", Align::Left),
        ("name", Align::Left),
        ("unit", Align::Left),
        ("measures", Align::Left),
    ]);
    for metric in super::only::select(&args.only)? {
        table.row([
            metric.id.into(),
            metric.name.into(),
            metric.unit.into(),
            metric.measures.into(),
        ]);
    }
    write!(std::io::stdout(), "{}", table.render(0))?;
    Ok(Outcome::Good)
}
