//! Handlers of plain allocations: linear, pitched and managed memory.
//!
//! Other kinds of memory have files of their own: [`pool`] (allocation in stream order), [`vmm`]
//! (`hipMemCreate` and mappings), [`array`](mod@array), [`graph`] (nodes that allocate) and [`code`] (what modules,
//! stacks and heaps take). How they are charged and given back: [`fcsp_program::memory`]. A device has one context, so
//! everything is given back with the device, and needs no tag.

pub mod array;
pub mod code;
pub mod graph;
pub mod pool;
pub mod vmm;

use core::ffi::{c_uint, c_void};

use fcsp_gate::Handle;
use fcsp_program::memory::pool::settle::plain_free;
use fcsp_program::memory::{self, NO_CONTEXT};
use hip_sys::{fn_types, hipDeviceptr_t, hipError_t, hipExtent, hipPitchedPtr};

use crate::context::{taking, used};
use crate::driver::Hip;

/// Rows of pitched memory begin at multiples of this. Not measured; what it misses is reconciled.
const PITCH_BYTES: u64 = 256;

/// What the driver takes for `bytes`, before it is asked. ROCr rounds every allocation up to pages, and takes
/// device memory from the kernel in whole blocks of 2 MiB, of which small allocations share one
/// (`MemoryRegion::AllocateImpl` and `BlockAllocator::alloc` in ROCr's amd_memory_region.cpp, 2024; not measured). That
/// blocks are not full is left to [`fcsp_program::usage`].
pub fn blocks(bytes: u64) -> u64 {
    const PAGE_BYTES: u64 = 4 << 10;
    const BLOCK_BYTES: u64 = 2 << 20;
    let unit_bytes = if bytes <= BLOCK_BYTES / 2 {
        PAGE_BYTES
    } else {
        BLOCK_BYTES
    };
    bytes
        .checked_next_multiple_of(unit_bytes)
        .unwrap_or(u64::MAX)
}

/// What a row of so many bytes takes in pitched memory.
fn row_bytes(width_bytes: u64) -> u64 {
    width_bytes
        .checked_next_multiple_of(PITCH_BYTES)
        .unwrap_or(u64::MAX)
}

/// An allocation on the calling thread's device, whose address the driver writes to `address`.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
unsafe fn at_address<T>(
    address: *mut *mut T,
    bytes: u64,
    allocate: impl FnOnce() -> hipError_t,
) -> hipError_t {
    taking(|| {
        // SAFETY: by the caller's contract.
        unsafe { memory::at_address::<Hip, _>(address, blocks(bytes), || NO_CONTEXT, allocate) }
    })
}

/// # Safety
///
/// As `hipMalloc`.
pub unsafe fn alloc(real: fn_types::hipMalloc, ptr: *mut *mut c_void, size: usize) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(ptr, size as u64, || real(ptr, size)) }
}

/// # Safety
///
/// As `hipExtMallocWithFlags`.
pub unsafe fn alloc_with_flags(
    real: fn_types::hipExtMallocWithFlags,
    ptr: *mut *mut c_void,
    size: usize,
    flags: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(ptr, size as u64, || real(ptr, size, flags)) }
}

/// # Safety
///
/// As `hipMallocManaged`.
pub unsafe fn alloc_managed(
    real: fn_types::hipMallocManaged,
    ptr: *mut *mut c_void,
    size: usize,
    flags: c_uint,
) -> hipError_t {
    // All of it may come to live on the device, so all of it is charged.
    if let Some(device) = used() {
        device.activity.note_lazy();
    }
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(ptr, size as u64, || real(ptr, size, flags)) }
}

/// # Safety
///
/// As `hipMallocPitch`.
pub unsafe fn alloc_pitch(
    real: fn_types::hipMallocPitch,
    ptr: *mut *mut c_void,
    pitch: *mut usize,
    width: usize,
    height: usize,
) -> hipError_t {
    let bytes = row_bytes(width as u64).saturating_mul(height as u64);
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(ptr, bytes, || real(ptr, pitch, width, height)) }
}

/// # Safety
///
/// As `hipMemAllocPitch`.
pub unsafe fn driver_alloc_pitch(
    real: fn_types::hipMemAllocPitch,
    ptr: *mut hipDeviceptr_t,
    pitch: *mut usize,
    width: usize,
    height: usize,
    element_bytes: c_uint,
) -> hipError_t {
    let bytes = row_bytes(width as u64).saturating_mul(height as u64);
    // SAFETY: the program's own call, passed on.
    unsafe {
        at_address(ptr, bytes, || {
            real(ptr, pitch, width, height, element_bytes)
        })
    }
}

/// # Safety
///
/// As `hipMalloc3D`.
pub unsafe fn alloc_3d(
    real: fn_types::hipMalloc3D,
    place: *mut hipPitchedPtr,
    extent: hipExtent,
) -> hipError_t {
    let bytes = row_bytes(extent.width as u64)
        .saturating_mul(extent.height as u64)
        .saturating_mul(extent.depth as u64);
    // The address is the structure's first field.
    let address = place.cast::<*mut c_void>();
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(address, bytes, || real(place, extent)) }
}

const _: () = assert!(core::mem::offset_of!(hipPitchedPtr, ptr) == 0);

/// # Safety
///
/// As `hipFree`.
pub unsafe fn free(real: fn_types::hipFree, ptr: *mut c_void) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(ptr) };
    if ptr.is_null() {
        // How programs have the runtime make a context.
        return taking(call);
    }
    plain_free::<Hip>(ptr.number(), call)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn small_allocations_take_pages_and_large_ones_blocks() {
        assert_eq!(blocks(0), 0);
        assert_eq!(blocks(1), 4 << 10);
        assert_eq!(blocks(1 << 20), 1 << 20);
        assert_eq!(blocks((1 << 20) + 1), 2 << 20);
        assert_eq!(blocks(5 << 20), 6 << 20);
        assert_eq!(blocks(u64::MAX), u64::MAX);
    }
}
