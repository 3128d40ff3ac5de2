//! Measures, on an idle device, how many rounds of the work kernel take a microsecond.

use anyhow::{Context, Result};
use clap::Args;
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use fcsp_hw_tests::record::Calibration;
use fcsp_hw_tests::stats::{Quantiles, median};

use crate::api::{DefaultStream, Resolve};
use crate::gpu::{BLOCK_THREADS, Gpu};
use crate::nvml::Nvml;
use crate::scale;
use crate::stream;
use crate::submit::{Submitter, Work};

/// Options of `calibrate`.
#[derive(Debug, Args)]
pub struct Options {
    /// Device ordinal
    #[arg(long, default_value_t = 0)]
    device: i32,
    /// How the driver's functions are found
    #[arg(long, value_enum, default_value = "dlsym")]
    resolve: Resolve,
    /// How often the slope is measured
    #[arg(long, default_value_t = 9)]
    repetitions: usize,
}

/// Launches whose cost is measured.
const LAUNCHES: usize = 500;

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let mut gpu = Gpu::open(options.device, options.resolve, DefaultStream::Legacy)?;
    gpu.info.driver_version = Nvml::load().and_then(|nvml| nvml.driver_version()).ok();
    let runs = scale::measure(
        &gpu,
        gpu.wave_blocks,
        options.repetitions.max(1),
        50 * NS_PER_MS,
    )?;
    let (launch_ns, round_trip_ns) = launch_costs(&gpu)?;
    let calibration = Calibration {
        device: gpu.info.clone(),
        iters_per_us: median(&runs).context("nothing was measured")?,
        iters_per_us_runs: runs,
        launch_ns,
        round_trip_ns,
        grid_blocks: gpu.wave_blocks,
        block_threads: BLOCK_THREADS,
        multiprocessors: gpu.multiprocessors,
    };
    println!("{}", serde_json::to_string(&calibration)?);
    Ok(())
}

/// Medians of the cost of a launch alone, and of a launch with the wait for it.
fn launch_costs(gpu: &Gpu) -> Result<(u64, u64)> {
    let submitter = Submitter::new(gpu, 1);
    let stream = stream::create(gpu)?;
    let work = Work {
        iters: 1,
        nominal_ns: 0,
    };
    let (mut launches_ns, mut round_trips_ns) = (Vec::new(), Vec::new());
    for _ in 0..LAUNCHES {
        let began_ns = now_ns();
        submitter.kernel(stream, work)?;
        launches_ns.push(now_ns() - began_ns);
        stream::synchronize(gpu, stream)?;
        round_trips_ns.push(now_ns() - began_ns);
    }
    let p50_ns = |durations_ns: &mut Vec<u64>| Quantiles::of(durations_ns).map(|q| q.p50_ns);
    Ok((
        p50_ns(&mut launches_ns).context("nothing was measured")?,
        p50_ns(&mut round_trips_ns).context("nothing was measured")?,
    ))
}
