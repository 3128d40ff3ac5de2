//! Handlers of calls that wait for the device, or ask whether it is done.
//!
//! A thread that is about to wait ends the open segment, so that what it waits for can be granted
//! and its end seen. A thread that would not have to wait ends nothing. After a wait memory pools may have given
//! memory back. While nobody is gated and no pool is in use these are not reached.

use cuda_sys::{CUcontext, CUevent, CUresult, CUstream, fn_types};

use crate::hooks::cuda;
use crate::memory::pool::{self, settle::Leaving};
use crate::queue::{current_context, gate};
use crate::turn::{about_to_wait, waited};
use crate::{capture, device, usage_rhythm};

/// True if nobody but pools is concerned by a wait, or by a question that stands for one: nobody is gated, and
/// nobody wants to know that the program is at work.
#[inline]
pub fn unnoticed() -> bool {
    device::all_pass() && !usage_rhythm::is_listening()
}

/// True if a wait concerns neither the scheduler nor the account of any pool.
#[inline]
pub fn nothing_to_do() -> bool {
    unnoticed() && !pool::settle::in_use()
}

/// Tells the scheduler that this thread asked and was told no.
fn told_no(result: CUresult) -> CUresult {
    usage_rhythm::stirred();
    if result == CUresult::CUDA_ERROR_NOT_READY && !capture::any() {
        for device in device::attached().filter(|device| device.producer.gated()) {
            device.producer.unanswered(&gate(device));
        }
    }
    result
}

/// Waits for everything of a context, by `wait`.
fn for_all(wait: impl FnOnce() -> CUresult) -> CUresult {
    about_to_wait();
    pool::settle::about_to_wait();
    let leaving = Leaving::take();
    let result = waited(wait());
    leaving.waited(result);
    pool::settle::waited(result)
}

/// # Safety
///
/// As `cuCtxSynchronize`.
pub unsafe fn context(real: fn_types::cuCtxSynchronize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    for_all(|| unsafe { real() })
}

/// # Safety
///
/// As `cuCtxSynchronize_v2`: of that context, or the current one for null.
pub unsafe fn context_of(real: fn_types::cuCtxSynchronize_v2, ctx: CUcontext) -> CUresult {
    // What leaves the current context's device is not waited for in another.
    if !ctx.is_null() && current_context() != ctx {
        about_to_wait();
        pool::settle::about_to_wait();
        // SAFETY: the program's own call, passed on.
        return pool::settle::waited(waited(unsafe { real(ctx) }));
    }
    // SAFETY: as above.
    for_all(|| unsafe { real(ctx) })
}

/// # Safety
///
/// As `cuStreamSynchronize`.
pub unsafe fn stream(real: fn_types::cuStreamSynchronize, h_stream: CUstream) -> CUresult {
    about_to_wait();
    pool::settle::about_to_wait();
    // SAFETY: the program's own call, passed on.
    pool::settle::waited(waited(unsafe { real(h_stream) }))
}

/// # Safety
///
/// As `cuEventSynchronize`.
pub unsafe fn event(real: fn_types::cuEventSynchronize, h_event: CUevent) -> CUresult {
    let has_happened = || {
        cuda::cuEventQuery.get().is_some_and(|query| {
            // SAFETY: the program's own event; the driver checks it.
            !capture::any() && unsafe { query(h_event) } == CUresult::CUDA_SUCCESS
        })
    };
    if !device::all_pass() && !has_happened() {
        about_to_wait();
    }
    usage_rhythm::stirred();
    pool::settle::about_to_wait();
    // SAFETY: the program's own call, passed on.
    pool::settle::waited(waited(unsafe { real(h_event) }))
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
