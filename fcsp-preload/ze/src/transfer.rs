//! Handlers of copies and fills that are appended to command lists. Large ones inside the device are work; small ones
//! pass, and what goes over the bus is done beside other tenants' kernels ([`fcsp_program::transfer`]).

use core::ffi::c_void;

use fcsp_gate::Handle;
use fcsp_program::driver::Transfers;
use fcsp_program::transfer::{self, Kind};
use level_zero_sys::{
    fn_types, ze_command_list_handle_t, ze_context_handle_t, ze_copy_region_t, ze_event_handle_t,
    ze_image_handle_t, ze_image_region_t, ze_memory_allocation_properties_t, ze_memory_type_t,
    ze_result_t, ze_structure_type_t,
};

use crate::driver::Ze;
use crate::hooks::ze;
use crate::launch::append;
use crate::{lists, queues};

/// A texel, where nobody says how large it is.
const TEXEL_BYTES: u64 = 4;
/// Texels of a whole image, which counts as large.
const WHOLE_IMAGE_TEXELS: u64 = <Ze as Transfers>::LARGE_BYTES / TEXEL_BYTES;

/// Whether an address lies in memory of a device, as far as its context knows.
fn is_on_device(context: u64, address: *const c_void) -> bool {
    let mut properties = ze_memory_allocation_properties_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_MEMORY_ALLOCATION_PROPERTIES,
        ..Default::default()
    };
    let context = ze_context_handle_t::from_number(context);
    let result = ze!(zeMemGetAllocProperties).map(|ask| {
        // SAFETY: a context of the program's; the driver looks the address up and writes one structure.
        unsafe { ask(context, address, &mut properties, core::ptr::null_mut()) }
    });
    result == Some(ze_result_t::ZE_RESULT_SUCCESS)
        && matches!(
            properties.type_,
            ze_memory_type_t::ZE_MEMORY_TYPE_DEVICE | ze_memory_type_t::ZE_MEMORY_TYPE_SHARED
        )
}

/// Appends a copy or fill of so many bytes whose ends lie at those addresses.
fn move_bytes(
    list: ze_command_list_handle_t,
    kind: Kind,
    bytes: u64,
    ends: &[*const c_void],
    wait_count: u32,
    call: impl FnOnce() -> ze_result_t,
) -> ze_result_t {
    let handle = list.number();
    let context = match queues::get(handle) {
        Some(queue) if !queue.is_gated() => return call(),
        Some(queue) => queue.context(),
        None => match lists::get(handle) {
            Some(list) => list.context,
            None => return call(),
        },
    };
    // What is small passes wherever it lies.
    let is_inside = bytes < Ze::LARGE_BYTES || ends.iter().all(|end| is_on_device(context, *end));
    if !is_inside {
        return call();
    }
    if let Some(recorded) = lists::get(handle).filter(|_| bytes < Ze::LARGE_BYTES) {
        let result = call();
        if result == ze_result_t::ZE_RESULT_SUCCESS {
            recorded.record(Ze::SMALL_NS, false);
        }
        return result;
    }
    match transfer::work::<Ze>(kind, bytes) {
        Some(work) => append(list, wait_count, work, call),
        None => call(),
    }
}

/// # Safety
///
/// As `zeCommandListAppendMemoryCopy` and `zeRTASBuilderCommandListAppendCopyExt`.
pub unsafe fn copy(
    real: fn_types::zeCommandListAppendMemoryCopy,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    from: *const c_void,
    size: usize,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(list, to, from, size, signal, wait_count, waits) };
    move_bytes(list, Kind::Copy, size as u64, &[to, from], wait_count, call)
}

/// # Safety
///
/// As `zeCommandListAppendMemoryCopyWithParameters`.
pub unsafe fn copy_with_parameters(
    real: fn_types::zeCommandListAppendMemoryCopyWithParameters,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    from: *const c_void,
    size: usize,
    next: *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(list, to, from, size, next, signal, wait_count, waits) };
    move_bytes(list, Kind::Copy, size as u64, &[to, from], wait_count, call)
}

/// # Safety
///
/// As `zeCommandListAppendMemoryCopyFromContext`.
pub unsafe fn copy_from_context(
    real: fn_types::zeCommandListAppendMemoryCopyFromContext,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    context: ze_context_handle_t,
    from: *const c_void,
    size: usize,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(list, to, context, from, size, signal, wait_count, waits) };
    // The source lies in another context, which is asked first.
    let ends: &[*const c_void] = if is_on_device(context.number(), from) {
        &[to]
    } else {
        &[to, from]
    };
    move_bytes(list, Kind::Copy, size as u64, ends, wait_count, call)
}

/// # Safety
///
/// As `zeCommandListAppendMemoryCopyRegion`.
pub unsafe fn copy_region(
    real: fn_types::zeCommandListAppendMemoryCopyRegion,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    to_region: *const ze_copy_region_t,
    to_pitch: u32,
    to_slice: u32,
    from: *const c_void,
    from_region: *const ze_copy_region_t,
    from_pitch: u32,
    from_slice: u32,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own argument; null is the driver's to refuse.
    let bytes = unsafe { to_region.as_ref() }.map_or(0, |it| {
        let [width, height, depth] = [it.width, it.height, it.depth].map(u64::from);
        width
            .saturating_mul(height.max(1))
            .saturating_mul(depth.max(1))
    });
    // SAFETY: the program's own call, passed on.
    let call = || unsafe {
        real(
            list,
            to,
            to_region,
            to_pitch,
            to_slice,
            from,
            from_region,
            from_pitch,
            from_slice,
            signal,
            wait_count,
            waits,
        )
    };
    move_bytes(list, Kind::Copy, bytes, &[to, from], wait_count, call)
}

/// # Safety
///
/// As `zeCommandListAppendMemoryFill`.
pub unsafe fn fill(
    real: fn_types::zeCommandListAppendMemoryFill,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    pattern: *const c_void,
    pattern_size: usize,
    size: usize,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe {
        real(
            list,
            to,
            pattern,
            pattern_size,
            size,
            signal,
            wait_count,
            waits,
        )
    };
    move_bytes(list, Kind::Fill, size as u64, &[to], wait_count, call)
}

/// # Safety
///
/// As `zeCommandListAppendMemoryFillWithParameters`.
pub unsafe fn fill_with_parameters(
    real: fn_types::zeCommandListAppendMemoryFillWithParameters,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    pattern: *const c_void,
    pattern_size: usize,
    size: usize,
    next: *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe {
        real(
            list,
            to,
            pattern,
            pattern_size,
            size,
            next,
            signal,
            wait_count,
            waits,
        )
    };
    move_bytes(list, Kind::Fill, size as u64, &[to], wait_count, call)
}

/// Bytes of part of an image, as far as is known.
///
/// # Safety
///
/// `region` is null, for all of it, or the program's own.
unsafe fn image_bytes(region: *const ze_image_region_t) -> u64 {
    // SAFETY: by the caller's contract.
    let texels = unsafe { region.as_ref() }.map_or(WHOLE_IMAGE_TEXELS, |it| {
        let [width, height, depth] = [it.width, it.height, it.depth].map(u64::from);
        width
            .saturating_mul(height.max(1))
            .saturating_mul(depth.max(1))
    });
    texels.saturating_mul(TEXEL_BYTES)
}

/// # Safety
///
/// As `zeCommandListAppendImageCopy`.
pub unsafe fn image(
    real: fn_types::zeCommandListAppendImageCopy,
    list: ze_command_list_handle_t,
    to: ze_image_handle_t,
    from: ze_image_handle_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on; null stands for the whole image.
    unsafe {
        let bytes = image_bytes(core::ptr::null());
        move_bytes(list, Kind::Copy, bytes, &[], wait_count, || {
            real(list, to, from, signal, wait_count, waits)
        })
    }
}

/// # Safety
///
/// As `zeCommandListAppendImageCopyRegion`.
pub unsafe fn image_region(
    real: fn_types::zeCommandListAppendImageCopyRegion,
    list: ze_command_list_handle_t,
    to: ze_image_handle_t,
    from: ze_image_handle_t,
    to_region: *const ze_image_region_t,
    from_region: *const ze_image_region_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        let bytes = image_bytes(to_region);
        move_bytes(list, Kind::Copy, bytes, &[], wait_count, || {
            real(
                list,
                to,
                from,
                to_region,
                from_region,
                signal,
                wait_count,
                waits,
            )
        })
    }
}

/// # Safety
///
/// As `zeCommandListAppendImageCopyToMemory`.
pub unsafe fn image_to_memory(
    real: fn_types::zeCommandListAppendImageCopyToMemory,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    from: ze_image_handle_t,
    region: *const ze_image_region_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        move_bytes(
            list,
            Kind::Copy,
            image_bytes(region),
            &[to],
            wait_count,
            || real(list, to, from, region, signal, wait_count, waits),
        )
    }
}

/// # Safety
///
/// As `zeCommandListAppendImageCopyFromMemory`.
pub unsafe fn image_from_memory(
    real: fn_types::zeCommandListAppendImageCopyFromMemory,
    list: ze_command_list_handle_t,
    to: ze_image_handle_t,
    from: *const c_void,
    region: *const ze_image_region_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        move_bytes(
            list,
            Kind::Copy,
            image_bytes(region),
            &[from],
            wait_count,
            || real(list, to, from, region, signal, wait_count, waits),
        )
    }
}

/// # Safety
///
/// As `zeCommandListAppendImageCopyToMemoryExt`.
pub unsafe fn image_to_memory_ext(
    real: fn_types::zeCommandListAppendImageCopyToMemoryExt,
    list: ze_command_list_handle_t,
    to: *mut c_void,
    from: ze_image_handle_t,
    region: *const ze_image_region_t,
    pitch: u32,
    slice: u32,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        move_bytes(
            list,
            Kind::Copy,
            image_bytes(region),
            &[to],
            wait_count,
            || {
                real(
                    list, to, from, region, pitch, slice, signal, wait_count, waits,
                )
            },
        )
    }
}

/// # Safety
///
/// As `zeCommandListAppendImageCopyFromMemoryExt`.
pub unsafe fn image_from_memory_ext(
    real: fn_types::zeCommandListAppendImageCopyFromMemoryExt,
    list: ze_command_list_handle_t,
    to: ze_image_handle_t,
    from: *const c_void,
    region: *const ze_image_region_t,
    pitch: u32,
    slice: u32,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        move_bytes(
            list,
            Kind::Copy,
            image_bytes(region),
            &[from],
            wait_count,
            || {
                real(
                    list, to, from, region, pitch, slice, signal, wait_count, waits,
                )
            },
        )
    }
}
