//! How much work a microsecond of the device is.
//!
//! Measured on the whole, idle device: two kernel lengths back to back, and the slope between them,
//! so that neither launching nor waiting counts. A harness measures it once and passes it to every
//! tenant, since a tenant that measures while others run would measure its share.

use anyhow::{Result, ensure};
use cuda_sys::CUstream;
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use fcsp_hw_tests::stats::median;

use crate::cli::Common;
use crate::gpu::Gpu;
use crate::stream;
use crate::submit::{Submitter, Work};

/// Rounds per microsecond, and the grid they hold for.
#[derive(Debug, Clone, Copy)]
pub struct Scale {
    /// Rounds of the work kernel per microsecond of the whole device.
    pub iters_per_us: f64,
    /// Blocks in a grid.
    pub blocks: u32,
}

impl Scale {
    /// What the command line says; what it leaves open is taken from the device.
    pub fn settle(common: &Common, gpu: &Gpu) -> Result<Self> {
        let whole = Self::whole(common, gpu)?;
        let Some(count) = common.blocks_per_multiprocessor else {
            return Ok(whole);
        };
        ensure!(count > 0, "--blocks-per-multiprocessor must be above 0");
        Ok(whole.of_blocks(gpu.multiprocessors * count))
    }

    /// The same device time in a grid of so many blocks: where these keep the multiprocessors' arithmetic
    /// busy, each does more.
    fn of_blocks(self, blocks: u32) -> Self {
        Self {
            iters_per_us: self.iters_per_us * f64::from(self.blocks) / f64::from(blocks),
            blocks,
        }
    }

    fn whole(common: &Common, gpu: &Gpu) -> Result<Self> {
        let blocks = common.blocks.unwrap_or(gpu.wave_blocks);
        let iters_per_us = match common.iters_per_us {
            Some(given) => {
                ensure!(given > 0.0, "--iters-per-us must be above 0, not {given}");
                given
            }
            None => {
                let runs = measure(gpu, blocks, 3, 30 * NS_PER_MS)?;
                median(&runs).unwrap_or(0.0)
            }
        };
        Ok(Self {
            iters_per_us,
            blocks,
        })
    }
}

/// Rounds per microsecond from each of `repetitions`, each of which keeps the device busy for
/// about three times `batch_ns`.
pub fn measure(gpu: &Gpu, blocks: u32, repetitions: usize, batch_ns: u64) -> Result<Vec<f64>> {
    let bench = Bench {
        gpu,
        submitter: Submitter::new(gpu, blocks),
        stream: stream::create(gpu)?,
    };
    // Grow one kernel until it takes a quarter of a millisecond, whatever device this is.
    let mut iters = 256;
    while bench.elapsed_ns(iters, 1)? < NS_PER_MS / 4 && iters < u32::MAX / 4 {
        iters *= 2;
    }
    // The clocks of an idle device take some tens of milliseconds to rise.
    let one_ns = bench.elapsed_ns(iters, 1)?.max(1);
    let count = (batch_ns / one_ns).clamp(1, 500) as u32;
    bench.elapsed_ns(iters, count)?;
    (0..repetitions)
        .map(|_| {
            let short_ns = bench.elapsed_ns(iters, count)?;
            let long_ns = bench.elapsed_ns(iters * 2, count)?;
            ensure!(
                long_ns > short_ns,
                "twice the work took no longer ({short_ns} and {long_ns} ns): the device is not \
                 idle, or the kernel does not run"
            );
            Ok(f64::from(iters) * f64::from(count) / (long_ns - short_ns) as f64 * 1_000.0)
        })
        .collect()
}

struct Bench<'a> {
    gpu: &'a Gpu,
    submitter: Submitter<'a>,
    stream: CUstream,
}

impl Bench<'_> {
    /// How long `count` kernels of `iters` rounds take from the first launch to the end.
    fn elapsed_ns(&self, iters: u32, count: u32) -> Result<u64> {
        let work = Work {
            iters,
            nominal_ns: 0,
        };
        let began_ns = now_ns();
        for _ in 0..count {
            self.submitter.kernel(self.stream, work)?;
        }
        stream::synchronize(self.gpu, self.stream)?;
        Ok(now_ns() - began_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_the_blocks_do_twice_the_rounds_in_the_same_time() {
        let whole = Scale {
            iters_per_us: 30.0,
            blocks: 1056,
        };
        let half = whole.of_blocks(528);
        assert_eq!((half.iters_per_us, half.blocks), (60.0, 528));
    }
}
