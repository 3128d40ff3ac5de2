//! Handlers of plain allocations: linear, pitched and managed memory, old calls and new.
//!
//! Other kinds of memory have files of their own: [`pool`] (allocation in stream order), [`vmm`]
//! (`cuMemCreate` and mappings), [`array`](mod@array), [`graph`] (nodes that allocate) and [`code`] (what modules,
//! stacks and heaps take). How they are charged and given back: [`fcsp_program::memory`]. [`contexts`] knows
//! which contexts there are and gives back what one leaves behind.

pub mod array;
pub mod code;
pub mod contexts;
pub mod graph;
pub mod pool;
pub mod vmm;

use core::ffi::c_uint;

use cuda_sys::{CUdeviceptr, CUdeviceptr_v1, CUresult, fn_types};
use fcsp_program::memory::pool::Address;
use fcsp_program::memory::pool::settle::plain_free;
use fcsp_program::{device, memory};

use crate::driver::Cuda;
use crate::memory::contexts::tag_of_current;

/// Rows of pitched memory begin at multiples of this on every NVIDIA GPU so far (texture pitch
/// alignment 32, `cuMemAllocPitch` returns multiples of 512: measured on an H200, driver 580.159).
const PITCH_BYTES: u64 = 512;

/// What the driver takes for `bytes` of `cuMemAlloc` and its like: from 1 MiB on, whole blocks of
/// 2 MiB (measured on an H200, driver 580.159: 1 MiB + 1 byte takes 2 MiB). What small ones share a
/// block with is left to [`fcsp_program::usage`].
pub fn blocks(bytes: u64) -> u64 {
    const BLOCK_BYTES: u64 = 2 << 20;
    if bytes <= BLOCK_BYTES / 2 {
        return bytes;
    }
    bytes
        .checked_next_multiple_of(BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// An allocation in the current context, whose address the driver writes to `address`.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
unsafe fn at_address<A: Address>(
    address: *mut A,
    bytes: u64,
    allocate: impl FnOnce() -> CUresult,
) -> CUresult {
    // SAFETY: by the caller's contract.
    unsafe { memory::at_address::<Cuda, A>(address, bytes, tag_of_current, allocate) }
}

fn pitched_bytes(width_bytes: u64, height: u64) -> u64 {
    let row_bytes = width_bytes
        .checked_next_multiple_of(PITCH_BYTES)
        .unwrap_or(u64::MAX);
    blocks(row_bytes.saturating_mul(height))
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
/// As `cuMemAlloc`, whose addresses and sizes have 32 bits.
pub unsafe fn alloc_v1(
    real: fn_types::cuMemAlloc,
    dptr: *mut CUdeviceptr_v1,
    bytesize: c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { at_address(dptr, blocks(bytesize.into()), || real(dptr, bytesize)) }
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
    let bytes = pitched_bytes(width_in_bytes as u64, height as u64);
    // SAFETY: the program's own call, passed on.
    unsafe {
        at_address(dptr, bytes, || {
            real(dptr, p_pitch, width_in_bytes, height, element_size_bytes)
        })
    }
}

/// # Safety
///
/// As `cuMemAllocPitch`, whose addresses and sizes have 32 bits.
pub unsafe fn alloc_pitch_v1(
    real: fn_types::cuMemAllocPitch,
    dptr: *mut CUdeviceptr_v1,
    p_pitch: *mut c_uint,
    width_in_bytes: c_uint,
    height: c_uint,
    element_size_bytes: c_uint,
) -> CUresult {
    let bytes = pitched_bytes(width_in_bytes.into(), height.into());
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
    // All of it may come to live on the device, so all of it is charged.
    if let Some(device) = device::current::<Cuda>() {
        device.activity.note_lazy();
    }
    // SAFETY: the program's own call, passed on.
    unsafe {
        at_address(dptr, blocks(bytesize as u64), || {
            real(dptr, bytesize, flags)
        })
    }
}

/// # Safety
///
/// As `cuMemFree_v2`.
pub unsafe fn free(real: fn_types::cuMemFree_v2, dptr: CUdeviceptr) -> CUresult {
    // SAFETY: the program's own call, passed on.
    plain_free::<Cuda>(dptr, || unsafe { real(dptr) })
}

/// # Safety
///
/// As `cuMemFree`, whose addresses have 32 bits.
pub unsafe fn free_v1(real: fn_types::cuMemFree, dptr: CUdeviceptr_v1) -> CUresult {
    // SAFETY: the program's own call, passed on.
    plain_free::<Cuda>(dptr.into(), || unsafe { real(dptr) })
}
