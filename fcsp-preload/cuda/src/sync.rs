//! Handlers of calls that wait for the device, or ask whether it is done: [`fcsp_program::waiting`].

use cuda_sys::{CUcontext, CUevent, CUresult, CUstream, fn_types};
use fcsp_program::waiting::{ask, for_all, for_event, for_some};

use crate::driver::{Cuda, current_context};
use crate::hooks::cuda;

/// # Safety
///
/// As `cuCtxSynchronize`.
pub unsafe fn context(real: fn_types::cuCtxSynchronize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    for_all::<Cuda>(|| unsafe { real() })
}

/// # Safety
///
/// As `cuCtxSynchronize_v2`: of that context, or the current one for null.
pub unsafe fn context_of(real: fn_types::cuCtxSynchronize_v2, ctx: CUcontext) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let wait = || unsafe { real(ctx) };
    // What leaves the current context's device is not waited for in another.
    if !ctx.is_null() && current_context() != ctx {
        for_some::<Cuda>(wait)
    } else {
        for_all::<Cuda>(wait)
    }
}

/// # Safety
///
/// As `cuStreamSynchronize`.
pub unsafe fn stream(real: fn_types::cuStreamSynchronize, h_stream: CUstream) -> CUresult {
    // SAFETY: the program's own call, passed on.
    for_some::<Cuda>(|| unsafe { real(h_stream) })
}

/// # Safety
///
/// As `cuEventSynchronize`.
pub unsafe fn event(real: fn_types::cuEventSynchronize, h_event: CUevent) -> CUresult {
    let has_happened = || {
        cuda::cuEventQuery.get().is_some_and(|query| {
            // SAFETY: the program's own event; the driver checks it.
            unsafe { query(h_event) == CUresult::CUDA_SUCCESS }
        })
    };
    // SAFETY: the program's own call, passed on.
    for_event::<Cuda>(has_happened, || unsafe { real(h_event) })
}

/// # Safety
///
/// As `cuStreamQuery`.
pub unsafe fn stream_query(real: fn_types::cuStreamQuery, h_stream: CUstream) -> CUresult {
    // SAFETY: the program's own call, passed on.
    ask::<Cuda>(|| unsafe { real(h_stream) })
}

/// # Safety
///
/// As `cuEventQuery`.
pub unsafe fn event_query(real: fn_types::cuEventQuery, h_event: CUevent) -> CUresult {
    // SAFETY: the program's own call, passed on.
    ask::<Cuda>(|| unsafe { real(h_event) })
}
