//! Handlers of calls that wait for the device, or ask whether it is done.
//!
//! A thread that is about to wait ends the open segment, so that what it waits for can be granted
//! and its end seen. A thread that would not have to wait ends nothing. While nobody is gated these
//! are not reached.

use cuda_sys::{CUcontext, CUevent, CUresult, CUstream, fn_types};

use crate::hooks::cuda;
use crate::queue::CudaGate;
use crate::turn::{about_to_wait, waited, waiting};
use crate::{capture, device};

/// Tells the scheduler that this thread asked and was told no.
fn told_no(result: CUresult) -> CUresult {
    if result == CUresult::CUDA_ERROR_NOT_READY && !capture::any() {
        for device in device::attached().filter(|device| device.producer.gated()) {
            device.producer.unanswered(&CudaGate(&device.pages));
        }
    }
    result
}

/// # Safety
///
/// As `cuCtxSynchronize`.
pub unsafe fn context(real: fn_types::cuCtxSynchronize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    waiting(|| unsafe { real() })
}

/// # Safety
///
/// As `cuCtxSynchronize_v2`.
pub unsafe fn context_of(real: fn_types::cuCtxSynchronize_v2, context: CUcontext) -> CUresult {
    // SAFETY: the program's own call, passed on.
    waiting(|| unsafe { real(context) })
}

/// # Safety
///
/// As `cuStreamSynchronize`.
pub unsafe fn stream(real: fn_types::cuStreamSynchronize, h_stream: CUstream) -> CUresult {
    // SAFETY: the program's own call, passed on.
    waiting(|| unsafe { real(h_stream) })
}

/// # Safety
///
/// As `cuEventSynchronize`.
pub unsafe fn event(real: fn_types::cuEventSynchronize, h_event: CUevent) -> CUresult {
    let has_happened = cuda::cuEventQuery.get().is_some_and(|query| {
        // SAFETY: the program's own event; the driver checks it.
        !capture::any() && unsafe { query(h_event) } == CUresult::CUDA_SUCCESS
    });
    if !has_happened {
        about_to_wait();
    }
    // SAFETY: the program's own call, passed on.
    waited(unsafe { real(h_event) })
}

/// # Safety
///
/// As `cuStreamQuery`.
pub unsafe fn stream_query(real: fn_types::cuStreamQuery, h_stream: CUstream) -> CUresult {
    // SAFETY: the program's own call, passed on.
    told_no(unsafe { real(h_stream) })
}

/// # Safety
///
/// As `cuEventQuery`.
pub unsafe fn event_query(real: fn_types::cuEventQuery, h_event: CUevent) -> CUresult {
    // SAFETY: the program's own call, passed on.
    told_no(unsafe { real(h_event) })
}
