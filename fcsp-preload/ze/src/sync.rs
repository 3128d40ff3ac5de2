//! Handlers of calls that wait for the device, or ask whether it is done: [`fcsp_program::waiting`].

use fcsp_program::waiting::{ask, for_all, for_event, for_some};
use level_zero_sys::{
    fn_types, ze_command_list_handle_t, ze_command_queue_handle_t, ze_context_handle_t,
    ze_device_handle_t, ze_event_handle_t,
    ze_event_query_kernel_timestamps_results_ext_properties_t, ze_fence_handle_t,
    ze_kernel_timestamp_result_t, ze_result_t,
};

use crate::driver::Ze;
use crate::hooks::ze;

/// A wait for at most so long; without any time it is a question.
fn wait(timeout_ns: u64, call: impl FnOnce() -> ze_result_t) -> ze_result_t {
    if timeout_ns == 0 {
        return ask::<Ze>(call);
    }
    for_some::<Ze>(call)
}

/// # Safety
///
/// As `zeCommandQueueSynchronize`.
pub unsafe fn queue(
    real: fn_types::zeCommandQueueSynchronize,
    queue: ze_command_queue_handle_t,
    timeout_ns: u64,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    wait(timeout_ns, || unsafe { real(queue, timeout_ns) })
}

/// # Safety
///
/// As `zeCommandListHostSynchronize`.
pub unsafe fn list(
    real: fn_types::zeCommandListHostSynchronize,
    list: ze_command_list_handle_t,
    timeout_ns: u64,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    wait(timeout_ns, || unsafe { real(list, timeout_ns) })
}

/// # Safety
///
/// As `zeFenceHostSynchronize`.
pub unsafe fn fence(
    real: fn_types::zeFenceHostSynchronize,
    fence: ze_fence_handle_t,
    timeout_ns: u64,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    wait(timeout_ns, || unsafe { real(fence, timeout_ns) })
}

/// # Safety
///
/// As `zeEventHostSynchronize`.
pub unsafe fn event(
    real: fn_types::zeEventHostSynchronize,
    event: ze_event_handle_t,
    timeout_ns: u64,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(event, timeout_ns) };
    if timeout_ns == 0 {
        return ask::<Ze>(call);
    }
    let has_happened = || {
        // SAFETY: the program's own event; the driver checks it.
        let asked = ze!(zeEventQueryStatus).map(|query| unsafe { query(event) });
        asked == Some(ze_result_t::ZE_RESULT_SUCCESS)
    };
    for_event::<Ze>(has_happened, call)
}

/// # Safety
///
/// As `zeDeviceSynchronize`.
pub unsafe fn device(
    real: fn_types::zeDeviceSynchronize,
    device: ze_device_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    for_all::<Ze>(|| unsafe { real(device) })
}

/// # Safety
///
/// As `zeContextSystemBarrier`.
pub unsafe fn barrier(
    real: fn_types::zeContextSystemBarrier,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    for_some::<Ze>(|| unsafe { real(context, device) })
}

/// # Safety
///
/// As `zeEventQueryStatus`.
pub unsafe fn event_status(
    real: fn_types::zeEventQueryStatus,
    event: ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    ask::<Ze>(|| unsafe { real(event) })
}

/// # Safety
///
/// As `zeFenceQueryStatus`.
pub unsafe fn fence_status(
    real: fn_types::zeFenceQueryStatus,
    fence: ze_fence_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    ask::<Ze>(|| unsafe { real(fence) })
}

/// # Safety
///
/// As `zeEventQueryKernelTimestamp`.
pub unsafe fn event_time(
    real: fn_types::zeEventQueryKernelTimestamp,
    event: ze_event_handle_t,
    place: *mut ze_kernel_timestamp_result_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    ask::<Ze>(|| unsafe { real(event, place) })
}

/// # Safety
///
/// As `zeEventQueryKernelTimestampsExt`.
pub unsafe fn event_times_ext(
    real: fn_types::zeEventQueryKernelTimestampsExt,
    event: ze_event_handle_t,
    device: ze_device_handle_t,
    count: *mut u32,
    results: *mut ze_event_query_kernel_timestamps_results_ext_properties_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    ask::<Ze>(|| unsafe { real(event, device, count, results) })
}

/// # Safety
///
/// As `zeEventQueryTimestampsExp`.
pub unsafe fn event_times(
    real: fn_types::zeEventQueryTimestampsExp,
    event: ze_event_handle_t,
    device: ze_device_handle_t,
    count: *mut u32,
    results: *mut ze_kernel_timestamp_result_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    ask::<Ze>(|| unsafe { real(event, device, count, results) })
}
