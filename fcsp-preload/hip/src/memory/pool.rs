//! Handlers of stream-ordered allocation, and of the pools it comes from: [`fcsp_program::memory::pool`].

use core::ffi::{c_int, c_void};

use fcsp_gate::Handle;
use fcsp_program::memory::pool::table::{HOST, enter, find_or_enter};
use fcsp_program::memory::pool::{self, allocate, current};
use hip_sys::{
    fn_types, hipError_t, hipMemLocationType, hipMemPool_t, hipMemPoolProps, hipStream_t,
};

use crate::context::taking;
use crate::driver::Hip;

/// # Safety
///
/// As `hipMallocAsync`.
pub unsafe fn alloc_async(
    real: fn_types::hipMallocAsync,
    place: *mut *mut c_void,
    size: usize,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe {
        allocate::<Hip, false, _>(
            place,
            size as u64,
            stream,
            move || current::of::<Hip>(stream),
            move || real(place, size, stream),
        )
    })
}

/// # Safety
///
/// As `hipMallocFromPoolAsync`.
pub unsafe fn alloc_from_pool(
    real: fn_types::hipMallocFromPoolAsync,
    place: *mut *mut c_void,
    size: usize,
    pool: hipMemPool_t,
    stream: hipStream_t,
) -> hipError_t {
    let found = move || find_or_enter::<Hip>(pool.number());
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe {
        allocate::<Hip, false, _>(place, size as u64, stream, found, move || {
            real(place, size, pool, stream)
        })
    })
}

/// # Safety
///
/// As `hipFreeAsync`.
pub unsafe fn free_async(
    real: fn_types::hipFreeAsync,
    address: *mut c_void,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let free = || unsafe { real(address, stream) };
    pool::free_in_order::<Hip, false>(address.number(), stream, free)
}

/// # Safety
///
/// As `hipMemPoolCreate`.
pub unsafe fn create(
    real: fn_types::hipMemPoolCreate,
    pool: *mut hipMemPool_t,
    props: *const hipMemPoolProps,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, props) };
    if result == hipError_t::hipSuccess {
        // SAFETY: the driver read the one and wrote the other.
        let (location, handle) = unsafe { ((*props).location, *pool) };
        let on_device = location.type_ == hipMemLocationType::hipMemLocationTypeDevice;
        enter::<Hip>(
            handle.number(),
            if on_device { location.id } else { HOST },
            true,
        );
    }
    result
}

/// # Safety
///
/// As `hipMemPoolTrimTo`.
pub unsafe fn trim_to(
    real: fn_types::hipMemPoolTrimTo,
    pool: hipMemPool_t,
    min_bytes: usize,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    pool::trim::<Hip>(|| unsafe { real(pool, min_bytes) })
}

/// # Safety
///
/// As `hipMemPoolDestroy`.
pub unsafe fn destroy(real: fn_types::hipMemPoolDestroy, pool: hipMemPool_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    pool::destroy::<Hip>(pool.number(), || unsafe { real(pool) })
}

/// # Safety
///
/// As `hipDeviceSetMemPool`.
pub unsafe fn set_current(
    real: fn_types::hipDeviceSetMemPool,
    device: c_int,
    pool: hipMemPool_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, pool) };
    current::changed(Some(device));
    result
}
