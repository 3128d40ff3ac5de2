//! Handlers of captures: [`fcsp_program::capture`].

use fcsp_program::capture::{self, begun};
use hip_sys::{
    fn_types, hipError_t, hipGraph_t, hipGraphEdgeData, hipGraphNode_t, hipStream_t,
    hipStreamCaptureMode,
};

use crate::driver::Hip;

/// # Safety
///
/// As `hipStreamBeginCapture`, or its variant for per-thread default streams.
pub unsafe fn begin(
    real: fn_types::hipStreamBeginCapture,
    stream: hipStream_t,
    mode: hipStreamCaptureMode,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    begun::<Hip>(unsafe { real(stream, mode) })
}

/// # Safety
///
/// As `hipStreamBeginCaptureToGraph`.
pub unsafe fn begin_to_graph(
    real: fn_types::hipStreamBeginCaptureToGraph,
    stream: hipStream_t,
    graph: hipGraph_t,
    dependencies: *const hipGraphNode_t,
    dependency_data: *const hipGraphEdgeData,
    dependency_count: usize,
    mode: hipStreamCaptureMode,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    begun::<Hip>(unsafe {
        real(
            stream,
            graph,
            dependencies,
            dependency_data,
            dependency_count,
            mode,
        )
    })
}

/// # Safety
///
/// As `hipStreamEndCapture`, or its variant for per-thread default streams.
pub unsafe fn end<const PER_THREAD: bool>(
    real: fn_types::hipStreamEndCapture,
    stream: hipStream_t,
    graph: *mut hipGraph_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    capture::end::<Hip, PER_THREAD>(stream, || unsafe { real(stream, graph) })
}
