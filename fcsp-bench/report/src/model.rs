//! The report of a run, as it is kept in a file.
//!
//! The shape of each system's part is that of the public suite (GPU-Virt-Bench 1.0: `benchmark_version`, `timestamp`,
//! `system_name`, `duration_seconds`, `gpu`, `metrics`), so what reads its files reads a system's part of ours; what it does
//! not have stands beside it.

use serde::{Deserialize, Serialize};

/// Raised whenever a file of before cannot be read any more.
pub const FORMAT: u32 = 1;

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`] of when it was written.
    pub format: u32,
    /// The version of `fcsp` that ran.
    pub fcsp_version: String,
    /// When it began, in UTC: RFC 3339.
    pub started: String,
    /// Whether all was asked for at a fraction of the samples.
    pub quick: bool,
    /// What `--only` asked for, as it was given; empty for everything.
    #[serde(default)]
    pub only: Vec<String>,
    /// How long the run took, checks and start-up included.
    #[serde(default)]
    pub duration_seconds: f64,
    /// Whether the device was a simulated one; then no number tells anything about hardware.
    pub simulated: bool,
    /// Whether it was interrupted before everything had run.
    pub interrupted: bool,
    /// What had fewer blocks than planned, since the run's time would not have been enough for all; in the order of metrics.
    #[serde(default)]
    pub cut: Vec<Cut>,
    /// The device, the driver and the machine.
    pub gpu: Gpu,
    /// Native first, then the others in the order they were asked for.
    pub systems: Vec<System>,
}

/// A metric that had fewer blocks than planned.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cut {
    /// Which: `OH-001`.
    pub id: String,
    /// Blocks of each system that were taken.
    pub blocks: u32,
    /// And that were planned.
    pub planned: u32,
}

/// What it ran on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    /// As the driver names it.
    pub name: String,
    /// Number of devices that the run could use.
    pub count: u32,
    /// Memory of the first device, in bytes.
    pub memory_bytes: u64,
    /// Multiprocessors of the first device.
    pub multiprocessors: u32,
    /// Compute capability, as `9.0`; empty for devices of other vendors than NVIDIA.
    pub compute_capability: String,
    /// What code is compiled for, as the vendor names it: `9.0`, `gfx90a`; empty where nobody says.
    #[serde(default)]
    pub architecture: String,
    /// The interface that programs use, with its version: `CUDA 13.0`, `HIP 6.4`, `Level Zero 1.17`.
    #[serde(default)]
    pub interface: String,
    /// The kernel driver's version, as `580.159.04`; empty where it is not known.
    pub driver: String,
    /// The newest CUDA version that the driver knows, as `13.0`; empty for other interfaces.
    pub cuda: String,
    /// The host's processor, and how many of its cores could be used.
    pub processor: String,
    /// Cores that the run could use.
    pub cores: u32,
}

impl Gpu {
    /// What programs come by to the device where that is not CUDA, and what code is compiled for there; empty for CUDA,
    /// which has fields of its own.
    pub(crate) fn beside_cuda(&self) -> [&str; 2] {
        match self.cuda.is_empty() {
            true => [&self.interface, &self.architecture],
            false => ["", ""],
        }
    }
}

/// One way to share the device, and what was found of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// `native`, `fcsp-strict`, a peer's name.
    pub system_name: String,
    /// What kind of system.
    pub kind: SystemKind,
    /// One line for people: `a lone tenant may have the whole device`. May be empty.
    #[serde(default)]
    pub description: String,
    /// [`Report::fcsp_version`] again, where the public suite has its own.
    pub benchmark_version: String,
    /// When its first metric began: RFC 3339.
    pub timestamp: String,
    /// How long its measurements took together.
    pub duration_seconds: f64,
    /// Whether its limits are in force, by the checks made before anything was measured. Nothing for native, which has none.
    pub validity: Option<Validity>,
    /// One for each metric that was asked for, in the catalogue's order.
    pub metrics: Vec<Metric>,
}

/// Kinds of systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SystemKind {
    /// The device without any.
    Native,
    /// FCSP in one of its modes.
    Fcsp,
    /// Another one that was named by a file.
    Peer,
    /// Hardware partitions: MIG instances that exist on this device.
    Mig,
}

/// Whether the limits of a system held before anything was measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Validity {
    /// Each check, in the order they were made.
    pub checks: Vec<Check>,
}

impl Validity {
    /// Whether every check held.
    pub fn holds(&self) -> bool {
        self.checks.iter().all(|check| check.holds)
    }
}

/// One check of [`Validity`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// What must hold, as a sentence: `a program with a limit of 4 GiB is told 4 GiB`.
    pub claim: String,
    /// What was seen: `it was told 80 GiB`.
    pub seen: String,
    /// Whether it held.
    pub holds: bool,
    /// Which metrics mean nothing where it does not, by their ids.
    pub needed_by: Vec<String>,
}

/// What was found of one metric under one system.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Metric {
    /// `OH-001`.
    pub id: String,
    /// The field's name for it.
    pub name: String,
    /// Unit of `value`: `us`, `%`, `bool`.
    pub unit: String,
    /// Whether there is a value.
    pub success: bool,
    /// The one figure that stands for it, in `unit`; 1 and 0 for the ones that pass or fail. Nothing where it was not measured.
    pub value: Option<f64>,
    /// Why there is no value, for people; says what to do where something can be done.
    pub state: State,
    /// Of `samples`; nothing for what has none.
    pub stats: Option<Stats>,
    /// `value` over native's, paired block by block. Nothing for native, and where a ratio means nothing.
    pub ratio: Option<Ratio>,
    /// What `ratio` is the median of: one ratio for each block, in the order of time. What compares two reports uses it.
    #[serde(default)]
    pub block_ratios: Vec<f64>,
    /// The samples themselves, in `unit`, in the order they were taken; at most [`SAMPLES_KEPT`], evenly thinned.
    pub samples: Vec<f64>,
    /// How long its blocks took on this system, seconds, preparing them included.
    #[serde(default)]
    pub duration_seconds: f64,
    /// What else was measured on the way, each with its unit: sizes, percentiles of parts, what tenants got.
    pub details: Vec<Detail>,
    /// Time series for charts: a tenant's share over time, for instance.
    pub series: Vec<Series>,
}

/// Samples of a metric that a report keeps.
pub const SAMPLES_KEPT: usize = 500;

/// How a measurement ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum State {
    /// There is a value.
    Measured,
    /// It cannot be measured here: `needs 2 GPUs`.
    NotRun {
        /// Why.
        reason: String,
    },
    /// The system's limits are not in force, so a number would mean nothing.
    NotValid {
        /// Which check says so.
        reason: String,
    },
    /// It was tried and went wrong: a tenant crashed, hung or gave no result.
    Failed {
        /// What went wrong.
        reason: String,
    },
    /// The run was interrupted before it.
    Interrupted,
}

/// The public suite's summary of samples, in the metric's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Arithmetic mean.
    pub mean: f64,
    /// Standard deviation of a sample (n − 1).
    pub std_dev: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
    /// Median.
    pub p50: f64,
    /// 90 % are no larger.
    pub p90: f64,
    /// 95 % are no larger.
    pub p95: f64,
    /// 99 % are no larger.
    pub p99: f64,
    /// How many there were before any were left out of the file.
    pub count: u64,
}

/// One system's value over native's.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The median of the blocks' ratios.
    pub value: f64,
    /// Confidence interval of it: lower end.
    pub low: f64,
    /// Confidence interval of it: upper end.
    pub high: f64,
    /// How sure the interval is: at least 0.95, and less where the blocks are too few for that (fewer than 6).
    pub confidence: f64,
    /// Blocks it is made of.
    pub blocks: u32,
}

/// A further figure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Detail {
    /// What it is: `64 KiB`, `tenant b, share`.
    pub name: String,
    /// In `unit`.
    pub value: f64,
    /// Its unit.
    pub unit: String,
}

/// Points of a line in a chart.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Series {
    /// Whose: `tenant a`.
    pub name: String,
    /// Unit of the second number of each point.
    pub unit: String,
    /// What it should be, in `unit`: the tenant's entitlement, for instance.
    #[serde(default)]
    pub target: Option<f64>,
    /// Seconds since the series began, and the value.
    pub points: Vec<(f64, f64)>,
}
