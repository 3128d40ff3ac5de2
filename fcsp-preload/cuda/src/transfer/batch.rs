//! Handlers of batches: many copies, or many blocks to decompress, by one call.
//!
//! A batch is submitted as one, by the bytes that stay inside the device.

use core::ffi::{c_uint, c_ulonglong};

use cuda_sys::{
    CUDA_MEMCPY3D_BATCH_OP, CUdeviceptr, CUmemDecompressParams, CUmemcpy3DOperand,
    CUmemcpy3DOperandType, CUmemcpyAttributes, CUresult, CUstream, fn_types,
};
use fcsp_program::transfer::{End, Kind, batch, local};

use crate::driver::Cuda;

/// Entry `at` of a list of the program's; nothing if there is no list, which the driver refuses.
///
/// # Safety
///
/// `list` is null, or has an entry there.
unsafe fn entry<T: Copy>(list: *const T, at: usize) -> Option<T> {
    // SAFETY: by the caller's contract.
    (!list.is_null()).then(|| unsafe { *list.add(at) })
}

/// # Safety
///
/// The lists are null or have `count` entries.
unsafe fn linear(
    to: *const CUdeviceptr,
    from: *const CUdeviceptr,
    sizes: *const usize,
    count: usize,
) -> impl Iterator<Item = (u64, End, End)> {
    (0..count).map_while(move |at| {
        // SAFETY: by the caller's contract.
        let (bytes, from, to) = unsafe { (entry(sizes, at)?, entry(from, at)?, entry(to, at)?) };
        Some((bytes as u64, End::Address(from), End::Address(to)))
    })
}

/// # Safety
///
/// As `cuMemcpyBatchAsync`, its first version.
#[expect(clippy::too_many_arguments, reason = "the driver's")]
pub unsafe fn linear_v1<const PER_THREAD: bool>(
    real: fn_types::cuMemcpyBatchAsync,
    to: *mut CUdeviceptr,
    from: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    attributes: *mut CUmemcpyAttributes,
    attribute_indices: *mut usize,
    attribute_count: usize,
    failed: *mut usize,
    stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own lists.
    let copies = unsafe { linear(to, from, sizes, count) };
    // SAFETY: the program's own call, passed on.
    batch::<Cuda, PER_THREAD>(copies, stream, || unsafe {
        real(
            to,
            from,
            sizes,
            count,
            attributes,
            attribute_indices,
            attribute_count,
            failed,
            stream,
        )
    })
}

/// # Safety
///
/// As `cuMemcpyBatchAsync_v2`.
#[expect(clippy::too_many_arguments, reason = "the driver's")]
pub unsafe fn linear_v2<const PER_THREAD: bool>(
    real: fn_types::cuMemcpyBatchAsync_v2,
    to: *mut CUdeviceptr,
    from: *mut CUdeviceptr,
    sizes: *mut usize,
    count: usize,
    attributes: *mut CUmemcpyAttributes,
    attribute_indices: *mut usize,
    attribute_count: usize,
    stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own lists.
    let copies = unsafe { linear(to, from, sizes, count) };
    // SAFETY: the program's own call, passed on.
    batch::<Cuda, PER_THREAD>(copies, stream, || unsafe {
        real(
            to,
            from,
            sizes,
            count,
            attributes,
            attribute_indices,
            attribute_count,
            stream,
        )
    })
}

fn end_of(operand: &CUmemcpy3DOperand) -> End {
    if operand.type_ == CUmemcpy3DOperandType::CU_MEMCPY_OPERAND_TYPE_POINTER {
        // SAFETY: the kind says which of the two it is.
        End::Address(unsafe { operand.op.ptr.ptr })
    } else {
        End::Array
    }
}

/// # Safety
///
/// `list` is null or has `count` entries.
unsafe fn boxes(
    list: *const CUDA_MEMCPY3D_BATCH_OP,
    count: usize,
) -> impl Iterator<Item = (u64, End, End)> {
    (0..count).map_while(move |at| {
        // SAFETY: by the caller's contract.
        let it = unsafe { entry(list, at)? };
        let sides = [it.extent.width, it.extent.height, it.extent.depth];
        // In elements where an array takes part: fewer than bytes, as a guess.
        let bytes = sides
            .iter()
            .fold(1_u64, |all, side| all.saturating_mul(*side as u64));
        Some((bytes, end_of(&it.src), end_of(&it.dst)))
    })
}

/// # Safety
///
/// As `cuMemcpy3DBatchAsync`, its first version.
pub unsafe fn boxes_v1<const PER_THREAD: bool>(
    real: fn_types::cuMemcpy3DBatchAsync,
    count: usize,
    list: *mut CUDA_MEMCPY3D_BATCH_OP,
    failed: *mut usize,
    flags: c_ulonglong,
    stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own list.
    let copies = unsafe { boxes(list, count) };
    // SAFETY: the program's own call, passed on.
    batch::<Cuda, PER_THREAD>(copies, stream, || unsafe {
        real(count, list, failed, flags, stream)
    })
}

/// # Safety
///
/// As `cuMemcpy3DBatchAsync_v2`.
pub unsafe fn boxes_v2<const PER_THREAD: bool>(
    real: fn_types::cuMemcpy3DBatchAsync_v2,
    count: usize,
    list: *mut CUDA_MEMCPY3D_BATCH_OP,
    flags: c_ulonglong,
    stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own list.
    let copies = unsafe { boxes(list, count) };
    // SAFETY: the program's own call, passed on.
    batch::<Cuda, PER_THREAD>(copies, stream, || unsafe {
        real(count, list, flags, stream)
    })
}

/// # Safety
///
/// As `cuMemBatchDecompressAsync`.
pub unsafe fn decompress<const PER_THREAD: bool>(
    real: fn_types::cuMemBatchDecompressAsync,
    list: *mut CUmemDecompressParams,
    count: usize,
    flags: c_uint,
    failed: *mut usize,
    stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own list.
    let sizes = (0..count).map_while(|at| unsafe { entry(list, at) });
    let bytes = sizes.fold(0_u64, |all, it| all.saturating_add(it.dstNumBytes as u64));
    // SAFETY: the program's own call, passed on.
    local::<Cuda, PER_THREAD>(Kind::Decompress, bytes, stream, || unsafe {
        real(list, count, flags, failed, stream)
    })
}
