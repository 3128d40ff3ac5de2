//! Images: device memory with a format, which copies reach and no simulated kernel reads.

use crate::border::{Outcome, at, put, rc, read, require};
use crate::command::Action;
use crate::copy::check_range;
use crate::device;
use crate::driver::Gpu;
use crate::handles::{CONTEXTS, IMAGES, get, take};
use crate::list::append;
use crate::memory::{PAGE_BYTES, charge, on_host};
use fcsp_sim_driver::transfer::{Source, Transfer};
use level_zero_sys::*;
use std::ffi::c_void;

/// Longest edge.
pub const EDGE_MAX: u32 = 16_384;

/// An image.
pub struct Image {
    gpu: &'static Gpu,
    address: u64,
    charged_bytes: u64,
    texel_bytes: u64,
    /// Texels, rows, slices (or layers of an array).
    size: [u64; 3],
}

fn texel_bytes(layout: ze_image_format_layout_t) -> Result<u64, ze_result_t> {
    use ze_image_format_layout_t as L;
    Ok(match layout {
        L::ZE_IMAGE_FORMAT_LAYOUT_8 => 1,
        L::ZE_IMAGE_FORMAT_LAYOUT_16 | L::ZE_IMAGE_FORMAT_LAYOUT_8_8 => 2,
        L::ZE_IMAGE_FORMAT_LAYOUT_32
        | L::ZE_IMAGE_FORMAT_LAYOUT_8_8_8_8
        | L::ZE_IMAGE_FORMAT_LAYOUT_16_16
        | L::ZE_IMAGE_FORMAT_LAYOUT_10_10_10_2
        | L::ZE_IMAGE_FORMAT_LAYOUT_11_11_10 => 4,
        L::ZE_IMAGE_FORMAT_LAYOUT_16_16_16_16 | L::ZE_IMAGE_FORMAT_LAYOUT_32_32 => 8,
        L::ZE_IMAGE_FORMAT_LAYOUT_32_32_32_32 => 16,
        _ => return Err(rc::UNSUPPORTED_IMAGE_FORMAT),
    })
}

/// Texels, rows and slices of an image.
fn size(desc: &ze_image_desc_t) -> Result<[u64; 3], ze_result_t> {
    use ze_image_type_t as T;
    let (width, height, depth) = (desc.width, u64::from(desc.height), u64::from(desc.depth));
    let layers = u64::from(desc.arraylevels);
    let size = match desc.type_ {
        T::ZE_IMAGE_TYPE_1D => [width, 1, 1],
        T::ZE_IMAGE_TYPE_1DARRAY => [width, 1, layers],
        T::ZE_IMAGE_TYPE_2D => [width, height, 1],
        T::ZE_IMAGE_TYPE_2DARRAY => [width, height, layers],
        T::ZE_IMAGE_TYPE_3D => [width, height, depth],
        _ => return Err(rc::UNSUPPORTED_ENUMERATION),
    };
    let valid = size.iter().all(|n| (1..=u64::from(EDGE_MAX)).contains(n));
    require(valid, rc::UNSUPPORTED_SIZE)?;
    Ok(size)
}

impl Image {
    fn create(gpu: &'static Gpu, desc: &ze_image_desc_t) -> Result<Self, ze_result_t> {
        let (texel_bytes, size) = (texel_bytes(desc.format.layout)?, size(desc)?);
        let bytes = size.iter().product::<u64>() * texel_bytes;
        let charged_bytes = bytes.next_multiple_of(PAGE_BYTES);
        charge(gpu, charged_bytes)?;
        let placed = gpu.arena().and_then(|arena| {
            arena
                .alloc(charged_bytes, PAGE_BYTES)
                .ok_or(rc::OUT_OF_DEVICE_MEMORY)
        });
        let address = placed.inspect_err(|_| gpu.device.release(charged_bytes))?;
        Ok(Self {
            gpu,
            address,
            charged_bytes,
            texel_bytes,
            size,
        })
    }

    fn pitch(&self) -> u64 {
        self.size[0] * self.texel_bytes
    }

    fn slice(&self) -> u64 {
        self.pitch() * self.size[1]
    }

    /// Where a region begins and its size in texels, rows and slices; the whole image without one.
    fn region(&self, region: *const ze_image_region_t) -> Result<(u64, [u64; 3]), ze_result_t> {
        // SAFETY: null or the caller's structure.
        let Some(r) = (unsafe { region.as_ref() }) else {
            return Ok((self.address, self.size));
        };
        let origin = [r.originX, r.originY, r.originZ].map(u64::from);
        // What an image has no dimension for may be 0.
        let size = [r.width, r.height, r.depth].map(|n| u64::from(n).max(1));
        let inside = (0..3).all(|at| origin[at] + size[at] <= self.size[at]);
        require(inside && r.width > 0, rc::INVALID_SIZE)?;
        let begin =
            origin[0] * self.texel_bytes + origin[1] * self.pitch() + origin[2] * self.slice();
        Ok((self.address + begin, size))
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if let Ok(arena) = self.gpu.arena() {
            arena.free(self.address, self.charged_bytes, PAGE_BYTES);
        }
        self.gpu.device.release(self.charged_bytes);
    }
}

/// `zeImageCreate`.
pub unsafe fn create(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_image_desc_t,
    place: *mut ze_image_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let image = Image::create(gpu, unsafe { read(desc) }?)?;
    // SAFETY: checked above.
    unsafe { put(place, IMAGES.insert(image) as ze_image_handle_t) }
}

/// `zeImageDestroy`.
pub unsafe fn destroy(image: ze_image_handle_t) -> Outcome {
    take(&IMAGES, image).map(drop)
}

/// `zeImageGetProperties`: nothing filters.
pub unsafe fn properties(
    device: ze_device_handle_t,
    desc: *const ze_image_desc_t,
    properties: *mut ze_image_properties_t,
) -> Outcome {
    device::gpu(device)?;
    // SAFETY: the caller's structures.
    let (desc, p) = unsafe { (read(desc)?, at(properties)?) };
    texel_bytes(desc.format.layout)?;
    p.samplerFilterFlags = 0;
    Ok(())
}

/// `zeContextMakeImageResident`, and `zeContextEvictImage`: it stays where it is.
pub unsafe fn residency(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    image: ze_image_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    device::gpu(device)?;
    get(&IMAGES, image).map(drop)
}

/// `zeCommandListAppendImageCopyRegion`.
pub unsafe fn copy_region(
    list: ze_command_list_handle_t,
    target: ze_image_handle_t,
    source: ze_image_handle_t,
    target_region: *const ze_image_region_t,
    source_region: *const ze_image_region_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let (to, from) = (get(&IMAGES, target)?, get(&IMAGES, source)?);
    require(to.texel_bytes == from.texel_bytes, rc::INVALID_ARGUMENT)?;
    let (target, size) = to.region(target_region)?;
    let (address, source_size) = from.region(source_region)?;
    require(size == source_size, rc::INVALID_SIZE)?;
    let transfer = Transfer {
        source: Source::Memory {
            address,
            pitch: from.pitch(),
            slice: from.slice(),
        },
        target,
        target_pitch: to.pitch(),
        target_slice: to.slice(),
        width_bytes: size[0] * to.texel_bytes,
        height: size[1],
        depth: size[2],
        crosses_bus: false,
    };
    // SAFETY: the same contract.
    unsafe {
        append(
            list,
            |_| Ok(Action::Transfer(transfer)),
            signal,
            count,
            waits,
        )
    }
}

/// `zeCommandListAppendImageCopy`.
pub unsafe fn copy(
    list: ze_command_list_handle_t,
    target: ze_image_handle_t,
    source: ze_image_handle_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let all = std::ptr::null();
    // SAFETY: the same contract.
    unsafe { copy_region(list, target, source, all, all, signal, count, waits) }
}

/// Distances in memory; 0 for rows and slices without gaps.
fn pitches(row: u32, slice: u32, width_bytes: u64, height: u64) -> (u64, u64) {
    let pitch = if row == 0 { width_bytes } else { row.into() };
    let slice = if slice == 0 {
        pitch * height
    } else {
        slice.into()
    };
    (pitch, slice)
}

/// `zeCommandListAppendImageCopyToMemoryExt`.
pub unsafe fn to_memory_ext(
    list: ze_command_list_handle_t,
    target: *mut c_void,
    image: ze_image_handle_t,
    region: *const ze_image_region_t,
    row: u32,
    slice: u32,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let image = get(&IMAGES, image)?;
    require(!target.is_null(), rc::NULL_POINTER)?;
    let (address, size) = image.region(region)?;
    let width_bytes = size[0] * image.texel_bytes;
    let (target_pitch, target_slice) = pitches(row, slice, width_bytes, size[1]);
    check_range(
        target as u64,
        target_slice * (size[2] - 1) + target_pitch * (size[1] - 1) + width_bytes,
    )?;
    let transfer = Transfer {
        source: Source::Memory {
            address,
            pitch: image.pitch(),
            slice: image.slice(),
        },
        target: target as u64,
        target_pitch,
        target_slice,
        width_bytes,
        height: size[1],
        depth: size[2],
        crosses_bus: on_host(target as u64),
    };
    // SAFETY: the same contract.
    unsafe {
        append(
            list,
            |_| Ok(Action::Transfer(transfer)),
            signal,
            count,
            waits,
        )
    }
}

/// `zeCommandListAppendImageCopyFromMemoryExt`.
pub unsafe fn from_memory_ext(
    list: ze_command_list_handle_t,
    image: ze_image_handle_t,
    source: *const c_void,
    region: *const ze_image_region_t,
    row: u32,
    slice: u32,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let image = get(&IMAGES, image)?;
    require(!source.is_null(), rc::NULL_POINTER)?;
    let (target, size) = image.region(region)?;
    let width_bytes = size[0] * image.texel_bytes;
    let (pitch, slice) = pitches(row, slice, width_bytes, size[1]);
    check_range(
        source as u64,
        slice * (size[2] - 1) + pitch * (size[1] - 1) + width_bytes,
    )?;
    let transfer = Transfer {
        source: Source::Memory {
            address: source as u64,
            pitch,
            slice,
        },
        target,
        target_pitch: image.pitch(),
        target_slice: image.slice(),
        width_bytes,
        height: size[1],
        depth: size[2],
        crosses_bus: on_host(source as u64),
    };
    // SAFETY: the same contract.
    unsafe {
        append(
            list,
            |_| Ok(Action::Transfer(transfer)),
            signal,
            count,
            waits,
        )
    }
}

/// `zeCommandListAppendImageCopyToMemory`.
pub unsafe fn to_memory(
    list: ze_command_list_handle_t,
    target: *mut c_void,
    image: ze_image_handle_t,
    region: *const ze_image_region_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { to_memory_ext(list, target, image, region, 0, 0, signal, count, waits) }
}

/// `zeCommandListAppendImageCopyFromMemory`.
pub unsafe fn from_memory(
    list: ze_command_list_handle_t,
    image: ze_image_handle_t,
    source: *const c_void,
    region: *const ze_image_region_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { from_memory_ext(list, image, source, region, 0, 0, signal, count, waits) }
}
