//! Loads: work that goes on between two moments and whose progress is counted.

use super::copies::Lane;
use super::events::Throttle;
use super::gpu::{BLOCK_THREADS, Gpu};
use super::sampler::Sampler;
use crate::driver::{Address, Graph, Kernel, Trouble};
use crate::protocol::{Answer, Load, Way};
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

/// Runs what was prepared: when it begins, from when on steps count, and when it ends.
pub(crate) fn run(
    gpu: &Gpu,
    mut ready: Ready,
    [from_ns, counts_from_ns, to_ns]: [u64; 3],
) -> Result<Answer, Trouble> {
    sleep_until_ns(from_ns);
    let cpu_ns = cpu_ns();
    let queued_ns = queued_ns();
    let began_ns = now_ns();
    let sampler = Sampler::start(gpu.counter);
    let result = ready.go(gpu, counts_from_ns, to_ns);
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
    .with("queued_us", (self::queued_ns() - queued_ns) as f64 / 1e3)
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

/// How long the calling thread so far could have run and had no processor; 0 where the kernel does not count it.
fn queued_ns() -> u64 {
    // Fields of `/proc/[pid]/schedstat`: time on a processor, time in a queue for one, turns (proc(5)).
    let counted = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let queued = counted.split_whitespace().nth(1);
    queued.and_then(|ns| ns.parse().ok()).unwrap_or(0)
}

/// Lengths of steps, by what kind they are.
#[derive(Default)]
struct Steps {
    /// Those that end before are not kept.
    from_ns: u64,
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
        let ended_ns = now_ns();
        if ended_ns < self.from_ns {
            return;
        }
        let us = (ended_ns - began_ns) as f64 / 1e3;
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
    buffer: Option<Address>,
    other: Option<Address>,
    graph: Option<Graph>,
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
                    gpu.driver.fill(buffer, 0, buffer_bytes / 4)?;
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
            gpu.driver.end_graph(graph)?;
        }
        Ok(())
    }

    /// Works until then; the lengths of steps.
    fn go(&mut self, gpu: &Gpu, from_ns: u64, to_ns: u64) -> Result<Steps, Trouble> {
        let mut steps = Steps {
            from_ns,
            ..Steps::default()
        };
        match self.load {
            Load::Kernels { us } => {
                let iters = gpu.iters(us)?;
                let nominal_ns = (us * 1e3) as u64;
                let mut throttle = Throttle::new(gpu, gpu.queue, (AHEAD_US / us) as u64);
                while now_ns() < to_ns {
                    gpu.launch_work(gpu.queue, gpu.wave_blocks, iters, nominal_ns)?;
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
                        Some(graph) => gpu.driver.launch_graph(graph, gpu.queue)?,
                        None => {
                            for _ in 0..kernels {
                                gpu.launch_work(
                                    gpu.queue,
                                    gpu.wave_blocks,
                                    iters,
                                    (us * 1e3) as u64,
                                )?;
                            }
                        }
                    }
                    gpu.wait(gpu.queue)?;
                    spin_ns((cpu_us * 1e3) as u64);
                    steps.push("step_us", began_ns);
                }
            }
            Load::Read {
                buffer_bytes,
                pass_bytes,
            } => {
                let buffer = self.buffer.unwrap_or_default();
                let kernel = gpu.driver.kernel(c"fcsp_read")?;
                let mut throttle = Throttle::new(gpu, gpu.queue, 16);
                while now_ns() < to_ns {
                    read(gpu, kernel, buffer, buffer_bytes, pass_bytes)?;
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
                let mut throttle = Throttle::new(gpu, gpu.queue, 512);
                while now_ns() < to_ns {
                    for _ in 0..LOOK_EVERY {
                        gpu.launch_work(gpu.queue, 1, 0, 0)?;
                        throttle.submitted()?;
                    }
                    gpu.counter.add(u64::from(LOOK_EVERY));
                }
            }
            Load::Allocations { way, bytes } => {
                while now_ns() < to_ns {
                    let began_ns = now_ns();
                    let block = gpu.driver.allocate(way, bytes, gpu.queue)?;
                    gpu.driver.free(block, gpu.queue)?;
                    gpu.counter.add(1);
                    steps.push("step_us", began_ns);
                }
            }
            Load::Inside { bytes, fill } => {
                let (from, to) = (
                    self.buffer.unwrap_or_default(),
                    self.other.unwrap_or_default(),
                );
                let mut throttle = Throttle::new(gpu, gpu.queue, 16);
                while now_ns() < to_ns {
                    match fill {
                        true => gpu.driver.fill_async(to, bytes, gpu.queue)?,
                        false => gpu.driver.copy_inside(to, from, bytes, gpu.queue)?,
                    }
                    throttle.submitted()?;
                    gpu.counter.add(1);
                }
            }
            Load::Mixed => {
                let long = gpu.iters(MIXED_LONG_US)?;
                // As the interface's programs do where it has no pools.
                let way = match gpu.vendor.way(Way::Pool) {
                    Some(_) => Way::Pool,
                    None => Way::Plain,
                };
                while now_ns() < to_ns {
                    let began_ns = now_ns();
                    for _ in 0..MIXED_SHORT {
                        gpu.launch_work(gpu.queue, 1, 0, 0)?;
                    }
                    gpu.launch_work(gpu.queue, gpu.wave_blocks, long, 0)?;
                    let block = gpu.driver.allocate(way, 1 << 20, gpu.queue)?;
                    gpu.driver.free(block, gpu.queue)?;
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
                        gpu.launch_work(gpu.queue, gpu.wave_blocks, iters, (us * 1e3) as u64)?;
                    }
                    gpu.wait(gpu.queue)?;
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
fn read(
    gpu: &Gpu,
    kernel: Kernel,
    buffer: Address,
    buffer_bytes: u64,
    pass_bytes: u64,
) -> Result<(), Trouble> {
    let round_bytes = u64::from(gpu.wave_blocks) * u64::from(BLOCK_THREADS) * 16;
    let iters = pass_bytes.div_ceil(round_bytes).max(1) as u32;
    let add = u64::from(iters) * round_bytes / BYTES_PER_NOMINAL_NS;
    let arguments = [
        iters.into(),
        gpu.counter.device.into(),
        add.into(),
        buffer.into(),
        buffer_bytes.into(),
    ];
    gpu.launch(
        kernel,
        gpu.queue,
        [gpu.wave_blocks, 1],
        BLOCK_THREADS,
        &arguments,
    )
}

/// A step as one graph.
pub(crate) fn capture(gpu: &Gpu, kernels: u32, us: f64) -> Result<Graph, Trouble> {
    let iters = gpu.iters(us)?;
    let recording = gpu.driver.record(gpu.queue)?;
    for _ in 0..kernels {
        gpu.launch_work(recording, gpu.wave_blocks, iters, (us * 1e3) as u64)?;
    }
    gpu.driver.recorded(recording)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_on_one_processor_wait_for_each_other() {
        const NS: u64 = 50_000_000;
        let busy = || {
            crate::worker::pin::stay(0).expect("it may");
            let before_ns = queued_ns();
            spin_ns(NS);
            queued_ns() - before_ns
        };
        let threads = [busy; 2].map(std::thread::spawn);
        let queued_ns: u64 = threads
            .map(|it| it.join().expect("it ends well"))
            .iter()
            .sum();
        assert!(queued_ns > NS / 4, "{queued_ns} ns");
    }
}
