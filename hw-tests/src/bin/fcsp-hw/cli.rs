//! The command line, and the order in which suites run.

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::bench::Bench;
use crate::matrix::Matrix;
use crate::report::Report;
use crate::result::{SuiteResult, Verdict};
use crate::site::Site;
use crate::suites::{self, Suite};

/// Runs tenants as real processes and compares what they got with what they were promised.
#[derive(Debug, Parser)]
#[command(name = "fcsp-hw", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What this program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run suites and write what they measured
    Run(Options),
    /// Name the suites
    List,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these suites
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Only these cases of the suites that have cases
    #[arg(long = "case", value_delimiter = ',')]
    cases: Vec<String>,
    /// Shorter runs, fewer windows
    #[arg(long)]
    quick: bool,
    /// On the simulated device of the install tree
    #[arg(long)]
    simulated: bool,
    /// Exit with status 1 if anything comes otherwise than the matrix expects
    #[arg(long)]
    strict: bool,
    /// What is expected where; the matrix of this program by default
    #[arg(long)]
    matrix: Option<PathBuf>,
    /// Where the results go
    #[arg(long, default_value = "fcsp-hw-results")]
    out: PathBuf,
    /// The install tree; that of this program by default
    #[arg(long)]
    install: Option<PathBuf>,
    /// Device ordinal
    #[arg(long, default_value_t = 0)]
    device: i32,
    /// The interpreter of the Python suite
    #[arg(long, default_value = "python3")]
    python: PathBuf,
}

/// Runs the suites. The status is 1 if one could not be carried out, or, with `--strict`, if anything
/// came otherwise than expected.
pub fn run(options: &Options) -> Result<ExitCode> {
    let selected = select(&options.only)?;
    known_cases(&selected, &options.cases)?;
    let matrix = Matrix::read(options.matrix.as_deref())?;
    let site = Site::open(
        options.install.as_deref(),
        &options.out,
        options.simulated,
        options.device,
        &options.python,
    )?;
    eprintln!("calibrating");
    let bench = Bench::prepare(site, options.quick, options.cases.clone())?;
    let device = &bench.calibration.device;
    eprintln!(
        "{}: {:.3} rounds per microsecond, a launch takes {} ns",
        device.name, bench.calibration.iters_per_us, bench.calibration.launch_ns
    );
    let mut report = Report::new(&bench.site, bench.calibration.clone(), options.quick);
    for suite in selected {
        eprintln!("{}: {}", suite.name, suite.about);
        let began = Instant::now();
        let mut result = SuiteResult::default();
        result.attempt("the suite", |result| (suite.run)(&bench, result));
        matrix.judge(device, suite.name, &mut result);
        for row in &result.rows {
            eprintln!("  {row}");
        }
        report.add(suite.name, began.elapsed(), result)?;
    }
    let summary = report.finish()?;
    eprintln!("results are in {}", summary.display());
    let failed =
        report.count(Verdict::Error) > 0 || (options.strict && report.surprises().count() > 0);
    Ok(if failed {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

/// The named suites in their own order; for no name all but those that must be named.
fn select(names: &[String]) -> Result<Vec<&'static Suite>> {
    for name in names {
        ensure!(
            suites::ALL.iter().any(|suite| suite.name == name),
            "there is no suite `{name}`; `fcsp-hw list` names those there are"
        );
    }
    Ok(suites::ALL
        .iter()
        .filter(|suite| {
            let named = names.iter().any(|name| name == suite.name);
            named || (names.is_empty() && !suite.on_request)
        })
        .collect())
}

/// Refuses names of cases that none of the suites has: they would select nothing.
fn known_cases(suites: &[&Suite], names: &[String]) -> Result<()> {
    for name in names {
        ensure!(
            suites
                .iter()
                .any(|suite| (suite.cases)().contains(&name.as_str())),
            "no suite that runs has a case `{name}`; `fcsp-hw list` names those there are"
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn suites_are_chosen_by_name_and_unknown_ones_refused() {
        let names = ["strict".to_owned(), "shares".to_owned()];
        let chosen: Vec<_> = select(&names)
            .expect("both exist")
            .iter()
            .map(|suite| suite.name)
            .collect();
        assert_eq!(chosen, ["shares", "strict"]);
        assert!(select(&["share".to_owned()]).is_err());
        let usual = suites::ALL.iter().filter(|suite| !suite.on_request);
        assert_eq!(select(&[]).expect("the usual ones").len(), usual.count());
    }

    #[test]
    fn a_case_of_no_suite_that_runs_is_refused() {
        let frameworks = select(&["frameworks".to_owned()]).expect("it exists");
        assert!(known_cases(&frameworks, &["torch-eager".to_owned()]).is_ok());
        assert!(known_cases(&frameworks, &["torch-eagle".to_owned()]).is_err());
        let shares = select(&["shares".to_owned()]).expect("it exists");
        assert!(known_cases(&shares, &["torch-eager".to_owned()]).is_err());
    }
}
