//! Occupancy: how many blocks fit on a multiprocessor of 2048 threads, 32 blocks and 228 KiB.

use crate::border::{Outcome, put, rc, require};
use crate::module::FUNCTIONS;
use crate::types::*;
use cuda_sys::CUoccupancyB2DSize;
use std::ffi::{c_int, c_uint};

const THREADS: c_int = 2048;
const BLOCKS: c_int = 32;
const SHARED_BYTES: usize = 233_472;
/// What the system takes of every block's shared memory (attribute 111).
const SHARED_BYTES_RESERVED: usize = 1024;
const MULTIPROCESSORS: c_int = 132;

fn blocks(block_threads: c_int, shared_bytes: usize) -> c_int {
    if !(1..=1024).contains(&block_threads) {
        return 0;
    }
    let warps = (block_threads as u32).div_ceil(32) as c_int;
    let by_shared = SHARED_BYTES / (shared_bytes + SHARED_BYTES_RESERVED);
    (THREADS / (warps * 32)).min(BLOCKS).min(by_shared as c_int)
}

/// `cuOccupancyMaxActiveBlocksPerMultiprocessor`.
pub unsafe fn max_blocks(
    place: *mut c_int,
    function: FunctionHandle,
    block_threads: c_int,
    shared_bytes: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { max_blocks_with_flags(place, function, block_threads, shared_bytes, 0) }
}

/// `cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags`.
pub unsafe fn max_blocks_with_flags(
    place: *mut c_int,
    function: FunctionHandle,
    block_threads: c_int,
    shared_bytes: usize,
    flags: c_uint,
) -> Outcome {
    require(flags <= 1 && block_threads > 0, rc::INVALID_VALUE)?;
    FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, blocks(block_threads, shared_bytes)) }
}

/// `cuOccupancyMaxPotentialBlockSize`.
pub unsafe fn best_block(
    grid_min: *mut c_int,
    block: *mut c_int,
    function: FunctionHandle,
    shared_of: CUoccupancyB2DSize,
    shared_bytes: usize,
    limit: c_int,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { best_block_with_flags(grid_min, block, function, shared_of, shared_bytes, limit, 0) }
}

/// `cuOccupancyMaxPotentialBlockSizeWithFlags`.
pub unsafe fn best_block_with_flags(
    grid_min: *mut c_int,
    block: *mut c_int,
    function: FunctionHandle,
    shared_of: CUoccupancyB2DSize,
    shared_bytes: usize,
    limit: c_int,
    flags: c_uint,
) -> Outcome {
    require(
        flags <= 1 && !grid_min.is_null() && !block.is_null(),
        rc::INVALID_VALUE,
    )?;
    FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    let most = if limit > 0 { limit.min(1024) } else { 1024 };
    let candidates = (1..=most / 32).map(|warps| warps * 32).rev();
    let best = candidates
        .map(|threads| {
            // SAFETY: the program's own function, called as cuda.h says.
            let shared = shared_of.map_or(shared_bytes, |of| unsafe { of(threads) });
            (threads * blocks(threads, shared), threads)
        })
        .max_by_key(|(active, threads)| (*active, *threads));
    let (active, threads) = best.unwrap_or((most, most));
    // SAFETY: checked above.
    unsafe {
        put(grid_min, MULTIPROCESSORS * (active / threads.max(1)))?;
        put(block, threads)
    }
}

/// `cuOccupancyAvailableDynamicSMemPerBlock`.
pub unsafe fn available_shared(
    place: *mut usize,
    function: FunctionHandle,
    count: c_int,
    block_threads: c_int,
) -> Outcome {
    require(count > 0 && block_threads > 0, rc::INVALID_VALUE)?;
    FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    let each = (SHARED_BYTES / count as usize).saturating_sub(SHARED_BYTES_RESERVED);
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, each.min(crate::module::SHARED_OPTIN_BYTES as usize)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_can_be_the_one_that_binds() {
        assert_eq!(blocks(256, 0), 8);
        assert_eq!(blocks(32, 0), 32);
        assert_eq!(blocks(1024, 0), 2);
        assert_eq!(blocks(64, 100_000), 2);
        assert_eq!(blocks(33, 0), 32);
        assert_eq!(blocks(2000, 0), 0);
    }
}
