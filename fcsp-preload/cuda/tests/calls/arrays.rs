//! Arrays and mipmapped arrays.

use cuda_sys::{
    CUDA_ARRAY_DESCRIPTOR, CUDA_ARRAY3D_DESCRIPTOR, CUarray, CUarray_format, CUmipmappedArray,
};
use std::ptr::{null, null_mut};

use crate::cu;
use crate::model::{Bill, Kind, Twin, blocks};
use crate::world::World;

/// Textures are made of tiles of this size.
const TILE_BYTES: u64 = 64;
const TILE_ROWS: u64 = 8;
/// Formats with the bytes of a channel.
const FORMATS: [(CUarray_format, u64); 4] = [
    (CUarray_format::CU_AD_FORMAT_UNSIGNED_INT8, 1),
    (CUarray_format::CU_AD_FORMAT_HALF, 2),
    (CUarray_format::CU_AD_FORMAT_FLOAT, 4),
    (CUarray_format::CU_AD_FORMAT_SIGNED_INT32, 4),
];
/// Formats the driver refuses here, or does not know.
const STRANGE: [u32; 3] = [0, 0x77, u32::MAX];
/// Flags: none, layered, a cube; and two with which the program brings the memory itself.
const FLAGS: [u32; 10] = [0, 0, 0, 0, 0, 0, 1, 4, 0x40, 0x80];

/// One call.
pub fn step(world: &mut World) {
    match world.bytes.below(6) {
        0 => create(world, false),
        1 => create(world, true),
        2 => create_mipmapped(world),
        3..=4 => destroy(world, Kind::Array),
        _ => destroy(world, Kind::Mipmapped),
    }
}

struct Shape {
    descriptor: CUDA_ARRAY3D_DESCRIPTOR,
    texel_bytes: u64,
}

fn shape(world: &mut World) -> Shape {
    let (format, channel_bytes) = world.bytes.one_of(&FORMATS);
    let channels = world.bytes.one_of(&[1, 2, 4, 1, 2, 4, 4, 3]);
    let odd = world.bytes.one_in(24);
    let descriptor = CUDA_ARRAY3D_DESCRIPTOR {
        Width: world.bytes.edge() as usize,
        Height: world.bytes.edge() as usize,
        Depth: if world.bytes.one_in(4) {
            world.bytes.edge() as usize % 4096
        } else {
            0
        },
        Format: if odd {
            CUarray_format(world.bytes.one_of(&STRANGE))
        } else {
            format
        },
        NumChannels: channels,
        Flags: world.bytes.one_of(&FLAGS),
    };
    // What is not known is charged as the largest there is.
    let texel_bytes = if odd {
        16
    } else {
        channel_bytes * u64::from(channels)
    };
    Shape {
        descriptor,
        texel_bytes,
    }
}

impl Shape {
    /// Bytes of one level, in whole tiles.
    fn level_bytes(&self, level: u32) -> u64 {
        let it = &self.descriptor;
        let halved = |edge: usize| {
            if edge == 0 {
                0
            } else {
                (edge as u64 >> level).max(1)
            }
        };
        let keeps_depth = it.Flags & 5 != 0;
        let depth = if keeps_depth {
            it.Depth as u64
        } else {
            halved(it.Depth)
        };
        let rows = match halved(it.Height) {
            0 => 1,
            rows => {
                // Tiles are stacked, 16 high at most.
                let stack = rows.div_ceil(TILE_ROWS).min(16).next_power_of_two() * TILE_ROWS;
                rows.div_ceil(stack).saturating_mul(stack)
            }
        };
        let row = u128::from(halved(it.Width)) * u128::from(self.texel_bytes);
        let row = row.div_ceil(u128::from(TILE_BYTES)) * u128::from(TILE_BYTES);
        let all = row
            .saturating_mul(u128::from(rows))
            .saturating_mul(u128::from(depth.max(1)));
        u64::try_from(all).unwrap_or(u64::MAX)
    }

    fn bytes(&self, levels: u32) -> u64 {
        let it = &self.descriptor;
        let edge = it.Width.max(it.Height).max(it.Depth).max(1);
        let levels = levels.min(edge.ilog2() + 1);
        blocks((0..levels).fold(0, |sum: u64, level| {
            sum.saturating_add(self.level_bytes(level))
        }))
    }

    /// Whether the size is so large that how it saturates decides.
    fn is_absurd(&self) -> bool {
        [self.descriptor.Width, self.descriptor.Height]
            .iter()
            .any(|edge| *edge > 1 << 40)
    }
}

impl std::fmt::Display for Shape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let it = &self.descriptor;
        let (format, channels, flags) = (it.Format.0, it.NumChannels, it.Flags);
        write!(
            f,
            "{} x {} x {}, format {format}, {channels} channels, flags {flags}",
            it.Width, it.Height, it.Depth
        )
    }
}

fn bill(world: &World, shape: &Shape, levels: u32, null_descriptor: bool) -> (Bill, u64) {
    let bytes = shape.bytes(levels);
    if null_descriptor || shape.descriptor.Flags & 0xc0 != 0 {
        return (Bill::Free, bytes);
    }
    if shape.is_absurd() && world.current().is_some() {
        // More than any quota or not at all: zero rows of an endless width.
        return (Bill::Unsure(bytes.max(1 << 50)), bytes);
    }
    (world.bill_here(bytes), bytes)
}

fn create(world: &mut World, deep: bool) {
    if !world.has_room(Kind::Array) {
        return destroy(world, Kind::Array);
    }
    let mut shape = shape(world);
    if !deep {
        shape.descriptor.Depth = 0;
        shape.descriptor.Flags = 0;
    }
    let null_at = world.bytes.below(40);
    let (bill, bytes) = bill(world, &shape, 1, null_at == 1);
    let it = shape.descriptor;
    let flat = CUDA_ARRAY_DESCRIPTOR {
        Width: it.Width,
        Height: it.Height,
        Format: it.Format,
        NumChannels: it.NumChannels,
    };
    let answer = world.call(
        || {
            format!(
                "cuArray{}Create({null_at}, {shape})",
                if deep { "3D" } else { "" }
            )
        },
        &bill,
        |cuda, _, made| {
            let mut array: CUarray = null_mut();
            let place = if null_at == 0 {
                null_mut()
            } else {
                &raw mut array
            };
            let result = if deep {
                let descriptor = if null_at == 1 { null() } else { &raw const it };
                cu!(cuda, cuArray3DCreate_v2(place, descriptor))
            } else {
                let descriptor = if null_at == 1 {
                    null()
                } else {
                    &raw const flat
                };
                cu!(cuda, cuArrayCreate_v2(place, descriptor))
            };
            *made = array as u64;
            result
        },
    );
    world.made_here(answer, Kind::Array, bytes);
}

fn create_mipmapped(world: &mut World) {
    if !world.has_room(Kind::Mipmapped) {
        return destroy(world, Kind::Mipmapped);
    }
    let shape = shape(world);
    let levels = world.bytes.one_of(&[1, 2, 4, 9, 0, u32::MAX]);
    let null_at = world.bytes.below(40);
    let (bill, bytes) = bill(world, &shape, levels, null_at == 1);
    let it = shape.descriptor;
    let answer = world.call(
        || format!("cuMipmappedArrayCreate({null_at}, {shape}, {levels})"),
        &bill,
        |cuda, _, made| {
            let mut array: CUmipmappedArray = null_mut();
            let place = if null_at == 0 {
                null_mut()
            } else {
                &raw mut array
            };
            let descriptor = if null_at == 1 { null() } else { &raw const it };
            let result = cu!(cuda, cuMipmappedArrayCreate(place, descriptor, levels));
            *made = array as u64;
            result
        },
    );
    world.made_here(answer, Kind::Mipmapped, bytes);
}

fn destroy(world: &mut World, kind: Kind) {
    let good = world.of_kind(&[kind]);
    let twin = world.pick(&good);
    release(world, kind, twin);
}

/// `cuArrayDestroy` or `cuMipmappedArrayDestroy`.
pub fn release(world: &mut World, kind: Kind, twin: Twin) {
    let answer = world.call(
        || format!("destroy {kind:?}({twin:x?})"),
        &Bill::Free,
        |cuda, side, _| match kind {
            Kind::Array => cu!(cuda, cuArrayDestroy(twin.0[side] as CUarray)),
            _ => cu!(
                cuda,
                cuMipmappedArrayDestroy(twin.0[side] as CUmipmappedArray)
            ),
        },
    );
    if answer.is_success() && world.take(twin, &[kind]).is_none() && twin != Twin::default() {
        world.differ("something was destroyed that the model does not know".into());
    }
}
