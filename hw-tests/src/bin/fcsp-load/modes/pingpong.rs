//! One kernel at a time, each waited for: the program that time-slicing starves.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::clock::now_ns;
use fcsp_hw_tests::record::Outcome;
use fcsp_hw_tests::stats::Quantiles;

use crate::cli::{Common, Launching};
use crate::gpu::Gpu;
use crate::scale::Scale;
use crate::session::Session;
use crate::stream;
use crate::submit::{Submitter, Work};

/// Options of `pingpong`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    launching: Launching,
    /// Length of the kernel, in microseconds of the whole device
    #[arg(long, default_value_t = 100.0)]
    kernel_us: f64,
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
    let graph = options
        .launching
        .api
        .is_graph()
        .then(|| submitter.graph(&[work]))
        .transpose()?;
    let streams = options.launching.stream.open(&gpu)?;
    let session = Session::begin("pingpong", common, &gpu, Some(scale))?;

    let mut launches = 0;
    let mut latencies_ns = Vec::new();
    for &stream in streams.iter().cycle() {
        if session.over() {
            break;
        }
        let began_ns = now_ns();
        match &graph {
            Some(graph) => submitter.launch_graph(stream, graph).map(drop)?,
            None => submitter.kernel(stream, work)?,
        }
        stream::synchronize(&gpu, stream)?;
        launches += 1;
        if began_ns >= session.warm_ns {
            latencies_ns.push(now_ns() - began_ns);
        }
    }
    let outcome = Outcome::Pingpong {
        latency: Quantiles::of(&mut latencies_ns),
    };
    session.finish(launches, outcome, || gpu.synchronize())
}
