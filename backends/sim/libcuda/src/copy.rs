//! The `cuMemcpy` and `cuMemset` families: arguments to [`Transfer`]s.
//!
//! Copies and fills occupy the device like kernels do, in stream order. Synchronous calls run in
//! the calling thread's default stream, and wait if host memory takes part. Arrays (textures) are not simulated.

use crate::border::{Outcome, rc, require};
use crate::graph::NodeKind;
use crate::memory::{self, Kind};
use crate::stream::{implicit, resolve};
use crate::transfer::{Source, Transfer};
use cuda_sys::{
    CUDA_MEMCPY2D, CUDA_MEMCPY3D, CUcontext, CUdeviceptr, CUmemorytype, CUresult, CUstream,
};
use std::ffi::{c_uchar, c_uint, c_ushort, c_void};

/// Whether an address the program calls host memory is in fact the device's.
fn host_side(address: u64) -> bool {
    memory::find(address)
        .is_none_or(|found| matches!(found.kind, Kind::Host(_) | Kind::Registered(_)))
}

fn device_range(address: u64, bytes: u64) -> Outcome {
    require(
        bytes == 0 || memory::contains(address, bytes),
        rc::INVALID_VALUE,
    )
}

/// A range that is either memory we know or, as far as we can tell, the host's.
fn any_range(address: u64, bytes: u64) -> Outcome {
    require(address != 0 || bytes == 0, rc::INVALID_VALUE)?;
    match memory::find(address) {
        Some(found) if !matches!(found.kind, Kind::Host(_) | Kind::Registered(_)) => {
            device_range(address, bytes)
        }
        _ => Ok(()),
    }
}

fn run(transfer: Transfer, stream: Option<CUstream>) -> Outcome {
    let target = match stream {
        Some(handle) => resolve(handle)?,
        None => implicit()?,
    };
    if transfer.width_bytes == 0 || transfer.height == 0 || transfer.depth == 0 {
        return Ok(());
    }
    if stream.is_none() {
        target.refuse_capture()?;
    }
    target.run(NodeKind::Transfer(transfer))?;
    // Without host memory there is nothing to wait for ("API synchronization behavior" in the driver
    // API's manual).
    if stream.is_none() && transfer.crosses_bus {
        target.wait()
    } else {
        Ok(())
    }
}

fn plain(target: u64, source: u64, bytes: usize, stream: Option<CUstream>) -> Outcome {
    let bytes = bytes as u64;
    any_range(target, bytes)?;
    any_range(source, bytes)?;
    let crosses_bus = host_side(target) || host_side(source);
    run(Transfer::copy(target, source, bytes, crosses_bus), stream)
}

fn to_device(
    target: u64,
    source: *const c_void,
    bytes: usize,
    stream: Option<CUstream>,
) -> Outcome {
    device_range(target, bytes as u64)?;
    plain(target, source as u64, bytes, stream)
}

fn from_device(
    target: *mut c_void,
    source: u64,
    bytes: usize,
    stream: Option<CUstream>,
) -> Outcome {
    device_range(source, bytes as u64)?;
    plain(target as u64, source, bytes, stream)
}

/// `cuMemcpy`.
pub unsafe fn any(target: CUdeviceptr, source: CUdeviceptr, bytes: usize) -> Outcome {
    plain(target, source, bytes, None)
}

/// `cuMemcpyAsync`.
pub unsafe fn any_async(
    target: CUdeviceptr,
    source: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Outcome {
    plain(target, source, bytes, Some(stream))
}

/// `cuMemcpyHtoD_v2`.
pub unsafe fn host_to_device(target: CUdeviceptr, source: *const c_void, bytes: usize) -> Outcome {
    to_device(target, source, bytes, None)
}

/// `cuMemcpyHtoDAsync_v2`. Unlike the driver's, it reads pageable memory late too: keep it.
pub unsafe fn host_to_device_async(
    target: CUdeviceptr,
    source: *const c_void,
    bytes: usize,
    stream: CUstream,
) -> Outcome {
    let pageable = memory::find(source as u64).is_none();
    if pageable
        && bytes > 0
        && !resolve(stream)?
            .capturing
            .load(std::sync::atomic::Ordering::Acquire)
    {
        // The driver stages pageable memory before it returns: the program may reuse it at once.
        device_range(target, bytes as u64)?;
        require(!source.is_null(), rc::INVALID_VALUE)?;
        let stream = resolve(stream)?;
        // SAFETY: the caller's buffer of `bytes` bytes.
        let staged = unsafe { std::slice::from_raw_parts(source.cast::<u8>(), bytes) }.to_vec();
        let transfer = Transfer::copy(target, staged.as_ptr() as u64, bytes as u64, true);
        return stream.submit([fcsp_sim::Op::Work {
            duration_ns: transfer.duration_ns(),
            effect: fcsp_sim::Effect::Run(Box::new(move || {
                // SAFETY: the device range was checked above.
                unsafe {
                    std::ptr::copy_nonoverlapping(staged.as_ptr(), target as *mut u8, staged.len());
                }
            })),
        }]);
    }
    to_device(target, source, bytes, Some(stream))
}

/// `cuMemcpyDtoH_v2`.
pub unsafe fn device_to_host(target: *mut c_void, source: CUdeviceptr, bytes: usize) -> Outcome {
    from_device(target, source, bytes, None)
}

/// `cuMemcpyDtoHAsync_v2`. Into pageable memory it waits, as the driver does.
pub unsafe fn device_to_host_async(
    target: *mut c_void,
    source: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Outcome {
    from_device(target, source, bytes, Some(stream))?;
    let resolved = resolve(stream)?;
    let captured = resolved
        .capturing
        .load(std::sync::atomic::Ordering::Acquire);
    if memory::find(target as u64).is_none() && !captured {
        resolved.wait()
    } else {
        Ok(())
    }
}

/// `cuMemcpyDtoD_v2`.
pub unsafe fn device_to_device(target: CUdeviceptr, source: CUdeviceptr, bytes: usize) -> Outcome {
    device_range(target, bytes as u64)?;
    device_range(source, bytes as u64)?;
    plain(target, source, bytes, None)
}

/// `cuMemcpyDtoDAsync_v2`.
pub unsafe fn device_to_device_async(
    target: CUdeviceptr,
    source: CUdeviceptr,
    bytes: usize,
    stream: CUstream,
) -> Outcome {
    device_range(target, bytes as u64)?;
    device_range(source, bytes as u64)?;
    plain(target, source, bytes, Some(stream))
}

/// `cuMemcpyPeer`.
pub unsafe fn peer(
    target: CUdeviceptr,
    _target_context: CUcontext,
    source: CUdeviceptr,
    _source_context: CUcontext,
    bytes: usize,
) -> Outcome {
    // SAFETY: the same contract; addresses are unique, so the contexts add nothing.
    unsafe { device_to_device(target, source, bytes) }
}

/// `cuMemcpyPeerAsync`.
pub unsafe fn peer_async(
    target: CUdeviceptr,
    _target_context: CUcontext,
    source: CUdeviceptr,
    _source_context: CUcontext,
    bytes: usize,
    stream: CUstream,
) -> Outcome {
    // SAFETY: as above.
    unsafe { device_to_device_async(target, source, bytes, stream) }
}

/// The address a copy descriptor means.
fn side(kind: CUmemorytype, host: *const c_void, device: CUdeviceptr) -> Result<u64, CUresult> {
    match kind {
        CUmemorytype::CU_MEMORYTYPE_HOST => Ok(host as u64),
        CUmemorytype::CU_MEMORYTYPE_DEVICE | CUmemorytype::CU_MEMORYTYPE_UNIFIED => Ok(device),
        CUmemorytype::CU_MEMORYTYPE_ARRAY => Err(rc::NOT_SUPPORTED),
        _ => Err(rc::INVALID_VALUE),
    }
}

fn span(width: u64, pitch: u64, height: u64, slice: u64, depth: u64) -> u64 {
    if width == 0 || height == 0 || depth == 0 {
        return 0;
    }
    let rows = (height - 1).saturating_mul(pitch);
    (depth - 1)
        .saturating_mul(slice)
        .saturating_add(rows)
        .saturating_add(width)
}

unsafe fn rectangle(copy: *const CUDA_MEMCPY2D, stream: Option<CUstream>) -> Outcome {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let copy = unsafe { &*copy };
    let (width, height) = (copy.WidthInBytes as u64, copy.Height as u64);
    let pitch = |pitch: usize| if pitch == 0 { width } else { pitch as u64 };
    let (source_pitch, target_pitch) = (pitch(copy.srcPitch), pitch(copy.dstPitch));
    require(
        source_pitch >= width && target_pitch >= width,
        rc::INVALID_VALUE,
    )?;
    let source = side(copy.srcMemoryType, copy.srcHost, copy.srcDevice)?
        + copy.srcY as u64 * source_pitch
        + copy.srcXInBytes as u64;
    let target = side(copy.dstMemoryType, copy.dstHost, copy.dstDevice)?
        + copy.dstY as u64 * target_pitch
        + copy.dstXInBytes as u64;
    any_range(source, span(width, source_pitch, height, 0, 1))?;
    any_range(target, span(width, target_pitch, height, 0, 1))?;
    let transfer = Transfer {
        source: Source::Memory {
            address: source,
            pitch: source_pitch,
            slice: 0,
        },
        target,
        target_pitch,
        target_slice: 0,
        width_bytes: width,
        height,
        depth: 1,
        crosses_bus: host_side(source) || host_side(target),
    };
    run(transfer, stream)
}

/// `cuMemcpy2D_v2` and `cuMemcpy2DUnaligned_v2`.
pub unsafe fn copy_2d(copy: *const CUDA_MEMCPY2D) -> Outcome {
    // SAFETY: the same contract.
    unsafe { rectangle(copy, None) }
}

/// `cuMemcpy2DAsync_v2`.
pub unsafe fn copy_2d_async(copy: *const CUDA_MEMCPY2D, stream: CUstream) -> Outcome {
    // SAFETY: the same contract.
    unsafe { rectangle(copy, Some(stream)) }
}

/// A descriptor of a box, checked.
///
/// # Safety
/// `copy` is null or readable.
pub unsafe fn cuboid(copy: *const CUDA_MEMCPY3D) -> Result<Transfer, CUresult> {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let copy = unsafe { &*copy };
    let (width, height, depth) = (
        copy.WidthInBytes as u64,
        copy.Height as u64,
        copy.Depth as u64,
    );
    let pitch = |pitch: usize| if pitch == 0 { width } else { pitch as u64 };
    let (source_pitch, target_pitch) = (pitch(copy.srcPitch), pitch(copy.dstPitch));
    require(
        source_pitch >= width && target_pitch >= width,
        rc::INVALID_VALUE,
    )?;
    let slice = |rows: usize, pitch: u64| {
        if rows == 0 {
            height * pitch
        } else {
            rows as u64 * pitch
        }
    };
    let source_slice = slice(copy.srcHeight, source_pitch);
    let target_slice = slice(copy.dstHeight, target_pitch);
    let source = side(copy.srcMemoryType, copy.srcHost, copy.srcDevice)?
        + copy.srcZ as u64 * source_slice
        + copy.srcY as u64 * source_pitch
        + copy.srcXInBytes as u64;
    let target = side(copy.dstMemoryType, copy.dstHost, copy.dstDevice)?
        + copy.dstZ as u64 * target_slice
        + copy.dstY as u64 * target_pitch
        + copy.dstXInBytes as u64;
    any_range(
        source,
        span(width, source_pitch, height, source_slice, depth),
    )?;
    any_range(
        target,
        span(width, target_pitch, height, target_slice, depth),
    )?;
    Ok(Transfer {
        source: Source::Memory {
            address: source,
            pitch: source_pitch,
            slice: source_slice,
        },
        target,
        target_pitch,
        target_slice,
        width_bytes: width,
        height,
        depth,
        crosses_bus: host_side(source) || host_side(target),
    })
}

/// `cuMemcpy3D_v2`.
pub unsafe fn copy_3d(copy: *const CUDA_MEMCPY3D) -> Outcome {
    // SAFETY: the same contract.
    run(unsafe { cuboid(copy) }?, None)
}

/// `cuMemcpy3DAsync_v2`.
pub unsafe fn copy_3d_async(copy: *const CUDA_MEMCPY3D, stream: CUstream) -> Outcome {
    // SAFETY: the same contract.
    run(unsafe { cuboid(copy) }?, Some(stream))
}

/// A fill, checked.
pub fn fill(
    target: u64,
    pitch: u64,
    value: u32,
    bytes: u64,
    width: u64,
    height: u64,
) -> Result<Transfer, CUresult> {
    require(target.is_multiple_of(bytes), rc::INVALID_VALUE)?;
    let row = width.checked_mul(bytes).ok_or(rc::INVALID_VALUE)?;
    require(height <= 1 || pitch >= row, rc::INVALID_VALUE)?;
    device_range(target, span(row, pitch, height, 0, 1))?;
    Ok(Transfer::fill(target, pitch, value, bytes, width, height))
}

/// A fill is asynchronous to the host even without a stream argument, as in the driver.
fn set(transfer: Transfer, stream: CUstream) -> Outcome {
    run(transfer, Some(stream))
}

macro_rules! fills {
    ($($bytes:literal $ty:ty: $one:ident $one_async:ident $two:ident $two_async:ident;)*) => {$(
        /// One row.
        pub unsafe fn $one(target: CUdeviceptr, value: $ty, count: usize) -> Outcome {
            let row = count as u64 * $bytes;
            set(fill(target, row, u32::from(value), $bytes, count as u64, 1)?, std::ptr::null_mut())
        }

        /// One row, in a stream.
        pub unsafe fn $one_async(
            target: CUdeviceptr,
            value: $ty,
            count: usize,
            stream: CUstream,
        ) -> Outcome {
            let row = count as u64 * $bytes;
            set(fill(target, row, u32::from(value), $bytes, count as u64, 1)?, stream)
        }

        /// Rows.
        pub unsafe fn $two(
            target: CUdeviceptr,
            pitch: usize,
            value: $ty,
            width: usize,
            height: usize,
        ) -> Outcome {
            let (pitch, width, height) = (pitch as u64, width as u64, height as u64);
            let transfer = fill(target, pitch, u32::from(value), $bytes, width, height)?;
            set(transfer, std::ptr::null_mut())
        }

        /// Rows, in a stream.
        pub unsafe fn $two_async(
            target: CUdeviceptr,
            pitch: usize,
            value: $ty,
            width: usize,
            height: usize,
            stream: CUstream,
        ) -> Outcome {
            let (pitch, width, height) = (pitch as u64, width as u64, height as u64);
            set(fill(target, pitch, u32::from(value), $bytes, width, height)?, stream)
        }
    )*};
}

fills! {
    1 c_uchar: set_d8 set_d8_async set_2d_d8 set_2d_d8_async;
    2 c_ushort: set_d16 set_d16_async set_2d_d16 set_2d_d16_async;
    4 c_uint: set_d32 set_d32_async set_2d_d32 set_2d_d32_async;
}
