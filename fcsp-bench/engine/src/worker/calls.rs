//! What single calls cost their caller.

use super::gpu::Gpu;
use crate::driver::Trouble;
use crate::protocol::{Answer, Cheap};
use fcsp_measure::clock::{now_ns, sleep_until_ns, spin_ns};
use fcsp_measure::random::Random;

/// Launches in a row before the queue is drained: few enough that none waits for room in it.
const BATCH: u32 = 100;

/// The launch call alone. Sparse: the device is idle before each. Busy: behind work that lasts as long as the batch.
pub(crate) fn launch(gpu: &Gpu, count: u32, busy: bool) -> Result<Answer, Trouble> {
    let mut launch_us = Vec::with_capacity(count as usize);
    let mut left = count;
    while left > 0 {
        let batch = left.min(BATCH);
        if busy {
            gpu.launch_work(gpu.queue, gpu.wave_blocks, gpu.iters(1_000.0)?, 0)?;
        }
        for _ in 0..batch {
            let began_ns = now_ns();
            gpu.launch_work(gpu.queue, 1, 0, 0)?;
            launch_us.push((now_ns() - began_ns) as f64 / 1e3);
            if !busy {
                gpu.wait(gpu.queue)?;
            }
        }
        gpu.wait(gpu.queue)?;
        left -= batch;
    }
    Ok(Answer::default().with_all("launch_us", launch_us))
}

/// The launch call of one kernel in each period.
pub(crate) fn launch_paced(
    gpu: &Gpu,
    count: u32,
    kernel_us: f64,
    every_us: f64,
) -> Result<Answer, Trouble> {
    let (blocks, iters) = match kernel_us > 0.0 {
        true => (gpu.wave_blocks, gpu.iters(kernel_us)?),
        false => (1, 0),
    };
    let mut launch_us = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let began_ns = now_ns();
        gpu.launch_work(gpu.queue, blocks, iters, 0)?;
        launch_us.push((now_ns() - began_ns) as f64 / 1e3);
        gpu.wait(gpu.queue)?;
        let spent_ns = now_ns() - began_ns;
        spin_ns(((every_us * 1e3) as u64).saturating_sub(spent_ns));
    }
    Ok(Answer::default().with_all("launch_us", launch_us))
}

/// From the return of the launch call until the kernel has written.
pub(crate) fn begin(gpu: &Gpu, count: u32) -> Result<Answer, Trouble> {
    let mut begin_us = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let before = gpu.counter.value();
        gpu.launch_work(gpu.queue, 1, 1, 1)?;
        let returned_ns = now_ns();
        while gpu.counter.value() == before {
            if now_ns() > returned_ns + BEGIN_WITHIN_NS {
                return Err(Trouble::new("a kernel did not begin within 10 s"));
            }
            std::hint::spin_loop();
        }
        begin_us.push((now_ns() - returned_ns) as f64 / 1e3);
        gpu.wait(gpu.queue)?;
    }
    Ok(Answer::default().with_all("begin_us", begin_us))
}

const BEGIN_WITHIN_NS: u64 = 10_000_000_000;

/// Its multiples lie as evenly between whole numbers as can be, however many there are.
const GOLDEN: f64 = 0.618_033_988_749_895;

/// Kernels half to one and a half times `every_us` apart, evenly spread over that from a random beginning: so few of them
/// meet all moments of what others do alike.
pub(crate) fn arrivals(
    gpu: &Gpu,
    count: u32,
    [kernel_us, every_us]: [f64; 2],
    seed: u64,
    to_ns: u64,
) -> Result<Answer, Trouble> {
    let first = Random::new(seed).below(1_000_000) as f64 / 1e6;
    let iters = gpu.iters(kernel_us)?;
    let mut arrival_us = Vec::with_capacity(count as usize);
    for arrival in 0..count {
        let part = (first + GOLDEN * f64::from(arrival)).fract();
        sleep_until_ns(now_ns() + (every_us * (0.5 + part) * 1e3) as u64);
        if to_ns > 0 && now_ns() > to_ns && !arrival_us.is_empty() {
            break;
        }
        let began_ns = now_ns();
        gpu.launch_work(gpu.queue, gpu.wave_blocks, iters, 0)?;
        gpu.wait(gpu.queue)?;
        arrival_us.push((now_ns() - began_ns) as f64 / 1e3);
    }
    Ok(Answer::default().with_all("arrival_us", arrival_us))
}

/// A cheap call, a thousand at a time between two looks at the clock.
pub(crate) fn cheap(gpu: &Gpu, which: Cheap, thousands: u32) -> Result<Answer, Trouble> {
    if gpu.vendor.cheap(which).is_none() {
        return Err(Trouble::lacking(format!(
            "{} has no such call",
            gpu.vendor.interface()
        )));
    }
    let event = gpu.driver.event()?;
    gpu.driver.mark(event, gpu.queue)?;
    gpu.driver.wait_event(event)?;
    gpu.wait(gpu.queue)?;
    let mut call_ns = Vec::with_capacity(thousands as usize);
    for _ in 0..thousands {
        let began_ns = now_ns();
        gpu.driver.repeat(which, 1000, event, gpu.queue)?;
        call_ns.push((now_ns() - began_ns) as f64 / 1000.0);
    }
    Ok(Answer::default().with_all("call_ns", call_ns))
}
