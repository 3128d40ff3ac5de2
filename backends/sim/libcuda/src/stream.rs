//! Streams: creation, waiting, memory words, host functions.

use crate::border::{Outcome, put, rc, require};
use crate::types::*;
use cuda_sys::{CUgreenCtx, CUresult, CUstreamBatchMemOpParams, CUstreamCallback};
pub use fcsp_sim_driver::stream::*;
use fcsp_sim_driver::stream::{self, BatchOp};
use std::ffi::{c_uint, c_void};

/// `cuStreamBatchMemOp` and `_v2`.
pub unsafe fn batch_mem_op(
    handle: StreamHandle,
    count: c_uint,
    params: *mut CUstreamBatchMemOpParams,
    flags: c_uint,
) -> Outcome {
    require(flags == 0 && count <= stream::BATCH_MAX, rc::INVALID_VALUE)?;
    require(count == 0 || !params.is_null(), rc::INVALID_VALUE)?;
    let batch = (0..count as usize).map(|index| {
        // SAFETY: the caller passed `count` entries; each begins with the operation, and those of waits and writes lie
        // alike. Every member is plain numbers.
        unsafe {
            let entry = &*params.add(index);
            BatchOp {
                operation: entry.operation.0,
                address: entry.waitValue.address,
                value: entry.waitValue.__bindgen_anon_1.value64,
                flags: entry.waitValue.flags,
            }
        }
    });
    stream::batch(handle, batch)
}

/// `cuStreamGetCtx_v2`; no stream belongs to a green context here.
pub unsafe fn context_v2(
    handle: StreamHandle,
    place: *mut ContextHandle,
    green: *mut CUgreenCtx,
) -> Outcome {
    require(!green.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: checked above; the same contract.
    unsafe {
        put(green, std::ptr::null_mut())?;
        context(handle, place)
    }
}

/// A pointer that travels to the worker thread with its callback.
struct Travelling(*mut c_void);
// SAFETY: the driver's contract says that callbacks run on a thread of the driver.
unsafe impl Send for Travelling {}

/// `cuStreamAddCallback`.
pub unsafe fn add_callback(
    handle: StreamHandle,
    callback: CUstreamCallback,
    data: *mut c_void,
    flags: c_uint,
) -> Outcome {
    let callback = callback.ok_or(rc::INVALID_VALUE)?;
    require(flags == 0, rc::INVALID_VALUE)?;
    let (own, data) = (Travelling(handle.cast()), Travelling(data));
    stream::call(
        handle,
        Box::new(move || {
            let (own, data) = (own, data);
            // SAFETY: the program passed the function and its argument for exactly this call.
            unsafe { callback(own.0.cast(), CUresult::CUDA_SUCCESS, data.0) };
        }),
    )
}
