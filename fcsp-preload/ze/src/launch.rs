//! Handlers of what is appended to command lists: an immediate list submits it, another records what it may cost.

use core::ffi::c_void;

use fcsp_core::backend::QueueId;
use fcsp_gate::Handle;
use fcsp_intel_queue::bracket;
use fcsp_program::turn::{self, Work};
use level_zero_sys::{
    fn_types, ze_command_list_handle_t, ze_event_handle_t, ze_external_semaphore_ext_handle_t,
    ze_external_semaphore_wait_params_ext_t, ze_group_count_t, ze_group_size_t,
    ze_host_function_callback_t, ze_kernel_handle_t, ze_result_t, zet_command_list_handle_t,
    zet_metric_query_handle_t,
};

use crate::driver::Ze;
use crate::{kernel, lists, queues};

/// Appends work that waits for so many events.
pub fn append(
    list: ze_command_list_handle_t,
    wait_count: u32,
    work: Work<impl FnOnce() -> u64>,
    call: impl FnOnce() -> ze_result_t,
) -> ze_result_t {
    let list = list.number();
    if let Some(queue) = queues::get(list) {
        if !queue.is_gated() {
            return call();
        }
        if wait_count > 0 {
            turn::follow_in::<Ze>(queue.device, QueueId(list));
        }
        return queue.submitted(turn::submit_to::<Ze>(
            queue.device,
            QueueId(list),
            work,
            call,
        ));
    }
    let result = call();
    if result == ze_result_t::ZE_RESULT_SUCCESS
        && let Some(list) = lists::get(list)
    {
        list.record((work.guess_ns)(), true);
        if wait_count > 0 {
            list.record_wait();
        }
    }
    result
}

/// Appends a kernel, which signals `signal` unless that is none and it is measured.
fn append_kernel(
    list: ze_command_list_handle_t,
    wait_count: u32,
    work: Work<impl FnOnce() -> u64>,
    signal: ze_event_handle_t,
    call: impl FnOnce(ze_event_handle_t) -> ze_result_t,
) -> ze_result_t {
    let number = list.number();
    if !queues::get(number).is_some_and(queues::Queue::is_gated) {
        return append(list, wait_count, work, || call(signal));
    }
    bracket::arm(number);
    let result = append(list, wait_count, work, || {
        bracket::launch(&Ze, number, signal, call)
    });
    bracket::disarm();
    result
}

/// Appends what takes no time and may wait: for so many events, or for what nobody here can bring about if `stalls`.
fn append_wait(
    list: ze_command_list_handle_t,
    wait_count: u32,
    stalls: bool,
    call: impl FnOnce() -> ze_result_t,
) -> ze_result_t {
    let list = list.number();
    let waits = stalls || wait_count > 0;
    if let Some(queue) = queues::get(list) {
        if waits && queue.is_gated() {
            turn::follow_in::<Ze>(queue.device, QueueId(list));
            // Another process or the host may signal the events.
            turn::stall_in::<Ze>(queue.device, QueueId(list));
        }
        return queue.submitted(call());
    }
    if waits && let Some(list) = lists::get(list) {
        list.record_wait();
    }
    call()
}

/// # Safety
///
/// As `zeCommandListAppendLaunchKernel` and `zeCommandListAppendLaunchCooperativeKernel`.
pub unsafe fn kernel(
    real: fn_types::zeCommandListAppendLaunchKernel,
    list: ze_command_list_handle_t,
    kernel: ze_kernel_handle_t,
    count: *const ze_group_count_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        append_kernel(
            list,
            wait_count,
            kernel::launch(kernel, count),
            signal,
            |signal| real(list, kernel, count, signal, wait_count, waits),
        )
    }
}

/// # Safety
///
/// As `zeCommandListAppendLaunchKernelWithParameters`.
pub unsafe fn kernel_with_parameters(
    real: fn_types::zeCommandListAppendLaunchKernelWithParameters,
    list: ze_command_list_handle_t,
    kernel: ze_kernel_handle_t,
    count: *const ze_group_count_t,
    next: *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        append_kernel(
            list,
            wait_count,
            kernel::launch(kernel, count),
            signal,
            |signal| real(list, kernel, count, next, signal, wait_count, waits),
        )
    }
}

/// # Safety
///
/// As `zeCommandListAppendLaunchKernelWithArguments`.
pub unsafe fn kernel_with_arguments(
    real: fn_types::zeCommandListAppendLaunchKernelWithArguments,
    list: ze_command_list_handle_t,
    kernel: ze_kernel_handle_t,
    count: ze_group_count_t,
    size: ze_group_size_t,
    arguments: *mut *mut c_void,
    next: *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    let grid = [count.groupCountX, count.groupCountY, count.groupCountZ];
    let group = [size.groupSizeX, size.groupSizeY, size.groupSizeZ];
    let work = kernel::launch_with(kernel, grid, group);
    // SAFETY: the program's own call, passed on.
    append_kernel(list, wait_count, work, signal, |signal| unsafe {
        real(
            list, kernel, count, size, arguments, next, signal, wait_count, waits,
        )
    })
}

/// # Safety
///
/// As `zeCommandListAppendLaunchKernelIndirect`.
pub unsafe fn indirect(
    real: fn_types::zeCommandListAppendLaunchKernelIndirect,
    list: ze_command_list_handle_t,
    kernel: ze_kernel_handle_t,
    count: *const ze_group_count_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    let work = kernel::launch_indirect(kernel.number());
    // SAFETY: the program's own call, passed on.
    append(list, wait_count, work, || unsafe {
        real(list, kernel, count, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zeCommandListAppendLaunchMultipleKernelsIndirect`.
pub unsafe fn several_indirect(
    real: fn_types::zeCommandListAppendLaunchMultipleKernelsIndirect,
    list: ze_command_list_handle_t,
    kernel_count: u32,
    kernels: *mut ze_kernel_handle_t,
    count: *const u32,
    sizes: *const ze_group_count_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // The first stands for all.
    let first = if kernels.is_null() || kernel_count == 0 {
        0
    } else {
        // SAFETY: the program's own array of so many.
        unsafe { *kernels }.number()
    };
    // SAFETY: the program's own call, passed on.
    append(
        list,
        wait_count,
        kernel::launch_indirect(first),
        || unsafe {
            real(
                list,
                kernel_count,
                kernels,
                count,
                sizes,
                signal,
                wait_count,
                waits,
            )
        },
    )
}

/// # Safety
///
/// As `zeCommandListAppendBarrier`.
pub unsafe fn barrier(
    real: fn_types::zeCommandListAppendBarrier,
    list: ze_command_list_handle_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, wait_count, false, || unsafe {
        real(list, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zeCommandListAppendMemoryRangesBarrier`.
pub unsafe fn ranges_barrier(
    real: fn_types::zeCommandListAppendMemoryRangesBarrier,
    list: ze_command_list_handle_t,
    count: u32,
    sizes: *const usize,
    ranges: *mut *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, wait_count, false, || unsafe {
        real(list, count, sizes, ranges, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zeCommandListAppendWriteGlobalTimestamp`.
pub unsafe fn global_timestamp(
    real: fn_types::zeCommandListAppendWriteGlobalTimestamp,
    list: ze_command_list_handle_t,
    place: *mut u64,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, wait_count, false, || unsafe {
        real(list, place, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zeCommandListAppendQueryKernelTimestamps`.
pub unsafe fn kernel_timestamps(
    real: fn_types::zeCommandListAppendQueryKernelTimestamps,
    list: ze_command_list_handle_t,
    count: u32,
    events: *mut ze_event_handle_t,
    place: *mut c_void,
    offsets: *const usize,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, wait_count, false, || unsafe {
        real(
            list, count, events, place, offsets, signal, wait_count, waits,
        )
    })
}

/// # Safety
///
/// As `zeCommandListAppendWaitOnEvents`.
pub unsafe fn wait_on_events(
    real: fn_types::zeCommandListAppendWaitOnEvents,
    list: ze_command_list_handle_t,
    count: u32,
    events: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, count, false, || unsafe { real(list, count, events) })
}

/// # Safety
///
/// As `zeCommandListAppendWaitExternalSemaphoreExt`.
pub unsafe fn wait_semaphores(
    real: fn_types::zeCommandListAppendWaitExternalSemaphoreExt,
    list: ze_command_list_handle_t,
    count: u32,
    semaphores: *mut ze_external_semaphore_ext_handle_t,
    params: *mut ze_external_semaphore_wait_params_ext_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, wait_count, true, || unsafe {
        real(list, count, semaphores, params, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zeCommandListAppendHostFunction`.
pub unsafe fn host_function(
    real: fn_types::zeCommandListAppendHostFunction,
    list: ze_command_list_handle_t,
    function: ze_host_function_callback_t,
    data: *mut c_void,
    next: *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(list, wait_count, true, || unsafe {
        real(list, function, data, next, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zetCommandListAppendMetricQueryEnd`.
pub unsafe fn metric_query_end(
    real: fn_types::zetCommandListAppendMetricQueryEnd,
    list: zet_command_list_handle_t,
    query: zet_metric_query_handle_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append_wait(
        Handle::from_number(list.number()),
        wait_count,
        false,
        || unsafe { real(list, query, signal, wait_count, waits) },
    )
}
