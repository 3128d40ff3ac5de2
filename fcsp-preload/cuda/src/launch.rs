//! Launch handlers: work that takes device time.
//!
//! While nobody else is active these are not reached: the wrapper's fast path
//! ([`fcsp_program::device::passes`]) goes straight to the driver. What is launched while its stream is being
//! captured is not gated; the launch of the graph is.

#![expect(
    clippy::too_many_arguments,
    reason = "the driver's functions have that many"
)]

use core::ffi::{c_uint, c_void};

use cuda_sys::{CUfunction, CUgraphExec, CUlaunchConfig, CUresult, CUstream, fn_types};
use fcsp_gate::Handle;
use fcsp_program::turn::{submit, submit_outlined};
use fcsp_program::work;

use crate::driver::Cuda;

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
    let work = work::kernel(f.number(), grid, block, shared_mem_bytes);
    submit::<Cuda, PER_THREAD>(h_stream, work, || {
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
    let work = work::kernel(f.number(), grid, block, c.sharedMemBytes);
    submit::<Cuda, PER_THREAD>(c.hStream, work, launch)
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
    let work = work::kernel(f.number(), grid, block, shared_mem_bytes);
    submit_outlined::<Cuda, PER_THREAD>(h_stream, work, || {
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
    let work = work::graph(h_graph.number());
    // SAFETY: the program's own call, passed on.
    submit_outlined::<Cuda, PER_THREAD>(h_stream, work, || unsafe { real(h_graph, h_stream) })
}
