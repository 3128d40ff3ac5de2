//! Handlers of virtual memory management: [`fcsp_program::memory::physical`].

use core::ffi::{c_uchar, c_ulonglong, c_void};

use fcsp_gate::Handle;
use fcsp_program::device;
use fcsp_program::driver::Codes;
use fcsp_program::memory::physical;
use hip_sys::{
    fn_types, hipError_t, hipMemAllocationProp, hipMemGenericAllocationHandle_t, hipMemLocation,
    hipMemLocationType,
};

use crate::context::{note_use, taking};
use crate::driver::Hip;
use crate::version::is_5_2_or_older;

/// The properties' beginning in version 5.2 (`hipMemAllocationProp` in its hip_runtime_api.h).
#[repr(C)]
struct PropertiesOf52 {
    _compression: c_uchar,
    location: hipMemLocation,
}

/// Where memory with those properties is to be; nothing for null, which the driver refuses.
///
/// # Safety
///
/// `prop` is null or the program's own, readable.
unsafe fn location(prop: *const hipMemAllocationProp) -> Option<hipMemLocation> {
    // SAFETY: the driver reads the same structure, in the layout of its version.
    unsafe {
        if is_5_2_or_older() {
            prop.cast::<PropertiesOf52>().as_ref().map(|it| it.location)
        } else {
            prop.as_ref().map(|it| it.location)
        }
    }
}

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
    // SAFETY: the program's own argument.
    let device = unsafe { location(prop) }
        .filter(|location| location.type_ == hipMemLocationType::hipMemLocationTypeDevice)
        .and_then(|location| device::at::<Hip>(location.id));
    // Physical memory on the host, or a device the driver will refuse, is not ours to charge.
    let Some(device) = device else {
        return taking(allocate);
    };
    if !note_use(device) {
        return Hip::OUT_OF_MEMORY;
    }
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
