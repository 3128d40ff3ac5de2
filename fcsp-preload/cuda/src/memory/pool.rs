//! Handlers of stream-ordered allocation, and of the pools it comes from: [`fcsp_program::memory::pool`].

use cuda_sys::{
    CUdevice, CUdeviceptr, CUmemAllocationType, CUmemLocation, CUmemLocationType, CUmemPoolProps,
    CUmemoryPool, CUresult, CUstream, fn_types,
};
use fcsp_gate::Handle;
use fcsp_program::memory::pool::table::{HOST, enter, find_or_enter};
use fcsp_program::memory::pool::{self, allocate, current};

use crate::driver::Cuda;

/// # Safety
///
/// As `cuMemAllocAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_async<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate::<Cuda, PER_THREAD, _>(
            dptr,
            bytesize as u64,
            h_stream,
            move || current::of::<Cuda>(h_stream),
            move || real(dptr, bytesize, h_stream),
        )
    }
}

/// # Safety
///
/// As `cuMemAllocFromPoolAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_from_pool<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocFromPoolAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    pool: CUmemoryPool,
    h_stream: CUstream,
) -> CUresult {
    let found = move || find_or_enter::<Cuda>(pool.number());
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate::<Cuda, PER_THREAD, _>(dptr, bytesize as u64, h_stream, found, move || {
            real(dptr, bytesize, pool, h_stream)
        })
    }
}

/// # Safety
///
/// As `cuMemFreeAsync`, or its variant for per-thread default streams.
pub unsafe fn free_async<const PER_THREAD: bool>(
    real: fn_types::cuMemFreeAsync,
    dptr: CUdeviceptr,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let free = || unsafe { real(dptr, h_stream) };
    pool::free_in_order::<Cuda, PER_THREAD>(dptr, h_stream, free)
}

/// # Safety
///
/// As `cuMemPoolCreate`.
pub unsafe fn create(
    real: fn_types::cuMemPoolCreate,
    pool: *mut CUmemoryPool,
    props: *const CUmemPoolProps,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, props) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver read the one and wrote the other.
        let (location, handle) = unsafe { ((*props).location, *pool) };
        let on_device = location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        enter::<Cuda>(
            handle.number(),
            if on_device { location.id } else { HOST },
            true,
        );
    }
    result
}

/// # Safety
///
/// As `cuMemPoolTrimTo`.
pub unsafe fn trim_to(
    real: fn_types::cuMemPoolTrimTo,
    pool: CUmemoryPool,
    min_bytes_to_keep: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    pool::trim::<Cuda>(|| unsafe { real(pool, min_bytes_to_keep) })
}

/// # Safety
///
/// As `cuMemPoolDestroy`.
pub unsafe fn destroy(real: fn_types::cuMemPoolDestroy, pool: CUmemoryPool) -> CUresult {
    // SAFETY: the program's own call, passed on.
    pool::destroy::<Cuda>(pool.number(), || unsafe { real(pool) })
}

/// # Safety
///
/// As `cuMemGetDefaultMemPool` and `cuMemGetMemPool`.
pub unsafe fn get_of(
    real: fn_types::cuMemGetMemPool,
    pool: *mut CUmemoryPool,
    location: *mut CUmemLocation,
    type_: CUmemAllocationType,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, location, type_) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver read the one and wrote the other.
        let (location, handle) = unsafe { (*location, *pool) };
        if location.type_ != CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE {
            enter::<Cuda>(handle.number(), HOST, false);
        }
    }
    result
}

/// # Safety
///
/// As `cuDeviceSetMemPool`.
pub unsafe fn set_current(
    real: fn_types::cuDeviceSetMemPool,
    dev: CUdevice,
    pool: CUmemoryPool,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(dev, pool) };
    current::changed(Some(dev));
    result
}

/// # Safety
///
/// As `cuMemSetMemPool`.
pub unsafe fn set_current_of(
    real: fn_types::cuMemSetMemPool,
    location: *mut CUmemLocation,
    type_: CUmemAllocationType,
    pool: CUmemoryPool,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(location, type_, pool) };
    current::changed(None);
    result
}
