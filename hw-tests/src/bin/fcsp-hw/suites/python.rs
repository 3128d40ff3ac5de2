//! PyTorch programs that have the device to themselves: native against preloaded, in alternation.

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
];
const WORKLOADS: [&str; 4] = ["decode", "decode-graph", "prefill", "train"];
const ONE_PROCESS_WITHIN: Duration = Duration::from_secs(150);
const QUOTA_BYTES: u64 = 32 << 30;
const MEMORY_QUOTA_BYTES: u64 = 8 << 30;

/// One line of `bench.py`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Pace {
    workload: String,
    iterations_per_s: f64,
    p50_ms: f64,
    p99_ms: f64,
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

    let seconds = bench.either("2", "1.5");
    let rounds = bench.either(3, 1);
    let args = ["--seconds", seconds, "--workloads", &WORKLOADS.join(",")];
    let (mut native, mut shared) = (BTreeMap::new(), BTreeMap::new());
    for _ in 0..rounds {
        paces(bench, &scripts, Sharing::Native, &args, &mut native)?;
        let limits = Limits {
            sm_pct: Some(100),
            ..Limits::quota(QUOTA_BYTES)
        };
        paces(bench, &scripts, Sharing::Fcsp(limits), &args, &mut shared)?;
    }
    for workload in WORKLOADS {
        let middle = |paces: &BTreeMap<String, Vec<Pace>>| {
            let paces = paces.get(workload)?;
            median(
                &paces
                    .iter()
                    .map(|pace| pace.iterations_per_s)
                    .collect::<Vec<_>>(),
            )
        };
        let (before, after) = middle(&native)
            .zip(middle(&shared))
            .with_context(|| format!("{workload} printed no pace"))?;
        result.row(Row::number(
            format!("PyTorch {workload} alone, of native ({before:.1} it/s)"),
            after / before,
            "",
            Bar::AtLeast(0.99),
        ));
    }
    result
        .details
        .push(json!({ "native": native, "fcsp": shared }));
    Ok(())
}

/// Why PyTorch cannot be measured here, if it cannot.
fn missing(bench: &Bench) -> Result<Option<String>> {
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

fn unpack(bench: &Bench) -> Result<PathBuf> {
    let dir = bench.site.scratch_file("python");
    fs::create_dir_all(&dir)?;
    for (name, text) in SCRIPTS {
        fs::write(dir.join(name), text)
            .with_context(|| format!("cannot unpack {name} to {}", dir.display()))?;
    }
    Ok(dir)
}

fn script(
    bench: &Bench,
    scripts: &Path,
    name: &str,
    sharing: Sharing,
    args: &[&str],
) -> Result<Vec<String>> {
    let mut command: Vec<OsString> = vec![
        bench.site.python.clone().into(),
        scripts.join(name).into(),
        "--device".into(),
        bench.site.device.to_string().into(),
    ];
    command.extend(args.iter().map(OsString::from));
    let tenant = Tenant::new("a", sharing, command);
    let run_dir = bench.site.fresh_run_dir()?;
    let label = name.trim_end_matches(".py");
    let command = tenant.to_command(&bench.site, &run_dir);
    let child = Child::spawn(label, command, &bench.site.log_file(label))?;
    child.finish(Instant::now() + ONE_PROCESS_WITHIN)
}

fn paces(
    bench: &Bench,
    scripts: &Path,
    sharing: Sharing,
    args: &[&str],
    into: &mut BTreeMap<String, Vec<Pace>>,
) -> Result<()> {
    for line in script(bench, scripts, "bench.py", sharing, args)? {
        let pace: Pace = serde_json::from_str(&line)
            .with_context(|| format!("bench.py printed something else: {line}"))?;
        into.entry(pace.workload.clone()).or_default().push(pace);
    }
    Ok(())
}

fn memory(bench: &Bench, scripts: &Path, result: &mut SuiteResult) -> Result<()> {
    let sharing = Sharing::Fcsp(Limits::quota(MEMORY_QUOTA_BYTES));
    let lines = script(bench, scripts, "memory.py", sharing, &[])?;
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
