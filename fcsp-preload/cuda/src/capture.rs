//! Handlers of captures: [`fcsp_program::capture`].

use cuda_sys::{
    CUgraph, CUgraphEdgeData, CUgraphNode, CUresult, CUstream, CUstreamCaptureMode, fn_types,
};
use fcsp_program::capture::{self, begun};

use crate::driver::Cuda;

/// # Safety
///
/// As `cuStreamBeginCapture`, the first version.
pub unsafe fn begin_v1(real: fn_types::cuStreamBeginCapture, stream: CUstream) -> CUresult {
    // SAFETY: the program's own call, passed on.
    begun::<Cuda>(unsafe { real(stream) })
}

/// # Safety
///
/// As `cuStreamBeginCapture_v2`.
pub unsafe fn begin(
    real: fn_types::cuStreamBeginCapture_v2,
    stream: CUstream,
    mode: CUstreamCaptureMode,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    begun::<Cuda>(unsafe { real(stream, mode) })
}

/// # Safety
///
/// As `cuStreamBeginCaptureToGraph`.
pub unsafe fn begin_to_graph(
    real: fn_types::cuStreamBeginCaptureToGraph,
    stream: CUstream,
    graph: CUgraph,
    dependencies: *const CUgraphNode,
    dependency_data: *const CUgraphEdgeData,
    dependency_count: usize,
    mode: CUstreamCaptureMode,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    begun::<Cuda>(unsafe {
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
/// As `cuStreamEndCapture`, or its variant for per-thread default streams.
pub unsafe fn end<const PER_THREAD: bool>(
    real: fn_types::cuStreamEndCapture,
    stream: CUstream,
    graph: *mut CUgraph,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    capture::end::<Cuda, PER_THREAD>(stream, || unsafe { real(stream, graph) })
}
