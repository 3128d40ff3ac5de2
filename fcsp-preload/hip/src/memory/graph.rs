//! Handlers of graphs that allocate: [`fcsp_program::memory::graph`].

use core::ffi::{c_char, c_ulonglong};

use fcsp_gate::Handle;
use fcsp_program::memory::graph::{self, instantiate, note_node};
use hip_sys::{
    fn_types, hipError_t, hipGraph_t, hipGraphExec_t, hipGraphInstantiateParams, hipGraphNode_t,
    hipGraphNodeParams, hipGraphNodeType, hipMemAllocNodeParams,
};

use crate::driver::Hip;

/// # Safety
///
/// As `hipGraphInstantiate`.
pub unsafe fn instantiate_plain(
    real: fn_types::hipGraphInstantiate,
    exec: *mut hipGraphExec_t,
    graph: hipGraph_t,
    error_node: *mut hipGraphNode_t,
    log: *mut c_char,
    log_bytes: usize,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        instantiate::<Hip, _>(exec, graph.number(), || {
            real(exec, graph, error_node, log, log_bytes)
        })
    }
}

/// # Safety
///
/// As `hipGraphInstantiateWithFlags`.
pub unsafe fn instantiate_with_flags(
    real: fn_types::hipGraphInstantiateWithFlags,
    exec: *mut hipGraphExec_t,
    graph: hipGraph_t,
    flags: c_ulonglong,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    unsafe { instantiate::<Hip, _>(exec, graph.number(), || real(exec, graph, flags)) }
}

/// # Safety
///
/// As `hipGraphInstantiateWithParams`.
pub unsafe fn instantiate_with_params(
    real: fn_types::hipGraphInstantiateWithParams,
    exec: *mut hipGraphExec_t,
    graph: hipGraph_t,
    params: *mut hipGraphInstantiateParams,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    unsafe { instantiate::<Hip, _>(exec, graph.number(), || real(exec, graph, params)) }
}

/// # Safety
///
/// As `hipGraphExecDestroy`.
pub unsafe fn exec_destroy(
    real: fn_types::hipGraphExecDestroy,
    exec: hipGraphExec_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    graph::destroy::<Hip>(exec.number(), || unsafe { real(exec) })
}

/// # Safety
///
/// As `hipGraphAddMemAllocNode`.
pub unsafe fn add_alloc_node(
    real: fn_types::hipGraphAddMemAllocNode,
    node: *mut hipGraphNode_t,
    graph: hipGraph_t,
    dependencies: *const hipGraphNode_t,
    count: usize,
    params: *mut hipMemAllocNodeParams,
) -> hipError_t {
    note_node();
    // SAFETY: the program's own call, passed on.
    unsafe { real(node, graph, dependencies, count, params) }
}

/// # Safety
///
/// As `hipGraphAddNode`.
pub unsafe fn add_node(
    real: fn_types::hipGraphAddNode,
    node: *mut hipGraphNode_t,
    graph: hipGraph_t,
    dependencies: *const hipGraphNode_t,
    count: usize,
    params: *mut hipGraphNodeParams,
) -> hipError_t {
    // SAFETY: the program's own argument; null is the driver's to refuse.
    let kind = unsafe { params.as_ref() }.map(|params| params.type_);
    // A graph within the node may allocate, but its own nodes were noted already.
    if kind == Some(hipGraphNodeType::hipGraphNodeTypeMemAlloc) {
        note_node();
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(node, graph, dependencies, count, params) }
}

/// # Safety
///
/// As `hipDeviceGraphMemTrim`.
pub unsafe fn trim(real: fn_types::hipDeviceGraphMemTrim, device: i32) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    graph::trimmed::<Hip>(device, unsafe { real(device) })
}
