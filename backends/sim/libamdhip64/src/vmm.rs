//! What physical memory is asked to be, and who may reach it.
//!
//! `hipMemAllocationProp` had another layout in the release that the simulated `libamdhip64.so.5` is (5.2); 5.7 has that
//! of 6.

use crate::border::{Outcome, put, rc, require};
use crate::own;
use fcsp_sim_driver::driver::{Gpu, gpu};
use fcsp_sim_driver::types::Address;
use fcsp_sim_driver::{Failure, memory, vmm};
use hip_sys::{
    hipMemAccessDesc, hipMemAllocationHandleType, hipMemAllocationProp, hipMemAllocationType,
    hipMemLocation, hipMemLocationType,
};
use std::ffi::{c_uint, c_void};

fn device_of(location: &hipMemLocation) -> Result<&'static Gpu, Failure> {
    let on_device = location.type_ == hipMemLocationType::hipMemLocationTypeDevice;
    require(on_device, rc::INVALID_VALUE)?;
    gpu(location.id)
}

/// `hipMemAllocationProp` of hip_runtime_api.h 5.2.3.
#[derive(Clone, Copy)]
#[repr(C)]
struct PropOf52 {
    compression_type: u8,
    location: hipMemLocation,
    requested_handle_type: hipMemAllocationHandleType,
    type_: hipMemAllocationType,
    usage: u16,
    win32: *mut c_void,
}

/// Properties as this release lays them out.
unsafe fn read(prop: *const hipMemAllocationProp) -> Result<hipMemAllocationProp, Failure> {
    require(!prop.is_null(), rc::INVALID_VALUE)?;
    if own::major() != 5 {
        // SAFETY: not null, so readable by the caller's contract.
        return Ok(unsafe { *prop });
    }
    // SAFETY: as above; the program was compiled with this layout.
    let old = unsafe { *prop.cast::<PropOf52>() };
    Ok(hipMemAllocationProp {
        type_: old.type_,
        requestedHandleType: old.requested_handle_type,
        location: old.location,
        ..hipMemAllocationProp::default()
    })
}

/// `hipMemGetAllocationGranularity`.
pub unsafe fn granularity(
    place: *mut usize,
    prop: *const hipMemAllocationProp,
    _option: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    device_of(&unsafe { read(prop) }?.location)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, vmm::GRANULARITY_BYTES as usize) }
}

/// `hipMemCreate`. The real library first looks how much there is.
pub unsafe fn create(
    place: *mut u64,
    bytes: usize,
    prop: *const hipMemAllocationProp,
    flags: u64,
) -> Outcome {
    require(!place.is_null() && flags == 0, rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    let prop = unsafe { read(prop) }?;
    // 1 is hipMemAllocationTypePinned, the only one devices have.
    require(prop.type_.0 == 1, rc::INVALID_VALUE)?;
    let gpu = device_of(&prop.location)?;
    let (mut free, mut total) = (0, 0);
    // SAFETY: places for both.
    unsafe { own::memory_info(&mut free, &mut total)? };
    require(bytes <= free, rc::OUT_OF_MEMORY)?;
    let handle = vmm::make(gpu, bytes as u64, prop.requestedHandleType.0)?;
    // SAFETY: checked above.
    unsafe { put(place, handle) }
}

/// `hipMemGetAllocationPropertiesFromHandle`.
pub unsafe fn properties(place: *mut hipMemAllocationProp, handle: u64) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let (ordinal, handle_types) = vmm::facts(handle)?;
    let type_ = hipMemAllocationType::hipMemAllocationTypePinned;
    let requested = hipMemAllocationHandleType(handle_types);
    let location = hipMemLocation {
        type_: hipMemLocationType::hipMemLocationTypeDevice,
        id: ordinal,
    };
    if own::major() == 5 {
        let old = PropOf52 {
            compression_type: 0,
            location,
            requested_handle_type: requested,
            type_,
            usage: 0,
            win32: std::ptr::null_mut(),
        };
        // SAFETY: checked above; the program was compiled with this layout.
        return unsafe { put(place.cast(), old) };
    }
    let prop = hipMemAllocationProp {
        type_,
        requestedHandleType: requested,
        location,
        ..hipMemAllocationProp::default()
    };
    // SAFETY: checked above.
    unsafe { put(place, prop) }
}

/// `hipMemSetAccess`.
pub unsafe fn set_access(
    address: Address,
    bytes: usize,
    list: *const hipMemAccessDesc,
    count: usize,
) -> Outcome {
    require(count > 0 && !list.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller passed `count` descriptors.
    let list = unsafe { std::slice::from_raw_parts(list, count) };
    for entry in list {
        device_of(&entry.location)?;
    }
    vmm::protect(address, bytes, list.iter().map(|entry| entry.flags.0))
}

/// `hipMemGetAccess`.
pub unsafe fn get_access(
    place: *mut u64,
    location: *const hipMemLocation,
    address: Address,
) -> Outcome {
    require(!location.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    device_of(unsafe { &*location })?;
    memory::find(address).ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed. Everything known is readable and writable.
    unsafe { put(place, 3) }
}
