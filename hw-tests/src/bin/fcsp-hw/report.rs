//! Writes what was found: a JSON file per suite, and one table for people.

use anyhow::{Context, Result};
use fcsp_hw_tests::record::Calibration;
use serde::Serialize;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::date;
use crate::matrix::NotRun;
use crate::result::{Row, SuiteResult, Verdict};
use crate::site::{Site, Vendor};

/// The results of one run, growing suite by suite: what is finished is on disk.
pub struct Report {
    out: PathBuf,
    date: String,
    vendor: Vendor,
    calibration: Calibration,
    cpus: usize,
    quick: bool,
    began: Instant,
    suites: Vec<(&'static str, Duration, Vec<Row>)>,
    not_run: Vec<NotRun>,
}

#[derive(Serialize)]
struct SuiteFile<'a> {
    suite: &'a str,
    simulated: bool,
    date: &'a str,
    quick: bool,
    seconds: f64,
    calibration: &'a Calibration,
    #[serde(flatten)]
    result: &'a SuiteResult,
}

impl Report {
    /// An empty report.
    pub fn new(site: &Site, calibration: Calibration, quick: bool, not_run: &[NotRun]) -> Self {
        Self {
            out: site.out.clone(),
            date: date::now_utc(),
            vendor: site.vendor,
            calibration,
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            quick,
            began: Instant::now(),
            suites: Vec::new(),
            not_run: not_run.to_owned(),
        }
    }

    /// Adds a suite and writes its file.
    pub fn add(&mut self, name: &'static str, took: Duration, result: SuiteResult) -> Result<()> {
        let file = SuiteFile {
            suite: name,
            simulated: self.calibration.device.simulated,
            date: &self.date,
            quick: self.quick,
            seconds: took.as_secs_f64(),
            calibration: &self.calibration,
            result: &result,
        };
        let mut text = serde_json::to_string_pretty(&file)?;
        text.push('\n');
        write_file(&self.out.join(format!("{name}.json")), &text)?;
        self.suites.push((name, took, result.rows));
        self.finish().map(|_| ())
    }

    /// Writes the table; where it is.
    pub fn finish(&self) -> Result<PathBuf> {
        let path = self.out.join("summary.md");
        write_file(&path, &self.summary())?;
        Ok(path)
    }

    /// What came otherwise than `matrix.toml` expects, and why some misses were expected.
    fn say_expectations(&self, text: &mut String) {
        // As above: writing to a String cannot fail.
        let _ = write!(text, "\nUnexpected: {}.", self.surprises().count());
        for (suite, row) in self.surprises() {
            let reason = row.expected.as_ref().and_then(|it| it.reason.as_deref());
            let reason = reason.map_or(String::new(), |it| format!(" (expected otherwise: {it})"));
            let _ = write!(text, "\n- {suite}: {}{reason}", row.measure);
        }
        text.push('\n');
        let mut told = Vec::new();
        for (suite, _, rows) in &self.suites {
            for row in rows.iter().filter(|row| row.verdict == Verdict::Miss) {
                let reason = row.expected.as_ref().filter(|it| !it.surprising);
                if let Some(reason) = reason.and_then(|it| it.reason.as_deref())
                    && !told.contains(&(suite, reason))
                {
                    told.push((suite, reason));
                    let _ = write!(
                        text,
                        "\nMisses of `{suite}` that prove nothing: {reason}.\n"
                    );
                }
            }
        }
    }

    /// How many rows have this verdict.
    pub fn count(&self, verdict: Verdict) -> usize {
        self.suites
            .iter()
            .flat_map(|(_, _, rows)| rows)
            .filter(|row| row.verdict == verdict)
            .count()
    }

    /// Rows that came otherwise than the matrix expects, with their suites.
    pub fn surprises(&self) -> impl Iterator<Item = (&'static str, &Row)> {
        let all = self.suites.iter();
        all.flat_map(|(suite, _, rows)| rows.iter().map(move |row| (*suite, row)))
            .filter(|(_, row)| row.expected.as_ref().is_some_and(|it| it.surprising))
    }

    fn summary(&self) -> String {
        let device = &self.calibration.device;
        let mut text = String::from("# Measured against the bars\n\n");
        if device.simulated {
            text.push_str(
                "**Simulated device.** These numbers show that the mechanism works; they say \
                 nothing about the timing of real hardware.\n\n",
            );
        }
        // Writing to a String cannot fail, so the results below carry nothing.
        let _ = write!(
            text,
            "| | |\n|---|---|\n| device | {} |\n| driver | {} ({}) |\n| date | {} |\n\
             | host | {} CPUs |\n| run | {}, {:.0} s |\n\
             | calibration | {:.3} rounds of the work kernel per µs, {} blocks, launch {} ns, \
             round trip {} ns |\n| verdicts | {} PASS, {} MISS, {} skipped, {} errors |\n\n",
            device.name,
            device.driver_version.as_deref().unwrap_or("unknown"),
            interface(self.vendor, device.interface_version),
            self.date,
            self.cpus,
            if self.quick { "quick" } else { "full" },
            self.began.elapsed().as_secs_f64(),
            self.calibration.iters_per_us,
            self.calibration.grid_blocks,
            self.calibration.launch_ns,
            self.calibration.round_trip_ns,
            self.count(Verdict::Pass),
            self.count(Verdict::Miss),
            self.count(Verdict::Skipped),
            self.count(Verdict::Error),
        );
        text.push_str("| Suite | Measure | Measured | Bar | Verdict |\n|---|---|---|---|---|\n");
        for (suite, _, rows) in &self.suites {
            for row in rows {
                let _ = writeln!(
                    text,
                    "| {suite} | {} | {} | {} | {} |",
                    cell(&row.measure),
                    cell(&row.measured),
                    cell(&row.bar),
                    verdict(row),
                );
            }
        }
        self.say_expectations(&mut text);
        text.push_str("\nElsewhere:\n");
        for devices in &self.not_run {
            let _ = writeln!(text, "- {devices}");
        }
        text.push_str("\nTime spent:");
        for (suite, took, _) in &self.suites {
            let _ = write!(text, " {suite} {:.0} s;", took.as_secs_f64());
        }
        text.push('\n');
        text
    }
}

fn verdict(row: &Row) -> &'static str {
    let surprising = row.expected.as_ref().is_some_and(|it| it.surprising);
    match (row.verdict, surprising) {
        (Verdict::Pass, false) => "PASS",
        (Verdict::Pass, true) => "PASS, unexpected",
        (Verdict::Miss, true) => "**MISS**",
        (Verdict::Miss, false) => "MISS, see below",
        (Verdict::Info, _) => "",
        (Verdict::Skipped, _) => "skipped",
        (Verdict::Error, _) => "**ERROR**",
    }
}

/// The interface by which programs reach the device, with its version unpacked.
fn interface(vendor: Vendor, version: i32) -> String {
    let name = match vendor {
        Vendor::Nvidia => "CUDA",
        Vendor::Amd => "HIP",
        Vendor::Intel => "Level Zero",
    };
    if version == 0 {
        return name.into();
    }
    let (major, minor) = match vendor {
        Vendor::Nvidia => (version / 1_000, version % 1_000 / 10),
        // HIP_VERSION of hip_version.h.
        Vendor::Amd => (version / 10_000_000, version % 10_000_000 / 100_000),
        // ZE_MAJOR_VERSION and ZE_MINOR_VERSION of ze_api.h.
        Vendor::Intel => (version >> 16, version & 0xffff),
    };
    format!("{name} {major}.{minor}")
}

/// Text that stays within one cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "<br>")
}

/// Writes beside and renames, so that a reader never sees half a file.
fn write_file(path: &Path, text: &str) -> Result<()> {
    let scratch = path.with_extension("partial");
    fs::write(&scratch, text)
        .and_then(|()| fs::rename(&scratch, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_vendors_interface_has_its_own_name_and_packing() {
        assert_eq!(interface(Vendor::Nvidia, 13_010), "CUDA 13.1");
        assert_eq!(interface(Vendor::Amd, 60_443_484), "HIP 6.4");
        assert_eq!(interface(Vendor::Amd, 50_221_153), "HIP 5.2");
        assert_eq!(interface(Vendor::Intel, 1 << 16 | 12), "Level Zero 1.12");
        assert_eq!(interface(Vendor::Intel, 0), "Level Zero");
    }
}
