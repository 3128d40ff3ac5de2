//! Device memory, asked for in every way a program can.

use super::gpu::Gpu;
use crate::driver::{Block, Trouble};
use crate::protocol::{Answer, Way};
use fcsp_measure::clock::{NS_PER_MS, now_ns, spin_ns};

/// A block, in the order of the worker's queue.
#[inline]
pub(crate) fn take(gpu: &Gpu, way: Way, bytes: u64) -> Result<Block, Trouble> {
    gpu.driver.allocate(way, bytes, gpu.queue)
}

/// Gives it back.
#[inline]
pub(crate) fn give(gpu: &Gpu, block: Block) -> Result<(), Trouble> {
    gpu.driver.free(block, gpu.queue)
}

/// From this size on a free is followed by a pause that grows with it, in bytes a nanosecond: drivers clear what was freed
/// later, and an allocation that comes before has to wait for it, or not, by chance.
const PAUSE_FROM_BYTES: u64 = 64 << 20;
const PAUSE_BYTES_PER_NS: u64 = 268;

/// Pairs of allocation and free.
pub(crate) fn allocate(gpu: &Gpu, way: Way, bytes: u64, count: u32) -> Result<Answer, Trouble> {
    let (mut alloc_us, mut free_us) = (Vec::new(), Vec::new());
    for _ in 0..count {
        let began_ns = now_ns();
        let block = take(gpu, way, bytes)?;
        let had_ns = now_ns();
        give(gpu, block)?;
        let freed_ns = now_ns();
        if bytes >= PAUSE_FROM_BYTES {
            spin_ns(bytes / PAUSE_BYTES_PER_NS);
        }
        alloc_us.push((had_ns - began_ns) as f64 / 1e3);
        free_us.push((freed_ns - had_ns) as f64 / 1e3);
    }
    gpu.wait(gpu.queue)?;
    Ok(Answer::default()
        .with_all("alloc_us", alloc_us)
        .with_all("free_us", free_us))
}

/// Large blocks until one is refused, then small ones, so that little is left over.
const FILL_BYTES: [u64; 2] = [64 << 20, 2 << 20];

/// Blocks until one is refused.
pub(crate) fn fill(gpu: &Gpu, way: Way, most_bytes: u64) -> Result<Answer, Trouble> {
    let (free, total) = gpu.driver.memory_info()?;
    let (granted, refused) = fill_bytes(gpu, way, most_bytes)?;
    Ok(Answer::default()
        .with("granted_bytes", granted as f64)
        .with("used_bytes", total.saturating_sub(free) as f64)
        .with("refused", f64::from(u8::from(refused))))
}

/// How much could be had, and whether more was refused.
pub(crate) fn fill_bytes(gpu: &Gpu, way: Way, most_bytes: u64) -> Result<(u64, bool), Trouble> {
    let mut blocks = Vec::new();
    let (mut granted, mut refused) = (0, false);
    for block_bytes in FILL_BYTES {
        refused = false;
        while granted + block_bytes <= most_bytes {
            match take(gpu, way, block_bytes) {
                Ok(block) => blocks.push(block),
                Err(trouble) if trouble.is_out_of_memory() => {
                    refused = true;
                    break;
                }
                Err(trouble) => {
                    release(gpu, way, blocks)?;
                    return Err(trouble);
                }
            }
            granted += block_bytes;
        }
    }
    release(gpu, way, blocks)?;
    Ok((granted, refused))
}

fn release(gpu: &Gpu, way: Way, blocks: Vec<Block>) -> Result<(), Trouble> {
    for block in blocks {
        give(gpu, block)?;
    }
    gpu.synchronize()?;
    match way {
        Way::Pool => gpu.driver.trim(),
        _ => Ok(()),
    }
}

/// Memory from a pool, and whether anybody counts it.
pub(crate) fn pool(gpu: &Gpu, bytes: u64) -> Result<Answer, Trouble> {
    gpu.driver.trim()?;
    let (before, _) = gpu.driver.memory_info()?;
    let block = take(gpu, Way::Pool, bytes)?;
    gpu.wait(gpu.queue)?;
    let (held, _) = gpu.driver.memory_info()?;
    release(gpu, Way::Pool, vec![block])?;
    Ok(Answer::default().with("charged_bytes", before as f64 - held as f64))
}

/// Where a driver takes long to refuse (0.3 s for memory in stream order: H200, driver 580.159), one does.
const REFUSALS_MIN: u32 = 1;
/// No further one is asked for after so long.
const REFUSALS_NS: u64 = 30 * NS_PER_MS;
/// A processor that has slept is slow at first, which counts where a refusal takes less than a microsecond.
const AWAKE_NS: u64 = 10 * NS_PER_MS;

/// Requests that must be refused.
pub(crate) fn refuse(
    gpu: &Gpu,
    way: Way,
    beyond_bytes: u64,
    count: u32,
) -> Result<Answer, Trouble> {
    let (free, _) = gpu.driver.memory_info()?;
    let mut answer = Answer::default();
    spin_ns(AWAKE_NS);
    let first_ns = now_ns();
    for asked in 0..count {
        let began_ns = now_ns();
        if asked >= REFUSALS_MIN && began_ns - first_ns > REFUSALS_NS {
            break;
        }
        let result = take(gpu, way, free + beyond_bytes);
        let us = (now_ns() - began_ns) as f64 / 1e3;
        let refused = match result {
            Ok(block) => {
                give(gpu, block)?;
                false
            }
            Err(trouble) if trouble.is_out_of_memory() => true,
            Err(trouble) => return Err(trouble),
        };
        answer = answer
            .with("refused", f64::from(u8::from(refused)))
            .with("refusal_us", us);
    }
    Ok(answer)
}

/// Requests that come, grow block by block and go: always the oldest block goes once `held_max` are held.
pub(crate) fn cache_trace(
    gpu: &Gpu,
    way: Way,
    block_bytes: u64,
    count: u32,
    held_max: u32,
) -> Result<Answer, Trouble> {
    let mut held = std::collections::VecDeque::new();
    // The first ones fill the pool, which is no part of the steady state.
    for _ in 0..held_max {
        held.push_back(take(gpu, way, block_bytes)?);
    }
    let began_ns = now_ns();
    for _ in 0..count {
        if let Some(oldest) = held.pop_front() {
            give(gpu, oldest)?;
        }
        held.push_back(take(gpu, way, block_bytes)?);
    }
    gpu.wait(gpu.queue)?;
    let seconds = (now_ns() - began_ns) as f64 / 1e9;
    release(gpu, way, held.into())?;
    Ok(Answer::default().with("rate", f64::from(count) / seconds))
}
