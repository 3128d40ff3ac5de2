//! Handlers of graphs that allocate: [`fcsp_program::memory::graph`].

use core::ffi::{c_char, c_ulonglong};

use cuda_sys::{
    CUDA_GRAPH_INSTANTIATE_PARAMS, CUDA_MEM_ALLOC_NODE_PARAMS, CUdevice, CUgraph, CUgraphEdgeData,
    CUgraphExec, CUgraphNode, CUgraphNodeParams, CUgraphNodeType, CUresult, fn_types,
};
use fcsp_gate::Handle;
use fcsp_program::memory::graph::{self, instantiate, note_node};

use crate::driver::Cuda;

/// # Safety
///
/// As `cuGraphInstantiate` and `cuGraphInstantiate_v2`.
pub unsafe fn instantiate_v2(
    real: fn_types::cuGraphInstantiate_v2,
    exec: *mut CUgraphExec,
    graph: CUgraph,
    error_node: *mut CUgraphNode,
    log: *mut c_char,
    log_bytes: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        instantiate::<Cuda, _>(exec, graph.number(), || {
            real(exec, graph, error_node, log, log_bytes)
        })
    }
}

/// # Safety
///
/// As `cuGraphInstantiateWithFlags`.
pub unsafe fn instantiate_with_flags(
    real: fn_types::cuGraphInstantiateWithFlags,
    exec: *mut CUgraphExec,
    graph: CUgraph,
    flags: c_ulonglong,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { instantiate::<Cuda, _>(exec, graph.number(), || real(exec, graph, flags)) }
}

/// # Safety
///
/// As `cuGraphInstantiateWithParams`, or its variant for per-thread default streams.
pub unsafe fn instantiate_with_params(
    real: fn_types::cuGraphInstantiateWithParams,
    exec: *mut CUgraphExec,
    graph: CUgraph,
    params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { instantiate::<Cuda, _>(exec, graph.number(), || real(exec, graph, params)) }
}

/// # Safety
///
/// As `cuGraphExecDestroy`.
pub unsafe fn exec_destroy(real: fn_types::cuGraphExecDestroy, exec: CUgraphExec) -> CUresult {
    // SAFETY: the program's own call, passed on.
    graph::destroy::<Cuda>(exec.number(), || unsafe { real(exec) })
}

/// # Safety
///
/// As `cuGraphAddMemAllocNode`.
pub unsafe fn add_alloc_node(
    real: fn_types::cuGraphAddMemAllocNode,
    node: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    params: *mut CUDA_MEM_ALLOC_NODE_PARAMS,
) -> CUresult {
    note_node();
    // SAFETY: the program's own call, passed on.
    unsafe { real(node, graph, dependencies, count, params) }
}

/// # Safety
///
/// `params` is null or the program's own, readable.
unsafe fn note_if_allocates(params: *const CUgraphNodeParams) {
    // SAFETY: as above; null is the driver's to refuse.
    let kind = unsafe { params.as_ref() }.map(|params| params.type_);
    // A graph within the node may allocate, but its own nodes were noted already.
    if kind == Some(CUgraphNodeType::CU_GRAPH_NODE_TYPE_MEM_ALLOC) {
        note_node();
    }
}

/// # Safety
///
/// As `cuGraphAddNode`.
pub unsafe fn add_node(
    real: fn_types::cuGraphAddNode,
    node: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    count: usize,
    params: *mut CUgraphNodeParams,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        note_if_allocates(params);
        real(node, graph, dependencies, count, params)
    }
}

/// # Safety
///
/// As `cuGraphAddNode_v2`.
pub unsafe fn add_node_v2(
    real: fn_types::cuGraphAddNode_v2,
    node: *mut CUgraphNode,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    edges: *const CUgraphEdgeData,
    count: usize,
    params: *mut CUgraphNodeParams,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        note_if_allocates(params);
        real(node, graph, dependencies, edges, count, params)
    }
}

/// # Safety
///
/// As `cuDeviceGraphMemTrim`.
pub unsafe fn trim(real: fn_types::cuDeviceGraphMemTrim, dev: CUdevice) -> CUresult {
    // SAFETY: the program's own call, passed on.
    graph::trimmed::<Cuda>(dev, unsafe { real(dev) })
}
