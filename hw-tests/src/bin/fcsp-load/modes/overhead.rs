//! What single driver calls cost their caller.
//!
//! Each call is timed alone, between two clock reads, many times, and all kinds in turn, so that a
//! change of clocks or a neighbour meets all of them. The harness compares programs that ran with
//! and without the preload library; the cost of the clock is the same in both and cancels.

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use cuda_sys::{CUdeviceptr, CUresult, CUstream};
use fcsp_hw_tests::clock::now_ns;
use fcsp_hw_tests::record::{CallCost, Outcome};
use fcsp_hw_tests::stats::{Quantiles, median};

use crate::api::{DefaultStream, call, check};
use crate::cli::{Common, parse_bytes};
use crate::gpu::Gpu;
use crate::session::Session;
use crate::stream;
use crate::submit::{LaunchApi, Submitter, Work};

/// A call to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// `cuLaunchKernel` of a kernel that ends at once
    Launch,
    /// `cuMemAlloc` and `cuMemFree` of 1 MiB, together
    Alloc,
    /// `cuMemAllocAsync` and `cuMemFreeAsync` of 1 MiB, together
    AllocAsync,
    /// `cuMemGetInfo`
    Meminfo,
    /// `cuMemAlloc` of more than there is
    Refuse,
    /// `cuCtxGetDevice`, a call nobody intercepts
    Forward,
}

impl What {
    fn name(self) -> &'static str {
        match self {
            What::Launch => "launch",
            What::Alloc => "alloc",
            What::AllocAsync => "alloc-async",
            What::Meminfo => "meminfo",
            What::Refuse => "refuse",
            What::Forward => "forward",
        }
    }
}

/// Options of `overhead`.
#[derive(Debug, Args)]
pub struct Options {
    #[command(flatten)]
    common: Common,
    /// Calls to measure, in turn
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "launch,alloc,alloc-async,meminfo,forward"
    )]
    what: Vec<What>,
    /// How often each is measured
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    /// What `refuse` asks for, e.g. 1T; must be more than there is
    #[arg(long, value_parser = parse_bytes, default_value = "1T")]
    refuse_bytes: u64,
}

/// Calls of one kind before the next kind's turn: few enough that launches never fill a queue.
const BATCH: usize = 100;
/// Calls of the dear kind, which take tens of microseconds each.
const DEAR_SAMPLES_MAX: usize = 2_000;
const BYTES: usize = 1 << 20;

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(common.device, common.resolve, DefaultStream::Legacy)?;
    let bench = Bench {
        gpu: &gpu,
        stream: stream::create(&gpu)?,
        refuse_bytes: options.refuse_bytes as usize,
    };
    let session = Session::begin("overhead", common, &gpu, None)?;
    let mut measured: Vec<Measured> = options.what.iter().map(|_| Measured::default()).collect();
    // The first round warms caches, clocks and pools, and is not counted.
    for round in 0..=options.samples.div_ceil(BATCH) {
        for (what, measured) in options.what.iter().zip(&mut measured) {
            let wanted = match what {
                What::Alloc => options.samples.min(DEAR_SAMPLES_MAX),
                _ => options.samples,
            };
            if measured.durations_ns.len() >= wanted {
                continue;
            }
            let mut batch_ns = Vec::with_capacity(BATCH);
            bench.batch(*what, &mut batch_ns)?;
            if round > 0 {
                let sum_ns: u64 = batch_ns.iter().sum();
                measured.means_ns.push(sum_ns as f64 / BATCH as f64);
                measured.durations_ns.append(&mut batch_ns);
            }
        }
    }
    let calls = options
        .what
        .iter()
        .zip(&mut measured)
        .map(|(what, measured)| {
            Ok(CallCost {
                call: what.name().into(),
                per_call: Quantiles::of(&mut measured.durations_ns)
                    .context("--samples must be above 0")?,
                batch_mean_ns: median(&measured.means_ns).context("--samples must be above 0")?,
            })
        })
        .collect::<Result<_>>()?;
    session.finish(0, Outcome::Overhead { calls }, || gpu.synchronize())
}

/// Durations of one kind of call.
#[derive(Default)]
struct Measured {
    durations_ns: Vec<u64>,
    means_ns: Vec<f64>,
}

struct Bench<'a> {
    gpu: &'a Gpu,
    stream: CUstream,
    refuse_bytes: usize,
}

impl Bench<'_> {
    fn batch(&self, what: What, durations_ns: &mut Vec<u64>) -> Result<()> {
        for _ in 0..BATCH {
            let began_ns = now_ns();
            self.once(what)?;
            durations_ns.push(now_ns() - began_ns);
        }
        match what {
            What::Launch | What::AllocAsync => stream::synchronize(self.gpu, self.stream),
            _ => Ok(()),
        }
    }

    #[inline]
    fn once(&self, what: What) -> Result<()> {
        let api = &self.gpu.api;
        let mut pointer: CUdeviceptr = 0;
        match what {
            What::Launch => Submitter::new(self.gpu, 1, LaunchApi::Launch).kernel(
                self.stream,
                Work {
                    iters: 0,
                    nominal_ns: 0,
                },
            ),
            What::Alloc => {
                // SAFETY: a live out-parameter, a current context.
                unsafe { call!(api, mem_alloc(&mut pointer, BYTES)) }?;
                // SAFETY: just allocated.
                unsafe { call!(api, mem_free(pointer)) }
            }
            What::AllocAsync => {
                // SAFETY: a live out-parameter, a live stream.
                unsafe { call!(api, mem_alloc_async(&mut pointer, BYTES, self.stream)) }?;
                // SAFETY: just allocated on this stream.
                unsafe { call!(api, mem_free_async(pointer, self.stream)) }
            }
            What::Meminfo => {
                let (mut free, mut total) = (0, 0);
                // SAFETY: two live out-parameters.
                unsafe { call!(api, mem_get_info(&mut free, &mut total)) }
            }
            What::Refuse => {
                // SAFETY: a live out-parameter; nothing is granted.
                let status = unsafe { (api.mem_alloc.get()?)(&mut pointer, self.refuse_bytes) };
                ensure!(
                    status == CUresult::CUDA_ERROR_OUT_OF_MEMORY,
                    "a request for {} bytes was not refused as out of memory: {:?}",
                    self.refuse_bytes,
                    check("cuMemAlloc_v2", status)
                );
                Ok(())
            }
            What::Forward => {
                let mut device = 0;
                // SAFETY: a live out-parameter.
                unsafe { call!(api, ctx_get_device(&mut device)) }
            }
        }
    }
}
