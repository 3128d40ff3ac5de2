//! The command line, and the order in which suites run.

use anyhow::{Result, ensure};
use clap::{Args, Parser, Subcommand};
use fcsp_hw_tests::{clock, interrupt};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use crate::bench::{Asked, Bench, Peer};
use crate::matrix::Matrix;
use crate::report::Report;
use crate::result::{INTERRUPTED, Row, SuiteResult, Verdict};
use crate::site::{Site, Vendor};
use crate::suites::{self, Suite};
use crate::traces::Traces;

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
    Run(Box<Options>),
    /// Name the suites
    List,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct Options {
    /// Only these suites
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// These suites as well, of those that run only if they are named
    #[arg(long, value_delimiter = ',', conflicts_with = "only")]
    and: Vec<String>,
    /// Only these cases of the suites that have cases
    #[arg(long = "case", value_delimiter = ',')]
    cases: Vec<String>,
    /// Shorter runs, fewer windows
    #[arg(long)]
    quick: bool,
    /// On the simulated device of the install tree
    #[arg(long)]
    simulated: bool,
    /// Whose device; of the suites for AMD's, those run that its load program can
    #[arg(long, value_enum, default_value = "nvidia")]
    vendor: Vendor,
    /// Record what the scheduler decides while tenants run together, into `traces` of the results
    #[arg(long)]
    trace: bool,
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
    /// How long `soak` goes on
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// What `soak` does is drawn by this number; another one each time if none is given
    #[arg(long)]
    seed: Option<u64>,
    /// A preload library that `peers` is to run beside ours; may be given several times
    #[arg(long = "peer", value_name = "NAME=PATH")]
    peers: Vec<Peer>,
    /// A variable of every program under such a library; {pct} stands for the tenant's share in percent
    #[arg(long = "peer-env", value_name = "KEY=VALUE", value_parser = assignment)]
    peer_env: Vec<(String, String)>,
}

/// Runs the suites. The status is 1 if one could not be carried out, or, with `--strict`, if anything
/// came otherwise than expected.
pub fn run(options: &Options) -> Result<ExitCode> {
    let selected = match options.and.as_slice() {
        [] => select(&options.only)?,
        more => select(&with_usual(more))?,
    };
    known_cases(&selected, &options.cases)?;
    interrupt::listen();
    let matrix = Matrix::read(options.matrix.as_deref())?;
    let mut site = Site::open(
        options.install.as_deref(),
        &options.out,
        options.simulated,
        options.vendor,
        options.device,
        &options.python,
    )?;
    if options.trace {
        site.traces = Traces::into(&site.out)?;
    }
    eprintln!("calibrating");
    let asked = Asked {
        cases: options.cases.clone(),
        soak_seconds: options.seconds,
        seed: options.seed.unwrap_or_else(clock::unix_now_ms),
        peers: options.peers.clone(),
        peer_env: options.peer_env.clone(),
    };
    let bench = Bench::prepare(site, options.quick, asked)?;
    let device = &bench.calibration.device;
    eprintln!(
        "{}: {:.3} rounds per microsecond, a launch takes {} ns",
        device.name, bench.calibration.iters_per_us, bench.calibration.launch_ns
    );
    let mut report = Report::new(
        &bench.site,
        bench.calibration.clone(),
        options.quick,
        matrix.not_run(),
    );
    for suite in selected {
        eprintln!("{}: {}", suite.name, suite.about);
        bench.site.traces.begin_suite(suite.name);
        let began = Instant::now();
        let journal = bench.site.out.join(format!("{}.rows", suite.name));
        let mut result = SuiteResult::with_journal(&journal)?;
        let can = match options.vendor {
            Vendor::Nvidia => true,
            Vendor::Amd => suite.hip,
            Vendor::Intel => suite.ze,
        };
        if interrupt::came() {
            result.row(Row::skipped(suite.about, INTERRUPTED));
        } else if can {
            result.attempt("the suite", |result| (suite.run)(&bench, result));
        } else {
            let reason = "not run: it needs what the vendor's load program or devices do not have";
            result.row(Row::skipped(suite.about, reason));
        }
        matrix.judge(device, suite.name, &mut result);
        for row in &result.rows {
            eprintln!("  {row}");
        }
        report.add(suite.name, began.elapsed(), result)?;
        // The report has them now.
        fs::remove_file(journal)?;
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

/// `KEY=VALUE`, taken apart.
fn assignment(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.into(), value.into())),
        _ => Err(format!("`{text}` is not KEY=VALUE")),
    }
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

/// The names of those that run without being named, and of `more`.
fn with_usual(more: &[String]) -> Vec<String> {
    let usual = suites::ALL.iter().filter(|suite| !suite.on_request);
    let usual = usual.map(|suite| suite.name.to_owned());
    usual.chain(more.iter().cloned()).collect()
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
        let usual = usual.count();
        assert_eq!(select(&[]).expect("the usual ones").len(), usual);
        let more = with_usual(&["python".to_owned()]);
        assert_eq!(select(&more).expect("one more").len(), usual + 1);
    }

    #[test]
    fn a_peer_has_a_name_and_a_path_and_its_variables_have_values() {
        let parse = |more: &[&str]| {
            let line = ["fcsp-hw", "run", "--only", "peers"];
            Cli::try_parse_from(line.iter().chain(more))
        };
        let cli = parse(&["--peer", "x=/opt/x.so", "--peer-env", "LIMIT={pct}"]);
        let Command::Run(options) = cli.expect("well formed").command else {
            panic!("it is a run");
        };
        assert_eq!(options.peers[0].name, "x");
        assert_eq!(options.peers[0].preload, PathBuf::from("/opt/x.so"));
        assert_eq!(options.peer_env, [("LIMIT".to_owned(), "{pct}".to_owned())]);
        assert!(parse(&["--peer", "/opt/x.so"]).is_err());
        assert!(parse(&["--peer-env", "LIMIT"]).is_err());
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
