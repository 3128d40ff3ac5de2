//! Which streams are being captured: what goes into a graph is not gated, its launch is.

use core::sync::atomic::{AtomicU32, Ordering};

use cuda_sys::{
    CUgraph, CUgraphEdgeData, CUgraphNode, CUresult, CUstream, CUstreamCaptureMode,
    CUstreamCaptureStatus, fn_types,
};

use crate::hooks::cuda;

/// Captures begun and not ended. While it is 0 nobody asks the driver about any stream.
static UNDER_WAY: AtomicU32 = AtomicU32::new(0);

/// True while any stream of the process is being captured.
#[inline]
pub fn any() -> bool {
    // Relaxed: a program that launches in one thread what it captures in another orders the two.
    UNDER_WAY.load(Ordering::Relaxed) != 0
}

/// True if work submitted to `stream` now goes into a graph.
#[inline]
pub fn captures<const PER_THREAD: bool>(stream: CUstream) -> bool {
    any() && asked::<PER_THREAD>(stream)
}

#[inline(never)]
fn asked<const PER_THREAD: bool>(stream: CUstream) -> bool {
    let mut status = CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
    let ask = if PER_THREAD {
        cuda::cuStreamIsCapturing_ptsz.get()
    } else {
        cuda::cuStreamIsCapturing.get()
    };
    // SAFETY: the program's own stream; the driver checks it.
    let result = ask.map(|ask| unsafe { ask(stream, &mut status) });
    // An error here means a capture that forbids the legacy stream: leave that to the launch itself.
    result != Some(CUresult::CUDA_SUCCESS)
        || status != CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE
}

/// While this lives, the calling thread's own driver calls do not disturb a capture elsewhere.
pub struct Undisturbed(Option<CUstreamCaptureMode>);

impl Undisturbed {
    /// Relaxes the calling thread's capture mode, if there is a capture to disturb.
    pub fn enter() -> Self {
        Self(
            any()
                .then(|| exchange(CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_RELAXED))
                .flatten(),
        )
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if let Some(mode) = self.0 {
            exchange(mode);
        }
    }
}

fn exchange(mut mode: CUstreamCaptureMode) -> Option<CUstreamCaptureMode> {
    let exchange = cuda::cuThreadExchangeStreamCaptureMode.get()?;
    // SAFETY: the driver reads and writes the one place.
    (unsafe { exchange(&mut mode) } == CUresult::CUDA_SUCCESS).then_some(mode)
}

fn begun(result: CUresult) -> CUresult {
    if result == CUresult::CUDA_SUCCESS {
        UNDER_WAY.fetch_add(1, Ordering::Relaxed);
    }
    result
}

/// # Safety
///
/// As `cuStreamBeginCapture`, the first version.
pub unsafe fn begin_v1(real: fn_types::cuStreamBeginCapture, stream: CUstream) -> CUresult {
    // SAFETY: the program's own call, passed on.
    begun(unsafe { real(stream) })
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
    begun(unsafe { real(stream, mode) })
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
    begun(unsafe {
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
    let before = captures::<PER_THREAD>(stream);
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(stream, graph) };
    // A capture that was spoilt ends with an error; a call that the driver refuses ends none.
    let ended = result == CUresult::CUDA_SUCCESS || before && !captures::<PER_THREAD>(stream);
    if ended {
        let _never_below_zero =
            UNDER_WAY.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                count.checked_sub(1)
            });
    }
    result
}
