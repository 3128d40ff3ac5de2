//! Frameworks, native against FCSP: same results, same speed, and a quota that holds.
//!
//! On the path of a call this is the very top: unmodified programs that reach the driver through
//! whatever their framework does. Cases run in batches, because importing a framework takes longer
//! than what is then asked of it: the programs of a batch start together, and once all are ready only
//! one of them moves at a time. `trial.rs` is the way of one case, `python/compat.py` its other side.

mod actor;
mod cases;
mod judge;
mod protocol;
mod trial;

use anyhow::{Context, Result};
use fcsp_hw_tests::interrupt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use self::cases::Case;
use self::trial::Trial;
use super::witness::{Neighbour, Witness};
use crate::bench::Bench;
use crate::result::{INTERRUPTED, Row, SuiteResult, Verdict};

/// The scripts travel inside this program, so that an installed one needs no source tree.
const SCRIPTS: &[(&str, &str)] = &[
    ("compat.py", include_str!("../../../../../python/compat.py")),
    (
        "compat_driver.py",
        include_str!("../../../../../python/compat_driver.py"),
    ),
    (
        "compat_sycl.py",
        include_str!("../../../../../python/compat_sycl.py"),
    ),
    (
        "compat_torch_xpu.py",
        include_str!("../../../../../python/compat_torch_xpu.py"),
    ),
    (
        "compat_torch.py",
        include_str!("../../../../../python/compat_torch.py"),
    ),
    (
        "compat_torch_nets.py",
        include_str!("../../../../../python/compat_torch_nets.py"),
    ),
    (
        "compat_torch_processes.py",
        include_str!("../../../../../python/compat_torch_processes.py"),
    ),
    (
        "compat_triton.py",
        include_str!("../../../../../python/compat_triton.py"),
    ),
    (
        "compat_jax.py",
        include_str!("../../../../../python/compat_jax.py"),
    ),
    (
        "compat_cupy.py",
        include_str!("../../../../../python/compat_cupy.py"),
    ),
    (
        "compat_numba.py",
        include_str!("../../../../../python/compat_numba.py"),
    ),
];
/// Processors that the two programs of a case keep busy while they start.
const CPUS_PER_CASE: usize = 4;
const BATCH_MAX: usize = 4;
/// After this no further batch begins: programs that hang one after the other must not cost the run
/// its report.
const BEGIN_WITHIN: Duration = Duration::from_secs(420);

/// The names of the cases.
pub fn names() -> Vec<&'static str> {
    cases::ALL.iter().map(|case| case.name).collect()
}

/// All cases, or those that were asked for.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let began = Instant::now();
    let mut selected: Vec<&Case> = Vec::new();
    for case in cases::ALL.iter().filter(|case| bench.selects(case.name)) {
        if !case.is_for(bench.site.vendor) {
            result.row(Row::skipped(case.title, "is for other vendors' devices"));
        } else if bench.site.simulated && !case.simulated {
            let reason = "needs a real device: the simulated one runs no real kernels";
            result.row(Row::skipped(case.title, reason));
        } else {
            selected.push(case);
        }
    }
    let python = &bench.site.python;
    if let Err(error) = Command::new(python).arg("--version").output() {
        let reason = format!("no Python at {}: {error}", python.display());
        let skipped = selected
            .iter()
            .map(|it| Row::skipped(it.title, reason.clone()));
        result.add_rows(skipped);
        return Ok(());
    }
    let scripts = unpack(bench)?;
    let cpus = std::thread::available_parallelism()?.get();
    for batch in selected.chunks((cpus / CPUS_PER_CASE).clamp(1, BATCH_MAX)) {
        if interrupt::came() {
            let titles = batch.iter().map(|case| case.title);
            result.add_rows(titles.map(|it| Row::skipped(it, INTERRUPTED)));
            continue;
        }
        if began.elapsed() > BEGIN_WITHIN {
            for case in batch {
                result.row(Row {
                    verdict: Verdict::Error,
                    ..Row::info(
                        case.title,
                        "not begun: the cases before took all the time there is",
                    )
                });
            }
            continue;
        }
        let batch_began = Instant::now();
        run_batch(bench, batch, &scripts, result)?;
        let names: Vec<&str> = batch.iter().map(|case| case.name).collect();
        let seconds = batch_began.elapsed().as_secs_f64();
        eprintln!("  {}: {seconds:.0} s", names.join(", "));
    }
    Ok(())
}

fn run_batch(
    bench: &Bench,
    batch: &[&Case],
    scripts: &Path,
    result: &mut SuiteResult,
) -> Result<()> {
    let mut witness = Witness::start(bench, &bench.site.fresh_run_dir()?)?;
    let mut trials = Vec::new();
    for case in batch {
        trials.push(Trial::start(bench, case, scripts)?);
    }
    for trial in &mut trials {
        trial.open();
    }
    for trial in &mut trials {
        trial.compare();
        trial.race(bench, scripts);
    }
    for trial in trials.iter_mut().filter(|it| it.goes_on()) {
        let neighbour = Neighbour::start(bench, trial.run_dir())?;
        trial.compare_beside();
        drop(neighbour);
    }
    for trial in &mut trials {
        trial.dismiss_native();
    }
    // Those that are asked nothing about memory end first, so that nobody else's moves.
    trials.sort_by_key(Trial::has_quota);
    for trial in &mut trials {
        trial.press(&mut witness);
    }
    for trial in trials {
        trial.report(result);
    }
    Ok(())
}

fn unpack(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.site.disk_file("compat");
    fs::create_dir_all(&dir)?;
    for (name, text) in SCRIPTS {
        fs::write(dir.join(name), text)
            .with_context(|| format!("cannot unpack {name} to {}", dir.display()))?;
    }
    Ok(dir)
}
