//! What single calls cost their caller.

use super::events;
use super::gpu::Gpu;
use crate::driver::{Trouble, check};
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
            gpu.launch_work(gpu.stream, gpu.wave_blocks, gpu.iters(1_000.0)?, 0)?;
        }
        for _ in 0..batch {
            let began_ns = now_ns();
            gpu.launch_work(gpu.stream, 1, 0, 0)?;
            launch_us.push((now_ns() - began_ns) as f64 / 1e3);
            if !busy {
                gpu.wait(gpu.stream)?;
            }
        }
        gpu.wait(gpu.stream)?;
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
        gpu.launch_work(gpu.stream, blocks, iters, 0)?;
        launch_us.push((now_ns() - began_ns) as f64 / 1e3);
        gpu.wait(gpu.stream)?;
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
        gpu.launch_work(gpu.stream, 1, 1, 1)?;
        let returned_ns = now_ns();
        while gpu.counter.value() == before {
            if now_ns() > returned_ns + BEGIN_WITHIN_NS {
                return Err(Trouble::new("a kernel did not begin within 10 s"));
            }
            std::hint::spin_loop();
        }
        begin_us.push((now_ns() - returned_ns) as f64 / 1e3);
        gpu.wait(gpu.stream)?;
    }
    Ok(Answer::default().with_all("begin_us", begin_us))
}

const BEGIN_WITHIN_NS: u64 = 10_000_000_000;

/// Kernels at random moments, half to one and a half times `every_us` apart.
pub(crate) fn arrivals(
    gpu: &Gpu,
    count: u32,
    kernel_us: f64,
    every_us: f64,
    seed: u64,
) -> Result<Answer, Trouble> {
    let mut random = Random::new(seed);
    let iters = gpu.iters(kernel_us)?;
    let mut arrival_us = Vec::with_capacity(count as usize);
    for _ in 0..count {
        let pause_us = every_us * (0.5 + random.below(1_000) as f64 / 1e3);
        sleep_until_ns(now_ns() + (pause_us * 1e3) as u64);
        let began_ns = now_ns();
        gpu.launch_work(gpu.stream, gpu.wave_blocks, iters, 0)?;
        gpu.wait(gpu.stream)?;
        arrival_us.push((now_ns() - began_ns) as f64 / 1e3);
    }
    Ok(Answer::default().with_all("arrival_us", arrival_us))
}

/// A cheap call, a thousand at a time between two looks at the clock.
pub(crate) fn cheap(gpu: &Gpu, which: Cheap, thousands: u32) -> Result<Answer, Trouble> {
    let api = &gpu.api;
    let event = events::create(gpu)?;
    events::record(gpu, event, gpu.stream)?;
    events::wait(gpu, event)?;
    let mut call_ns = Vec::with_capacity(thousands as usize);
    for _ in 0..thousands {
        let time = |call: &dyn Fn() -> cuda_sys::CUresult, name| -> Result<f64, Trouble> {
            let began_ns = now_ns();
            for _ in 0..1000 {
                check(name, call())?;
            }
            Ok((now_ns() - began_ns) as f64 / 1000.0)
        };
        call_ns.push(match which {
            Cheap::CtxGetDevice => {
                let call = api.ctx_get_device.get()?;
                let device = std::cell::Cell::new(0);
                // SAFETY: a live out-parameter.
                time(&|| unsafe { call(device.as_ptr()) }, "cuCtxGetDevice")?
            }
            Cheap::CtxSetCurrent => {
                let call = api.ctx_set_current.get()?;
                // SAFETY: the context is retained for the life of the process.
                time(&|| unsafe { call(gpu.context) }, "cuCtxSetCurrent")?
            }
            Cheap::EventQuery => {
                let call = api.event_query.get()?;
                // SAFETY: an event that is never destroyed.
                time(&|| unsafe { call(event) }, "cuEventQuery")?
            }
            Cheap::StreamQuery => {
                let call = api.stream_query.get()?;
                // SAFETY: a stream that is never destroyed.
                time(&|| unsafe { call(gpu.stream) }, "cuStreamQuery")?
            }
            Cheap::MemGetInfo => {
                let call = api.mem_get_info.get()?;
                let (free, total) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
                time(
                    // SAFETY: two live out-parameters.
                    &|| unsafe { call(free.as_ptr(), total.as_ptr()) },
                    "cuMemGetInfo",
                )?
            }
        });
    }
    Ok(Answer::default().with_all("call_ns", call_ns))
}
