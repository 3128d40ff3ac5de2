//! What the device's own clock says: when kernels began and ended.

use super::events::Throttle;
use super::gpu::{BLOCK_THREADS, Gpu};
use crate::driver::{Done, Shape};
use crate::protocol::Answer;
use fcsp_measure::clock::{now_ns, sleep_until_ns};

/// Kernels that a run can note.
const STAMPS_MAX: usize = 20_000;

/// Saturates with kernels whose times are noted; begin and end of each.
pub(crate) fn stamped(gpu: &Gpu, kernel_us: f64, from_ns: u64, to_ns: u64) -> Done<Answer> {
    let iters = gpu.iters(kernel_us)?;
    let kernel = gpu.driver.kernel(gpu.driver.stamped())?;
    let stamps = gpu.driver.stamps(STAMPS_MAX)?;
    let shape = Shape {
        blocks: [gpu.wave_blocks, 1],
        threads: BLOCK_THREADS,
    };
    sleep_until_ns(from_ns);
    let mut throttle = Throttle::new(gpu, gpu.queue, (20_000.0 / kernel_us) as u64);
    let mut count = 0;
    while now_ns() < to_ns && count < STAMPS_MAX {
        gpu.driver
            .launch_stamped(&stamps, count, kernel, gpu.queue, shape, iters)?;
        throttle.submitted()?;
        count += 1;
    }
    gpu.synchronize()?;
    Ok(Answer {
        points: gpu.driver.times(stamps, count)?,
        ..Answer::default()
    })
}
