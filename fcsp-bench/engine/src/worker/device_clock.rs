//! What the device's own clock says: when kernels began and ended.

use super::events::Throttle;
use super::gpu::{BLOCK_THREADS, Gpu, pinned};
use crate::driver::{Trouble, call};
use crate::protocol::Answer;
use fcsp_measure::clock::{now_ns, sleep_until_ns};

/// Kernels that a run can note.
const STAMPS_MAX: usize = 20_000;

/// Saturates with kernels that note their times; begin and end of each.
pub(crate) fn stamped(
    gpu: &Gpu,
    kernel_us: f64,
    from_ns: u64,
    to_ns: u64,
) -> Result<Answer, Trouble> {
    let mut iters = gpu.iters(kernel_us)?;
    let host = pinned(&gpu.api, STAMPS_MAX * 16)?.cast::<[u64; 2]>();
    let mut device = 0;
    // SAFETY: a live out-parameter; mapped pinned memory of that many places.
    unsafe {
        host.write_bytes(0, STAMPS_MAX);
        call!(
            gpu.api,
            mem_host_device_pointer(&mut device, host.cast(), 0)
        )
    }?;
    sleep_until_ns(from_ns);
    let mut throttle = Throttle::new(gpu, gpu.stream, (20_000.0 / kernel_us) as u64);
    let mut count = 0;
    while now_ns() < to_ns && count < STAMPS_MAX {
        let mut place = device + count as u64 * 16;
        let mut arguments = [(&raw mut iters).cast(), (&raw mut place).cast()];
        gpu.launch(
            gpu.stamped,
            gpu.stream,
            [gpu.wave_blocks, 1],
            BLOCK_THREADS,
            &mut arguments,
        )?;
        throttle.submitted()?;
        count += 1;
    }
    gpu.synchronize()?;
    let points = (0..count)
        .map(|at| {
            // SAFETY: within what was allocated; every kernel that writes to it is done.
            let [begin, end] = unsafe { host.add(at).read_volatile() };
            (begin, end)
        })
        .collect();
    // SAFETY: allocated above; nothing is under way.
    unsafe { call!(gpu.api, mem_free_host(host.cast())) }?;
    Ok(Answer {
        points,
        ..Answer::default()
    })
}
