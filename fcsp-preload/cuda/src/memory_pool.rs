//! Memory pools: stream-ordered allocation, and what a pool keeps after a free.
//!
//! A pool whose release threshold is 0, as every pool's is at first, gives freed memory back at the
//! next synchronization: what is freed is no longer charged. With a threshold the pool keeps memory
//! on the device for its next allocation. That memory must stay charged, or a program could fill a
//! pool, free everything, and get its quota once more beside it. So a free into such a pool moves the
//! bytes to the pool's *kept* counter, and an allocation takes them from there before it asks the
//! ledger. When the quota refuses, kept memory is trimmed first ([`crate::memory_pool_table::trim_all`]): the tenant gets it
//! for something else, as it would from a full device.
//!
//! Pools that share their memory with other processes are charged where they allocate; an import
//! (`cuMemPoolImportPointer`) is charged to nobody again.

use core::ffi::c_void;

use cuda_sys::{
    CUdevice, CUdeviceptr, CUmemAllocationType, CUmemLocation, CUmemLocationType,
    CUmemPool_attribute, CUmemPoolProps, CUmemoryPool, CUresult, CUstream, fn_types,
};
use fcsp_core::ledger::live::Live;

use crate::capture;
use crate::device::{self, Device};
use crate::memory_charge::{charged, credited_by, key_at, remember, reserve};
use crate::memory_contexts::tag_of_current;
use crate::memory_graph;
use crate::memory_pool_table::{
    HOST, current, current_changed, enter, find, keeps, leave, settle, tagged,
};

/// An allocation from `pool` in the order of a stream.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
unsafe fn allocate(
    address: *mut CUdeviceptr,
    bytes: u64,
    captured: bool,
    pool: impl FnOnce() -> Option<CUmemoryPool>,
    allocate: impl FnOnce() -> CUresult,
) -> CUresult {
    if captured {
        // A node that allocates when the graph is launched.
        memory_graph::note_node();
        return allocate();
    }
    // SAFETY: called after the driver has answered.
    let key_of = |result| unsafe { key_at(result, address, |it| it) };
    let Some((tag, pool)) = pool().and_then(find) else {
        let Some(device) = device::current() else {
            return allocate();
        };
        return charged(device, &device.allocations, bytes, tag_of_current(), || {
            let result = allocate();
            (result, key_of(result))
        });
    };
    // Host memory is not the device's.
    let Some(device) = pool.device() else {
        return allocate();
    };
    let kept_bytes = pool.take(bytes);
    if let Err(refusal) = reserve(device, bytes - kept_bytes) {
        // What it took was kept by the same pool, so trimming did not reach it.
        device.ledger().release(pool.keep(kept_bytes));
        return refusal;
    }
    let result = allocate();
    if result == CUresult::CUDA_SUCCESS {
        let live = Live { bytes, kind: tag };
        remember(device, &device.allocations, key_of(result), live);
    } else {
        let not_kept_bytes = pool.keep(kept_bytes);
        device.ledger().release(bytes - kept_bytes + not_kept_bytes);
    }
    result
}

/// # Safety
///
/// As `cuMemAllocAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_async<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    h_stream: CUstream,
) -> CUresult {
    let captured = capture::captures::<PER_THREAD>(h_stream);
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate(dptr, bytesize as u64, captured, current, || {
            real(dptr, bytesize, h_stream)
        })
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
    let captured = capture::captures::<PER_THREAD>(h_stream);
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate(
            dptr,
            bytesize as u64,
            captured,
            || Some(pool),
            || real(dptr, bytesize, pool, h_stream),
        )
    }
}

/// What a free gives back: to the pool it came from if that keeps memory, else to the tenant.
pub fn give_back(device: &Device, live: Live) {
    let bytes = match tagged(live.kind) {
        Some(pool) => pool.keep(live.bytes),
        None => live.bytes,
    };
    if bytes > 0 {
        device.ledger().release(bytes);
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
    if capture::captures::<PER_THREAD>(h_stream) {
        // A node that frees when the graph is launched; the memory is the graph's.
        return free();
    }
    credited_by(dptr, free, give_back)
}

/// # Safety
///
/// As `cuMemPoolSetAttribute`.
pub unsafe fn set_attribute(
    real: fn_types::cuMemPoolSetAttribute,
    pool: CUmemoryPool,
    attr: CUmemPool_attribute,
    value: *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, attr, value) };
    if result == CUresult::CUDA_SUCCESS
        && attr == CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    {
        // SAFETY: the driver accepted it: a 64-bit number, says cuda.h.
        let threshold_bytes = unsafe { value.cast::<u64>().read() };
        keeps(pool, threshold_bytes);
    }
    result
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
        enter(handle, if on_device { location.id } else { HOST }, 0);
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
    let result = unsafe { real(pool, min_bytes_to_keep) };
    if result == CUresult::CUDA_SUCCESS
        && let Some((_, known)) = find(pool)
    {
        settle(known, pool);
    }
    result
}

/// # Safety
///
/// As `cuMemPoolDestroy`.
pub unsafe fn destroy(real: fn_types::cuMemPoolDestroy, pool: CUmemoryPool) -> CUresult {
    let known = find(pool);
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool) };
    if result == CUresult::CUDA_SUCCESS
        && let Some((_, known)) = known
    {
        // What is still allocated from it stays charged until it is freed.
        leave(known);
    }
    if result == CUresult::CUDA_SUCCESS {
        // It may have been a current one.
        current_changed(None);
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
    current_changed(Some(dev));
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
    current_changed(None);
    result
}
