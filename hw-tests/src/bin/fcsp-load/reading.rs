//! Kernels that wait for memory, in place of those that compute.

use anyhow::{Result, ensure};
use cuda_sys::{CUdeviceptr, CUfunction, CUstream};
use std::ffi::{CStr, c_void};

use crate::api::call;
use crate::gpu::{BLOCK_THREADS, Gpu, load_kernel};
use crate::stream;
use crate::submit::Work;

const PTX: &CStr =
    match CStr::from_bytes_with_nul(concat!(include_str!("read.ptx"), "\0").as_bytes()) {
        Ok(text) => text,
        Err(_) => panic!("read.ptx contains a NUL byte"),
    };
/// What is read: a power of two, and many times a cache.
const BUFFER_BYTES: usize = 1 << 30;
/// What a thread reads in a round, as read.ptx does it.
const ROUND_BYTES: u64 = 8 * 16;
/// What the device reads in a microsecond, about (an H200 has 4.8 TB/s by NVIDIA's data sheet). Only a scale:
/// suites compare a program with itself alone.
const BYTES_PER_US: f64 = 4.2e6;

/// The kernel, and what it reads.
pub struct Reading {
    kernel: CUfunction,
    buffer: CUdeviceptr,
}

impl Reading {
    /// Loads the kernel and fills the buffer, which takes memory of 1 GiB.
    pub fn new(gpu: &Gpu) -> Result<Self> {
        let kernel = load_kernel(&gpu.api, PTX, c"fcsp_read")?;
        let mut buffer = 0;
        // SAFETY: a live out-parameter and a current context.
        unsafe { call!(gpu.api, mem_alloc(&mut buffer, BUFFER_BYTES)) }?;
        let stream = stream::create(gpu)?;
        // SAFETY: a buffer of that size, a live stream of the current context.
        unsafe { call!(gpu.api, mem_set_async(buffer, 0, BUFFER_BYTES, stream)) }?;
        stream::synchronize(gpu, stream)?;
        Ok(Self { kernel, buffer })
    }

    /// Launches a grid of `blocks` that reads for about as long as the work would take.
    pub fn launch(&self, gpu: &Gpu, blocks: u32, stream: CUstream, work: Work) -> Result<()> {
        ensure!(blocks > 0, "a grid has blocks");
        let mut rounds = rounds(work.nominal_ns, blocks);
        let mut counter = gpu.counter().device;
        let mut add = work.nominal_ns;
        let mut buffer = self.buffer;
        let mut mask = BUFFER_BYTES as u64 - 1;
        let mut parameters: [*mut c_void; 5] = [
            (&raw mut rounds).cast(),
            (&raw mut counter).cast(),
            (&raw mut add).cast(),
            (&raw mut buffer).cast(),
            (&raw mut mask).cast(),
        ];
        // SAFETY: a loaded function whose five parameters have these types, a live stream of the current
        // context; the driver copies the parameters before it returns.
        unsafe {
            call!(
                gpu.api,
                launch_kernel(
                    self.kernel,
                    blocks,
                    1,
                    1,
                    BLOCK_THREADS,
                    1,
                    1,
                    0,
                    stream,
                    parameters.as_mut_ptr(),
                    std::ptr::null_mut(),
                )
            )
        }
    }
}

/// Rounds of a grid of `blocks` that read for `ns`.
fn rounds(ns: u64, blocks: u32) -> u32 {
    let round_bytes = u64::from(blocks) * u64::from(BLOCK_THREADS) * ROUND_BYTES;
    let rounds = ns as f64 / 1_000.0 * BYTES_PER_US / round_bytes as f64;
    rounds.round().max(1.0) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_follow_the_time_and_the_grid() {
        // 396 blocks read 12.4 MiB a round, which takes 3.1 µs.
        assert_eq!(rounds(250_000, 396), 81);
        assert_eq!(rounds(500_000, 396), 162);
        assert_eq!(rounds(250_000, 132), 243);
        assert_eq!(rounds(1, 1056), 1);
    }

    #[test]
    fn the_buffer_wraps_by_a_mask() {
        assert!(BUFFER_BYTES.is_power_of_two());
    }
}
