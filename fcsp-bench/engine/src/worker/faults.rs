//! Faults, made on purpose.

use super::gpu::Gpu;
use super::memory::{give, take};
use crate::driver::{Refusal, Trouble};
use crate::protocol::{Answer, Way};
use fcsp_measure::clock::now_ns;

/// An address that no program has: below what any driver maps, and aligned.
const NOBODYS: u64 = 0x1000;

/// Writes where nobody may; how long until the program was told, and as what.
pub(crate) fn illegal_access(gpu: &Gpu) -> Result<Answer, Trouble> {
    // What is done once with the first kernel is no part of it.
    gpu.launch_work(gpu.queue, 1, 0, 0)?;
    gpu.synchronize()?;
    let began_ns = now_ns();
    let told = write(gpu).and_then(|()| gpu.synchronize());
    let detect_us = (now_ns() - began_ns) as f64 / 1e3;
    let status = told.as_ref().err().and_then(|trouble| trouble.status);
    let text = told
        .err()
        .map_or_else(|| "nothing".to_owned(), |trouble| trouble.message);
    Ok(Answer::default()
        .with("status", f64::from(status.unwrap_or(0)))
        .with("detect_us", detect_us)
        .with_text("told", text))
}

/// Runs out of everything that can be run out of; in how many ways the program was told properly and could go on.
pub(crate) fn run_out(gpu: &Gpu) -> Result<Answer, Trouble> {
    let mut answer = Answer::default();
    let mut improper = Vec::new();
    // Not arrays: the driver bounds their height, which comes before their size.
    for way in Way::ALL.into_iter().filter(|way| *way != Way::Array) {
        let Some(name) = gpu.vendor.way(way) else {
            continue;
        };
        let (free, _) = gpu.driver.memory_info()?;
        // Managed memory may be more than the device has: natively that is no running out.
        let told = match take(gpu, way, free + (1 << 30)) {
            Ok(block) => {
                give(gpu, block)?;
                way == Way::Managed
            }
            Err(trouble) => trouble.is_out_of_memory(),
        };
        let (after, _) = gpu.driver.memory_info()?;
        // Pools and mappings may keep a little; what was asked for is far more.
        let charged_nothing = free.saturating_sub(after) < 1 << 29;
        let proper = told && charged_nothing && goes_on(gpu);
        if !proper {
            improper.push(name);
        }
        answer = answer.with("proper", f64::from(u8::from(proper)));
    }
    let told = too_large(gpu).err().and_then(|trouble| trouble.refusal);
    let proper = told == Some(Refusal::Shape) && goes_on(gpu);
    if !proper {
        improper.push("a block of 4096 threads");
    }
    Ok(answer
        .with("proper", f64::from(u8::from(proper)))
        .with_text("improper", improper.join(", ")))
}

/// Whether a smaller request and a kernel still work.
fn goes_on(gpu: &Gpu) -> bool {
    let smaller = gpu.allocate(1 << 20).and_then(|address| gpu.free(address));
    let kernel = gpu
        .launch_work(gpu.queue, 1, 0, 0)
        .and_then(|()| gpu.synchronize());
    smaller.is_ok() && kernel.is_ok()
}

/// Allocates, computes, frees: what a program does that begins.
pub(crate) fn work(gpu: &Gpu, bytes: u64) -> Result<Answer, Trouble> {
    let address = gpu.allocate(bytes)?;
    gpu.launch_work(gpu.queue, 1, 0, 0)?;
    gpu.synchronize()?;
    gpu.free(address)?;
    Ok(Answer::default())
}

/// A block of more threads than any device has.
fn too_large(gpu: &Gpu) -> Result<(), Trouble> {
    let write = gpu.driver.kernel(c"fcsp_write")?;
    let arguments = [NOBODYS.into(), 0_u64.into()];
    gpu.launch(write, gpu.queue, [1, 1], 4096, &arguments)
}

/// The work kernel with a counter that is nobody's: it writes there at its end. A simulated device knows no other kernel
/// that touches memory, and refuses this one at the launch.
fn write(gpu: &Gpu) -> Result<(), Trouble> {
    let arguments = [1_u32.into(), NOBODYS.into(), 1_u64.into()];
    gpu.launch(gpu.work, gpu.queue, [1, 1], 32, &arguments)
}
