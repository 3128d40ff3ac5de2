//! Copies and fills of memory.

use crate::border::{Outcome, rc, read, require};
use crate::command::Action;
use crate::device::FILL_PATTERN_BYTES_MAX;
use crate::handles::{CONTEXTS, get};
use crate::list::append;
use crate::memory::{Kind, contains, find, on_host};
use fcsp_sim_driver::transfer::{Source, Transfer};
use level_zero_sys::*;
use std::ffi::c_void;

/// Fails for a range that begins in an allocation and ends outside it, or in mapped memory and ends where nothing is
/// mapped. What is not the driver's at all is the program's own, whose extent nobody knows.
pub fn check_range(address: u64, bytes: u64) -> Outcome {
    let fits = find(address).is_none_or(|found| match found.kind {
        Kind::Mapped => contains(address, bytes),
        _ => address - found.base + bytes <= found.bytes,
    });
    require(fits, rc::INVALID_SIZE)
}

/// `zeCommandListAppendMemoryCopy`.
pub unsafe fn copy(
    list: ze_command_list_handle_t,
    target: *mut c_void,
    source: *const c_void,
    bytes: usize,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!target.is_null() && !source.is_null(), rc::NULL_POINTER)?;
    let (target, source, bytes) = (target as u64, source as u64, bytes as u64);
    check_range(target, bytes)?;
    check_range(source, bytes)?;
    let bus = on_host(target) || on_host(source);
    let transfer = Transfer::copy(target, source, bytes, bus);
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

/// `zeCommandListAppendMemoryCopyFromContext`. Addresses are the same in every context.
pub unsafe fn copy_from_context(
    list: ze_command_list_handle_t,
    target: *mut c_void,
    context: ze_context_handle_t,
    source: *const c_void,
    bytes: usize,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    // SAFETY: the same contract.
    unsafe { copy(list, target, source, bytes, signal, count, waits) }
}

/// `zeCommandListAppendMemoryFill`.
pub unsafe fn fill(
    list: ze_command_list_handle_t,
    target: *mut c_void,
    pattern: *const c_void,
    pattern_bytes: usize,
    bytes: usize,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!target.is_null() && !pattern.is_null(), rc::NULL_POINTER)?;
    let valid = pattern_bytes.is_power_of_two() && pattern_bytes <= FILL_PATTERN_BYTES_MAX;
    require(valid, rc::INVALID_SIZE)?;
    check_range(target as u64, bytes as u64)?;
    // SAFETY: the caller's pattern and its size.
    let pattern = unsafe { std::slice::from_raw_parts(pattern.cast::<u8>(), pattern_bytes) };
    let action = Action::Fill {
        target: target as u64,
        pattern: pattern.into(),
        bytes: bytes as u64,
    };
    // SAFETY: the same contract.
    unsafe { append(list, |_| Ok(action), signal, count, waits) }
}

/// Where a region begins, for rows and slices of that length.
fn begin(address: *const c_void, region: &ze_copy_region_t, pitch: u32, slice: u32) -> u64 {
    address as u64
        + u64::from(region.originX)
        + u64::from(region.originY) * u64::from(pitch)
        + u64::from(region.originZ) * u64::from(slice)
}

/// `zeCommandListAppendMemoryCopyRegion`.
pub unsafe fn copy_region(
    list: ze_command_list_handle_t,
    target: *mut c_void,
    target_region: *const ze_copy_region_t,
    target_pitch: u32,
    target_slice: u32,
    source: *const c_void,
    source_region: *const ze_copy_region_t,
    source_pitch: u32,
    source_slice: u32,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!target.is_null() && !source.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's regions.
    let (to, from) = unsafe { (read(target_region)?, read(source_region)?) };
    let same = (to.width, to.height, to.depth) == (from.width, from.height, from.depth);
    require(same, rc::INVALID_SIZE)?;
    let transfer = Transfer {
        source: Source::Memory {
            address: begin(source, from, source_pitch, source_slice),
            pitch: source_pitch.into(),
            slice: source_slice.into(),
        },
        target: begin(target, to, target_pitch, target_slice),
        target_pitch: target_pitch.into(),
        target_slice: target_slice.into(),
        width_bytes: to.width.into(),
        height: to.height.max(1).into(),
        depth: to.depth.max(1).into(),
        crosses_bus: on_host(target as u64) || on_host(source as u64),
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
