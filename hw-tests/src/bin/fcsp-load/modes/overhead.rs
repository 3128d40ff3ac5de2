//! What single driver calls cost their caller.
//!
//! Each call is timed alone, between two clock reads, a batch of one kind after a batch of another.
//! The cost of the clock is the same with and without a preload library and cancels. The speed of
//! the CPU does not: it drifts within seconds by more than what is looked for. So a harness can keep
//! two such programs alive and let them take turns (`--turns`), a few milliseconds each, and compare
//! turn with turn.

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use cuda_sys::{CUdeviceptr, CUresult, CUstream};
use fcsp_hw_tests::clock::now_ns;
use fcsp_hw_tests::record::{CallCost, Outcome, Record, TurnCost};
use fcsp_hw_tests::stats::{Quantiles, median};
use std::io::BufRead;

use crate::api::{DefaultStream, call, check};
use crate::cli::{Common, parse_bytes};
use crate::gpu::Gpu;
use crate::past;
use crate::session::Session;
use crate::stream;
use crate::submit::{Submitter, Work};

/// A call to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum What {
    /// `cuLaunchKernel` of a kernel that ends at once
    Launch,
    /// The same, of the driver itself: past whatever is preloaded
    LaunchPast,
    /// `cuMemAlloc` and `cuMemFree` of 1 MiB, together
    Alloc,
    /// `cuMemAllocAsync` and `cuMemFreeAsync` of 1 MiB, together
    AllocAsync,
    /// `cuMemAllocAsync` of 1 MiB; freed when the clock has stopped
    AllocAsyncOnly,
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
            What::LaunchPast => "launch-past",
            What::Alloc => "alloc",
            What::AllocAsync => "alloc-async",
            What::AllocAsyncOnly => "alloc-async-only",
            What::Meminfo => "meminfo",
            What::Refuse => "refuse",
            What::Forward => "forward",
        }
    }

    /// Calls in a batch.
    fn batch(self) -> usize {
        match self {
            // Tens of microseconds each, where the others take one or so.
            What::Alloc => BATCH / 10,
            _ => BATCH,
        }
    }
}

/// Calls of one kind before the next kind's: few enough that launches never fill a queue.
const BATCH: usize = 100;

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
        default_value = "launch,alloc,alloc-async-only,alloc-async,meminfo,forward"
    )]
    what: Vec<What>,
    /// How often each is measured; allocations a tenth as often
    #[arg(long, default_value_t = 10_000)]
    samples: usize,
    /// What `refuse` asks for, e.g. 1T; must be more than there is
    #[arg(long, value_parser = parse_bytes, default_value = "1T")]
    refuse_bytes: u64,
    /// Measure one batch of each whenever a line comes in on stdin, and say so with a line; end
    /// with stdin
    #[arg(long)]
    turns: bool,
    /// Run on this CPU only, once everything is set up
    #[arg(long)]
    cpu: Option<usize>,
}

/// Work of a kernel that ends at once.
const NOTHING: Work = Work {
    iters: 0,
    nominal_ns: 0,
};
const BYTES: usize = 1 << 20;

/// Runs the mode.
pub fn run(options: &Options) -> Result<()> {
    let common = &options.common;
    let gpu = Gpu::open(common.device, common.resolve, DefaultStream::Legacy)?;
    let bench = Bench {
        gpu: &gpu,
        stream: stream::create(&gpu)?,
        launches: Submitter::new(&gpu, 1),
        launches_past: match options.what.contains(&What::LaunchPast) {
            true => Some(Submitter::new(&gpu, 1).through(past::launch_kernel()?)),
            false => None,
        },
        refuse_bytes: options.refuse_bytes as usize,
    };
    // Warms caches, clocks and pools, and starts whatever threads the driver starts on first use,
    // before this thread alone is pinned.
    for &what in &options.what {
        bench.batch(what)?;
    }
    if let Some(cpu) = options.cpu {
        pin(cpu)?;
    }
    let session = Session::begin("overhead", common, &gpu, None)?;
    let mut measured: Vec<Measured> = options.what.iter().map(|_| Measured::default()).collect();
    if options.turns {
        while next_line()? {
            let calls = turn(&bench, &options.what, &mut measured)?;
            session.line(&Record::Turn { calls })?;
            session.flush()?;
        }
    } else {
        for _ in 0..options.samples.div_ceil(BATCH) {
            turn(&bench, &options.what, &mut measured)?;
        }
    }
    let calls = options
        .what
        .iter()
        .zip(&mut measured)
        .map(|(what, measured)| measured.total(*what))
        .collect::<Result<_>>()?;
    let past = bench.launches_past.as_ref();
    let outcome = Outcome::Overhead {
        calls,
        launches_elsewhere: past
            .map(|past| past.differs_from(&bench.launches))
            .transpose()?,
    };
    session.finish(0, outcome, || gpu.synchronize())
}

/// Whether there is another line on stdin.
fn next_line() -> Result<bool> {
    let mut line = String::new();
    Ok(std::io::stdin().lock().read_line(&mut line)? > 0)
}

/// Keeps the calling thread on one CPU.
fn pin(cpu: usize) -> Result<()> {
    // SAFETY: a cpu_set_t is plain data for which all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    ensure!(
        cpu < 8 * size_of::<libc::cpu_set_t>(),
        "there is no CPU {cpu}"
    );
    // SAFETY: the set is live and the CPU within it.
    unsafe { libc::CPU_SET(cpu, &mut set) };
    // SAFETY: the set is live and its true size is given; 0 is the calling thread.
    let rc = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &set) };
    ensure!(
        rc == 0,
        "cannot run on CPU {cpu} alone: {}",
        std::io::Error::last_os_error()
    );
    Ok(())
}

/// One batch of each kind; what each cost.
fn turn(bench: &Bench<'_>, whats: &[What], measured: &mut [Measured]) -> Result<Vec<TurnCost>> {
    whats
        .iter()
        .zip(measured)
        .map(|(&what, measured)| {
            let mut batch_ns = bench.batch(what)?;
            let cost = Quantiles::of(&mut batch_ns).context("a batch has calls")?;
            measured.means_ns.push(cost.mean_ns);
            measured.durations_ns.append(&mut batch_ns);
            Ok(TurnCost {
                call: what.name().into(),
                p50_ns: cost.p50_ns,
                mean_ns: cost.mean_ns,
            })
        })
        .collect()
}

/// Durations of one kind of call over all turns.
#[derive(Default)]
struct Measured {
    durations_ns: Vec<u64>,
    means_ns: Vec<f64>,
}

impl Measured {
    fn total(&mut self, what: What) -> Result<CallCost> {
        Ok(CallCost {
            call: what.name().into(),
            per_call: Quantiles::of(&mut self.durations_ns).context("nothing was measured")?,
            batch_mean_ns: median(&self.means_ns).context("nothing was measured")?,
        })
    }
}

struct Bench<'a> {
    gpu: &'a Gpu,
    stream: CUstream,
    launches: Submitter<'a>,
    launches_past: Option<Submitter<'a>>,
    refuse_bytes: usize,
}

impl Bench<'_> {
    fn batch(&self, what: What) -> Result<Vec<u64>> {
        let count = what.batch();
        let mut durations_ns = Vec::with_capacity(count);
        for _ in 0..count {
            let began_ns = now_ns();
            let left = self.once(what)?;
            durations_ns.push(now_ns() - began_ns);
            if let Some(pointer) = left {
                let api = &self.gpu.api;
                // SAFETY: just allocated on this stream.
                unsafe { call!(api, mem_free_async(pointer, self.stream)) }?;
            }
        }
        // Nothing of this batch may still run in another program's turn.
        match what {
            What::Launch | What::LaunchPast | What::AllocAsync | What::AllocAsyncOnly => {
                stream::synchronize(self.gpu, self.stream)?
            }
            _ => {}
        }
        Ok(durations_ns)
    }

    /// Makes the call; gives what it leaves to be freed.
    #[inline]
    fn once(&self, what: What) -> Result<Option<CUdeviceptr>> {
        let api = &self.gpu.api;
        let mut pointer: CUdeviceptr = 0;
        match what {
            What::AllocAsyncOnly => {
                // SAFETY: a live out-parameter, a live stream.
                unsafe { call!(api, mem_alloc_async(&mut pointer, BYTES, self.stream)) }?;
                return Ok(Some(pointer));
            }
            What::Launch => self.launches.kernel(self.stream, NOTHING),
            What::LaunchPast => {
                let past = self.launches_past.as_ref();
                past.context("nothing was looked up")?
                    .kernel(self.stream, NOTHING)
            }
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
        }?;
        Ok(None)
    }
}
