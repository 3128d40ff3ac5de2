//! Memory handlers: what allocations and frees are charged.
//!
//! Every handler passes its call on unchanged: nothing is accounted or held back yet.

use core::ffi::{c_uint, c_ulonglong};

use cuda_sys::*;

/// # Safety
///
/// As `cuMemAlloc_v2`.
pub unsafe fn alloc(
    real: fn_types::cuMemAlloc_v2,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr, bytesize) }
}

/// # Safety
///
/// As `cuMemAllocPitch_v2`.
pub unsafe fn alloc_pitch(
    real: fn_types::cuMemAllocPitch_v2,
    dptr: *mut CUdeviceptr,
    p_pitch: *mut usize,
    width_in_bytes: usize,
    height: usize,
    element_size_bytes: c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr, p_pitch, width_in_bytes, height, element_size_bytes) }
}

/// # Safety
///
/// As `cuMemAllocManaged`.
pub unsafe fn alloc_managed(
    real: fn_types::cuMemAllocManaged,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    flags: c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr, bytesize, flags) }
}

/// # Safety
///
/// As `cuMemAllocAsync`.
pub unsafe fn alloc_async(
    real: fn_types::cuMemAllocAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr, bytesize, h_stream) }
}

/// # Safety
///
/// As `cuMemAllocFromPoolAsync`.
pub unsafe fn alloc_from_pool(
    real: fn_types::cuMemAllocFromPoolAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    pool: CUmemoryPool,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr, bytesize, pool, h_stream) }
}

/// # Safety
///
/// As `cuMemCreate`.
pub unsafe fn create(
    real: fn_types::cuMemCreate,
    handle: *mut CUmemGenericAllocationHandle,
    size: usize,
    prop: *const CUmemAllocationProp,
    flags: c_ulonglong,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(handle, size, prop, flags) }
}

/// # Safety
///
/// As `cuMemRelease`.
pub unsafe fn release(
    real: fn_types::cuMemRelease,
    handle: CUmemGenericAllocationHandle,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(handle) }
}

/// # Safety
///
/// As `cuMemFree_v2`.
pub unsafe fn free(real: fn_types::cuMemFree_v2, dptr: CUdeviceptr) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr) }
}

/// # Safety
///
/// As `cuMemFreeAsync`.
pub unsafe fn free_async(
    real: fn_types::cuMemFreeAsync,
    dptr: CUdeviceptr,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dptr, h_stream) }
}
