//! What a load program writes: one JSON object a line.
//!
//! First a [`Record::Header`] once everything is set up (the harness waits for it before it lets
//! all tenants begin together), then [`Record::Start`], samples while it runs, and one
//! [`Record::Summary`]. A load program that fails writes no summary, says why on stderr and exits
//! with a status other than 0. Moments are `CLOCK_MONOTONIC` nanoseconds throughout.

use serde::{Deserialize, Serialize};

use crate::stats::Quantiles;

/// One line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// Set up and ready to begin.
    Header(Header),
    /// Began.
    Start {
        /// The moment the measured part began.
        t_ns: u64,
        /// How far behind the requested moment that was; 0 if on time.
        late_ns: u64,
    },
    /// Device work finished so far, as the device itself has counted it.
    Sample {
        /// When it was read.
        t_ns: u64,
        /// Nominal device time of the kernels finished since the program began.
        work_ns: u64,
    },
    /// One turn of `overhead --turns`.
    Turn {
        /// One entry per call measured.
        calls: Vec<TurnCost>,
    },
    /// Memory of the device as someone outside every tenant sees it (`fcsp-load watch`).
    DeviceMemory {
        /// When it was read.
        t_ns: u64,
        /// Bytes in use, everybody's together.
        used_bytes: u64,
    },
    /// The result.
    Summary(Summary),
}

/// Who runs what, where.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The subcommand.
    pub mode: String,
    /// Process id.
    pub pid: u32,
    /// Which device.
    pub device: DeviceInfo,
    /// From loading the driver to a usable context.
    pub attach_ns: u64,
    /// The part of that which `cuDevicePrimaryCtxRetain` took.
    pub context_ns: u64,
    /// Rounds of the work kernel that take a microsecond of the whole device; 0 where not used.
    pub iters_per_us: f64,
    /// Blocks in the default grid; 0 where no kernel is launched.
    pub grid_blocks: u32,
    /// `cuDeviceTotalMem` as this program sees it.
    pub total_bytes: u64,
}

/// A device as the driver names it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeviceInfo {
    /// `cuDeviceGetName`.
    pub name: String,
    /// Version of the vendor's interface, in one number as the vendor packs it: of CUDA that which the driver supports
    /// (13000 is 13.0), of HIP's runtime (60443484 is 6.4.43484), of Level Zero's driver (65548 is 1.12). 0 if nobody
    /// asked for it.
    pub interface_version: i32,
    /// Version of the display driver, where NVML tells it.
    pub driver_version: Option<String>,
    /// Whether this is a simulated device. Its results prove nothing about real hardware.
    pub simulated: bool,
}

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// When the measured part began.
    pub start_ns: u64,
    /// When the last submission of it was made.
    pub end_ns: u64,
    /// How long what was still in flight then took to finish.
    pub drain_ns: u64,
    /// Nominal device time finished, the drained part included.
    pub work_ns: u64,
    /// Driver calls that submitted work (a graph launch counts once).
    pub launches: u64,
    /// What this mode measured beyond that.
    pub outcome: Outcome,
}

/// What a mode measured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "snake_case")]
pub enum Outcome {
    /// Only the samples count.
    Saturate,
    /// A program that prepares each step on the CPU and waits for its result.
    Decode {
        /// Steps per second over the measured part, warm-up excluded.
        steps_per_s: f64,
        /// How long a step took.
        latency: Option<Quantiles>,
    },
    /// One kernel at a time, each waited for.
    Pingpong {
        /// How long from launch to the return of the wait.
        latency: Option<Quantiles>,
    },
    /// Rested and began again: how long from the first submission to the end of the first kernel, each time.
    Resume {
        /// In order.
        first_ns: Vec<u64>,
    },
    /// Copied.
    Copy {
        /// Copies submitted.
        copies: u64,
        /// Size of each.
        bytes: u64,
    },
    /// Worked and asked for memory meanwhile.
    Grow {
        /// In order.
        attempts: Vec<Attempt>,
    },
    /// Allocations and frees against the limit.
    AllocRace(AllocRace),
    /// One tenant that asks for more than there is.
    Hog(Hog),
    /// Costs of single calls.
    Overhead {
        /// One entry per call measured.
        calls: Vec<CallCost>,
        /// Whether launches lead elsewhere than to the driver's own function; nothing if that was not looked up.
        launches_elsewhere: Option<bool>,
    },
    /// Held a context and did nothing.
    Idle,
    /// Watched the device's memory.
    Watch {
        /// Used before any program that was started after this one.
        first_bytes: u64,
        /// Used at the common start: what the others hold before they do anything.
        start_bytes: u64,
        /// Most ever seen in use.
        peak_bytes: u64,
        /// How often it was read.
        reads: u64,
    },
}

/// A request for memory of `grow`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attempt {
    /// When it was made.
    pub t_ns: u64,
    /// Whether it was granted; else it was refused with the driver's out-of-memory code.
    pub granted: bool,
}

/// Result of `alloc-race`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AllocRace {
    /// Allocations that succeeded.
    pub allocations: u64,
    /// Allocations that were refused with the driver's out-of-memory code.
    pub refusals: u64,
    /// Most bytes this process ever held at once.
    pub own_peak_bytes: u64,
    /// Most bytes ever held at once by all processes of the shared ledger, this one included;
    /// `None` without a ledger.
    pub ledger_peak_bytes: Option<u64>,
    /// `cuMemGetInfo` free plus used never exceeded the total, and this many times it was asked.
    pub info_checks: u64,
}

/// Result of `hog`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hog {
    /// Bytes asked for.
    pub asked_bytes: u64,
    /// Bytes held when the first refusal came; equal to `asked_bytes` if none came.
    pub granted_bytes: u64,
    /// Whether it was refused at all.
    pub refused: bool,
    /// Total memory as `cuMemGetInfo` told it.
    pub total_bytes: u64,
    /// Free memory as `cuMemGetInfo` told it at the refusal.
    pub free_at_refusal_bytes: u64,
    /// Whether an allocation of the refused size succeeded after as much had been freed.
    pub recovered: bool,
}

/// What one kind of driver call costs its caller.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CallCost {
    /// Which call, e.g. `launch`.
    pub call: String,
    /// Time of one call, two clock reads included.
    pub per_call: Quantiles,
    /// Mean time of a call within a batch of a hundred, the same clock reads included: median over
    /// the batches. Finer than the clock, where the clock ticks in steps of ten nanoseconds.
    pub batch_mean_ns: f64,
}

/// What one kind of driver call cost in one turn.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnCost {
    /// Which call, e.g. `launch`.
    pub call: String,
    /// Median of the turn's calls, two clock reads included.
    pub p50_ns: u64,
    /// Their mean.
    pub mean_ns: f64,
}

/// Result of `fcsp-load calibrate`, the only mode that prints one plain object and nothing else.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Where.
    pub device: DeviceInfo,
    /// Rounds of the work kernel, at the default grid, per microsecond of the whole device.
    pub iters_per_us: f64,
    /// The same from each repetition; their spread says how far to trust the value.
    pub iters_per_us_runs: Vec<f64>,
    /// What a launch costs its caller, median.
    pub launch_ns: u64,
    /// From a launch of an empty kernel on an idle device to the return of the wait, median.
    pub round_trip_ns: u64,
    /// Blocks in the default grid.
    pub grid_blocks: u32,
    /// Threads in a block.
    pub block_threads: u32,
    /// Multiprocessors.
    pub multiprocessors: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_its_kind_and_survives_the_way_there_and_back() {
        let sample = Record::Sample {
            t_ns: 5,
            work_ns: 3,
        };
        let line = serde_json::to_string(&sample).expect("a record is plain data");
        assert_eq!(line, r#"{"record":"sample","t_ns":5,"work_ns":3}"#);
        assert_eq!(
            serde_json::from_str::<Record>(&line).expect("its own output"),
            sample
        );
    }

    #[test]
    fn every_outcome_survives_the_way_there_and_back() {
        let latency = Quantiles::of(&mut [1, 2, 3]);
        for outcome in [
            Outcome::Saturate,
            Outcome::Decode {
                steps_per_s: 1.5,
                latency,
            },
            Outcome::Pingpong { latency: None },
            Outcome::Resume {
                first_ns: vec![5, 6],
            },
            Outcome::Copy {
                copies: 3,
                bytes: 4,
            },
            Outcome::Grow {
                attempts: vec![Attempt {
                    t_ns: 7,
                    granted: false,
                }],
            },
            Outcome::AllocRace(AllocRace {
                allocations: 1,
                refusals: 2,
                own_peak_bytes: 3,
                ledger_peak_bytes: Some(4),
                info_checks: 5,
            }),
            Outcome::Overhead {
                calls: vec![CallCost {
                    call: "launch".into(),
                    per_call: latency.expect("three values"),
                    batch_mean_ns: 1.5,
                }],
                launches_elsewhere: Some(true),
            },
            Outcome::Idle,
        ] {
            let record = Record::Summary(Summary {
                start_ns: 1,
                end_ns: 2,
                drain_ns: 0,
                work_ns: 9,
                launches: 4,
                outcome,
            });
            let line = serde_json::to_string(&record).expect("a record is plain data");
            assert!(!line.contains('\n'));
            assert_eq!(
                serde_json::from_str::<Record>(&line).expect("its own output"),
                record
            );
        }
    }
}
