//! Loads: work that goes on between two moments and whose progress is counted.

use super::copies::Lane;
use super::events::Throttle;
use super::gpu::{BLOCK_THREADS, Gpu};
use super::memory::Block;
use super::sampler::Sampler;
use crate::driver::{Trouble, call};
use crate::protocol::{Answer, Load, Way};
use cuda_sys::{CUdeviceptr, CUgraphExec, CUstreamCaptureMode};
use fcsp_measure::clock::{now_ns, sleep_until_ns, spin_ns};
use fcsp_measure::random::Random;
use std::collections::BTreeMap;

/// How far ahead of the device a saturating load may run.
const AHEAD_US: f64 = 20_000.0;
/// Looks at the clock of loads whose calls are short, in calls.
const LOOK_EVERY: u32 = 16;
/// Nominal device time credited for a byte that a simulated device reads: its bandwidth is 2 TB/s.
const BYTES_PER_NOMINAL_NS: u64 = 2_000;
/// A mixed step: so many empty kernels, one of that length, copies of that size.
const MIXED_SHORT: u32 = 60;
const MIXED_LONG_US: f64 = 100.0;
const MIXED_COPY_BYTES: u64 = 64 << 10;
/// Kernels of a step of each batch size, and what its steps are called.
const BATCHES: [(u32, &str); 4] = [
    (4, "size_4"),
    (8, "size_8"),
    (16, "size_16"),
    (32, "size_32"),
];

/// Gets everything that it needs, and waits until that is there.
pub(crate) fn prepare(gpu: &Gpu, load: &Load) -> Result<Ready, Trouble> {
    let ready = Ready::prepare(gpu, load)?;
    gpu.synchronize()?;
    Ok(ready)
}

/// Runs what was prepared.
pub(crate) fn run(
    gpu: &Gpu,
    mut ready: Ready,
    from_ns: u64,
    to_ns: u64,
) -> Result<Answer, Trouble> {
    sleep_until_ns(from_ns);
    let cpu_ns = cpu_ns();
    let began_ns = now_ns();
    let sampler = Sampler::start(gpu.counter);
    let result = ready.go(gpu, to_ns);
    let ended = gpu.synchronize();
    let ended_ns = now_ns();
    let mut points = sampler.stop();
    let steps = result?;
    ended?;
    if ready.counts_bytes_by_time {
        for point in &mut points {
            point.1 *= BYTES_PER_NOMINAL_NS;
        }
    }
    ready.finish(gpu)?;
    let mut answer = Answer {
        points,
        ..Answer::default()
    }
    .with("cpu_us", (self::cpu_ns() - cpu_ns) as f64 / 1e3)
    .with("wall_us", (ended_ns - began_ns) as f64 / 1e3);
    for (name, kept) in steps.kept {
        answer = answer.with_all(name, kept.us);
    }
    Ok(answer)
}

/// Processor time of this process so far, all its threads.
fn cpu_ns() -> u64 {
    // SAFETY: an all-zero rusage is a valid one, and a live out-parameter.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let ns = |time: libc::timeval| time.tv_sec as u64 * 1_000_000_000 + time.tv_usec as u64 * 1_000;
    ns(usage.ru_utime) + ns(usage.ru_stime)
}

/// Lengths of steps, by what kind they are.
#[derive(Default)]
struct Steps {
    kept: BTreeMap<&'static str, Kept>,
}

/// Some of all steps of a kind, evenly spaced: every `stride`-th.
struct Kept {
    us: Vec<f64>,
    seen: usize,
    stride: usize,
}

/// Steps that are kept of a kind; beyond it every other one is forgotten, and from then on fewer are kept.
const STEPS_KEPT: usize = 4_000;

impl Steps {
    /// One that began then and is over.
    #[inline]
    fn push(&mut self, name: &'static str, began_ns: u64) {
        let us = (now_ns() - began_ns) as f64 / 1e3;
        let kept = self.kept.entry(name).or_insert_with(|| Kept {
            us: Vec::with_capacity(STEPS_KEPT),
            seen: 0,
            stride: 1,
        });
        if kept.seen.is_multiple_of(kept.stride) {
            if kept.us.len() == STEPS_KEPT {
                let mut index = 0;
                kept.us.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                kept.stride *= 2;
            }
            kept.us.push(us);
        }
        kept.seen += 1;
    }
}

/// A load with all that it needs.
pub(crate) struct Ready {
    load: Load,
    buffer: Option<CUdeviceptr>,
    other: Option<CUdeviceptr>,
    graph: Option<CUgraphExec>,
    lane: Option<Lane>,
    counts_bytes_by_time: bool,
}

impl Ready {
    fn prepare(gpu: &Gpu, load: &Load) -> Result<Self, Trouble> {
        let mut ready = Self {
            load: load.clone(),
            buffer: None,
            other: None,
            graph: None,
            lane: None,
            counts_bytes_by_time: false,
        };
        match *load {
            Load::Read { buffer_bytes, .. } => {
                let buffer = gpu.allocate(buffer_bytes)?;
                ready.buffer = Some(buffer);
                // What a simulated device computes does not depend on what its memory holds.
                if !gpu.simulated {
                    // SAFETY: allocated above, of that size.
                    unsafe { call!(gpu.api, fill(buffer, 0, buffer_bytes as usize)) }?;
                }
                ready.counts_bytes_by_time = true;
            }
            Load::Inside { bytes, .. } => {
                ready.buffer = Some(gpu.allocate(bytes)?);
                ready.other = Some(gpu.allocate(bytes)?);
            }
            Load::Mixed => ready.lane = Some(Lane::open(gpu, MIXED_COPY_BYTES, true)?),
            Load::Copy { bytes, pinned, .. } => ready.lane = Some(Lane::open(gpu, bytes, pinned)?),
            Load::Steps {
                kernels,
                us,
                graph: true,
                ..
            } => ready.graph = Some(capture(gpu, kernels, us)?),
            _ => {}
        }
        Ok(ready)
    }

    fn finish(self, gpu: &Gpu) -> Result<(), Trouble> {
        for buffer in [self.buffer, self.other].into_iter().flatten() {
            gpu.free(buffer)?;
        }
        if let Some(lane) = self.lane {
            lane.close(gpu)?;
        }
        if let Some(graph) = self.graph {
            // SAFETY: instantiated by `capture`, destroyed once.
            unsafe { call!(gpu.api, graph_exec_destroy(graph)) }?;
        }
        Ok(())
    }

    /// Works until then; the lengths of steps.
    fn go(&mut self, gpu: &Gpu, to_ns: u64) -> Result<Steps, Trouble> {
        let mut steps = Steps::default();
        match self.load {
            Load::Kernels { us } => {
                let iters = gpu.iters(us)?;
                let nominal_ns = (us * 1e3) as u64;
                let mut throttle = Throttle::new(gpu, gpu.stream, (AHEAD_US / us) as u64);
                while now_ns() < to_ns {
                    gpu.launch_work(gpu.stream, gpu.wave_blocks, iters, nominal_ns)?;
                    throttle.submitted()?;
                }
            }
            Load::Steps {
                kernels,
                us,
                cpu_us,
                ..
            } => {
                let iters = gpu.iters(us)?;
                while now_ns() < to_ns {
                    let began_ns = now_ns();
                    match self.graph {
                        // SAFETY: instantiated above, a live stream.
                        Some(graph) => unsafe { call!(gpu.api, graph_launch(graph, gpu.stream)) }?,
                        None => {
                            for _ in 0..kernels {
                                gpu.launch_work(
                                    gpu.stream,
                                    gpu.wave_blocks,
                                    iters,
                                    (us * 1e3) as u64,
                                )?;
                            }
                        }
                    }
                    gpu.wait(gpu.stream)?;
                    spin_ns((cpu_us * 1e3) as u64);
                    steps.push("step_us", began_ns);
                }
            }
            Load::Read {
                buffer_bytes,
                pass_bytes,
            } => {
                let buffer = self.buffer.unwrap_or_default();
                let mut throttle = Throttle::new(gpu, gpu.stream, 16);
                while now_ns() < to_ns {
                    read(gpu, buffer, buffer_bytes, pass_bytes)?;
                    throttle.submitted()?;
                }
            }
            Load::Copy {
                bytes, to_device, ..
            } => {
                while now_ns() < to_ns {
                    if let Some(lane) = &self.lane {
                        let began_ns = now_ns();
                        lane.copy(gpu, to_device)?;
                        gpu.counter.add(bytes);
                        steps.push("step_us", began_ns);
                    }
                }
            }
            Load::Launches => {
                let mut throttle = Throttle::new(gpu, gpu.stream, 512);
                while now_ns() < to_ns {
                    for _ in 0..LOOK_EVERY {
                        gpu.launch_work(gpu.stream, 1, 0, 0)?;
                        throttle.submitted()?;
                    }
                    gpu.counter.add(u64::from(LOOK_EVERY));
                }
            }
            Load::Allocations { way, bytes } => {
                while now_ns() < to_ns {
                    let began_ns = now_ns();
                    Block::allocate(gpu, way, bytes)?.free(gpu)?;
                    gpu.counter.add(1);
                    steps.push("step_us", began_ns);
                }
            }
            Load::Inside { bytes, fill } => {
                let (from, to) = (
                    self.buffer.unwrap_or_default(),
                    self.other.unwrap_or_default(),
                );
                let mut throttle = Throttle::new(gpu, gpu.stream, 16);
                while now_ns() < to_ns {
                    // SAFETY: both buffers have that many bytes and outlive the load, which waits for its work.
                    unsafe {
                        if fill {
                            call!(gpu.api, fill_async(to, 0, bytes as usize, gpu.stream))?;
                        } else {
                            call!(
                                gpu.api,
                                copy_inside_async(to, from, bytes as usize, gpu.stream)
                            )?;
                        }
                    }
                    throttle.submitted()?;
                    gpu.counter.add(1);
                }
            }
            Load::Mixed => {
                let long = gpu.iters(MIXED_LONG_US)?;
                while now_ns() < to_ns {
                    let began_ns = now_ns();
                    for _ in 0..MIXED_SHORT {
                        gpu.launch_work(gpu.stream, 1, 0, 0)?;
                    }
                    gpu.launch_work(gpu.stream, gpu.wave_blocks, long, 0)?;
                    Block::allocate(gpu, Way::Pool, 1 << 20)?.free(gpu)?;
                    if let Some(lane) = &self.lane {
                        lane.copy(gpu, true)?;
                        lane.copy(gpu, false)?;
                    }
                    gpu.counter.add(1);
                    steps.push("step_us", began_ns);
                }
            }
            Load::Batches { us, seed } => {
                let iters = gpu.iters(us)?;
                let mut random = Random::new(seed);
                while now_ns() < to_ns {
                    let (kernels, name) = BATCHES[random.below(BATCHES.len())];
                    let began_ns = now_ns();
                    for _ in 0..kernels {
                        gpu.launch_work(gpu.stream, gpu.wave_blocks, iters, (us * 1e3) as u64)?;
                    }
                    gpu.wait(gpu.stream)?;
                    steps.push(name, began_ns);
                }
            }
            Load::Idle => sleep_until_ns(to_ns),
        }
        Ok(steps)
    }
}

/// One pass over part of a buffer. Credits nominal nanoseconds: that is how long a simulated device takes for it, and a
/// number of bytes on any device.
pub(crate) fn read(
    gpu: &Gpu,
    buffer: CUdeviceptr,
    buffer_bytes: u64,
    pass_bytes: u64,
) -> Result<(), Trouble> {
    let round_bytes = u64::from(gpu.wave_blocks) * u64::from(BLOCK_THREADS) * 16;
    let mut iters = pass_bytes.div_ceil(round_bytes).max(1) as u32;
    let mut add = u64::from(iters) * round_bytes / BYTES_PER_NOMINAL_NS;
    let mut counter = gpu.counter.device;
    let (mut from, mut bytes) = (buffer, buffer_bytes);
    let mut arguments = [
        (&raw mut iters).cast(),
        (&raw mut counter).cast(),
        (&raw mut add).cast(),
        (&raw mut from).cast(),
        (&raw mut bytes).cast(),
    ];
    gpu.launch(
        gpu.read,
        gpu.stream,
        [gpu.wave_blocks, 1],
        BLOCK_THREADS,
        &mut arguments,
    )
}

/// A step as one graph.
pub(crate) fn capture(gpu: &Gpu, kernels: u32, us: f64) -> Result<CUgraphExec, Trouble> {
    let iters = gpu.iters(us)?;
    let mode = CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
    // SAFETY: a live stream that is not being captured.
    unsafe { call!(gpu.api, stream_begin_capture(gpu.stream, mode)) }?;
    for _ in 0..kernels {
        gpu.launch_work(gpu.stream, gpu.wave_blocks, iters, (us * 1e3) as u64)?;
    }
    let mut graph = std::ptr::null_mut();
    // SAFETY: the capture that began above, a live out-parameter.
    unsafe { call!(gpu.api, stream_end_capture(gpu.stream, &mut graph)) }?;
    let mut exec = std::ptr::null_mut();
    // SAFETY: a captured graph, a live out-parameter.
    unsafe { call!(gpu.api, graph_instantiate(&mut exec, graph, 0)) }?;
    // SAFETY: what was instantiated does not need it any more.
    unsafe { call!(gpu.api, graph_destroy(graph)) }?;
    Ok(exec)
}
