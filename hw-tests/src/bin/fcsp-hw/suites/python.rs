//! PyTorch programs that have the device to themselves: native against preloaded, turn by turn.

use anyhow::{Context, Result};
use fcsp_hw_tests::stats::median;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use std::{fs, process};

use crate::bench::Bench;
use crate::child::Child;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// The scripts travel inside this program, so that an installed one needs no source tree.
const SCRIPTS: &[(&str, &str)] = &[
    ("bench.py", include_str!("../../../../python/bench.py")),
    ("model.py", include_str!("../../../../python/model.py")),
    (
        "workloads.py",
        include_str!("../../../../python/workloads.py"),
    ),
    ("memory.py", include_str!("../../../../python/memory.py")),
    ("jobs.py", include_str!("../../../../python/jobs.py")),
];
const WORKLOADS: [&str; 4] = ["decode", "decode-graph", "prefill", "train"];
/// What the processor holds up.
const BOUND_BY_CPU: [&str; 2] = ["decode", "train"];
/// Turns of each program with each workload.
const TURNS: usize = 16;
/// Until a program has answered, or ended.
pub(super) const WITHIN: Duration = Duration::from_secs(150);
const QUOTA_BYTES: u64 = 32 << 30;
const MEMORY_QUOTA_BYTES: u64 = 8 << 30;

/// One line of `bench.py`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Pace {
    pub workload: String,
    pub iterations_per_s: f64,
    pub p50_ms: f64,
    pub p99_ms: f64,
}

/// The line of `memory.py`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Memory {
    total_bytes: u64,
    properties_total_bytes: u64,
    allocated_at_refusal_bytes: u64,
    refused: bool,
    recovered: bool,
}

/// Speed alone, and the quota as PyTorch sees it.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if let Some(reason) = missing(bench)? {
        result.row(Row::skipped("PyTorch alone", reason));
        return Ok(());
    }
    let scripts = unpack(bench)?;
    result.attempt("PyTorch's view of a quota", |result| {
        memory(bench, &scripts, result)
    });

    // Two processes of one program differ by some percent as they happen to lie in memory; only
    // several tell that from what FCSP costs. Programs that the device holds up are less choosy.
    let mut found: BTreeMap<&str, Vec<Vec<Pair>>> = BTreeMap::new();
    for processes in 0..bench.either(5, 1) {
        let workloads: &[&str] = if processes == 0 {
            &WORKLOADS
        } else {
            &BOUND_BY_CPU
        };
        for (workload, pairs) in pairs(bench, &scripts, workloads)? {
            found.entry(workload).or_default().push(pairs);
        }
    }
    for workload in WORKLOADS {
        let all = found.remove(workload).unwrap_or_default();
        let ratio_of =
            |pairs: &Vec<Pair>| median(&pairs.iter().map(Pair::ratio).collect::<Vec<_>>());
        let ratios: Vec<f64> = all.iter().filter_map(ratio_of).collect();
        let native: Vec<f64> = all
            .iter()
            .flatten()
            .map(|p| p.native.iterations_per_s)
            .collect();
        let (ratio, native) = median(&ratios)
            .zip(median(&native))
            .with_context(|| format!("{workload} took no turn"))?;
        let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
        let most = ratios.iter().copied().fold(0.0, f64::max);
        result.row(Row::number(
            format!(
                "PyTorch {workload} alone, of native ({native:.1} it/s; {} pair(s) of processes, \
                 {least:.3} to {most:.3})",
                ratios.len()
            ),
            ratio,
            "",
            Bar::AtLeast(0.99),
        ));
        result
            .details
            .push(json!({ "workload": workload, "process_pairs": all }));
    }
    Ok(())
}

/// A turn of each, one right after the other.
#[derive(Debug, Serialize)]
struct Pair {
    native: Pace,
    fcsp: Pace,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.fcsp.iterations_per_s / self.native.iterations_per_s
    }
}

/// Both programs live beside each other and take turns, who goes first alternating.
fn pairs<'a>(
    bench: &Bench,
    scripts: &Path,
    workloads: &[&'a str],
) -> Result<Vec<(&'a str, Vec<Pair>)>> {
    let limits = Limits {
        sm_pct: Some(100.0),
        ..Limits::quota(QUOTA_BYTES)
    };
    let cpus = std::thread::available_parallelism()?.get();
    let cpus = format!("{}-{}", cpus.saturating_sub(4), cpus - 1);
    let start = |sharing| start(bench, scripts, "bench.py", sharing, &["--cpus", &cpus]);
    let mut native = start(Sharing::Native)?;
    let mut shared = start(Sharing::Fcsp(limits))?;
    let mut found = Vec::new();
    for &workload in workloads {
        for child in [&mut native, &mut shared] {
            let deadline = Instant::now() + WITHIN;
            child.ask(&format!("prepare {workload}"), deadline)?;
        }
        let mut pairs = Vec::new();
        for pair in 0..TURNS {
            let (native, fcsp) = if pair & 1 == 0 {
                let native = turn(&mut native)?;
                (native, turn(&mut shared)?)
            } else {
                let shared = turn(&mut shared)?;
                (turn(&mut native)?, shared)
            };
            pairs.push(Pair { native, fcsp });
        }
        found.push((workload, pairs));
    }
    for child in [native, shared] {
        child.finish(Instant::now() + WITHIN)?;
    }
    Ok(found)
}

fn turn(child: &mut Child) -> Result<Pace> {
    pace(&child.ask("turn 0.2", Instant::now() + WITHIN)?)
}

/// What `bench.py` says after a turn.
pub(super) fn pace(line: &str) -> Result<Pace> {
    serde_json::from_str(line).with_context(|| format!("bench.py printed something else: {line}"))
}

/// Why PyTorch cannot be measured here, if it cannot.
pub(super) fn missing(bench: &Bench) -> Result<Option<String>> {
    if bench.site.simulated {
        return Ok(Some(
            "PyTorch needs a real device: the simulated one runs no real kernels".into(),
        ));
    }
    let probe = process::Command::new(&bench.site.python)
        .args(["-c", "import torch; assert torch.cuda.is_available()"])
        .output();
    Ok(match probe {
        Err(error) => Some(format!(
            "no Python at {}: {error}",
            bench.site.python.display()
        )),
        Ok(output) if output.status.success() => None,
        Ok(output) => {
            let stderr = String::from_utf8_lossy(&output.stderr);
            if stderr.contains("No module named") {
                Some("PyTorch not found".into())
            } else {
                let last = stderr.lines().last().unwrap_or("no reason given");
                Some(format!("PyTorch sees no device: {last}"))
            }
        }
    })
}

/// Writes the scripts to where Python finds them; where that is.
pub(super) fn unpack(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.site.scratch_file("python");
    fs::create_dir_all(&dir)?;
    for (name, text) in SCRIPTS {
        fs::write(dir.join(name), text)
            .with_context(|| format!("cannot unpack {name} to {}", dir.display()))?;
    }
    Ok(dir)
}

fn start(
    bench: &Bench,
    scripts: &Path,
    script: &str,
    sharing: Sharing,
    args: &[&str],
) -> Result<Child> {
    let run_dir = bench.site.fresh_run_dir()?;
    let tenant = Tenant::new("a", sharing, command(bench, scripts, script, args));
    spawn(bench, &tenant, &run_dir)
}

/// The command line of a script on the device that is measured.
pub(super) fn command(bench: &Bench, scripts: &Path, script: &str, args: &[&str]) -> Vec<OsString> {
    let mut command: Vec<OsString> = vec![
        bench.site.python.clone().into(),
        scripts.join(script).into(),
        "--device".into(),
        bench.site.device.to_string().into(),
    ];
    command.extend(args.iter().map(OsString::from));
    command
}

/// Starts a tenant, which shares the device with those that meet in `run_dir`.
pub(super) fn spawn(bench: &Bench, tenant: &Tenant, run_dir: &Path) -> Result<Child> {
    let label = format!("python-{}", tenant.name);
    let command = tenant.to_command(&bench.site, run_dir);
    Child::spawn(&label, command, &bench.site.log_file(&label))
}

fn memory(bench: &Bench, scripts: &Path, result: &mut SuiteResult) -> Result<()> {
    let sharing = Sharing::Fcsp(Limits::quota(MEMORY_QUOTA_BYTES));
    let lines =
        start(bench, scripts, "memory.py", sharing, &[])?.finish(Instant::now() + WITHIN)?;
    let line = lines.last().context("memory.py printed nothing")?;
    let seen: Memory = serde_json::from_str(line)
        .with_context(|| format!("memory.py printed something else: {line}"))?;
    result.row(Row::fact(
        "PyTorch: mem_get_info and device properties tell the quota",
        format!(
            "{} and {} bytes",
            seen.total_bytes, seen.properties_total_bytes
        ),
        seen.total_bytes == MEMORY_QUOTA_BYTES && seen.properties_total_bytes == MEMORY_QUOTA_BYTES,
    ));
    result.row(Row::fact(
        "PyTorch: its own out-of-memory error, and it goes on after it",
        format!(
            "{}, {} bytes allocated then, {}",
            if seen.refused {
                "refused"
            } else {
                "never refused"
            },
            seen.allocated_at_refusal_bytes,
            if seen.recovered {
                "recovered"
            } else {
                "not recovered"
            },
        ),
        seen.refused && seen.recovered && seen.allocated_at_refusal_bytes <= MEMORY_QUOTA_BYTES,
    ));
    result.details.push(json!({ "memory": seen }));
    Ok(())
}
