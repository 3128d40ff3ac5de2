//! Launch handlers: work that takes device time.
//!
//! While nobody else is active these are not reached: the wrapper's fast path
//! ([`crate::device::all_pass`]) goes straight to the driver. What is launched while its stream is being
//! captured is not gated; the launch of the graph is.

#![expect(
    clippy::too_many_arguments,
    reason = "the driver's functions have that many"
)]

use core::ffi::{c_uint, c_void};

use cuda_sys::{CUfunction, CUgraphExec, CUlaunchConfig, CUresult, CUstream, fn_types};
use fcsp_core::sched::clock::ms;
use fcsp_core::sched::cost::{CostKey, prior_ns};

use crate::turn::{Work, submit, submit_outlined};

/// Most a guess may cost: a kernel nobody has measured.
const GUESS_NS_MAX: u64 = ms(10);
/// Tells graphs from kernels in cost keys.
const GRAPH: u64 = 0x0067_7261_7068;

/// What the cost of an instantiated graph is known by.
pub fn graph_key(exec: CUgraphExec) -> CostKey {
    CostKey::new(&[GRAPH, exec.addr() as u64])
}

/// A kernel of that shape, as work.
#[inline]
pub fn kernel_work(
    f: CUfunction,
    grid: [c_uint; 3],
    block: [c_uint; 3],
    shared: c_uint,
) -> Work<impl FnOnce() -> u64> {
    // What the driver takes fits ("Technical specifications" in the programming guide, 13.0: up to
    // 2³¹ - 1, 65,535 and 65,535 blocks; 1024, 1024 and 64 threads); what it refuses needs no key.
    let at = |bit: u32, a: c_uint| u64::from(a) << bit;
    let key = CostKey::new(&[
        f.addr() as u64,
        at(0, grid[0]) ^ at(32, grid[1]) ^ at(48, grid[2]),
        at(0, block[0]) ^ at(12, block[1]) ^ at(24, block[2]) ^ at(32, shared),
    ]);
    let volume = |dims: [c_uint; 3]| {
        dims.iter()
            .map(|d| u64::from(*d))
            .fold(1, u64::saturating_mul)
    };
    Work {
        key,
        guess_ns: move || prior_ns(volume(grid), volume(block), GUESS_NS_MAX),
        function: Some(f),
    }
}

/// # Safety
///
/// As `cuLaunchKernel`.
#[inline(always)]
pub unsafe fn kernel<const PER_THREAD: bool>(
    real: fn_types::cuLaunchKernel,
    f: CUfunction,
    grid_dim_x: c_uint,
    grid_dim_y: c_uint,
    grid_dim_z: c_uint,
    block_dim_x: c_uint,
    block_dim_y: c_uint,
    block_dim_z: c_uint,
    shared_mem_bytes: c_uint,
    h_stream: CUstream,
    kernel_params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CUresult {
    let grid = [grid_dim_x, grid_dim_y, grid_dim_z];
    let block = [block_dim_x, block_dim_y, block_dim_z];
    let work = kernel_work(f, grid, block, shared_mem_bytes);
    submit::<PER_THREAD>(h_stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe {
            real(
                f,
                grid_dim_x,
                grid_dim_y,
                grid_dim_z,
                block_dim_x,
                block_dim_y,
                block_dim_z,
                shared_mem_bytes,
                h_stream,
                kernel_params,
                extra,
            )
        }
    })
}

/// # Safety
///
/// As `cuLaunchKernelEx`.
#[inline(always)]
pub unsafe fn kernel_ex<const PER_THREAD: bool>(
    real: fn_types::cuLaunchKernelEx,
    config: *const CUlaunchConfig,
    f: CUfunction,
    kernel_params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let launch = || unsafe { real(config, f, kernel_params, extra) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let Some(c) = (unsafe { config.as_ref() }) else {
        return launch();
    };
    let grid = [c.gridDimX, c.gridDimY, c.gridDimZ];
    let block = [c.blockDimX, c.blockDimY, c.blockDimZ];
    let work = kernel_work(f, grid, block, c.sharedMemBytes);
    submit::<PER_THREAD>(c.hStream, work, launch)
}

/// # Safety
///
/// As `cuLaunchCooperativeKernel`.
pub unsafe fn cooperative<const PER_THREAD: bool>(
    real: fn_types::cuLaunchCooperativeKernel,
    f: CUfunction,
    grid_dim_x: c_uint,
    grid_dim_y: c_uint,
    grid_dim_z: c_uint,
    block_dim_x: c_uint,
    block_dim_y: c_uint,
    block_dim_z: c_uint,
    shared_mem_bytes: c_uint,
    h_stream: CUstream,
    kernel_params: *mut *mut c_void,
) -> CUresult {
    let grid = [grid_dim_x, grid_dim_y, grid_dim_z];
    let block = [block_dim_x, block_dim_y, block_dim_z];
    let work = kernel_work(f, grid, block, shared_mem_bytes);
    submit_outlined::<PER_THREAD>(h_stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe {
            real(
                f,
                grid_dim_x,
                grid_dim_y,
                grid_dim_z,
                block_dim_x,
                block_dim_y,
                block_dim_z,
                shared_mem_bytes,
                h_stream,
                kernel_params,
            )
        }
    })
}

/// # Safety
///
/// As `cuGraphLaunch`.
pub unsafe fn graph<const PER_THREAD: bool>(
    real: fn_types::cuGraphLaunch,
    h_graph: CUgraphExec,
    h_stream: CUstream,
) -> CUresult {
    let work = Work {
        key: graph_key(h_graph),
        guess_ns: || GUESS_NS_MAX,
        function: None,
    };
    // SAFETY: the program's own call, passed on.
    submit_outlined::<PER_THREAD>(h_stream, work, || unsafe { real(h_graph, h_stream) })
}
