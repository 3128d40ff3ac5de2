//! What physical memory is asked to be, and who may reach it.

use crate::border::{Outcome, put, rc, require};
use cuda_sys::{
    CUmemAccessDesc, CUmemAllocationGranularity_flags, CUmemAllocationProp, CUmemLocation,
    CUmemLocationType,
};
use fcsp_sim_driver::Failure;
use fcsp_sim_driver::driver::{Gpu, gpu};
pub use fcsp_sim_driver::vmm::{
    address_free, export, import, map, release, reserve, retain, unmap,
};
use fcsp_sim_driver::{memory, vmm};
use std::ffi::c_ulonglong;

fn device_of(location: &CUmemLocation) -> Result<&'static Gpu, Failure> {
    let on_device = location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    require(on_device, rc::NOT_SUPPORTED)?;
    gpu(location.id)
}

/// `cuMemGetAllocationGranularity`.
pub unsafe fn granularity(
    place: *mut usize,
    prop: *const CUmemAllocationProp,
    _option: CUmemAllocationGranularity_flags,
) -> Outcome {
    require(!place.is_null() && !prop.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    device_of(unsafe { &(*prop).location })?;
    // SAFETY: checked above.
    unsafe { put(place, vmm::GRANULARITY_BYTES as usize) }
}

/// `cuMemCreate`.
pub unsafe fn create(
    place: *mut u64,
    bytes: usize,
    prop: *const CUmemAllocationProp,
    flags: c_ulonglong,
) -> Outcome {
    require(
        !place.is_null() && !prop.is_null() && flags == 0,
        rc::INVALID_VALUE,
    )?;
    // SAFETY: not null, so readable by the caller's contract.
    let prop = unsafe { &*prop };
    // 1 is CU_MEM_ALLOCATION_TYPE_PINNED, the only one devices have.
    require(prop.type_.0 == 1, rc::INVALID_VALUE)?;
    let handle_types = prop.requestedHandleTypes.0;
    let handle = vmm::make(device_of(&prop.location)?, bytes as u64, handle_types)?;
    // SAFETY: checked above.
    unsafe { put(place, handle) }
}

/// `cuMemGetAllocationPropertiesFromHandle`.
pub unsafe fn properties(place: *mut CUmemAllocationProp, handle: u64) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let (ordinal, handle_types) = vmm::facts(handle)?;
    let mut prop = CUmemAllocationProp::default();
    prop.type_.0 = 1;
    prop.requestedHandleTypes.0 = handle_types;
    prop.location.type_ = CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    prop.location.id = ordinal;
    // SAFETY: checked above.
    unsafe { put(place, prop) }
}

/// `cuMemSetAccess`.
pub unsafe fn set_access(
    address: u64,
    bytes: usize,
    list: *const CUmemAccessDesc,
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

/// `cuMemGetAccess`.
pub unsafe fn get_access(
    place: *mut c_ulonglong,
    location: *const CUmemLocation,
    address: u64,
) -> Outcome {
    require(!location.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    device_of(unsafe { &*location })?;
    memory::find(address).ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed. Everything known is readable and writable.
    unsafe { put(place, 3) }
}
