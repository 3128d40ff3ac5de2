//! Several streams of one program at once.

use super::gpu::Gpu;
use crate::driver::{Done, Queue};
use crate::protocol::Answer;
use fcsp_measure::clock::now_ns;

/// What is asked for, as in [`crate::protocol::Task::Streams`].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// Streams.
    pub(crate) streams: u32,
    /// Kernels on each.
    pub(crate) kernels: u32,
    /// Length of each alone.
    pub(crate) us: f64,
    /// Blocks of each.
    pub(crate) blocks: u32,
    /// Passes, at most.
    pub(crate) count: u32,
    /// Moment before which passes do not count; 0 for none.
    pub(crate) from_ns: u64,
    /// Moment after which no further pass begins; 0 for none.
    pub(crate) to_ns: u64,
}

/// Kernels of few blocks on one stream, then as many on each of several: `alone_us` and `pass_us`.
pub(crate) fn together(gpu: &Gpu, asked: Asked) -> Done<Answer> {
    let (kernels, blocks) = (asked.kernels, asked.blocks);
    let iters = gpu.iters(asked.us)?;
    let streams: Vec<_> = (0..asked.streams)
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
    while now_ns() < asked.from_ns {
        pass(&streams)?;
    }
    let mut answer = Answer::default();
    for done in 0..asked.count {
        if done > 0 && asked.to_ns > 0 && now_ns() > asked.to_ns {
            break;
        }
        answer = answer
            .with("alone_us", pass(&streams[..1])?)
            .with("pass_us", pass(&streams)?);
    }
    for stream in streams {
        gpu.driver.end_queue(stream)?;
    }
    Ok(answer)
}
