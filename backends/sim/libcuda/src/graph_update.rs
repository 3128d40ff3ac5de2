//! Changes of instantiated graphs, as the header's structures say them.

use crate::border::{Outcome, put_optional};
use crate::graph::kernel_of;
use crate::types::*;
use cuda_sys::{CUDA_KERNEL_NODE_PARAMS, CUgraphExecUpdateResult, CUgraphExecUpdateResultInfo};
use fcsp_sim_driver::graph_update::{self, outcome, take_over};

/// `cuGraphExecUpdate`.
pub unsafe fn update_v1(
    exec: ExecHandle,
    from: GraphHandle,
    node: *mut NodeHandle,
    result: *mut CUgraphExecUpdateResult,
) -> Outcome {
    let found = take_over(exec, from)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(node, std::ptr::null_mut());
        put_optional(result, CUgraphExecUpdateResult(found as u32));
    }
    outcome(found)
}

/// `cuGraphExecUpdate_v2`.
pub unsafe fn update(
    exec: ExecHandle,
    from: GraphHandle,
    info: *mut CUgraphExecUpdateResultInfo,
) -> Outcome {
    let found = take_over(exec, from)?;
    let said = CUgraphExecUpdateResultInfo {
        result: CUgraphExecUpdateResult(found as u32),
        errorNode: std::ptr::null_mut(),
        errorFromNode: std::ptr::null_mut(),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put_optional(info, said) };
    outcome(found)
}

/// `cuGraphExecKernelNodeSetParams_v2`.
pub unsafe fn set_kernel(
    exec: ExecHandle,
    node: NodeHandle,
    params: *const CUDA_KERNEL_NODE_PARAMS,
) -> Outcome {
    // SAFETY: the same contract.
    graph_update::set_kernel(exec, node, unsafe { kernel_of(params) }?)
}
