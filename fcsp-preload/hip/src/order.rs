//! Handlers of calls that make a stream wait for something that FCSP cannot bring about: a word that
//! the program or another device writes, another interface's semaphore, and, once a process has such
//! waits or collectives, another stream that may stand behind one.
//!
//! The open segment ends before such a wait is put into its stream: so its end is seen, and the turn
//! passes on. What comes after it is granted when the device has come to it.

use core::ffi::{c_uint, c_void};

use fcsp_program::turn;
use hip_sys::{
    fn_types, hipError_t, hipEvent_t, hipExternalSemaphore_t, hipExternalSemaphoreWaitParams,
    hipStream_t, hipStreamBatchMemOpParams, hipStreamBatchMemOpType,
};

use crate::driver::Hip;
use crate::errors::kept;

/// Operations of a batch that are looked at.
const BATCH_LOOK: usize = 256;

/// # Safety
///
/// As `hipStreamWaitValue32`.
pub unsafe fn wait_value_32(
    real: fn_types::hipStreamWaitValue32,
    stream: hipStream_t,
    address: *mut c_void,
    value: u32,
    flags: c_uint,
    mask: u32,
) -> hipError_t {
    turn::stall::<Hip, false>(stream);
    // SAFETY: the program's own call, passed on.
    kept(unsafe { real(stream, address, value, flags, mask) })
}

/// # Safety
///
/// As `hipStreamWaitValue64`.
pub unsafe fn wait_value_64(
    real: fn_types::hipStreamWaitValue64,
    stream: hipStream_t,
    address: *mut c_void,
    value: u64,
    flags: c_uint,
    mask: u64,
) -> hipError_t {
    turn::stall::<Hip, false>(stream);
    // SAFETY: the program's own call, passed on.
    kept(unsafe { real(stream, address, value, flags, mask) })
}

/// # Safety
///
/// As `hipStreamBatchMemOp`.
pub unsafe fn batch(
    real: fn_types::hipStreamBatchMemOp,
    stream: hipStream_t,
    count: c_uint,
    operations: *mut hipStreamBatchMemOpParams,
    flags: c_uint,
) -> hipError_t {
    let waits = |at: usize| {
        // SAFETY: the program's own array of `count`; the kind stands first in every operation.
        let kind = unsafe { (*operations.add(at)).operation };
        kind == hipStreamBatchMemOpType::hipStreamMemOpWaitValue32
            || kind == hipStreamBatchMemOpType::hipStreamMemOpWaitValue64
    };
    let looked_at = (count as usize).min(BATCH_LOOK);
    if !operations.is_null() && (0..looked_at).any(waits) {
        turn::stall::<Hip, false>(stream);
    }
    // SAFETY: the program's own call, passed on.
    kept(unsafe { real(stream, count, operations, flags) })
}

/// # Safety
///
/// As `hipWaitExternalSemaphoresAsync`.
pub unsafe fn wait_semaphores(
    real: fn_types::hipWaitExternalSemaphoresAsync,
    semaphores: *const hipExternalSemaphore_t,
    params: *const hipExternalSemaphoreWaitParams,
    count: c_uint,
    stream: hipStream_t,
) -> hipError_t {
    turn::stall::<Hip, false>(stream);
    // SAFETY: the program's own call, passed on.
    kept(unsafe { real(semaphores, params, count, stream) })
}

/// # Safety
///
/// As `hipStreamWaitEvent`, or its variant for per-thread default streams.
pub unsafe fn wait_event<const PER_THREAD: bool>(
    real: fn_types::hipStreamWaitEvent,
    stream: hipStream_t,
    event: hipEvent_t,
    flags: c_uint,
) -> hipError_t {
    turn::follow::<Hip, PER_THREAD>(stream);
    if turn::stalls() {
        // The event may stand behind a collective in another stream.
        turn::stall::<Hip, PER_THREAD>(stream);
    }
    // SAFETY: the program's own call, passed on.
    kept(unsafe { real(stream, event, flags) })
}
