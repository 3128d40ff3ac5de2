//! What the device's own clock says: when kernels began and ended, and how long a read takes.

use super::events::Throttle;
use super::gpu::{BLOCK_THREADS, Gpu, pinned};
use crate::driver::{Trouble, call};
use crate::protocol::Answer;
use fcsp_measure::clock::{now_ns, sleep_until_ns};
use fcsp_measure::random::Random;

/// Kernels that a run can note.
const STAMPS_MAX: usize = 20_000;
/// Bytes between two places of a chase: a line of the cache.
const LINE_BYTES: u64 = 128;

/// Saturates with kernels that note their times; begin and end of each.
pub(crate) fn stamped(
    gpu: &Gpu,
    kernel_us: f64,
    from_ns: u64,
    to_ns: u64,
) -> Result<Answer, Trouble> {
    needs_clock(gpu)?;
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

/// Cycles of a read that depends on the one before, through a set of that size in an order that no prefetcher knows.
pub(crate) fn chase(gpu: &Gpu, bytes: u64, mut hops: u32, count: u32) -> Result<Answer, Trouble> {
    needs_clock(gpu)?;
    let places = (bytes / LINE_BYTES).max(2) as usize;
    let mut order: Vec<u32> = (0..places as u32).collect();
    let mut random = Random::new(1);
    for at in (1..places).rev() {
        order.swap(at, random.below(at + 1));
    }
    // One cycle through all places: each place names the one that follows it in the order.
    let mut set = vec![0_u32; places * (LINE_BYTES / 4) as usize];
    for (at, place) in order.iter().enumerate() {
        set[*place as usize * (LINE_BYTES / 4) as usize] = order[(at + 1) % places];
    }
    let mut from = gpu.allocate(set.len() as u64 * 4)?;
    let out_host = pinned(&gpu.api, 16)?.cast::<[u64; 2]>();
    let mut out = 0;
    // SAFETY: a buffer of that many words on both sides; a live out-parameter and mapped pinned memory.
    unsafe {
        call!(
            gpu.api,
            copy_to_device(from, set.as_ptr().cast(), set.len() * 4)
        )?;
        call!(
            gpu.api,
            mem_host_device_pointer(&mut out, out_host.cast(), 0)
        )?;
    }
    let mut cycles = Vec::with_capacity(count as usize);
    for pass in 0..=count {
        let mut arguments = [
            (&raw mut from).cast(),
            (&raw mut hops).cast(),
            (&raw mut out).cast(),
        ];
        gpu.launch(gpu.chase, gpu.stream, [1, 1], 1, &mut arguments)?;
        gpu.wait(gpu.stream)?;
        // SAFETY: pinned above; the kernel that writes it is done.
        let [sum, reads] = unsafe { out_host.read_volatile() };
        // The first one brings the set into the cache.
        if pass > 0 && reads > 0 {
            cycles.push(sum as f64 / reads as f64);
        }
    }
    gpu.free(from)?;
    // SAFETY: allocated above; nothing is under way.
    unsafe { call!(gpu.api, mem_free_host(out_host.cast())) }?;
    Ok(Answer::default().with_all("read_cycles", cycles))
}

fn needs_clock(gpu: &Gpu) -> Result<(), Trouble> {
    match gpu.simulated {
        true => Err(Trouble::lacking(
            "a simulated device's kernels have no clock",
        )),
        false => Ok(()),
    }
}
