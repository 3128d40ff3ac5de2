//! Descriptors of arrays. Arrays take memory; nothing reads them.

use crate::border::{Outcome, put, rc, require};
use fcsp_sim_driver::Failure;
use fcsp_sim_driver::array::{self, Description};
use fcsp_sim_driver::types::ArrayHandle;
use hip_sys::{
    HIP_ARRAY_DESCRIPTOR, HIP_ARRAY3D_DESCRIPTOR, hipArray_Format, hipChannelFormatDesc,
    hipChannelFormatKind, hipExtent,
};
use std::ffi::{c_int, c_uint};

/// `hipCreateChannelDesc`.
pub fn describe(
    x: c_int,
    y: c_int,
    z: c_int,
    w: c_int,
    f: hipChannelFormatKind,
) -> hipChannelFormatDesc {
    hipChannelFormatDesc { x, y, z, w, f }
}

/// What a channel description says: format and number of channels.
fn channels(desc: &hipChannelFormatDesc) -> Result<(u32, u32), Failure> {
    let bits = [desc.x, desc.y, desc.z, desc.w];
    let count = bits.iter().take_while(|bits| **bits > 0).count() as u32;
    let format = match (desc.f, bits[0]) {
        (hipChannelFormatKind::hipChannelFormatKindSigned, 8) => 8,
        (hipChannelFormatKind::hipChannelFormatKindSigned, 16) => 9,
        (hipChannelFormatKind::hipChannelFormatKindSigned, 32) => 10,
        (hipChannelFormatKind::hipChannelFormatKindUnsigned, 8) => 1,
        (hipChannelFormatKind::hipChannelFormatKindUnsigned, 16) => 2,
        (hipChannelFormatKind::hipChannelFormatKindUnsigned, 32) => 3,
        (hipChannelFormatKind::hipChannelFormatKindFloat, 16) => 16,
        (hipChannelFormatKind::hipChannelFormatKindFloat, 32) => 32,
        _ => return Err(rc::INVALID_VALUE),
    };
    Ok((format, count))
}

unsafe fn described(
    desc: *const hipChannelFormatDesc,
    extent: hipExtent,
    flags: c_uint,
) -> Result<Description, Failure> {
    require(!desc.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let (format, channels) = channels(unsafe { &*desc })?;
    Ok(Description {
        width: extent.width,
        height: extent.height,
        depth: extent.depth,
        format,
        channels,
        flags,
    })
}

/// `hipMallocArray`.
pub unsafe fn alloc(
    place: *mut ArrayHandle,
    desc: *const hipChannelFormatDesc,
    width: usize,
    height: usize,
    flags: c_uint,
) -> Outcome {
    let extent = hipExtent {
        width,
        height,
        depth: 0,
    };
    // SAFETY: the same contract.
    unsafe { array::create(place, described(desc, extent, flags)?) }
}

/// `hipMalloc3DArray`.
pub unsafe fn alloc_3d(
    place: *mut ArrayHandle,
    desc: *const hipChannelFormatDesc,
    extent: hipExtent,
    flags: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { array::create(place, described(desc, extent, flags)?) }
}

/// `hipMallocMipmappedArray`.
pub unsafe fn alloc_mipmapped(
    place: *mut ArrayHandle,
    desc: *const hipChannelFormatDesc,
    extent: hipExtent,
    levels: c_uint,
    flags: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { array::create_mipmapped(place, described(desc, extent, flags)?, levels) }
}

unsafe fn read(descriptor: *const HIP_ARRAY3D_DESCRIPTOR) -> Result<Description, Failure> {
    require(!descriptor.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let d = unsafe { &*descriptor };
    Ok(Description {
        width: d.Width,
        height: d.Height,
        depth: d.Depth,
        format: d.Format.0,
        channels: d.NumChannels,
        flags: d.Flags,
    })
}

/// `hipArrayCreate`.
pub unsafe fn create(place: *mut ArrayHandle, descriptor: *const HIP_ARRAY_DESCRIPTOR) -> Outcome {
    require(!descriptor.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let flat = unsafe { &*descriptor };
    let description = Description {
        width: flat.Width,
        height: flat.Height,
        format: flat.Format.0,
        channels: flat.NumChannels,
        ..Description::default()
    };
    // SAFETY: the same contract.
    unsafe { array::create(place, description) }
}

/// `hipArray3DCreate`.
pub unsafe fn create_3d(
    place: *mut ArrayHandle,
    descriptor: *const HIP_ARRAY3D_DESCRIPTOR,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { array::create(place, read(descriptor)?) }
}

/// `hipMipmappedArrayCreate`.
pub unsafe fn create_mipmapped(
    place: *mut ArrayHandle,
    descriptor: *mut HIP_ARRAY3D_DESCRIPTOR,
    levels: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { array::create_mipmapped(place, read(descriptor)?, levels) }
}

/// `hipArray3DGetDescriptor`.
pub unsafe fn descriptor_3d(place: *mut HIP_ARRAY3D_DESCRIPTOR, handle: ArrayHandle) -> Outcome {
    let d = array::description(handle)?;
    let descriptor = HIP_ARRAY3D_DESCRIPTOR {
        Width: d.width,
        Height: d.height,
        Depth: d.depth,
        Format: hipArray_Format(d.format),
        NumChannels: d.channels,
        Flags: d.flags,
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, descriptor) }
}

/// `hipArrayGetDescriptor`.
pub unsafe fn descriptor(place: *mut HIP_ARRAY_DESCRIPTOR, handle: ArrayHandle) -> Outcome {
    let d = array::description(handle)?;
    let descriptor = HIP_ARRAY_DESCRIPTOR {
        Width: d.width,
        Height: d.height,
        Format: hipArray_Format(d.format),
        NumChannels: d.channels,
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, descriptor) }
}
