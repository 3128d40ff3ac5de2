//! Several streams of one program at once.

use super::gpu::Gpu;
use crate::driver::{Done, Queue};
use crate::protocol::Answer;
use fcsp_measure::clock::now_ns;

/// Kernels of few blocks on one stream, then as many on each of several: `alone_us` and `pass_us`.
pub(crate) fn together(
    gpu: &Gpu,
    streams: u32,
    kernels: u32,
    us: f64,
    blocks: u32,
    count: u32,
) -> Done<Answer> {
    let iters = gpu.iters(us)?;
    let streams: Vec<_> = (0..streams)
        .map(|_| gpu.driver.queue())
        .collect::<Done<_>>()?;
    let pass = |streams: &[Queue]| -> Done<f64> {
        let began_ns = now_ns();
        for _ in 0..kernels {
            for &stream in streams {
                gpu.launch_work(stream, blocks, iters, 0)?;
            }
        }
        gpu.synchronize()?;
        Ok((now_ns() - began_ns) as f64 / 1e3)
    };
    pass(&streams)?;
    let mut answer = Answer::default();
    for _ in 0..count {
        answer = answer
            .with("alone_us", pass(&streams[..1])?)
            .with("pass_us", pass(&streams)?);
    }
    for stream in streams {
        gpu.driver.end_queue(stream)?;
    }
    Ok(answer)
}
