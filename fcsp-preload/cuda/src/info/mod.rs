//! Handlers of driver calls that ask about the device: the tenant's quota is the whole device.
//!
//! The management library's are in [`nvml`], [`utilization`] and [`private_table`]; whose view they answer from,
//! in a program that uses the device and in one that only asks, is in [`view`].

pub mod nvml;
pub mod private_table;
pub mod utilization;
pub mod view;

use core::ffi::c_uint;

use cuda_sys::{CUdevice, CUresult, fn_types};
use fcsp_program::device::{self, Device};
use fcsp_program::info::quota_and_free;

use crate::driver::Cuda;

/// # Safety
///
/// As `cuMemGetInfo_v2`.
pub unsafe fn memory(
    real: fn_types::cuMemGetInfo_v2,
    free: *mut usize,
    total: *mut usize,
) -> CUresult {
    let Some((quota, left)) = device::current::<Cuda>().and_then(quota_and_free::<Cuda>) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(free, total) };
    };
    if free.is_null() || total.is_null() {
        // SAFETY: as above; what null means is the driver's to say.
        return unsafe { real(free, total) };
    }
    // SAFETY: the program's own pointers, not null.
    unsafe {
        *free = left as usize;
        *total = quota as usize;
    }
    CUresult::CUDA_SUCCESS
}

/// What a caller with 32-bit sizes is told: as much as it can count.
fn fits(bytes: u64) -> c_uint {
    c_uint::try_from(bytes).unwrap_or(c_uint::MAX)
}

/// # Safety
///
/// As `cuMemGetInfo`, whose sizes have 32 bits.
pub unsafe fn memory_v1(
    real: fn_types::cuMemGetInfo,
    free: *mut c_uint,
    total: *mut c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(free, total) };
    if result == CUresult::CUDA_SUCCESS
        && let Some((quota, left)) = device::current::<Cuda>().and_then(quota_and_free::<Cuda>)
    {
        // SAFETY: the program's own pointers; null is left alone.
        unsafe {
            if let Some(free) = free.as_mut() {
                *free = fits(left);
            }
            if let Some(total) = total.as_mut() {
                *total = fits(quota);
            }
        }
    }
    result
}

/// # Safety
///
/// As `cuDeviceTotalMem`, whose sizes have 32 bits.
pub unsafe fn total_v1(
    real: fn_types::cuDeviceTotalMem,
    bytes: *mut c_uint,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(bytes, dev) };
    if result == CUresult::CUDA_SUCCESS
        && let Some(quota) = device::at::<Cuda>(dev).and_then(Device::quota_bytes)
    {
        // SAFETY: the driver accepted and filled the pointer.
        unsafe { *bytes = (*bytes).min(fits(quota)) };
    }
    result
}

/// # Safety
///
/// As `cuDeviceTotalMem_v2`.
pub unsafe fn total(
    real: fn_types::cuDeviceTotalMem_v2,
    bytes: *mut usize,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(bytes, dev) };
    if result == CUresult::CUDA_SUCCESS
        && let Some(quota) = device::at::<Cuda>(dev).and_then(Device::quota_bytes)
    {
        // SAFETY: the driver accepted and filled the pointer.
        unsafe { *bytes = (*bytes).min(quota as usize) };
    }
    result
}
