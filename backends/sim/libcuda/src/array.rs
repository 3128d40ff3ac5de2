//! Descriptors of arrays.

use crate::border::{Outcome, put, rc, require};
use crate::types::ArrayHandle;
use cuda_sys::{CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR, CUarray, CUarray_format};
use fcsp_sim_driver::Failure;
use fcsp_sim_driver::array::{self, Description};
pub use fcsp_sim_driver::array::{destroy, destroy_mipmapped};
use std::ffi::c_uint;

/// Flags that have no meaning here: sparse arrays, and those whose memory the program maps.
const UNSUPPORTED_FLAGS: c_uint =
    cuda_sys::CUDA_ARRAY3D_SPARSE | cuda_sys::CUDA_ARRAY3D_DEFERRED_MAPPING;

unsafe fn read(descriptor: *const CUDA_ARRAY3D_DESCRIPTOR) -> Result<Description, Failure> {
    require(!descriptor.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let d = unsafe { &*descriptor };
    require(d.Flags & UNSUPPORTED_FLAGS == 0, rc::NOT_SUPPORTED)?;
    Ok(Description {
        width: d.Width,
        height: d.Height,
        depth: d.Depth,
        format: d.Format.0,
        channels: d.NumChannels,
        flags: d.Flags,
    })
}

/// `cuArrayCreate_v2`.
pub unsafe fn create(place: *mut ArrayHandle, descriptor: *const CUDA_ARRAY_DESCRIPTOR) -> Outcome {
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

/// `cuArray3DCreate_v2`.
pub unsafe fn create_3d(
    place: *mut ArrayHandle,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { array::create(place, read(descriptor)?) }
}

/// `cuArray3DGetDescriptor_v2`.
pub unsafe fn descriptor(place: *mut CUDA_ARRAY3D_DESCRIPTOR, handle: CUarray) -> Outcome {
    let d = array::description(handle.cast())?;
    let descriptor = CUDA_ARRAY3D_DESCRIPTOR {
        Width: d.width,
        Height: d.height,
        Depth: d.depth,
        Format: CUarray_format(d.format),
        NumChannels: d.channels,
        Flags: d.flags,
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, descriptor) }
}

/// `cuMipmappedArrayCreate`.
pub unsafe fn create_mipmapped(
    place: *mut ArrayHandle,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR,
    levels: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { array::create_mipmapped(place, read(descriptor)?, levels) }
}
