//! Handlers of calls that ask about the device: the tenant's quota is the whole device.
//!
//! The management libraries' are in [`rocm_smi`], [`amd_smi`] and [`amd_processes`]; whose view they answer from is in [`view`].

pub mod amd_processes;
pub mod amd_smi;
mod amd_version;
pub mod rocm_smi;
pub mod view;

use core::ffi::c_int;

use fcsp_program::device::{self, Device};
use fcsp_program::info::quota_and_free;
use hip_sys::{fn_types, hipDevice_t, hipDeviceProp_tR0000, hipDeviceProp_tR0600, hipError_t};

use crate::driver::Hip;

/// # Safety
///
/// As `hipMemGetInfo`.
pub unsafe fn memory(
    real: fn_types::hipMemGetInfo,
    free: *mut usize,
    total: *mut usize,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(free, total) };
    if result == hipError_t::hipSuccess
        && let Some((quota, left)) = device::current::<Hip>().and_then(quota_and_free::<Hip>)
    {
        // SAFETY: the program's own pointers; null is left alone.
        unsafe {
            if let Some(free) = free.as_mut() {
                *free = left as usize;
            }
            if let Some(total) = total.as_mut() {
                *total = quota as usize;
            }
        }
    }
    result
}

fn quota_at(ordinal: i32) -> Option<u64> {
    device::at::<Hip>(ordinal).and_then(Device::quota_bytes)
}

/// # Safety
///
/// As `hipDeviceTotalMem`.
pub unsafe fn total(
    real: fn_types::hipDeviceTotalMem,
    bytes: *mut usize,
    dev: hipDevice_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(bytes, dev) };
    if result == hipError_t::hipSuccess
        && let Some(quota) = quota_at(dev)
    {
        // SAFETY: the driver accepted and filled the pointer.
        unsafe { *bytes = (*bytes).min(quota as usize) };
    }
    result
}

/// # Safety
///
/// As `hipGetDeviceProperties` and `hipGetDevicePropertiesR0000`, with the structure of version 5.
pub unsafe fn properties_5(
    real: fn_types::hipGetDevicePropertiesR0000,
    place: *mut hipDeviceProp_tR0000,
    ordinal: c_int,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(place, ordinal) };
    if result == hipError_t::hipSuccess
        && let Some(quota) = quota_at(ordinal)
    {
        // SAFETY: the driver accepted and filled the structure.
        let total = unsafe { &mut (*place).totalGlobalMem };
        *total = (*total).min(quota as usize);
    }
    result
}

/// # Safety
///
/// As `hipGetDevicePropertiesR0600`, with the structure since version 6.
pub unsafe fn properties_6(
    real: fn_types::hipGetDevicePropertiesR0600,
    place: *mut hipDeviceProp_tR0600,
    ordinal: c_int,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(place, ordinal) };
    if result == hipError_t::hipSuccess
        && let Some(quota) = quota_at(ordinal)
    {
        // SAFETY: the driver accepted and filled the structure.
        let total = unsafe { &mut (*place).totalGlobalMem };
        *total = (*total).min(quota as usize);
    }
    result
}
