//! A program that rests, begins again and waits for its first result, again and again: what a server
//! does whose requests come seldom.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns, sleep_until_ns};
use fcsp_hw_tests::record::Outcome;

use crate::cli::{Common, Launching};
use crate::event;
use crate::gpu::Gpu;
use crate::scale::Scale;
use crate::session::Session;
use crate::stream;
use crate::submit::{Submitter, Work};

/// Options of `resume`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    launching: Launching,
    /// Length of a kernel, in microseconds of the whole device
    #[arg(long, default_value_t = 500.0)]
    kernel_us: f64,
    /// Kernels from one rest to the next; the first one is timed
    #[arg(long, default_value_t = 20)]
    kernels: usize,
    /// Length of a rest
    #[arg(long, default_value_t = 1_000)]
    rest_ms: u64,
    /// How often it begins again; it ends then, or when its time is over
    #[arg(long, default_value_t = 50)]
    repetitions: usize,
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
    let submitter = Submitter::by(&gpu, scale.blocks, options.launching.api)?;
    let work = Work::lasting_us(options.kernel_us, scale.iters_per_us);
    let stream = options.launching.stream.open(&gpu)?[0];
    let first = event::spinning(&gpu)?;
    let session = Session::begin("resume", common, &gpu, Some(scale))?;

    let mut first_ns = Vec::new();
    let mut launches = 0;
    while first_ns.len() < options.repetitions {
        let until_ns = now_ns() + options.rest_ms * NS_PER_MS;
        if until_ns >= session.end_ns {
            break;
        }
        sleep_until_ns(until_ns);
        let began_ns = now_ns();
        submitter.kernel(stream, work)?;
        event::record(&gpu, first, stream)?;
        for _ in 1..options.kernels {
            submitter.kernel(stream, work)?;
        }
        event::synchronize(&gpu, first)?;
        first_ns.push(now_ns() - began_ns);
        launches += options.kernels as u64;
        stream::synchronize(&gpu, stream)?;
    }
    session.finish(launches, Outcome::Resume { first_ns }, || gpu.synchronize())
}
