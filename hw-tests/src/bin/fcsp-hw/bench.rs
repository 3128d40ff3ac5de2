//! What all suites share: the site, the calibration, and what each program reaches alone.

use anyhow::{Context, Result, ensure};
use fcsp_hw_tests::clock::{NS_PER_MS, NS_PER_S};
use fcsp_hw_tests::record::{Calibration, Outcome};
use fcsp_hw_tests::stats::Quantiles;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::{Duration, Instant};

use crate::cast::{Reported, together};
use crate::child::Child;
use crate::programs::Program;
use crate::site::Site;
use crate::tenant::{Limits, Sharing, Tenant};

/// The first part of every run, in which programs find their pace; it counts nowhere.
const WARMUP_NS: u64 = 500 * NS_PER_MS;
/// A device that is not idle is given up only if it stays so: what else runs on the machine may disturb
/// one measurement.
const CALIBRATE_TRIES: usize = 5;
const CALIBRATE_WITHIN: Duration = Duration::from_secs(60);

/// What a program reaches with the device to itself and no FCSP, measured in this same run.
#[derive(Debug, Clone, Copy)]
pub struct Alone {
    /// Device time per time.
    pub rate: f64,
    /// Steps per second, for programs with steps.
    pub steps_per_s: Option<f64>,
    /// Latencies, for programs that wait.
    pub latency: Option<Quantiles>,
}

/// Another preload library that limits programs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// For tables.
    pub name: String,
    /// The library.
    pub preload: PathBuf,
}

impl FromStr for Peer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((name, path)) if !name.is_empty() && !path.is_empty() => Ok(Self {
                name: name.into(),
                preload: path.into(),
            }),
            _ => Err(format!("`{text}` is not NAME=PATH")),
        }
    }
}

/// What was asked for on the command line that concerns single suites.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Cases to run; all of them if there are none.
    pub cases: Vec<String>,
    /// How long `soak` goes on.
    pub soak_seconds: u64,
    /// What `soak` draws by.
    pub seed: u64,
    /// Whom `peers` compares with.
    pub peers: Vec<Peer>,
    /// Variables of programs under those.
    pub peer_env: Vec<(String, String)>,
}

/// The frame of a run of the harness.
pub struct Bench {
    /// Paths.
    pub site: Site,
    /// Of the idle device, at the beginning.
    pub calibration: Calibration,
    /// Whether to be brief.
    pub quick: bool,
    /// What concerns single suites.
    pub asked: Asked,
    alone: RefCell<HashMap<Program, Alone>>,
}

impl Bench {
    /// Measures the idle device.
    pub fn prepare(site: Site, quick: bool, asked: Asked) -> Result<Self> {
        let mut calibrated = calibrate(&site);
        for _ in 1..CALIBRATE_TRIES {
            if calibrated.is_err() {
                calibrated = calibrate(&site);
            }
        }
        let calibration = calibrated?;
        ensure!(
            calibration.device.simulated == site.simulated,
            "the device is `{}`; give --simulated for simulated devices and only for those",
            calibration.device.name
        );
        Ok(Self {
            site,
            calibration,
            quick,
            asked,
            alone: RefCell::default(),
        })
    }

    /// A frame without a device, for programs that need none.
    #[cfg(test)]
    pub fn without_device(site: Site) -> Self {
        use fcsp_hw_tests::record::DeviceInfo;
        Self {
            site,
            calibration: Calibration {
                device: DeviceInfo {
                    name: "none".into(),
                    interface_version: 13_000,
                    driver_version: None,
                    simulated: false,
                },
                iters_per_us: 1.0,
                iters_per_us_runs: Vec::new(),
                launch_ns: 0,
                round_trip_ns: 0,
                grid_blocks: 1,
                block_threads: 1,
                multiprocessors: 1,
            },
            quick: true,
            asked: Asked::default(),
            alone: RefCell::default(),
        }
    }

    /// `full`, or `quick` if the run is to be brief.
    pub fn either<T>(&self, full: T, quick: T) -> T {
        if self.quick { quick } else { full }
    }

    /// Whether the case called `name` is to run.
    pub fn selects(&self, name: &str) -> bool {
        let cases = &self.asked.cases;
        cases.is_empty() || cases.iter().any(|it| it == name)
    }

    /// The command line of `program` for a measurement of `seconds`.
    pub fn command(&self, program: &Program, seconds: f64, extra: &[&str]) -> Vec<OsString> {
        let warmup_ms = WARMUP_NS as f64 / NS_PER_MS as f64;
        let with_warmup = seconds + warmup_ms / 1_000.0;
        let mut command = self.bare_command(program, with_warmup, extra);
        command.extend(["--warmup-ms".into(), warmup_ms.to_string().into()]);
        command
    }

    /// The command line of `program` for `seconds` in all, of which nothing is measured in particular.
    pub fn bare_command(&self, program: &Program, seconds: f64, extra: &[&str]) -> Vec<OsString> {
        let mut command: Vec<OsString> = vec![self.site.load().into()];
        command.extend(program.args.iter().map(OsString::from));
        let own = [
            ("--device", self.site.device.to_string()),
            ("--seconds", seconds.to_string()),
            ("--start-at", "stdin".into()),
            ("--iters-per-us", self.calibration.iters_per_us.to_string()),
            ("--blocks", self.calibration.grid_blocks.to_string()),
        ];
        for (key, value) in own {
            command.push(key.into());
            command.push(value.into());
        }
        command.extend(extra.iter().map(OsString::from));
        command
    }

    /// A tenant that runs `program` natively.
    pub fn native(&self, name: &str, program: &Program, seconds: f64) -> Tenant {
        Tenant::new(name, Sharing::Native, self.command(program, seconds, &[]))
    }

    /// A tenant that runs `program` under FCSP.
    pub fn limited(&self, name: &str, limits: Limits, program: &Program, seconds: f64) -> Tenant {
        let command = self.command(program, seconds, &[]);
        Tenant::new(name, Sharing::Fcsp(limits), command)
    }

    /// Runs tenants together for `seconds`.
    pub fn together(&self, tenants: &[Tenant], seconds: f64) -> Result<Vec<Reported>> {
        together(&self.site, tenants, seconds)
    }

    /// What `program` reaches alone; measured at the first call, remembered for the rest of the run.
    pub fn alone(&self, program: &Program) -> Result<Alone> {
        if let Some(known) = self.alone.borrow().get(program) {
            return Ok(*known);
        }
        let alone = self.alone_now(program)?;
        self.alone.borrow_mut().insert(program.clone(), alone);
        Ok(alone)
    }

    /// The same, measured now and not remembered.
    pub fn alone_now(&self, program: &Program) -> Result<Alone> {
        let seconds = self.either(2.0, 1.5);
        let reported = self.together(&[self.native("alone", program, seconds)], seconds)?;
        let alone = self.reached(&reported[0])?;
        ensure!(
            alone.rate > 0.0,
            "{} finished no work alone: does its kernel run?",
            program.name
        );
        Ok(alone)
    }

    /// What a program that has ended reached over its measured part.
    pub fn reached(&self, reported: &Reported) -> Result<Alone> {
        let (from_ns, to_ns) = measured_part(std::slice::from_ref(reported))?;
        let (steps_per_s, latency) = match reported.outcome()? {
            Outcome::Decode {
                steps_per_s,
                latency,
            } => (Some(*steps_per_s), *latency),
            Outcome::Pingpong { latency } => (None, *latency),
            _ => (None, None),
        };
        Ok(Alone {
            rate: reported.work.rate(from_ns, to_ns),
            steps_per_s,
            latency,
        })
    }
}

/// Measures the idle device once.
fn calibrate(site: &Site) -> Result<Calibration> {
    let command = vec![
        site.load().into(),
        "calibrate".into(),
        "--device".into(),
        site.device.to_string().into(),
    ];
    let tenant = Tenant::new("calibrate", Sharing::Native, command);
    let run_dir = site.fresh_run_dir()?;
    let command = tenant.to_command(site, &run_dir);
    let child = Child::spawn("calibrate", command, &site.log_file("calibrate"))?;
    let lines = child.finish(Instant::now() + CALIBRATE_WITHIN)?;
    let line = lines.first().context("calibrate printed nothing")?;
    serde_json::from_str(line).with_context(|| format!("calibrate printed something else: {line}"))
}

/// The part of a run in which all programs ran and had found their pace.
pub fn measured_part(reports: &[Reported]) -> Result<(u64, u64)> {
    let mut part = (0, u64::MAX);
    for reported in reports {
        let summary = reported.summary()?;
        part.0 = part.0.max(summary.start_ns + WARMUP_NS);
        part.1 = part.1.min(summary.end_ns);
    }
    ensure!(
        part.1 > part.0 + NS_PER_S / 10,
        "the programs ran together for less than a tenth of a second"
    );
    Ok(part)
}
