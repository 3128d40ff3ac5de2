//! Occupancy: how many blocks fit on a compute unit of 2048 threads and 64 KiB.

use crate::border::{Outcome, put, rc, require};
use crate::driver::COMPUTE_UNITS;
use crate::registry;
use fcsp_sim_driver::module::FUNCTIONS;
use fcsp_sim_driver::types::FunctionHandle;
use std::ffi::{c_int, c_uint, c_void};

const THREADS: c_int = 2048;
const BLOCKS: c_int = 32;
const WAVE: c_int = 64;
const SHARED_BYTES: usize = 65_536;

fn blocks(block_threads: c_int, shared_bytes: usize) -> c_int {
    if !(1..=1024).contains(&block_threads) {
        return 0;
    }
    let waves = (block_threads as u32).div_ceil(WAVE as u32) as c_int;
    let by_shared = SHARED_BYTES.checked_div(shared_bytes).unwrap_or(usize::MAX);
    (THREADS / (waves * WAVE))
        .min(BLOCKS)
        .min(by_shared.min(BLOCKS as usize) as c_int)
}

unsafe fn answer(place: *mut c_int, block_threads: c_int, shared_bytes: usize) -> Outcome {
    require(block_threads > 0, rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, blocks(block_threads, shared_bytes)) }
}

/// `hipOccupancyMaxActiveBlocksPerMultiprocessor`.
pub unsafe fn of_host(
    place: *mut c_int,
    function: *const c_void,
    threads: c_int,
    shared_bytes: usize,
) -> Outcome {
    registry::function(function)?;
    // SAFETY: the same contract.
    unsafe { answer(place, threads, shared_bytes) }
}

/// `hipOccupancyMaxActiveBlocksPerMultiprocessorWithFlags`.
pub unsafe fn of_host_with_flags(
    place: *mut c_int,
    function: *const c_void,
    threads: c_int,
    shared_bytes: usize,
    _flags: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { of_host(place, function, threads, shared_bytes) }
}

/// `hipModuleOccupancyMaxActiveBlocksPerMultiprocessor`.
pub unsafe fn of_module(
    place: *mut c_int,
    function: FunctionHandle,
    threads: c_int,
    shared_bytes: usize,
) -> Outcome {
    FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the same contract.
    unsafe { answer(place, threads, shared_bytes) }
}

/// `hipModuleOccupancyMaxActiveBlocksPerMultiprocessorWithFlags`.
pub unsafe fn of_module_with_flags(
    place: *mut c_int,
    function: FunctionHandle,
    threads: c_int,
    shared_bytes: usize,
    _flags: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { of_module(place, function, threads, shared_bytes) }
}

unsafe fn best(grid: *mut c_int, block: *mut c_int, shared_bytes: usize, limit: c_int) -> Outcome {
    let most = if limit > 0 { limit.min(1024) } else { 1024 };
    let candidates = (1..=(most / WAVE).max(1)).map(|waves| waves * WAVE);
    let best =
        candidates.max_by_key(|threads| (threads * blocks(*threads, shared_bytes), *threads));
    let threads = best.unwrap_or(WAVE);
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put(grid, COMPUTE_UNITS as c_int * blocks(threads, shared_bytes))?;
        put(block, threads)
    }
}

/// `hipOccupancyMaxPotentialBlockSize`.
pub unsafe fn best_of_host(
    grid: *mut c_int,
    block: *mut c_int,
    function: *const c_void,
    shared_bytes: usize,
    limit: c_int,
) -> Outcome {
    registry::function(function)?;
    // SAFETY: the same contract.
    unsafe { best(grid, block, shared_bytes, limit) }
}

/// `hipModuleOccupancyMaxPotentialBlockSize`.
pub unsafe fn best_of_module(
    grid: *mut c_int,
    block: *mut c_int,
    function: FunctionHandle,
    shared_bytes: usize,
    limit: c_int,
) -> Outcome {
    FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the same contract.
    unsafe { best(grid, block, shared_bytes, limit) }
}

#[cfg(test)]
mod tests {
    use super::blocks;

    #[test]
    fn each_limit_can_be_the_one_that_binds() {
        assert_eq!(blocks(256, 0), 8);
        assert_eq!(blocks(64, 0), 32);
        assert_eq!(blocks(65, 0), 16);
        assert_eq!(blocks(64, 40_000), 1);
        assert_eq!(blocks(2000, 0), 0);
    }
}
