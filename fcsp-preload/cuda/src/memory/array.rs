//! Handlers of arrays and mipmapped arrays, which textures and surfaces read.
//!
//! The driver does not say how much memory an array takes (`cuArrayGetMemoryRequirements` answers only
//! for arrays whose memory the program maps itself), so the charge is computed from the format and the
//! layout the hardware needs, in the blocks the driver takes. What that misses is reconciled.

use core::ffi::c_uint;

use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY_DESCRIPTOR_v1, CUDA_ARRAY3D_DEFERRED_MAPPING,
    CUDA_ARRAY3D_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR_v1, CUDA_ARRAY3D_LAYERED, CUDA_ARRAY3D_SPARSE,
    CUarray, CUarray_format, CUmipmappedArray, CUresult, fn_types,
};
use fcsp_program::device;
use fcsp_program::memory::charge::{charged, credited, key_at};

use crate::driver::Cuda;
use crate::memory::blocks;
use crate::memory::contexts::tag_of_current;

/// Layouts of textures are made of tiles of 64 bytes by 8 rows (the "groups of bytes" of every NVIDIA
/// GPU since Tesla, in the public descriptions of the open-source drivers).
const TILE_WIDTH_BYTES: u64 = 64;
const TILE_ROWS: u64 = 8;
/// Tiles are stacked, 16 high at most and no higher than the array needs (same source); an array is as high as
/// whole stacks.
const STACK_TILES_MAX: u64 = 16;

/// What an array is made of.
#[derive(Clone, Copy)]
struct Shape {
    width: u64,
    height: u64,
    depth: u64,
    format: CUarray_format,
    channels: u64,
    flags: c_uint,
}

impl Shape {
    /// Edge of the blocks texels come in, and bits of a block.
    fn block(&self) -> (u64, u64) {
        use CUarray_format as F;
        match self.format {
            F::CU_AD_FORMAT_UNSIGNED_INT8 | F::CU_AD_FORMAT_SIGNED_INT8 => (1, 8 * self.channels),
            F::CU_AD_FORMAT_UNSIGNED_INT16
            | F::CU_AD_FORMAT_SIGNED_INT16
            | F::CU_AD_FORMAT_HALF => (1, 16 * self.channels),
            F::CU_AD_FORMAT_UNSIGNED_INT32
            | F::CU_AD_FORMAT_SIGNED_INT32
            | F::CU_AD_FORMAT_FLOAT => (1, 32 * self.channels),
            F::CU_AD_FORMAT_UNORM_INT8X1 | F::CU_AD_FORMAT_SNORM_INT8X1 => (1, 8),
            F::CU_AD_FORMAT_UNORM_INT8X2
            | F::CU_AD_FORMAT_SNORM_INT8X2
            | F::CU_AD_FORMAT_UNORM_INT16X1
            | F::CU_AD_FORMAT_SNORM_INT16X1 => (1, 16),
            F::CU_AD_FORMAT_UNORM_INT8X4
            | F::CU_AD_FORMAT_SNORM_INT8X4
            | F::CU_AD_FORMAT_UNORM_INT16X2
            | F::CU_AD_FORMAT_SNORM_INT16X2
            | F::CU_AD_FORMAT_UNORM_INT_101010_2 => (1, 32),
            F::CU_AD_FORMAT_UNORM_INT16X4 | F::CU_AD_FORMAT_SNORM_INT16X4 => (1, 64),
            F::CU_AD_FORMAT_BC1_UNORM
            | F::CU_AD_FORMAT_BC1_UNORM_SRGB
            | F::CU_AD_FORMAT_BC4_UNORM
            | F::CU_AD_FORMAT_BC4_SNORM => (4, 64),
            F::CU_AD_FORMAT_BC2_UNORM
            | F::CU_AD_FORMAT_BC2_UNORM_SRGB
            | F::CU_AD_FORMAT_BC3_UNORM
            | F::CU_AD_FORMAT_BC3_UNORM_SRGB
            | F::CU_AD_FORMAT_BC5_UNORM
            | F::CU_AD_FORMAT_BC5_SNORM
            | F::CU_AD_FORMAT_BC6H_UF16
            | F::CU_AD_FORMAT_BC6H_SF16
            | F::CU_AD_FORMAT_BC7_UNORM
            | F::CU_AD_FORMAT_BC7_UNORM_SRGB => (4, 128),
            // Luma of 8 bits, and chroma for every second texel of every second row.
            F::CU_AD_FORMAT_NV12 => (1, 12),
            F::CU_AD_FORMAT_P010 | F::CU_AD_FORMAT_P016 => (1, 24),
            F::CU_AD_FORMAT_NV16 | F::CU_AD_FORMAT_YUY2 => (1, 16),
            F::CU_AD_FORMAT_Y444_PLANAR8 => (1, 24),
            F::CU_AD_FORMAT_P210
            | F::CU_AD_FORMAT_P216
            | F::CU_AD_FORMAT_Y210
            | F::CU_AD_FORMAT_Y216
            | F::CU_AD_FORMAT_AYUV
            | F::CU_AD_FORMAT_Y410 => (1, 32),
            F::CU_AD_FORMAT_Y444_PLANAR10 => (1, 48),
            // The most a texel takes: formats of later headers are charged too much, not too little.
            _ => (1, 128),
        }
    }

    /// Bytes of one level.
    fn bytes(&self) -> u64 {
        let (edge, bits) = self.block();
        let row_bits = self.width.div_ceil(edge).saturating_mul(bits);
        let rows = self.height.max(1).div_ceil(edge);
        // What has no rows has no tiles.
        let rows = if self.height == 0 {
            1
        } else {
            let tiles = rows.div_ceil(TILE_ROWS).min(STACK_TILES_MAX);
            rows.checked_next_multiple_of(tiles.next_power_of_two() * TILE_ROWS)
                .unwrap_or(u64::MAX)
        };
        row_bits
            .div_ceil(8)
            .checked_next_multiple_of(TILE_WIDTH_BYTES)
            .unwrap_or(u64::MAX)
            .saturating_mul(rows)
            .saturating_mul(self.depth.max(1))
    }

    /// True if the program brings the memory itself.
    fn has_no_memory(&self) -> bool {
        self.flags & (CUDA_ARRAY3D_SPARSE | CUDA_ARRAY3D_DEFERRED_MAPPING) != 0
    }

    /// The shape of a level of a mipmapped array.
    fn level(&self, level: u32) -> Self {
        let halved = |size: u64| if size == 0 { 0 } else { (size >> level).max(1) };
        let layered = self.flags & CUDA_ARRAY3D_LAYERED != 0;
        Self {
            width: halved(self.width),
            height: halved(self.height),
            // Layers do not shrink; the faces of a cube are layers, too.
            depth: if layered || self.flags & cuda_sys::CUDA_ARRAY3D_CUBEMAP != 0 {
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

macro_rules! shape_of {
    ($descriptor:expr, $depth:expr, $flags:expr) => {
        Shape {
            width: $descriptor.Width as u64,
            height: $descriptor.Height as u64,
            depth: $depth as u64,
            format: $descriptor.Format,
            channels: u64::from($descriptor.NumChannels),
            flags: $flags,
        }
    };
}

/// Makes what the driver writes the handle of to `place`. `None`: the driver refuses a null descriptor.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
unsafe fn make<H>(
    place: *mut *mut H,
    shape: Option<Shape>,
    bytes: impl FnOnce(Shape) -> u64,
    create: impl FnOnce() -> CUresult,
) -> CUresult {
    let charge = shape
        .filter(|shape| !shape.has_no_memory())
        .zip(device::current::<Cuda>());
    let Some((shape, device)) = charge else {
        return create();
    };
    let bytes = blocks(bytes(shape));
    charged::<Cuda>(device, &device.allocations, bytes, tag_of_current(), || {
        let result = create();
        // SAFETY: the driver has answered.
        (result, unsafe {
            key_at::<Cuda, _>(result, place, |it| it as u64)
        })
    })
}

/// # Safety
///
/// As `cuArrayCreate_v2`.
pub unsafe fn create(
    real: fn_types::cuArrayCreate_v2,
    handle: *mut CUarray,
    descriptor: *const CUDA_ARRAY_DESCRIPTOR,
) -> CUresult {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = descriptor.as_ref().map(|it| shape_of!(it, 0, 0));
        make(handle, shape, |it| it.bytes(), || real(handle, descriptor))
    }
}

/// # Safety
///
/// As `cuArrayCreate`, whose sizes have 32 bits.
pub unsafe fn create_v1(
    real: fn_types::cuArrayCreate,
    handle: *mut CUarray,
    descriptor: *const CUDA_ARRAY_DESCRIPTOR_v1,
) -> CUresult {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = descriptor.as_ref().map(|it| shape_of!(it, 0, 0));
        make(handle, shape, |it| it.bytes(), || real(handle, descriptor))
    }
}

/// # Safety
///
/// As `cuArray3DCreate_v2`.
pub unsafe fn create_3d(
    real: fn_types::cuArray3DCreate_v2,
    handle: *mut CUarray,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR,
) -> CUresult {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = descriptor
            .as_ref()
            .map(|it| shape_of!(it, it.Depth, it.Flags));
        make(handle, shape, |it| it.bytes(), || real(handle, descriptor))
    }
}

/// # Safety
///
/// As `cuArray3DCreate`, whose sizes have 32 bits.
pub unsafe fn create_3d_v1(
    real: fn_types::cuArray3DCreate,
    handle: *mut CUarray,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR_v1,
) -> CUresult {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = descriptor
            .as_ref()
            .map(|it| shape_of!(it, it.Depth, it.Flags));
        make(handle, shape, |it| it.bytes(), || real(handle, descriptor))
    }
}

/// # Safety
///
/// As `cuMipmappedArrayCreate`.
pub unsafe fn create_mipmapped(
    real: fn_types::cuMipmappedArrayCreate,
    handle: *mut CUmipmappedArray,
    descriptor: *const CUDA_ARRAY3D_DESCRIPTOR,
    levels: c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on; the driver reads the same structure.
    unsafe {
        let shape = descriptor
            .as_ref()
            .map(|it| shape_of!(it, it.Depth, it.Flags));
        make(
            handle,
            shape,
            |it| it.mipmapped_bytes(levels),
            || real(handle, descriptor, levels),
        )
    }
}

/// # Safety
///
/// As `cuArrayDestroy`.
pub unsafe fn destroy(real: fn_types::cuArrayDestroy, array: CUarray) -> CUresult {
    // SAFETY: the program's own call, passed on.
    credited::<Cuda>(array as u64, || unsafe { real(array) })
}

/// # Safety
///
/// As `cuMipmappedArrayDestroy`.
pub unsafe fn destroy_mipmapped(
    real: fn_types::cuMipmappedArrayDestroy,
    array: CUmipmappedArray,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    credited::<Cuda>(array as u64, || unsafe { real(array) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(width: u64, height: u64, depth: u64, format: CUarray_format) -> Shape {
        Shape {
            width,
            height,
            depth,
            format,
            channels: 4,
            flags: 0,
        }
    }

    #[test]
    fn levels_take_what_their_texels_take_in_whole_tiles() {
        let float = CUarray_format::CU_AD_FORMAT_FLOAT;
        assert_eq!(shape(1024, 1024, 0, float).bytes(), 16 << 20);
        assert_eq!(shape(1000, 0, 0, float).bytes(), 16_000);
        // One texel of 16 bytes takes a tile row of 64, and with rows a tile of 8.
        assert_eq!(shape(1, 0, 0, float).bytes(), 64);
        assert_eq!(shape(1, 1, 3, float).bytes(), 64 * 8 * 3);
        let packed = CUarray_format::CU_AD_FORMAT_BC1_UNORM;
        assert_eq!(shape(1024, 1024, 0, packed).bytes(), 512 << 10);
        assert_eq!(
            shape(1024, 1024, 0, CUarray_format::CU_AD_FORMAT_NV12).bytes(),
            (3 << 20) / 2
        );
    }

    #[test]
    fn sizes_nobody_has_saturate() {
        let float = CUarray_format::CU_AD_FORMAT_FLOAT;
        assert_eq!(shape(u64::MAX, u64::MAX, u64::MAX, float).bytes(), u64::MAX);
    }

    #[test]
    fn mipmaps_add_a_third_and_have_no_more_levels_than_edges() {
        let byte = shape(1024, 1024, 0, CUarray_format::CU_AD_FORMAT_UNSIGNED_INT8);
        let one = byte.bytes();
        assert_eq!(byte.mipmapped_bytes(1), one);
        assert_eq!(byte.mipmapped_bytes(2), one + one / 4);
        assert_eq!(byte.mipmapped_bytes(11), byte.mipmapped_bytes(99));
        let layered = Shape {
            depth: 6,
            flags: CUDA_ARRAY3D_LAYERED,
            ..byte
        };
        assert_eq!(layered.mipmapped_bytes(2), 6 * (one + one / 4));
    }
}
