//! Changes of instantiated graphs.

use crate::border::{Outcome, put_optional, rc, require};
use crate::graph::{NodeKind, graph, kernel_of, place_of};
use crate::graph_exec::{EXECUTABLES, Executable};
use cuda_sys::{
    CUDA_KERNEL_NODE_PARAMS, CUgraph, CUgraphExec, CUgraphExecUpdateResult,
    CUgraphExecUpdateResultInfo, CUgraphNode, CUresult,
};
use std::sync::{Arc, PoisonError};

fn executable(handle: CUgraphExec) -> Result<Arc<Executable>, CUresult> {
    EXECUTABLES.get(handle).ok_or(rc::INVALID_HANDLE)
}

/// Takes over what another graph of the same form does.
fn take_over(exec: CUgraphExec, from: CUgraph) -> Result<CUgraphExecUpdateResult, CUresult> {
    let executable = executable(exec)?;
    let new = graph(from)?.flattened();
    let mut nodes = executable
        .nodes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    if nodes.len() != new.len() {
        return Ok(CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED);
    }
    let alike = |(old, new): (&NodeKind, &NodeKind)| old.node_type() == new.node_type();
    if !nodes.iter().zip(&new).all(alike) {
        return Ok(CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_ERROR_NODE_TYPE_CHANGED);
    }
    *nodes = new;
    Ok(CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_SUCCESS)
}

fn outcome(result: CUgraphExecUpdateResult) -> Outcome {
    require(
        result == CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_SUCCESS,
        rc::GRAPH_EXEC_UPDATE_FAILURE,
    )
}

/// `cuGraphExecUpdate`.
pub unsafe fn update_v1(
    exec: CUgraphExec,
    from: CUgraph,
    node: *mut CUgraphNode,
    result: *mut CUgraphExecUpdateResult,
) -> Outcome {
    let found = take_over(exec, from)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(node, std::ptr::null_mut());
        put_optional(result, found);
    }
    outcome(found)
}

/// `cuGraphExecUpdate_v2`.
pub unsafe fn update(
    exec: CUgraphExec,
    from: CUgraph,
    info: *mut CUgraphExecUpdateResultInfo,
) -> Outcome {
    let found = take_over(exec, from)?;
    let said = CUgraphExecUpdateResultInfo {
        result: found,
        errorNode: std::ptr::null_mut(),
        errorFromNode: std::ptr::null_mut(),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put_optional(info, said) };
    outcome(found)
}

/// `cuGraphExecKernelNodeSetParams_v2`.
pub unsafe fn set_kernel(
    exec: CUgraphExec,
    node: CUgraphNode,
    params: *const CUDA_KERNEL_NODE_PARAMS,
) -> Outcome {
    let executable = executable(exec)?;
    let (graph, index) = place_of(node)?;
    require(Arc::ptr_eq(&graph, &executable.graph), rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    let kernel = unsafe { kernel_of(params) }?;
    let mut nodes = executable
        .nodes
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    match nodes.get_mut(graph.flat_index(index)) {
        Some(NodeKind::Kernel(old)) => {
            *old = kernel;
            Ok(())
        }
        _ => Err(rc::INVALID_VALUE),
    }
}
