//! Arrays and mipmapped arrays: memory that only textures and surfaces read.
//!
//! They take device memory and end with their context. There are no textures here, so nothing reads
//! them, and copies do not reach them.

use crate::border::{Outcome, put, rc, require};
use crate::context::current;
use crate::driver::Gpu;
use crate::handles::Table;
use crate::types::*;
use crate::{capture, memory};
use std::ffi::c_uint;

/// What an array is asked to be.
#[derive(Clone, Copy, Debug, Default)]
pub struct Description {
    /// Texels in a row.
    pub width: usize,
    /// Rows, 0 for one.
    pub height: usize,
    /// Slices, 0 for one.
    pub depth: usize,
    /// Number of the format of a channel.
    pub format: u32,
    /// Channels of a texel: 1, 2 or 4.
    pub channels: u32,
    /// The vendor's flags; those that have no meaning here are refused by the vendor's library.
    pub flags: u32,
}

/// An array, or all levels of a mipmapped one.
pub struct Array {
    gpu: &'static Gpu,
    group: u64,
    description: Description,
    charged_bytes: u64,
}

static ARRAYS: Table<Array> = Table::new(12);
static MIPMAPPED: Table<Array> = Table::new(13);

impl Drop for Array {
    fn drop(&mut self) {
        self.gpu.device.release(self.charged_bytes);
    }
}

impl Description {
    fn texel_bytes(&self) -> Result<u64, Failure> {
        // Unsigned, signed and floating point, by size; both vendors number them so.
        let channel_bytes = match self.format {
            1 | 8 => 1,
            2 | 9 | 16 => 2,
            3 | 10 | 32 => 4,
            _ => return Err(rc::NOT_SUPPORTED),
        };
        require(matches!(self.channels, 1 | 2 | 4), rc::INVALID_VALUE)?;
        Ok(channel_bytes * u64::from(self.channels))
    }
}

fn make(description: Description, levels: u32) -> Result<Array, Failure> {
    require(description.width > 0 && levels > 0, rc::INVALID_VALUE)?;
    let texel_bytes = description.texel_bytes()?;
    capture::forbid_unsafe_call()?;
    let context = current()?;
    let edge = |edge: usize, level: u32| (edge as u64 >> level).max(1);
    let bytes = (0..levels.min(32)).try_fold(0_u64, |sum, level| {
        edge(description.width, level)
            .checked_mul(edge(description.height, level))?
            .checked_mul(edge(description.depth, level))?
            .checked_mul(texel_bytes)?
            .checked_add(sum)
    });
    let charged_bytes = memory::physical_bytes(bytes.ok_or(rc::OUT_OF_MEMORY)?);
    memory::charge(context.gpu, charged_bytes)?;
    Ok(Array {
        gpu: context.gpu,
        group: context.group,
        description,
        charged_bytes,
    })
}

/// Frees what a context leaves behind.
pub fn free_context(group: u64) {
    for table in [&ARRAYS, &MIPMAPPED] {
        table.drain(|array| array.group == group);
    }
}

/// Makes an array.
///
/// # Errors
/// No room, or a shape or format that is none.
pub unsafe fn create(place: *mut ArrayHandle, description: Description) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let array = make(description, 1)?;
    // SAFETY: checked above.
    unsafe { put(place, ARRAYS.insert(array) as ArrayHandle) }
}

/// Makes an array with levels, as many as there are halvings at most.
///
/// # Errors
/// As [`create`].
pub unsafe fn create_mipmapped(
    place: *mut ArrayHandle,
    description: Description,
    levels: c_uint,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let edge = description
        .width
        .max(description.height)
        .max(description.depth);
    let array = make(description, levels.min(edge.max(1).ilog2() + 1))?;
    // SAFETY: checked above.
    unsafe { put(place, MIPMAPPED.insert(array) as ArrayHandle) }
}

/// What an array was asked to be.
///
/// # Errors
/// The handle names none.
pub fn description(handle: ArrayHandle) -> Result<Description, Failure> {
    Ok(ARRAYS.get(handle).ok_or(rc::INVALID_HANDLE)?.description)
}

/// `cuArrayDestroy`.
pub unsafe fn destroy(handle: ArrayHandle) -> Outcome {
    ARRAYS.remove(handle).map(drop).ok_or(rc::INVALID_HANDLE)
}

/// `cuMipmappedArrayDestroy`.
pub unsafe fn destroy_mipmapped(handle: ArrayHandle) -> Outcome {
    MIPMAPPED.remove(handle).map(drop).ok_or(rc::INVALID_HANDLE)
}
