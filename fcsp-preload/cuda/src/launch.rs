//! Launch handlers: work that takes device time.
//!
//! Every handler passes its call on unchanged: nothing is accounted or held back yet.

use core::ffi::{c_uint, c_void};

use cuda_sys::*;

/// # Safety
///
/// As `cuLaunchKernel`.
#[allow(
    clippy::too_many_arguments,
    reason = "the arguments are the driver function's"
)]
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
}

/// # Safety
///
/// As `cuLaunchKernelEx`.
pub unsafe fn kernel_ex<const PER_THREAD: bool>(
    real: fn_types::cuLaunchKernelEx,
    config: *const CUlaunchConfig,
    f: CUfunction,
    kernel_params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(config, f, kernel_params, extra) }
}

/// # Safety
///
/// As `cuLaunchCooperativeKernel`.
#[allow(
    clippy::too_many_arguments,
    reason = "the arguments are the driver function's"
)]
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
}

/// # Safety
///
/// As `cuGraphLaunch`.
pub unsafe fn graph<const PER_THREAD: bool>(
    real: fn_types::cuGraphLaunch,
    h_graph: CUgraphExec,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(h_graph, h_stream) }
}
