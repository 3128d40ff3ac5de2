//! The `cuMemcpy` and `cuMemset` families: arguments to [`Transfer`]s.
//!
//! Copies and fills occupy the device like kernels do, in stream order. Synchronous calls run in
//! the calling thread's default stream, and wait if host memory takes part. Arrays (textures) are not simulated.

use crate::border::{Outcome, rc, require};
use crate::graph::NodeKind;
use crate::memory::{self, Kind};
use crate::stream::{implicit, resolve};
use crate::transfer::{Source, Transfer};
use crate::types::*;
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

/// Runs a transfer in a stream, or waits for it if none is named.
///
/// # Errors
/// The stream is gone, or is being captured and the copy would wait.
pub fn run(transfer: Transfer, stream: Option<StreamHandle>) -> Outcome {
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

fn plain(target: u64, source: u64, bytes: usize, stream: Option<StreamHandle>) -> Outcome {
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
    stream: Option<StreamHandle>,
) -> Outcome {
    device_range(target, bytes as u64)?;
    plain(target, source as u64, bytes, stream)
}

fn from_device(
    target: *mut c_void,
    source: u64,
    bytes: usize,
    stream: Option<StreamHandle>,
) -> Outcome {
    device_range(source, bytes as u64)?;
    plain(target as u64, source, bytes, stream)
}

/// `cuMemcpy`.
pub unsafe fn any(target: Address, source: Address, bytes: usize) -> Outcome {
    plain(target, source, bytes, None)
}

/// `cuMemcpyAsync`.
pub unsafe fn any_async(
    target: Address,
    source: Address,
    bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    plain(target, source, bytes, Some(stream))
}

/// `cuMemcpyHtoD_v2`.
pub unsafe fn host_to_device(target: Address, source: *const c_void, bytes: usize) -> Outcome {
    to_device(target, source, bytes, None)
}

/// `cuMemcpyHtoDAsync_v2`. Unlike the driver's, it reads pageable memory late too: keep it.
pub unsafe fn host_to_device_async(
    target: Address,
    source: *const c_void,
    bytes: usize,
    stream: StreamHandle,
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
pub unsafe fn device_to_host(target: *mut c_void, source: Address, bytes: usize) -> Outcome {
    from_device(target, source, bytes, None)
}

/// `cuMemcpyDtoHAsync_v2`. Into pageable memory it waits, as the driver does.
pub unsafe fn device_to_host_async(
    target: *mut c_void,
    source: Address,
    bytes: usize,
    stream: StreamHandle,
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
pub unsafe fn device_to_device(target: Address, source: Address, bytes: usize) -> Outcome {
    device_range(target, bytes as u64)?;
    device_range(source, bytes as u64)?;
    plain(target, source, bytes, None)
}

/// `cuMemcpyDtoDAsync_v2`.
pub unsafe fn device_to_device_async(
    target: Address,
    source: Address,
    bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    device_range(target, bytes as u64)?;
    device_range(source, bytes as u64)?;
    plain(target, source, bytes, Some(stream))
}

/// `cuMemcpyPeer`.
pub unsafe fn peer(
    target: Address,
    _target_context: ContextHandle,
    source: Address,
    _source_context: ContextHandle,
    bytes: usize,
) -> Outcome {
    // SAFETY: the same contract; addresses are unique, so the contexts add nothing.
    unsafe { device_to_device(target, source, bytes) }
}

/// `cuMemcpyPeerAsync`.
pub unsafe fn peer_async(
    target: Address,
    _target_context: ContextHandle,
    source: Address,
    _source_context: ContextHandle,
    bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: as above.
    unsafe { device_to_device_async(target, source, bytes, stream) }
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

/// A fill, checked.
pub fn fill(
    target: u64,
    pitch: u64,
    value: u32,
    bytes: u64,
    width: u64,
    height: u64,
) -> Result<Transfer, Failure> {
    require(target.is_multiple_of(bytes), rc::INVALID_VALUE)?;
    let row = width.checked_mul(bytes).ok_or(rc::INVALID_VALUE)?;
    require(height <= 1 || pitch >= row, rc::INVALID_VALUE)?;
    device_range(target, span(row, pitch, height, 0, 1))?;
    Ok(Transfer::fill(target, pitch, value, bytes, width, height))
}

/// A fill is asynchronous to the host even without a stream argument, as in the driver.
fn set(transfer: Transfer, stream: StreamHandle) -> Outcome {
    run(transfer, Some(stream))
}

macro_rules! fills {
    ($($bytes:literal $ty:ty: $one:ident $one_async:ident $two:ident $two_async:ident;)*) => {$(
        /// One row.
        pub unsafe fn $one(target: Address, value: $ty, count: usize) -> Outcome {
            let row = count as u64 * $bytes;
            set(fill(target, row, u32::from(value), $bytes, count as u64, 1)?, std::ptr::null_mut())
        }

        /// One row, in a stream.
        pub unsafe fn $one_async(
            target: Address,
            value: $ty,
            count: usize,
            stream: StreamHandle,
        ) -> Outcome {
            let row = count as u64 * $bytes;
            set(fill(target, row, u32::from(value), $bytes, count as u64, 1)?, stream)
        }

        /// Rows.
        pub unsafe fn $two(
            target: Address,
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
            target: Address,
            pitch: usize,
            value: $ty,
            width: usize,
            height: usize,
            stream: StreamHandle,
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

/// One end of a copy of a box.
#[derive(Clone, Copy, Debug)]
pub struct Side {
    /// Its first byte.
    pub address: u64,
    /// Distance between rows; 0 for rows without gaps.
    pub pitch: u64,
    /// Distance between slices; 0 for slices without gaps.
    pub slice: u64,
}

/// A copy of a box of `width` bytes, `height` rows and `depth` slices, checked.
///
/// # Errors
/// Rows that overlap, or no memory where there should be.
pub fn cuboid(
    source: Side,
    target: Side,
    width: u64,
    height: u64,
    depth: u64,
) -> Result<Transfer, Failure> {
    let full = |side: Side| {
        let pitch = if side.pitch == 0 { width } else { side.pitch };
        let slice = if side.slice == 0 {
            height * pitch
        } else {
            side.slice
        };
        Side {
            pitch,
            slice,
            ..side
        }
    };
    let (source, target) = (full(source), full(target));
    let apart = source.pitch >= width && target.pitch >= width;
    require(apart, rc::INVALID_VALUE)?;
    for side in [source, target] {
        any_range(
            side.address,
            span(width, side.pitch, height, side.slice, depth),
        )?;
    }
    Ok(Transfer {
        source: Source::Memory {
            address: source.address,
            pitch: source.pitch,
            slice: source.slice,
        },
        target: target.address,
        target_pitch: target.pitch,
        target_slice: target.slice,
        width_bytes: width,
        height,
        depth,
        crosses_bus: host_side(source.address) || host_side(target.address),
    })
}
