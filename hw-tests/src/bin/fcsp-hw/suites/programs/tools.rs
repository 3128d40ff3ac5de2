//! The vendor's own tools under FCSP: `nvidia-smi`, the profiler, the sanitizer.
//!
//! Each is run natively first. What it cannot do natively is skipped, with what it said.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, Instant};

use super::toolkit::{Toolkit, in_path};
use crate::bench::Bench;
use crate::child::Child;
use crate::programs::IDLE;
use crate::result::{Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const TOOL_WITHIN: Duration = Duration::from_secs(90);
const QUOTA_BYTES: u64 = 8 << 30;

/// Runs a command to its end, natively or under a quota; its lines.
fn run(
    bench: &Bench,
    label: &str,
    fcsp: bool,
    command: &[OsString],
    run_dir: &Path,
) -> Result<Vec<String>> {
    let sharing = if fcsp {
        Sharing::Fcsp(Limits::quota(QUOTA_BYTES))
    } else {
        Sharing::Native
    };
    let tenant = Tenant::new("tools", sharing, command.to_vec());
    let label = format!("{label}-{}", if fcsp { "fcsp" } else { "native" });
    let command = tenant.to_command(&bench.site, run_dir);
    Child::spawn(&label, command, &bench.site.log_file(&label))?
        .finish(Instant::now() + TOOL_WITHIN)
}

/// `nvidia-smi` tells the quota as the device's memory, and the tenant's own processes.
pub fn nvidia_smi(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let Some(smi) = in_path("nvidia-smi") else {
        result.row(Row::skipped("nvidia-smi", "not in the path"));
        return Ok(());
    };
    let run_dir = bench.site.fresh_run_dir()?;
    let ask = |what: &str, fcsp| {
        let command: [OsString; 5] = [
            smi.clone().into(),
            what.into(),
            "--format=csv,noheader,nounits".into(),
            "-i".into(),
            bench.site.device.to_string().into(),
        ];
        run(bench, "nvidia-smi", fcsp, &command, &run_dir)
    };
    let total = ask("--query-gpu=memory.total", true)?;
    let native = ask("--query-gpu=memory.total", false)?;
    result.row(Row::fact(
        "nvidia-smi: the total it shows is the quota",
        format!("{} MiB; natively {} MiB", total.join(" "), native.join(" ")),
        total.first().map(|it| it.trim()) == Some(&(QUOTA_BYTES >> 20).to_string()),
    ));

    let enter = |tenant: Tenant| -> Result<(Child, String)> {
        let command = tenant.to_command(&bench.site, &run_dir);
        let mut child = Child::spawn(&tenant.name, command, &bench.site.log_file(&tenant.name))?;
        let header = child.wait_header(Instant::now() + TOOL_WITHIN)?;
        Ok((child, header.pid.to_string()))
    };
    let (_own, own) = enter(bench.limited("tools", Limits::quota(QUOTA_BYTES), &IDLE, 3_600.0))?;
    let (_other, other) =
        enter(bench.limited("other", Limits::quota(QUOTA_BYTES), &IDLE, 3_600.0))?;
    let (_foreign, foreign) = enter(bench.native("foreign", &IDLE, 3_600.0))?;
    let seen = |fcsp| -> Result<Vec<String>> {
        let pids = ask("--query-compute-apps=pid", fcsp)?;
        Ok(pids.iter().map(|pid| pid.trim().to_owned()).collect())
    };
    let natively = seen(false)?;
    if ![&own, &other, &foreign]
        .iter()
        .all(|pid| natively.contains(pid))
    {
        result.row(Row::skipped(
            "nvidia-smi: own processes only",
            "the driver does not know the processes by the ids they have here",
        ));
        return Ok(());
    }
    let found = seen(true)?;
    result.row(Row::fact(
        "nvidia-smi: own processes only",
        format!(
            "it shows {}; its own is {own}, another tenant's {other}, nobody's {foreign}; natively {}",
            found.join(" "),
            natively.join(" ")
        ),
        found.contains(&own) && !found.contains(&other) && !found.contains(&foreign),
    ));
    Ok(())
}

/// Runs a tool on a program both ways and compares what `verdict` finds in its lines.
fn compare(
    bench: &Bench,
    result: &mut SuiteResult,
    measure: &str,
    command: &[OsString],
    verdict: fn(&[String]) -> Option<String>,
) -> Result<()> {
    let label = measure.split(' ').next().unwrap_or(measure);
    let run_dir = bench.site.fresh_run_dir()?;
    let native = match run(bench, label, false, command, &run_dir) {
        Ok(lines) => lines,
        Err(error) => {
            result.row(Row::skipped(measure, format!("fails natively: {error:#}")));
            return Ok(());
        }
    };
    let Some(native) = verdict(&native) else {
        let last = native.last().map_or("nothing", String::as_str);
        result.row(Row::skipped(
            measure,
            format!("no verdict natively; it said: {last}"),
        ));
        return Ok(());
    };
    let (text, same) = match run(bench, label, true, command, &run_dir) {
        Ok(lines) => match verdict(&lines) {
            Some(found) => (format!("{found}; natively {native}"), found == native),
            None => ("no verdict".into(), false),
        },
        Err(error) => (format!("{error:#}"), false),
    };
    result.row(Row::fact(measure, text, same));
    Ok(())
}

/// The profiler finds the same kernel.
pub fn ncu(
    bench: &Bench,
    toolkit: &Toolkit,
    program: &Path,
    result: &mut SuiteResult,
) -> Result<()> {
    let measure = "ncu --launch-count 1: same verdict as native";
    let Some(ncu) = toolkit.tool("ncu") else {
        result.row(Row::skipped(measure, "not in the path"));
        return Ok(());
    };
    let arguments = ["--launch-count", "1"].map(OsString::from);
    let command = [&[ncu.into()][..], &arguments, &[program.into()]].concat();
    compare(bench, result, measure, &command, profiled)
}

/// The names of the kernels that were profiled.
fn profiled(lines: &[String]) -> Option<String> {
    let names: Vec<&str> = lines
        .iter()
        .filter_map(|line| line.strip_prefix("==PROF== Profiling "))
        // In quotes: names of kernels have colons of their own.
        .map(|rest| rest.split('"').nth(1).unwrap_or(rest))
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The sanitizer finds nothing in a good program, and the same faults in a bad one.
pub fn sanitizer(
    bench: &Bench,
    toolkit: &Toolkit,
    program: &Path,
    result: &mut SuiteResult,
) -> Result<()> {
    let good = "compute-sanitizer memcheck on a sound program: same verdict as native";
    let bad = "compute-sanitizer memcheck on a faulty program: same verdict as native";
    let Some(sanitizer) = toolkit.tool("compute-sanitizer") else {
        result.row(Row::skipped(good, "not in the path"));
        return Ok(());
    };
    let command: Vec<OsString> = vec![
        sanitizer.into(),
        "--tool".into(),
        "memcheck".into(),
        program.into(),
    ];
    compare(bench, result, good, &command, faults)?;
    compare(
        bench,
        result,
        bad,
        &[&command[..], &["fault".into()]].concat(),
        faults,
    )
}

/// The number of errors that the sanitizer counts.
fn faults(lines: &[String]) -> Option<String> {
    let summary = lines
        .iter()
        .find_map(|line| line.split("ERROR SUMMARY: ").nth(1))?;
    Some(summary.trim().to_owned())
}

/// The device's architecture as the compiler calls it.
pub fn architecture(bench: &Bench) -> Result<String> {
    let smi = in_path("nvidia-smi").context("no nvidia-smi")?;
    let command: [OsString; 5] = [
        smi.into(),
        "--query-gpu=compute_cap".into(),
        "--format=csv,noheader".into(),
        "-i".into(),
        bench.site.device.to_string().into(),
    ];
    let lines = run(
        bench,
        "architecture",
        false,
        &command,
        &bench.site.fresh_run_dir()?,
    )?;
    let version = lines.first().context("nvidia-smi does not tell it")?;
    let digits: String = version.chars().filter(char::is_ascii_digit).collect();
    anyhow::ensure!(!digits.is_empty(), "nvidia-smi tells {version}");
    Ok(format!("sm_{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn the_profiler_names_its_kernels() {
        let text = "==PROF== Connected to process 5\n\
                    ==PROF== Profiling \"a::fill\" - 0: 0%....100% - 8 passes\n";
        assert_eq!(profiled(&lines(text)).as_deref(), Some("a::fill"));
        assert_eq!(profiled(&lines("==ERROR== no permission")), None);
    }

    #[test]
    fn the_sanitizer_counts_its_errors() {
        let text = "========= COMPUTE-SANITIZER\n========= ERROR SUMMARY: 3 errors\n";
        assert_eq!(faults(&lines(text)).as_deref(), Some("3 errors"));
        assert_eq!(faults(&lines("nothing")), None);
    }
}
