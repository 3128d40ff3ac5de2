//! Handlers of graphs: what is appended to a list that is captured is not submitted, and a graph's launch is.
//!
//! The cost of an executable graph is learnt by its handle. No simulated driver has graphs.

use core::ffi::c_void;

use fcsp_gate::Handle;
use fcsp_program::work;
use level_zero_sys::{
    fn_types, ze_command_list_handle_t, ze_event_handle_t, ze_executable_graph_handle_t,
    ze_graph_handle_t, ze_result_t,
};

use crate::launch::append;
use crate::queues;

fn captures(list: ze_command_list_handle_t, result: ze_result_t, captures: bool) -> ze_result_t {
    if result == ze_result_t::ZE_RESULT_SUCCESS
        && let Some(queue) = queues::get(list.number())
    {
        queue.set_captures(captures);
    }
    result
}

/// # Safety
///
/// As `zeCommandListBeginGraphCaptureExt`.
pub unsafe fn begin(
    real: fn_types::zeCommandListBeginGraphCaptureExt,
    list: ze_command_list_handle_t,
    next: *const c_void,
) -> ze_result_t {
    queues::end(list.number());
    // SAFETY: the program's own call, passed on.
    captures(list, unsafe { real(list, next) }, true)
}

/// # Safety
///
/// As `zeCommandListBeginCaptureIntoGraphExt`.
pub unsafe fn begin_into(
    real: fn_types::zeCommandListBeginCaptureIntoGraphExt,
    list: ze_command_list_handle_t,
    graph: ze_graph_handle_t,
    next: *const c_void,
) -> ze_result_t {
    queues::end(list.number());
    // SAFETY: the program's own call, passed on.
    captures(list, unsafe { real(list, graph, next) }, true)
}

/// # Safety
///
/// As `zeCommandListEndGraphCaptureExt`.
pub unsafe fn end(
    real: fn_types::zeCommandListEndGraphCaptureExt,
    list: ze_command_list_handle_t,
    next: *const c_void,
    graph: *mut ze_graph_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    captures(list, unsafe { real(list, next, graph) }, false)
}

/// # Safety
///
/// As `zeCommandListAppendGraphExt`.
pub unsafe fn launch(
    real: fn_types::zeCommandListAppendGraphExt,
    list: ze_command_list_handle_t,
    graph: ze_executable_graph_handle_t,
    next: *const c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    append(list, wait_count, work::graph(graph.number()), || unsafe {
        real(list, graph, next, signal, wait_count, waits)
    })
}

/// # Safety
///
/// As `zeExecutableGraphDestroyExt`.
pub unsafe fn destroy(
    real: fn_types::zeExecutableGraphDestroyExt,
    graph: ze_executable_graph_handle_t,
) -> ze_result_t {
    // Its handle may come back for another graph.
    work::graph_changed(graph.number());
    // SAFETY: the program's own call, passed on.
    unsafe { real(graph) }
}
