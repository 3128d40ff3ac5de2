//! Handlers of virtual memory management: [`fcsp_program::memory::physical`].

use core::ffi::{c_ulonglong, c_void};

use fcsp_gate::Handle;
use fcsp_program::device;
use fcsp_program::memory::physical;
use hip_sys::{
    fn_types, hipError_t, hipMemAllocationProp, hipMemGenericAllocationHandle_t, hipMemLocationType,
};

use crate::context::{note_use, taking};
use crate::driver::Hip;

/// # Safety
///
/// As `hipMemCreate`.
pub unsafe fn create(
    real: fn_types::hipMemCreate,
    handle: *mut hipMemGenericAllocationHandle_t,
    size: usize,
    prop: *const hipMemAllocationProp,
    flags: c_ulonglong,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let allocate = || unsafe { real(handle, size, prop, flags) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let location = unsafe { prop.as_ref() }.map(|prop| prop.location);
    let device = location
        .filter(|location| location.type_ == hipMemLocationType::hipMemLocationTypeDevice)
        .and_then(|location| device::at::<Hip>(location.id));
    // Physical memory on the host, or a device the driver will refuse, is not ours to charge.
    let Some(device) = device else {
        return taking(allocate);
    };
    note_use(device);
    // SAFETY: the program's own argument.
    unsafe { physical::create::<Hip, _>(handle, size as u64, device, allocate) }
}

/// # Safety
///
/// As `hipMemRelease`.
pub unsafe fn release(
    real: fn_types::hipMemRelease,
    handle: hipMemGenericAllocationHandle_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    physical::release::<Hip>(handle.number(), || unsafe { real(handle) })
}

/// # Safety
///
/// As `hipMemRetainAllocationHandle`.
pub unsafe fn retain(
    real: fn_types::hipMemRetainAllocationHandle,
    handle: *mut hipMemGenericAllocationHandle_t,
    addr: *mut c_void,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, addr) };
    if result == hipError_t::hipSuccess {
        // SAFETY: the driver accepted and filled the pointer.
        physical::retained(unsafe { *handle }.number(), addr as u64);
    }
    result
}

/// # Safety
///
/// As `hipMemMap`.
pub unsafe fn map(
    real: fn_types::hipMemMap,
    ptr: *mut c_void,
    size: usize,
    offset: usize,
    handle: hipMemGenericAllocationHandle_t,
    flags: c_ulonglong,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    physical::map::<Hip>(handle.number(), ptr as u64, size as u64, || unsafe {
        real(ptr, size, offset, handle, flags)
    })
}

/// # Safety
///
/// As `hipMemUnmap`.
pub unsafe fn unmap(real: fn_types::hipMemUnmap, ptr: *mut c_void, size: usize) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    physical::unmap::<Hip>(ptr as u64, size as u64, || unsafe { real(ptr, size) })
}
