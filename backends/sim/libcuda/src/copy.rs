//! Copies that a descriptor describes.

use crate::border::{Outcome, rc, require};
use crate::types::StreamHandle;
use cuda_sys::{CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUmemorytype};
use fcsp_sim_driver::Failure;
pub use fcsp_sim_driver::copy::*;
use fcsp_sim_driver::copy::{self, Side};
use fcsp_sim_driver::transfer::Transfer;
use std::ffi::c_void;

/// The address a copy descriptor means.
fn side(kind: CUmemorytype, host: *const c_void, device: u64) -> Result<u64, Failure> {
    match kind {
        CUmemorytype::CU_MEMORYTYPE_HOST => Ok(host as u64),
        CUmemorytype::CU_MEMORYTYPE_DEVICE | CUmemorytype::CU_MEMORYTYPE_UNIFIED => Ok(device),
        CUmemorytype::CU_MEMORYTYPE_ARRAY => Err(rc::NOT_SUPPORTED),
        _ => Err(rc::INVALID_VALUE),
    }
}

/// A descriptor of a rectangle, checked.
unsafe fn rectangle(copy: *const CUDA_MEMCPY2D) -> Result<Transfer, Failure> {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let copy = unsafe { &*copy };
    let (width, height) = (copy.WidthInBytes as u64, copy.Height as u64);
    let end = |address: u64, x: usize, y: usize, pitch: usize| {
        let pitch = if pitch == 0 { width } else { pitch as u64 };
        Side {
            address: address + y as u64 * pitch + x as u64,
            pitch,
            slice: 0,
        }
    };
    let source = side(copy.srcMemoryType, copy.srcHost, copy.srcDevice)?;
    let target = side(copy.dstMemoryType, copy.dstHost, copy.dstDevice)?;
    copy::cuboid(
        end(source, copy.srcXInBytes, copy.srcY, copy.srcPitch),
        end(target, copy.dstXInBytes, copy.dstY, copy.dstPitch),
        width,
        height,
        1,
    )
}

/// `cuMemcpy2D_v2` and `cuMemcpy2DUnaligned_v2`.
pub unsafe fn copy_2d(descriptor: *const CUDA_MEMCPY2D) -> Outcome {
    // SAFETY: the same contract.
    copy::run(unsafe { rectangle(descriptor) }?, None)
}

/// `cuMemcpy2DAsync_v2`.
pub unsafe fn copy_2d_async(descriptor: *const CUDA_MEMCPY2D, stream: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    copy::run(unsafe { rectangle(descriptor) }?, Some(stream))
}

/// A descriptor of a box, checked.
///
/// # Safety
/// `copy` is null or readable.
pub unsafe fn cuboid(copy: *const CUDA_MEMCPY3D) -> Result<Transfer, Failure> {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let copy = unsafe { &*copy };
    let (width, height, depth) = (
        copy.WidthInBytes as u64,
        copy.Height as u64,
        copy.Depth as u64,
    );
    let end = |address: u64, at: [usize; 3], pitch: usize, rows: usize| {
        let pitch = if pitch == 0 { width } else { pitch as u64 };
        let rows = if rows == 0 { height } else { rows as u64 };
        let [x, y, z] = at.map(|n| n as u64);
        Side {
            address: address + z * rows * pitch + y * pitch + x,
            pitch,
            slice: rows * pitch,
        }
    };
    let source = side(copy.srcMemoryType, copy.srcHost, copy.srcDevice)?;
    let target = side(copy.dstMemoryType, copy.dstHost, copy.dstDevice)?;
    let source_at = [copy.srcXInBytes, copy.srcY, copy.srcZ];
    let target_at = [copy.dstXInBytes, copy.dstY, copy.dstZ];
    copy::cuboid(
        end(source, source_at, copy.srcPitch, copy.srcHeight),
        end(target, target_at, copy.dstPitch, copy.dstHeight),
        width,
        height,
        depth,
    )
}

/// `cuMemcpy3D_v2`.
pub unsafe fn copy_3d(descriptor: *const CUDA_MEMCPY3D) -> Outcome {
    // SAFETY: the same contract.
    copy::run(unsafe { cuboid(descriptor) }?, None)
}

/// `cuMemcpy3DAsync_v2`.
pub unsafe fn copy_3d_async(descriptor: *const CUDA_MEMCPY3D, stream: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    copy::run(unsafe { cuboid(descriptor) }?, Some(stream))
}
