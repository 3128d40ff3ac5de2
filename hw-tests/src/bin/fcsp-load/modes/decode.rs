//! A program like a decoder: each step launches many small kernels with CPU work between, then
//! waits for the result. It uses a part of the device only, and suffers most from bad sharing.

use anyhow::Result;
use clap::Args;
use fcsp_hw_tests::clock::{NS_PER_S, now_ns, spin_ns};
use fcsp_hw_tests::record::Outcome;
use fcsp_hw_tests::stats::Quantiles;

use crate::cli::{Common, Launching};
use crate::gpu::Gpu;
use crate::scale::Scale;
use crate::session::Session;
use crate::stream;
use crate::submit::{Graph, Submitter, Work};

/// Options of `decode`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    launching: Launching,
    /// Kernels in a step
    #[arg(long, default_value_t = 150)]
    kernels: usize,
    /// Length of each, in microseconds of the whole device
    #[arg(long, default_value_t = 10.0)]
    kernel_us: f64,
    /// CPU work before each launch; with `--api graph` a step is one launch
    #[arg(long, default_value_t = 25.0)]
    cpu_us: f64,
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
        .then(|| submitter.graph(&vec![work; options.kernels]))
        .transpose()?;
    let step = Step {
        submitter,
        streams: options.launching.stream.open(&gpu)?,
        work,
        graph,
        kernels: options.kernels,
        cpu_ns: (options.cpu_us * 1_000.0) as u64,
    };
    let session = Session::begin("decode", common, &gpu, Some(scale))?;

    let mut launches = 0;
    let mut latencies_ns = Vec::new();
    let mut counted_from_ns = None;
    let mut last_ns = now_ns();
    while !session.over() {
        let began_ns = now_ns();
        launches += step.submit()?;
        for &stream in &step.streams {
            stream::synchronize(&gpu, stream)?;
        }
        last_ns = now_ns();
        if began_ns >= session.warm_ns {
            counted_from_ns.get_or_insert(began_ns);
            latencies_ns.push(last_ns - began_ns);
        }
    }
    let counted_ns = counted_from_ns.map_or(0, |from_ns| last_ns - from_ns);
    let outcome = Outcome::Decode {
        steps_per_s: if counted_ns > 0 {
            latencies_ns.len() as f64 * NS_PER_S as f64 / counted_ns as f64
        } else {
            0.0
        },
        latency: Quantiles::of(&mut latencies_ns),
    };
    session.finish(launches, outcome, || gpu.synchronize())
}

/// What is submitted between two waits.
struct Step<'a> {
    submitter: Submitter<'a>,
    streams: Vec<cuda_sys::CUstream>,
    work: Work,
    graph: Option<Graph>,
    kernels: usize,
    cpu_ns: u64,
}

impl Step<'_> {
    /// Submits one step; how many driver calls that took.
    fn submit(&self) -> Result<u64> {
        if let Some(graph) = &self.graph {
            spin_ns(self.cpu_ns);
            self.submitter.launch_graph(self.streams[0], graph)?;
            return Ok(1);
        }
        for kernel in 0..self.kernels {
            spin_ns(self.cpu_ns);
            let stream = self.streams[kernel % self.streams.len()];
            self.submitter.kernel(stream, self.work)?;
        }
        Ok(self.kernels as u64)
    }
}
