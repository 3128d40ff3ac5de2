//! Memory handlers: what allocations and frees are charged.
//!
//! Reserve first, then ask the driver, then keep the charge or give it back. What the program frees
//! is looked up by address or handle; an address nobody saw goes to the driver unchanged.

use core::ffi::{c_uint, c_ulonglong};

use cuda_sys::{
    CUdeviceptr, CUmemAllocationProp, CUmemGenericAllocationHandle, CUmemLocationType,
    CUmemoryPool, CUresult, CUstream, fn_types,
};
use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_preload::log;

use crate::device::{self, Device};

/// Rows of pitched memory begin at multiples of this on every NVIDIA GPU so far (texture pitch
/// alignment 32, `cuMemAllocPitch` returns multiples of 512: measured on an H200, driver 580.159).
/// Only the reservation before the driver answers uses it; the charge is what the driver says.
const PITCH_BYTES: u64 = 512;

/// What the driver takes for `bytes` of `cuMemAlloc` and its like: from 1 MiB on, whole blocks of
/// 2 MiB (measured on an H200, driver 580.159: 1 MiB + 1 byte takes 2 MiB). What small ones share a
/// block with is left to [`crate::usage`].
fn blocks(bytes: u64) -> u64 {
    const BLOCK_BYTES: u64 = 2 << 20;
    if bytes <= BLOCK_BYTES / 2 {
        return bytes;
    }
    bytes
        .checked_next_multiple_of(BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// Charges `bytes` to `device`, runs `allocate`, and settles. `allocate` gives the driver's answer
/// and the key of what was allocated.
fn charged(
    device: &Device,
    live: &LiveMap,
    bytes: u64,
    allocate: impl FnOnce() -> (CUresult, u64),
) -> CUresult {
    if let Err(refused) = device.attachment.reserve(bytes) {
        log::info!("device {}: {refused}", device.ordinal);
        return CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    }
    let (result, key) = allocate();
    if result != CUresult::CUDA_SUCCESS {
        device.ledger().release(bytes);
    } else {
        remember(device, live, key, bytes);
    }
    result
}

/// Notes what `key` was charged, so that freeing it gives that back.
fn remember(device: &Device, live: &LiveMap, key: u64, bytes: u64) {
    match live.insert(key, Live { bytes, kind: 0 }) {
        Ok(None) => {}
        // The driver gave an address out again that we never saw freed (its context is gone).
        Ok(Some(lost)) => device.ledger().release(lost.bytes),
        Err(_) => {
            log::warn!("an allocation of {bytes} bytes cannot be tracked: its charge outlives it")
        }
    }
}

/// Runs `free`; if the driver agrees, gives back what `key` was charged.
fn credited(map: fn(&Device) -> &LiveMap, key: u64, free: impl FnOnce() -> CUresult) -> CUresult {
    // Taken out first: once the driver has freed it, another thread may be given the same address.
    let found = device::attached().find_map(|device| Some((device, map(device).remove(key)?)));
    let result = free();
    if let Some((device, live)) = found {
        if result == CUresult::CUDA_SUCCESS {
            device.ledger().release(live.bytes);
        } else {
            remember(device, map(device), key, live.bytes);
        }
    }
    result
}

/// An allocation whose address the driver writes to `address`.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
unsafe fn at_address(
    address: *mut CUdeviceptr,
    bytes: u64,
    allocate: impl FnOnce() -> CUresult,
) -> CUresult {
    let Some(device) = device::current() else {
        return allocate();
    };
    charged(device, &device.allocations, bytes, || {
        let result = allocate();
        if result != CUresult::CUDA_SUCCESS {
            return (result, 0);
        }
        // SAFETY: the driver accepted and filled the pointer.
        (result, unsafe { *address })
    })
}

/// # Safety
///
/// As `cuMemAlloc_v2`.
pub unsafe fn alloc(
    real: fn_types::cuMemAlloc_v2,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(dptr, blocks(bytesize as u64), || real(dptr, bytesize)) }
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
    let width = (width_in_bytes as u64)
        .checked_next_multiple_of(PITCH_BYTES)
        .unwrap_or(u64::MAX);
    let bytes = blocks(width.saturating_mul(height as u64));
    // SAFETY: the program's own call, passed on.
    unsafe {
        at_address(dptr, bytes, || {
            real(dptr, p_pitch, width_in_bytes, height, element_size_bytes)
        })
    }
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
    unsafe { at_address(dptr, bytesize as u64, || real(dptr, bytesize, flags)) }
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
    unsafe { at_address(dptr, bytesize as u64, || real(dptr, bytesize, h_stream)) }
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
    unsafe {
        at_address(dptr, bytesize as u64, || {
            real(dptr, bytesize, pool, h_stream)
        })
    }
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
    let allocate = || unsafe { real(handle, size, prop, flags) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let location = unsafe { prop.as_ref() }.map(|prop| prop.location);
    let device = location
        .filter(|location| location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE)
        .and_then(|location| device::at(location.id));
    // Physical memory on the host, or a device the driver will refuse, is not ours to charge.
    let Some(device) = device else {
        return allocate();
    };
    charged(device, &device.handles, size as u64, || {
        let result = allocate();
        if result != CUresult::CUDA_SUCCESS {
            return (result, 0);
        }
        // SAFETY: the driver accepted and filled the pointer.
        (result, unsafe { *handle })
    })
}

/// # Safety
///
/// As `cuMemRelease`.
pub unsafe fn release(
    real: fn_types::cuMemRelease,
    handle: CUmemGenericAllocationHandle,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    credited(|device| &device.handles, handle, || unsafe { real(handle) })
}

/// # Safety
///
/// As `cuMemFree_v2`.
pub unsafe fn free(real: fn_types::cuMemFree_v2, dptr: CUdeviceptr) -> CUresult {
    // SAFETY: the program's own call, passed on.
    credited(|device| &device.allocations, dptr, || unsafe { real(dptr) })
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
    credited(
        |device| &device.allocations,
        dptr,
        || unsafe { real(dptr, h_stream) },
    )
}
