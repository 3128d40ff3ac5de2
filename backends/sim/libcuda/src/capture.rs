//! Stream capture: calls become nodes of a graph instead of work.
//!
//! Owns: which streams take part in which capture, what their next node depends on, and which calls
//! a capture forbids. Does not own: graphs themselves ([`crate::graph`]).

use crate::border::{Outcome, put_optional};
use crate::types::*;
use cuda_sys::{CUgraphEdgeData, CUstreamCaptureStatus};
pub use fcsp_sim_driver::capture::*;

/// `cuStreamGetCaptureInfo_v3`.
pub unsafe fn info_v3(
    handle: StreamHandle,
    status_out: *mut CUstreamCaptureStatus,
    id_out: *mut u64,
    graph_out: *mut GraphHandle,
    dependencies_out: *mut *const NodeHandle,
    edges_out: *mut *const CUgraphEdgeData,
    count_out: *mut usize,
) -> Outcome {
    // SAFETY: the same contract; edges carry no data here, which null says.
    unsafe {
        put_optional(edges_out, std::ptr::null());
        info_v2(
            handle,
            status_out.cast(),
            id_out,
            graph_out,
            dependencies_out,
            count_out,
        )
    }
}
