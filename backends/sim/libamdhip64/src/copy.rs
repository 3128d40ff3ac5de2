//! Copies and fills.

use crate::border::{Outcome, rc, refuse, require};
use crate::{own, registry};
use fcsp_sim_driver::Failure;
use fcsp_sim_driver::copy::{self as neutral, Side};
use fcsp_sim_driver::transfer::Transfer;
use fcsp_sim_driver::types::{Address, StreamHandle};
use hip_sys::{
    HIP_MEMCPY3D, hip_Memcpy2D, hipError_t, hipExtent, hipMemcpy3DParms, hipMemoryType,
    hipPitchedPtr, hipPos, v5,
};
use std::ffi::{c_int, c_uint, c_void};

/// The directions: to and from host and device, and whatever the addresses say.
fn direction(kind: c_uint) -> Outcome {
    // HIP 6 numbers one more so that a stream of another device is not asked.
    if kind <= 4 || kind == 1024 {
        return Ok(());
    }
    refuse(hipError_t::hipErrorInvalidMemcpyDirection)
}

/// `hipMemcpy`.
pub unsafe fn any(target: Address, source: Address, bytes: usize, kind: c_uint) -> Outcome {
    direction(kind)?;
    // SAFETY: the same contract.
    unsafe { neutral::any(target, source, bytes) }
}

/// `hipMemcpyAsync`.
pub unsafe fn any_async(
    target: Address,
    source: Address,
    bytes: usize,
    kind: c_uint,
    stream: StreamHandle,
) -> Outcome {
    direction(kind)?;
    // SAFETY: the same contract.
    unsafe { neutral::any_async(target, source, bytes, stream) }
}

/// `hipMemcpyWithStream`: in a stream, and waits for it.
pub unsafe fn with_stream(
    target: Address,
    source: Address,
    bytes: usize,
    kind: c_uint,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        any_async(target, source, bytes, kind, stream)?;
        fcsp_sim_driver::stream::synchronize(stream)
    }
}

/// `hipMemcpyHtoD`.
pub unsafe fn to_device(target: Address, source: *mut c_void, bytes: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::host_to_device(target, source, bytes) }
}

/// `hipMemcpyHtoDAsync`.
pub unsafe fn to_device_async(
    target: Address,
    source: *mut c_void,
    bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::host_to_device_async(target, source, bytes, stream) }
}

/// `hipMemcpyPeer`.
pub unsafe fn peer(
    target: *mut c_void,
    _to: c_int,
    source: *const c_void,
    _from: c_int,
    bytes: usize,
) -> Outcome {
    // SAFETY: the same contract. The addresses say where they are.
    unsafe { own::memcpy(target, source, bytes, 4) }
}

/// `hipMemcpyPeerAsync`.
pub unsafe fn peer_async(
    target: *mut c_void,
    _to: c_int,
    source: *const c_void,
    _from: c_int,
    bytes: usize,
    stream: *mut c_void,
) -> Outcome {
    // SAFETY: as above.
    unsafe { own::memcpy_async(target, source, bytes, 4, stream) }
}

/// The address `offset` bytes into a variable, with room for `bytes`.
pub fn within(symbol: *const c_void, bytes: usize, offset: usize) -> Result<Address, Failure> {
    let (address, length) = registry::variable(symbol)?;
    let fits = offset.checked_add(bytes).is_some_and(|end| end <= length);
    require(fits, rc::INVALID_VALUE)?;
    Ok(address + offset as u64)
}

/// `hipMemcpyToSymbol`.
pub unsafe fn to_symbol(
    symbol: *const c_void,
    source: Address,
    bytes: usize,
    offset: usize,
    kind: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { any(within(symbol, bytes, offset)?, source, bytes, kind) }
}

/// `hipMemcpyFromSymbol`.
pub unsafe fn from_symbol(
    target: Address,
    symbol: *const c_void,
    bytes: usize,
    offset: usize,
    kind: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { any(target, within(symbol, bytes, offset)?, bytes, kind) }
}

/// `hipMemcpyToSymbolAsync`.
pub unsafe fn to_symbol_async(
    symbol: *const c_void,
    source: *const c_void,
    bytes: usize,
    offset: usize,
    kind: c_uint,
    stream: *mut c_void,
) -> Outcome {
    let target = within(symbol, bytes, offset)? as *mut c_void;
    // SAFETY: the same contract.
    unsafe { own::memcpy_async(target, source, bytes, kind as c_int, stream) }
}

/// `hipMemcpyFromSymbolAsync`.
pub unsafe fn from_symbol_async(
    target: *mut c_void,
    symbol: *const c_void,
    bytes: usize,
    offset: usize,
    kind: c_uint,
    stream: *mut c_void,
) -> Outcome {
    let source = within(symbol, bytes, offset)? as *const c_void;
    // SAFETY: the same contract.
    unsafe { own::memcpy_async(target, source, bytes, kind as c_int, stream) }
}

fn rows(
    target: Address,
    target_pitch: usize,
    source: Address,
    source_pitch: usize,
    width: usize,
    height: usize,
) -> Result<Transfer, Failure> {
    require(
        width <= target_pitch && width <= source_pitch,
        rc::INVALID_VALUE,
    )?;
    let end = |address, pitch: usize| Side {
        address,
        pitch: pitch as u64,
        slice: 0,
    };
    neutral::cuboid(
        end(source, source_pitch),
        end(target, target_pitch),
        width as u64,
        height as u64,
        1,
    )
}

/// `hipMemcpy2D`.
pub unsafe fn copy_2d(
    target: Address,
    target_pitch: usize,
    source: Address,
    source_pitch: usize,
    width: usize,
    height: usize,
    kind: c_uint,
) -> Outcome {
    direction(kind)?;
    neutral::run(
        rows(target, target_pitch, source, source_pitch, width, height)?,
        None,
    )
}

/// `hipMemcpy2DAsync`.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn copy_2d_async(
    target: Address,
    target_pitch: usize,
    source: Address,
    source_pitch: usize,
    width: usize,
    height: usize,
    kind: c_uint,
    stream: StreamHandle,
) -> Outcome {
    direction(kind)?;
    neutral::run(
        rows(target, target_pitch, source, source_pitch, width, height)?,
        Some(stream),
    )
}

/// The address a descriptor means; arrays are not copied here.
fn side(kind: hipMemoryType, host: *const c_void, device: *mut c_void) -> Result<Address, Failure> {
    let (host_type, array_type) = match own::major() {
        5 => (
            v5::hipMemoryType::hipMemoryTypeHost.0,
            v5::hipMemoryType::hipMemoryTypeArray.0,
        ),
        _ => (
            hipMemoryType::hipMemoryTypeHost.0,
            hipMemoryType::hipMemoryTypeArray.0,
        ),
    };
    require(kind.0 != array_type, rc::NOT_SUPPORTED)?;
    Ok(if kind.0 == host_type {
        host as u64
    } else {
        device as u64
    })
}

unsafe fn rectangle(copy: *const hip_Memcpy2D) -> Result<Transfer, Failure> {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let c = unsafe { &*copy };
    let (width, height) = (c.WidthInBytes as u64, c.Height as u64);
    let end = |address: u64, x: usize, y: usize, pitch: usize| {
        let pitch = if pitch == 0 { width } else { pitch as u64 };
        Side {
            address: address + y as u64 * pitch + x as u64,
            pitch,
            slice: 0,
        }
    };
    let source = side(c.srcMemoryType, c.srcHost, c.srcDevice)?;
    let target = side(c.dstMemoryType, c.dstHost, c.dstDevice)?;
    neutral::cuboid(
        end(source, c.srcXInBytes, c.srcY, c.srcPitch),
        end(target, c.dstXInBytes, c.dstY, c.dstPitch),
        width,
        height,
        1,
    )
}

/// `hipMemcpyParam2D` and `hipDrvMemcpy2DUnaligned`.
pub unsafe fn param_2d(copy: *const hip_Memcpy2D) -> Outcome {
    // SAFETY: the same contract.
    neutral::run(unsafe { rectangle(copy) }?, None)
}

/// `hipMemcpyParam2DAsync`.
pub unsafe fn param_2d_async(copy: *const hip_Memcpy2D, stream: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    neutral::run(unsafe { rectangle(copy) }?, Some(stream))
}

/// A box of `hipMemcpy3D`, without arrays: widths and positions in bytes.
pub unsafe fn cuboid(copy: *const hipMemcpy3DParms) -> Result<Transfer, Failure> {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let c = unsafe { &*copy };
    require(
        c.srcArray.is_null() && c.dstArray.is_null(),
        rc::NOT_SUPPORTED,
    )?;
    direction(c.kind.0)?;
    let end = |p: &hipPitchedPtr, at: &hipPos| {
        let pitch = if p.pitch == 0 {
            c.extent.width
        } else {
            p.pitch
        } as u64;
        let rows = if p.ysize == 0 {
            c.extent.height
        } else {
            p.ysize
        } as u64;
        Side {
            address: p.ptr as u64 + at.z as u64 * rows * pitch + at.y as u64 * pitch + at.x as u64,
            pitch,
            slice: rows * pitch,
        }
    };
    neutral::cuboid(
        end(&c.srcPtr, &c.srcPos),
        end(&c.dstPtr, &c.dstPos),
        c.extent.width as u64,
        c.extent.height as u64,
        c.extent.depth as u64,
    )
}

/// `hipMemcpy3D`.
pub unsafe fn copy_3d(copy: *const hipMemcpy3DParms) -> Outcome {
    // SAFETY: the same contract.
    neutral::run(unsafe { cuboid(copy) }?, None)
}

/// `hipMemcpy3DAsync`.
pub unsafe fn copy_3d_async(copy: *const hipMemcpy3DParms, stream: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    neutral::run(unsafe { cuboid(copy) }?, Some(stream))
}

unsafe fn driver_cuboid(copy: *const HIP_MEMCPY3D) -> Result<Transfer, Failure> {
    require(!copy.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let c = unsafe { &*copy };
    let (width, height, depth) = (c.WidthInBytes as u64, c.Height as u64, c.Depth as u64);
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
    let source = side(c.srcMemoryType, c.srcHost, c.srcDevice)?;
    let target = side(c.dstMemoryType, c.dstHost, c.dstDevice)?;
    let source_at = [c.srcXInBytes, c.srcY, c.srcZ];
    let target_at = [c.dstXInBytes, c.dstY, c.dstZ];
    neutral::cuboid(
        end(source, source_at, c.srcPitch, c.srcHeight),
        end(target, target_at, c.dstPitch, c.dstHeight),
        width,
        height,
        depth,
    )
}

/// `hipDrvMemcpy3D`.
pub unsafe fn driver_3d(copy: *const HIP_MEMCPY3D) -> Outcome {
    // SAFETY: the same contract.
    neutral::run(unsafe { driver_cuboid(copy) }?, None)
}

/// `hipDrvMemcpy3DAsync`.
pub unsafe fn driver_3d_async(copy: *const HIP_MEMCPY3D, stream: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    neutral::run(unsafe { driver_cuboid(copy) }?, Some(stream))
}

/// `hipMemset`: the low byte of a value.
pub unsafe fn set(target: Address, value: c_int, bytes: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::set_d8(target, value as u8, bytes) }
}

/// `hipMemsetAsync`.
pub unsafe fn set_async(
    target: Address,
    value: c_int,
    bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::set_d8_async(target, value as u8, bytes, stream) }
}

/// `hipMemsetD32`.
pub unsafe fn set_d32(target: Address, value: c_int, count: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::set_d32(target, value as c_uint, count) }
}

/// `hipMemsetD32Async`.
pub unsafe fn set_d32_async(
    target: Address,
    value: c_int,
    count: usize,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::set_d32_async(target, value as c_uint, count, stream) }
}

/// `hipMemset2D`.
pub unsafe fn set_2d(
    target: Address,
    pitch: usize,
    value: c_int,
    width: usize,
    height: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::set_2d_d8(target, pitch, value as u8, width, height) }
}

/// `hipMemset2DAsync`.
pub unsafe fn set_2d_async(
    target: Address,
    pitch: usize,
    value: c_int,
    width: usize,
    height: usize,
    stream: StreamHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::set_2d_d8_async(target, pitch, value as u8, width, height, stream) }
}

/// `hipMemset3DAsync`.
pub unsafe fn set_3d_async(
    place: hipPitchedPtr,
    value: c_int,
    extent: hipExtent,
    stream: StreamHandle,
) -> Outcome {
    let slice = (place.pitch * place.ysize.max(extent.height)) as u64;
    for z in 0..extent.depth as u64 {
        let target = place.ptr as u64 + z * slice;
        // SAFETY: the same contract, slice by slice.
        unsafe {
            set_2d_async(
                target,
                place.pitch,
                value,
                extent.width,
                extent.height,
                stream,
            )?
        };
    }
    Ok(())
}

/// `hipMemset3D`.
pub unsafe fn set_3d(place: hipPitchedPtr, value: c_int, extent: hipExtent) -> Outcome {
    // SAFETY: the same contract.
    unsafe { set_3d_async(place, value, extent, std::ptr::null_mut()) }
}
