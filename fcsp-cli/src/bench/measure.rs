//! A run, from the command line to its files.

use super::files::Files;
use super::progress::Progress;
use super::{PeerArg, only, parse_peer};
use crate::exit::Outcome;
use crate::install::Install;
use crate::level_zero;
use crate::run::{self, Simulated};
use crate::vendor;
use anyhow::{Context, Result, bail, ensure};
use clap::ValueEnum;
use fcsp_bench::{Asked, Libraries, Mode, Preload, Site, System, Variables};
use fcsp_bench_report::model::{Report, State};
use fcsp_bench_report::table::{self, Look};
use fcsp_core::region;
use fcsp_measure::interrupt;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Options of a run.
#[derive(Debug, clap::Args)]
pub struct Options {
    #[command(flatten)]
    files: Files,
    /// Only these metrics: ids, * for anything
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    /// A fraction of the samples, in about two minutes
    #[arg(long)]
    quick: bool,
    /// Which of FCSP's modes [default: all]; native always runs
    #[arg(long, value_name = "SYSTEM", value_enum, value_delimiter = ',')]
    system: Vec<Fcsp>,
    /// Also the device without any system once more, as native-again: says which of its ratios are not 1, which all should be
    #[arg(long)]
    aa: bool,
    /// Another system, as a file describes it
    #[arg(long, value_name = "NAME=FILE", value_parser = parse_peer)]
    peer: Vec<PeerArg>,
    /// NCCL's libnccl.so.2, or RCCL's librccl.so.1, for metrics between devices [default: where the dynamic linker finds it]
    #[arg(long, value_name = "FILE", value_parser = existing, env = "FCSP_BENCH_NCCL")]
    nccl: Option<PathBuf>,
    /// cuBLAS's libcublas.so, for LLM-008 [default: where the dynamic linker finds it]
    #[arg(long, value_name = "FILE", value_parser = existing, env = "FCSP_BENCH_CUBLAS")]
    cublas: Option<PathBuf>,
    /// Use a simulated device: shows that everything works, and nothing about hardware
    #[arg(long, value_name = "VENDOR", num_args = 0..=1, require_equals = true,
          default_missing_value = "nvidia")]
    simulated: Option<Simulated>,
    /// How long a tenant may be silent before it counts as hanging
    #[arg(long, value_name = "SECONDS", default_value_t = 12.0, value_parser = parse_patience)]
    patience: f64,
    /// No progress
    #[arg(long)]
    quiet: bool,
}

/// A file that is there, by a path that holds wherever a tenant runs.
fn existing(text: &str) -> Result<PathBuf, String> {
    std::fs::canonicalize(text).map_err(|error| error.to_string())
}

fn parse_patience(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.5..=600.0).contains(&seconds) => Ok(seconds),
        _ => Err("it is from 0.5 to 600 seconds".to_owned()),
    }
}

/// A system of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Fcsp {
    /// The device without any system; alone, nothing is compared
    Native,
    /// FCSP in mode strict
    #[value(name = "fcsp-strict")]
    Strict,
    /// FCSP in mode balanced
    #[value(name = "fcsp-balanced")]
    Balanced,
    /// FCSP in mode adaptive
    #[value(name = "fcsp-adaptive")]
    Adaptive,
}

/// Runs it.
pub fn run(args: &Options) -> Result<Outcome> {
    let chosen = only::select(&args.only)?;
    args.files.check()?;
    let install = Install::find()?;
    // Where there is none, what is said about NVIDIA's driver is of most use.
    let vendor = args
        .simulated
        .or_else(vendor::here)
        .unwrap_or(Simulated::Nvidia);
    let systems = systems(args, vendor, &install)?;
    let scratch = Scratch::make()?;
    let site = Site {
        vendor: super::of(vendor),
        program: std::env::current_exe().context("cannot find out where this program is")?,
        arguments: ["bench", "worker", super::of(vendor).word()]
            .map(Into::into)
            .into(),
        simulated: match args.simulated {
            Some(vendor) => Some(variables(|command| {
                run::use_simulated(command, &install, vendor)
            })?),
            None => None,
        },
        scratch: scratch.0.clone(),
        libraries: Libraries {
            nccl: args.nccl.clone(),
            cublas: args.cublas.clone(),
        },
    };
    if let Some(library) = preloaded_everywhere() {
        tracing::warn!(
            "/etc/ld.so.preload names {library}, which is then in every program: native is not native"
        );
    }
    interrupt::listen();
    let mut progress = Progress::new(systems.len() + 1, args.quiet);
    let asked = Asked {
        site,
        systems,
        chosen,
        only: args.only.clone(),
        quick: args.quick,
        patience: Duration::from_secs_f64(args.patience),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let report = fcsp_bench::run(asked, interrupt::flag(), &mut |event| progress.show(event));
    progress.end();
    drop(scratch);
    let report = match report {
        Ok(report) => report,
        Err(reason) => bail!(
            "nothing could be measured: {reason}{}",
            match args.simulated {
                Some(_) => "",
                None => " (fcsp doctor says what is missing; --simulated needs no device)",
            }
        ),
    };
    // First the files: somebody may have closed the terminal.
    args.files.write(&report)?;
    write!(
        std::io::stdout(),
        "{}",
        table::render(&report, Look::of_stdout())
    )?;
    if args.aa {
        write!(std::io::stdout(), "\n{}\n", sanity(&report))?;
    }
    Ok(outcome(&report))
}

/// What native against native came to.
fn sanity(report: &Report) -> String {
    let again = report
        .systems
        .iter()
        .filter(|it| it.system_name == System::native_again().name())
        .flat_map(|it| &it.metrics);
    let ratios: Vec<_> = again
        .filter_map(|metric| Some((metric.id.as_str(), metric.ratio?)))
        // One of too few blocks says nothing.
        .filter(|(_, ratio)| ratio.confidence >= 0.95)
        .collect();
    let off: Vec<String> = ratios
        .iter()
        .filter(|(_, ratio)| ratio.low > 1.0 || ratio.high < 1.0)
        .map(|(id, ratio)| {
            format!(
                "{id} ({:.3}, {:.3} to {:.3})",
                ratio.value, ratio.low, ratio.high
            )
        })
        .collect();
    let held = ratios.len() - off.len();
    let others = match off.is_empty() {
        true => String::new(),
        false => format!("; not those of {}", off.join(", ")),
    };
    format!(
        "Native against native: {held} of {} intervals hold 1{others}. By chance 1 in 20 does not.",
        ratios.len()
    )
}

/// What the dynamic linker loads into every program of this machine.
fn preloaded_everywhere() -> Option<String> {
    let text = std::fs::read_to_string("/etc/ld.so.preload").ok()?;
    text.split(|c: char| c.is_whitespace() || c == ':')
        .find(|word| !word.is_empty())
        .map(str::to_owned)
}

fn systems(args: &Options, vendor: Simulated, install: &Install) -> Result<Vec<System>> {
    let modes = match args.system.is_empty() {
        true => Mode::ALL.to_vec(),
        false => Mode::ALL
            .into_iter()
            .zip([Fcsp::Strict, Fcsp::Balanced, Fcsp::Adaptive])
            .filter(|(_, named)| args.system.contains(named))
            .map(|(mode, _)| mode)
            .collect(),
    };
    let mut systems = Vec::new();
    if !modes.is_empty() {
        let preload = preload(vendor, install)?;
        systems.extend(modes.into_iter().map(|mode| System::fcsp(mode, &preload)));
    }
    if args.aa {
        systems.push(System::native_again());
    }
    for peer in &args.peer {
        let system = System::peer(&peer.name, &peer.file)
            .with_context(|| format!("--peer {}", peer.name))?;
        ensure!(
            systems.iter().all(|known| known.name() != system.name()) && system.name() != "native",
            "two systems are called {}",
            system.name()
        );
        systems.push(system);
    }
    Ok(systems)
}

/// How FCSP comes into programs for a vendor's devices.
fn preload(vendor: Simulated, install: &Install) -> Result<Preload> {
    let library = match vendor {
        Simulated::Nvidia => install.preload_cuda()?,
        Simulated::Amd => install.preload_hip()?,
        Simulated::Intel => install.preload_ze()?,
    };
    let variables = variables(|command| {
        if vendor == Simulated::Intel {
            level_zero::stand_before_driver(command, &library);
        }
        Ok(())
    })?;
    Ok(Preload { library, variables })
}

/// What that sets for a program.
fn variables(set: impl FnOnce(&mut Command) -> Result<()>) -> Result<Variables> {
    let mut command = Command::new("");
    set(&mut command)?;
    Ok(command
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect())
}

/// Something is wrong if the run ended early, a limit is not in force or a measurement failed.
fn outcome(report: &Report) -> Outcome {
    let bad = report.interrupted
        || report.systems.iter().any(|system| {
            system
                .validity
                .as_ref()
                .is_some_and(|validity| !validity.holds())
                || system
                    .metrics
                    .iter()
                    .any(|metric| matches!(metric.state, State::Failed { .. }))
        });
    match bad {
        true => Outcome::Bad,
        false => Outcome::Good,
    }
}

/// A directory in memory that is gone with the run: regions must be in memory, since devices cannot write into a file on
/// a disk.
struct Scratch(PathBuf);

impl Scratch {
    fn make() -> Result<Self> {
        let memory = Path::new("/dev/shm");
        let base = match region::is_in_memory(memory) {
            true => memory.to_owned(),
            false => std::env::temp_dir(),
        };
        let path = base.join(format!("fcsp-bench-{}", std::process::id()));
        std::fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::warn!("cannot remove {}: {error}", self.0.display());
        }
    }
}
