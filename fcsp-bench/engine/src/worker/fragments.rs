//! What becomes of memory that is given out and taken back in pieces.

use super::gpu::Gpu;
use super::memory;
use crate::driver::{Address, Trouble};
use crate::protocol::{Answer, Way};
use fcsp_measure::clock::now_ns;
use fcsp_measure::random::Random;

const MIB: u64 = 1 << 20;
/// Sizes of the mixture, in MiB: what caches, weights and workspaces of programs look like.
const SIZES_MIB: [u64; 6] = [1, 2, 3, 8, 20, 64];
/// Allocations whose time is taken before, and after, where they take a twentieth of it.
const PROBES: [usize; 2] = [48, 480];

/// Fills, frees every other block, and looks for the largest block that is granted then; frees the rest and fills again.
pub(crate) fn measure(gpu: &Gpu, most_bytes: u64, seed: u64) -> Result<Answer, Trouble> {
    let (new, _) = memory::fill_bytes(gpu, Way::Plain, most_bytes)?;
    let clean = probe(gpu, PROBES[0])?;
    let mut kept = Vec::new();
    let mut freed = 0;
    for (index, (address, bytes)) in fill(gpu, most_bytes, seed)?.into_iter().enumerate() {
        if index.is_multiple_of(2) {
            gpu.free(address)?;
            freed += bytes;
        } else {
            kept.push(address);
        }
    }
    let fragmented = probe(gpu, PROBES[1])?;
    let largest = largest(gpu, freed)?;
    for address in kept {
        gpu.free(address)?;
    }
    gpu.driver.trim()?;
    let (again, _) = memory::fill_bytes(gpu, Way::Plain, most_bytes)?;
    Ok(Answer::default()
        .with("new_bytes", new as f64)
        .with("free_bytes", freed as f64)
        .with("largest_bytes", largest as f64)
        .with("again_bytes", again as f64)
        .with_all("clean_us", clean)
        .with_all("fragmented_us", fragmented))
}

fn fill(gpu: &Gpu, most_bytes: u64, seed: u64) -> Result<Vec<(Address, u64)>, Trouble> {
    let mut blocks = Vec::new();
    let mut held = 0;
    let mut random = Random::new(seed);
    loop {
        let bytes = SIZES_MIB[random.below(SIZES_MIB.len())] * MIB;
        if held + bytes > most_bytes {
            return Ok(blocks);
        }
        match gpu.allocate(bytes) {
            Ok(address) => blocks.push((address, bytes)),
            Err(trouble) if trouble.is_out_of_memory() => return Ok(blocks),
            Err(trouble) => {
                for (address, _) in blocks {
                    gpu.free(address)?;
                }
                return Err(trouble);
            }
        }
        held += bytes;
    }
}

/// The largest block up to `most` that is granted, to the MiB, by bisection.
fn largest(gpu: &Gpu, most: u64) -> Result<u64, Trouble> {
    let (mut granted, mut refused) = (0, most / MIB + 1);
    while refused - granted > 1 {
        let middle = granted.midpoint(refused);
        match gpu.allocate(middle * MIB) {
            Ok(address) => {
                gpu.free(address)?;
                granted = middle;
            }
            Err(trouble) if trouble.is_out_of_memory() => refused = middle,
            Err(trouble) => return Err(trouble),
        }
    }
    Ok(granted * MIB)
}

fn probe(gpu: &Gpu, count: usize) -> Result<Vec<f64>, Trouble> {
    (0..count)
        .map(|_| {
            let began_ns = now_ns();
            let address = gpu.allocate(MIB)?;
            let us = (now_ns() - began_ns) as f64 / 1e3;
            gpu.free(address)?;
            Ok(us)
        })
        .collect()
}
