//! Graphs, instantiated and launched.
//!
//! A launch submits the nodes one after the other into one stream, in the order in which they were
//! added, which respects every dependency.

use crate::border::{Outcome, rc, require};
use crate::types::*;
use cuda_sys::{CUDA_GRAPH_INSTANTIATE_PARAMS, CUgraphInstantiateResult};
pub use fcsp_sim_driver::graph_exec::*;

/// `cuGraphInstantiateWithParams`.
pub unsafe fn instantiate_params(
    place: *mut ExecHandle,
    handle: GraphHandle,
    params: *mut CUDA_GRAPH_INSTANTIATE_PARAMS,
) -> Outcome {
    require(!params.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable and writable by the caller's contract.
    let p = unsafe { &mut *params };
    // SAFETY: the same contract.
    let outcome = unsafe { instantiate(place, handle, p.flags) };
    p.hErrNode_out = std::ptr::null_mut();
    p.result_out = match outcome {
        Ok(()) => CUgraphInstantiateResult::CUDA_GRAPH_INSTANTIATE_SUCCESS,
        Err(_) => CUgraphInstantiateResult::CUDA_GRAPH_INSTANTIATE_ERROR,
    };
    outcome
}
