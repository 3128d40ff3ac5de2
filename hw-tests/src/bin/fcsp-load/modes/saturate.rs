//! Submits work as fast as it can be submitted, staying a bounded time ahead of the device.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::record::Outcome;

use crate::cli::{Common, Launching};
use crate::gpu::Gpu;
use crate::lanes::{Ahead, Lanes};
use crate::scale::Scale;
use crate::session::Session;

/// Options of `saturate`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    launching: Launching,
    /// Lengths of the kernels, in turn, in microseconds of the whole device
    #[arg(long, value_delimiter = ',', default_value = "250")]
    kernel_us: Vec<f64>,
    /// Most nominal device time in flight, all streams together
    #[arg(long, default_value_t = 50.0)]
    ahead_ms: f64,
    /// Most submissions in flight per stream, instead of a time
    #[arg(long)]
    depth: Option<u64>,
}

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(
        common.device,
        common.resolve,
        options.launching.stream.default_stream(),
    )?;
    let scale = Scale::settle(common, &gpu)?;
    let ahead = match options.depth {
        Some(count) => Ahead::Launches { count },
        None => Ahead::Work {
            ns: (options.ahead_ms * 1e6) as u64,
        },
    };
    let lanes = Lanes::open(&gpu, scale, &options.launching, &options.kernel_us, ahead)?;
    let session = Session::begin("saturate", common, &gpu, Some(scale))?;
    let launches = lanes.saturate(&session)?;
    session.finish(launches, Outcome::Saturate, || gpu.synchronize())
}
