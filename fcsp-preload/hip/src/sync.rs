//! Handlers of calls that wait for the device, or ask whether it is done: [`fcsp_program::waiting`].

use fcsp_program::waiting::{ask, for_all, for_event, for_some};
use hip_sys::{fn_types, hipError_t, hipEvent_t, hipStream_t};

use crate::driver::Hip;
use crate::errors::{kept, quietly};
use crate::hooks::hip;

/// # Safety
///
/// As `hipDeviceSynchronize` and `hipCtxSynchronize`.
pub unsafe fn device(real: fn_types::hipDeviceSynchronize) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    for_all::<Hip>(|| kept(unsafe { real() }))
}

/// # Safety
///
/// As `hipStreamSynchronize`, or its variant for per-thread default streams.
pub unsafe fn stream(real: fn_types::hipStreamSynchronize, stream: hipStream_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    for_some::<Hip>(|| kept(unsafe { real(stream) }))
}

/// # Safety
///
/// As `hipEventSynchronize`.
pub unsafe fn event(real: fn_types::hipEventSynchronize, event: hipEvent_t) -> hipError_t {
    let has_happened = || {
        hip::hipEventQuery.get().is_some_and(|query| {
            // SAFETY: the program's own event; the driver checks it.
            quietly(|| unsafe { query(event) }) == hipError_t::hipSuccess
        })
    };
    // SAFETY: the program's own call, passed on.
    for_event::<Hip>(has_happened, || kept(unsafe { real(event) }))
}

/// # Safety
///
/// As `hipStreamQuery`, or its variant for per-thread default streams.
pub unsafe fn stream_query(real: fn_types::hipStreamQuery, stream: hipStream_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    ask::<Hip>(|| unsafe { real(stream) })
}

/// # Safety
///
/// As `hipEventQuery`.
pub unsafe fn event_query(real: fn_types::hipEventQuery, event: hipEvent_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    ask::<Hip>(|| unsafe { real(event) })
}
