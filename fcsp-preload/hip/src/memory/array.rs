//! Handlers of arrays and mipmapped arrays, which textures and surfaces read.
//!
//! The driver does not say how much memory an array takes, so the charge is computed from the format: rows that are
//! padded as those of pitched memory. What that misses is reconciled.

use core::ffi::c_uint;

use fcsp_gate::Handle;
use fcsp_program::memory::charge::credited;
use hip_sys::{
    HIP_ARRAY_DESCRIPTOR, HIP_ARRAY3D_DESCRIPTOR, fn_types, hipArray_Format, hipArray_t,
    hipArrayCubemap, hipArrayLayered, hipChannelFormatDesc, hipError_t, hipExtent,
    hipMipmappedArray_t,
};

use crate::driver::Hip;
use crate::memory::{at_address, row_bytes};

/// What an array is made of. 0 for a height or depth that it has not.
#[derive(Clone, Copy)]
struct Shape {
    width: u64,
    height: u64,
    depth: u64,
    texel_bits: u64,
    flags: c_uint,
}

impl Shape {
    fn of_channels(desc: &hipChannelFormatDesc, extent: [usize; 3], flags: c_uint) -> Self {
        let bits = [desc.x, desc.y, desc.z, desc.w].map(|bits| u64::from(bits.unsigned_abs()));
        let [width, height, depth] = extent.map(|side| side as u64);
        Self {
            width,
            height,
            depth,
            texel_bits: bits.iter().sum(),
            flags,
        }
    }

    fn of_format(
        format: hipArray_Format,
        channels: c_uint,
        extent: [usize; 3],
        flags: c_uint,
    ) -> Self {
        let bits = match format {
            hipArray_Format::HIP_AD_FORMAT_UNSIGNED_INT8
            | hipArray_Format::HIP_AD_FORMAT_SIGNED_INT8 => 8,
            hipArray_Format::HIP_AD_FORMAT_UNSIGNED_INT16
            | hipArray_Format::HIP_AD_FORMAT_SIGNED_INT16
            | hipArray_Format::HIP_AD_FORMAT_HALF => 16,
            // The most a channel takes: formats of later headers are charged too much, not too little.
            _ => 32,
        };
        let [width, height, depth] = extent.map(|side| side as u64);
        Self {
            width,
            height,
            depth,
            texel_bits: bits * u64::from(channels),
            flags,
        }
    }

    /// Bytes of one level.
    fn bytes(&self) -> u64 {
        row_bytes(self.width.saturating_mul(self.texel_bits).div_ceil(8))
            .saturating_mul(self.height.max(1))
            .saturating_mul(self.depth.max(1))
    }

    /// The shape of a level of a mipmapped array. Layers do not shrink.
    fn level(&self, level: u32) -> Self {
        let halved = |side: u64| if side == 0 { 0 } else { (side >> level).max(1) };
        let layered = self.flags & (hipArrayLayered | hipArrayCubemap) != 0;
        Self {
            width: halved(self.width),
            height: halved(self.height),
            depth: if layered {
                self.depth
            } else {
                halved(self.depth)
            },
            ..*self
        }
    }

    /// Bytes of a mipmapped array; the driver makes no more levels than the largest edge has.
    fn mipmapped_bytes(&self, levels: u32) -> u64 {
        let edge = self.width.max(self.height).max(self.depth).max(1);
        (0..levels.min(edge.ilog2() + 1)).fold(0, |sum: u64, level| {
            sum.saturating_add(self.level(level).bytes())
        })
    }
}

fn sides(extent: hipExtent) -> [usize; 3] {
    [extent.width, extent.height, extent.depth]
}

/// Makes what the driver writes the handle of to `place`. No bytes: the driver refuses a null descriptor.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
unsafe fn make<T>(
    place: *mut *mut T,
    bytes: Option<u64>,
    create: impl FnOnce() -> hipError_t,
) -> hipError_t {
    match bytes {
        // SAFETY: by the caller's contract.
        Some(bytes) => unsafe { at_address(place, bytes, create) },
        None => create(),
    }
}

/// # Safety
///
/// As `hipMallocArray`.
pub unsafe fn alloc(
    real: fn_types::hipMallocArray,
    array: *mut hipArray_t,
    desc: *const hipChannelFormatDesc,
    width: usize,
    height: usize,
    flags: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = desc
            .as_ref()
            .map(|it| Shape::of_channels(it, [width, height, 0], flags));
        make(array, shape.map(|it| it.bytes()), || {
            real(array, desc, width, height, flags)
        })
    }
}

/// # Safety
///
/// As `hipMalloc3DArray`.
pub unsafe fn alloc_3d(
    real: fn_types::hipMalloc3DArray,
    array: *mut hipArray_t,
    desc: *const hipChannelFormatDesc,
    extent: hipExtent,
    flags: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = desc
            .as_ref()
            .map(|it| Shape::of_channels(it, sides(extent), flags));
        make(array, shape.map(|it| it.bytes()), || {
            real(array, desc, extent, flags)
        })
    }
}

/// # Safety
///
/// As `hipMallocMipmappedArray`.
pub unsafe fn alloc_mipmapped(
    real: fn_types::hipMallocMipmappedArray,
    array: *mut hipMipmappedArray_t,
    desc: *const hipChannelFormatDesc,
    extent: hipExtent,
    levels: c_uint,
    flags: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = desc
            .as_ref()
            .map(|it| Shape::of_channels(it, sides(extent), flags));
        make(array, shape.map(|it| it.mipmapped_bytes(levels)), || {
            real(array, desc, extent, levels, flags)
        })
    }
}

/// # Safety
///
/// As `hipArrayCreate`.
pub unsafe fn create(
    real: fn_types::hipArrayCreate,
    array: *mut hipArray_t,
    desc: *const HIP_ARRAY_DESCRIPTOR,
) -> hipError_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = desc
            .as_ref()
            .map(|it| Shape::of_format(it.Format, it.NumChannels, [it.Width, it.Height, 0], 0));
        make(array, shape.map(|it| it.bytes()), || real(array, desc))
    }
}

/// # Safety
///
/// As `hipArray3DCreate`.
pub unsafe fn create_3d(
    real: fn_types::hipArray3DCreate,
    array: *mut hipArray_t,
    desc: *const HIP_ARRAY3D_DESCRIPTOR,
) -> hipError_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = desc.as_ref().map(of_descriptor);
        make(array, shape.map(|it| it.bytes()), || real(array, desc))
    }
}

/// # Safety
///
/// As `hipMipmappedArrayCreate`.
pub unsafe fn create_mipmapped(
    real: fn_types::hipMipmappedArrayCreate,
    array: *mut hipMipmappedArray_t,
    desc: *mut HIP_ARRAY3D_DESCRIPTOR,
    levels: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = desc.as_ref().map(of_descriptor);
        make(array, shape.map(|it| it.mipmapped_bytes(levels)), || {
            real(array, desc, levels)
        })
    }
}

fn of_descriptor(it: &HIP_ARRAY3D_DESCRIPTOR) -> Shape {
    let extent = [it.Width, it.Height, it.Depth];
    Shape::of_format(it.Format, it.NumChannels, extent, it.Flags)
}

/// # Safety
///
/// As `hipFreeArray` and `hipArrayDestroy`.
pub unsafe fn free(real: fn_types::hipFreeArray, array: hipArray_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    credited::<Hip>(array.number(), || unsafe { real(array) })
}

/// # Safety
///
/// As `hipFreeMipmappedArray` and `hipMipmappedArrayDestroy`.
pub unsafe fn free_mipmapped(
    real: fn_types::hipFreeMipmappedArray,
    array: hipMipmappedArray_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    credited::<Hip>(array.number(), || unsafe { real(array) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(width: usize, height: usize, depth: usize) -> Shape {
        let format = hipArray_Format::HIP_AD_FORMAT_FLOAT;
        Shape::of_format(format, 4, [width, height, depth], 0)
    }

    #[test]
    fn arrays_take_what_their_texels_take_in_padded_rows() {
        assert_eq!(shape(1024, 1024, 0).bytes(), 16 << 20);
        assert_eq!(shape(1, 3, 0).bytes(), 3 * row_bytes(16));
        assert_eq!(shape(usize::MAX, usize::MAX, 9).bytes(), u64::MAX);
        let desc = hipChannelFormatDesc {
            x: 8,
            y: 8,
            ..Default::default()
        };
        assert_eq!(Shape::of_channels(&desc, [1024, 2, 2], 0).bytes(), 4 * 2048);
    }

    #[test]
    fn mipmaps_add_a_third_and_have_no_more_levels_than_edges() {
        let one = shape(1024, 1024, 0);
        assert_eq!(one.mipmapped_bytes(1), one.bytes());
        assert_eq!(one.mipmapped_bytes(2), one.bytes() + one.bytes() / 4);
        assert_eq!(one.mipmapped_bytes(11), one.mipmapped_bytes(99));
        let layered = Shape {
            depth: 6,
            flags: hipArrayLayered,
            ..one
        };
        assert_eq!(
            layered.mipmapped_bytes(2),
            6 * (one.bytes() + one.bytes() / 4)
        );
    }
}
