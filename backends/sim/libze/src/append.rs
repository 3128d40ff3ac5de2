//! Commands that neither launch nor copy: barriers, events, times, hints, host functions.

use crate::border::{Outcome, rc, require};
use crate::command::Action;
use crate::device;
use crate::event::events;
use crate::handles::{EVENTS, get};
use crate::list::append;
use level_zero_sys::*;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

/// `zeCommandListAppendBarrier`.
pub unsafe fn barrier(
    list: ze_command_list_handle_t,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    // SAFETY: the same contract. Commands of a queue run one after another anyway.
    unsafe { append(list, |_| Ok(Action::Nothing), signal, count, waits) }
}

/// `zeCommandListAppendMemoryRangesBarrier`.
pub unsafe fn ranges_barrier(
    list: ze_command_list_handle_t,
    _ranges: u32,
    sizes: *const usize,
    addresses: *mut *const c_void,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let given = !sizes.is_null() && !addresses.is_null();
    require(given, rc::NULL_POINTER)?;
    // SAFETY: the same contract.
    unsafe { barrier(list, signal, count, waits) }
}

/// `zeCommandListAppendSignalEvent`.
pub unsafe fn signal_event(list: ze_command_list_handle_t, event: ze_event_handle_t) -> Outcome {
    get(&EVENTS, event)?;
    // SAFETY: no events to wait for.
    unsafe { append(list, |_| Ok(Action::Nothing), event, 0, null_mut()) }
}

/// `zeCommandListAppendWaitOnEvents`.
pub unsafe fn wait_on_events(
    list: ze_command_list_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!waits.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the same contract.
    unsafe { append(list, |_| Ok(Action::Nothing), null_mut(), count, waits) }
}

/// `zeCommandListAppendEventReset`.
pub unsafe fn event_reset(list: ze_command_list_handle_t, event: ze_event_handle_t) -> Outcome {
    let event = get(&EVENTS, event)?;
    // SAFETY: no events to wait for.
    unsafe {
        append(
            list,
            |_| Ok(Action::Reset(event)),
            null_mut(),
            0,
            null_mut(),
        )
    }
}

/// `zeCommandListAppendWriteGlobalTimestamp`.
pub unsafe fn write_timestamp(
    list: ze_command_list_handle_t,
    place: *mut u64,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!place.is_null(), rc::NULL_POINTER)?;
    let target = place as u64;
    // SAFETY: the same contract.
    unsafe {
        append(
            list,
            |_| Ok(Action::Timestamp { target }),
            signal,
            count,
            waits,
        )
    }
}

/// `zeCommandListAppendQueryKernelTimestamps`.
pub unsafe fn query_timestamps(
    list: ze_command_list_handle_t,
    event_count: u32,
    of: *mut ze_event_handle_t,
    place: *mut c_void,
    offsets: *const usize,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!of.is_null() && !place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the same contract.
    let events = unsafe { events(event_count, of) }?;
    let targets: Arc<[u64]> = (0..events.len())
        .map(|index| {
            let offset = match offsets.is_null() {
                true => index * size_of::<ze_kernel_timestamp_result_t>(),
                // SAFETY: an offset for each event, by the caller's contract.
                false => unsafe { *offsets.add(index) },
            };
            place as u64 + offset as u64
        })
        .collect();
    let events = events.into();
    // SAFETY: the same contract.
    unsafe {
        append(
            list,
            |_| Ok(Action::Times { events, targets }),
            signal,
            count,
            waits,
        )
    }
}

/// `zeCommandListAppendMemoryPrefetch`: memory is where it is.
pub unsafe fn prefetch(
    list: ze_command_list_handle_t,
    address: *const c_void,
    _bytes: usize,
) -> Outcome {
    require(!address.is_null(), rc::NULL_POINTER)?;
    // SAFETY: no events to wait for.
    unsafe { append(list, |_| Ok(Action::Nothing), null_mut(), 0, null_mut()) }
}

/// `zeCommandListAppendMemAdvise`: as above.
pub unsafe fn advise(
    list: ze_command_list_handle_t,
    device: ze_device_handle_t,
    address: *const c_void,
    bytes: usize,
    _advice: ze_memory_advice_t,
) -> Outcome {
    device::gpu(device)?;
    // SAFETY: the same contract.
    unsafe { prefetch(list, address, bytes) }
}

/// `zeCommandListAppendHostFunction`.
pub unsafe fn host_function(
    list: ze_command_list_handle_t,
    function: ze_host_function_callback_t,
    data: *mut c_void,
    _next: *const c_void,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let function = function.ok_or(rc::NULL_POINTER)?;
    let data = data.expose_provenance();
    // SAFETY: the program vouched for function and data until the command is done.
    let call = move || unsafe { function(std::ptr::with_exposed_provenance_mut(data)) };
    // SAFETY: the same contract.
    unsafe {
        append(
            list,
            |_| Ok(Action::Host(Arc::new(call))),
            signal,
            count,
            waits,
        )
    }
}
