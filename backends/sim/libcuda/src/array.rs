//! Arrays and mipmapped arrays: memory that only textures and surfaces read.
//!
//! They take device memory and end with their context. There are no textures here, so nothing reads
//! them, and copies do not reach them.

use crate::border::{Outcome, put, rc, require};
use crate::context::current;
use crate::driver::Gpu;
use crate::handles::Table;
use crate::{capture, memory};
use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR, CUarray, CUarray_format, CUmipmappedArray,
    CUresult,
};
use std::ffi::c_uint;

/// An array, or all levels of a mipmapped one.
pub struct Array {
    gpu: &'static Gpu,
    group: u64,
    descriptor: CUDA_ARRAY3D_DESCRIPTOR,
    charged_bytes: u64,
}

static ARRAYS: Table<Array> = Table::new(12);
static MIPMAPPED: Table<Array> = Table::new(13);

/// Flags that have no meaning here: sparse arrays, and those whose memory the program maps.
const UNSUPPORTED_FLAGS: c_uint =
    cuda_sys::CUDA_ARRAY3D_SPARSE | cuda_sys::CUDA_ARRAY3D_DEFERRED_MAPPING;

impl Drop for Array {
    fn drop(&mut self) {
        self.gpu.device.release(self.charged_bytes);
    }
}

fn texel_bytes(descriptor: &CUDA_ARRAY3D_DESCRIPTOR) -> Result<u64, CUresult> {
    use CUarray_format as F;
    let channel_bytes = match descriptor.Format {
        F::CU_AD_FORMAT_UNSIGNED_INT8 | F::CU_AD_FORMAT_SIGNED_INT8 => 1,
        F::CU_AD_FORMAT_UNSIGNED_INT16 | F::CU_AD_FORMAT_SIGNED_INT16 | F::CU_AD_FORMAT_HALF => 2,
        F::CU_AD_FORMAT_UNSIGNED_INT32 | F::CU_AD_FORMAT_SIGNED_INT32 | F::CU_AD_FORMAT_FLOAT => 4,
        _ => return Err(rc::NOT_SUPPORTED),
    };
    let channels = descriptor.NumChannels;
    require(matches!(channels, 1 | 2 | 4), rc::INVALID_VALUE)?;
    Ok(channel_bytes * u64::from(channels))
}

fn make(descriptor: &CUDA_ARRAY3D_DESCRIPTOR, levels: u32) -> Result<Array, CUresult> {
    require(descriptor.Width > 0 && levels > 0, rc::INVALID_VALUE)?;
    require(descriptor.Flags & UNSUPPORTED_FLAGS == 0, rc::NOT_SUPPORTED)?;
    let texel_bytes = texel_bytes(descriptor)?;
    capture::forbid_unsafe_call()?;
    let context = current()?;
    let edge = |edge: usize, level: u32| (edge as u64 >> level).max(1);
    let bytes = (0..levels.min(32)).try_fold(0_u64, |sum, level| {
        edge(descriptor.Width, level)
            .checked_mul(edge(descriptor.Height, level))?
            .checked_mul(edge(descriptor.Depth, level))?
            .checked_mul(texel_bytes)?
            .checked_add(sum)
    });
    let charged_bytes = memory::physical_bytes(bytes.ok_or(rc::OUT_OF_MEMORY)?);
    memory::charge(context.gpu, charged_bytes)?;
    Ok(Array {
        gpu: context.gpu,
        group: context.group,
        descriptor: *descriptor,
        charged_bytes,
    })
}

/// Frees what a context leaves behind.
pub fn free_context(group: u64) {
    for table in [&ARRAYS, &MIPMAPPED] {
        table.drain(|array| array.group == group);
    }
}

/// `cuArrayCreate_v2`.
pub unsafe fn create(place: *mut CUarray, descriptor: *const CUDA_ARRAY_DESCRIPTOR) -> Outcome {
    require(!descriptor.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let flat = unsafe { &*descriptor };
    let descriptor = CUDA_ARRAY3D_DESCRIPTOR {
        Width: flat.Width,
        Height: flat.Height,
        Format: flat.Format,
        NumChannels: flat.NumChannels,
        ..CUDA_ARRAY3D_DESCRIPTOR::default()
    };
    // SAFETY: the same contract.
    unsafe { create_3d(place, &descriptor) }
}

/// `cuArray3DCreate_v2`.
pub unsafe fn create_3d(
    place: *mut CUarray,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR,
) -> Outcome {
    require(!place.is_null() && !descriptor.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let array = make(unsafe { &*descriptor }, 1)?;
    // SAFETY: checked above.
    unsafe { put(place, ARRAYS.insert(array) as CUarray) }
}

/// `cuArray3DGetDescriptor_v2`.
pub unsafe fn descriptor(place: *mut CUDA_ARRAY3D_DESCRIPTOR, handle: CUarray) -> Outcome {
    let array = ARRAYS.get(handle).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, array.descriptor) }
}

/// `cuArrayDestroy`.
pub unsafe fn destroy(handle: CUarray) -> Outcome {
    ARRAYS.remove(handle).map(drop).ok_or(rc::INVALID_HANDLE)
}

/// `cuMipmappedArrayCreate`.
pub unsafe fn create_mipmapped(
    place: *mut CUmipmappedArray,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR,
    levels: c_uint,
) -> Outcome {
    require(!place.is_null() && !descriptor.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let descriptor = unsafe { &*descriptor };
    let edge = descriptor
        .Width
        .max(descriptor.Height)
        .max(descriptor.Depth);
    // More levels than there are halvings are not made.
    let levels = levels.min(edge.max(1).ilog2() + 1);
    let array = make(descriptor, levels)?;
    // SAFETY: checked above.
    unsafe { put(place, MIPMAPPED.insert(array) as CUmipmappedArray) }
}

/// `cuMipmappedArrayDestroy`.
pub unsafe fn destroy_mipmapped(handle: CUmipmappedArray) -> Outcome {
    MIPMAPPED.remove(handle).map(drop).ok_or(rc::INVALID_HANDLE)
}
