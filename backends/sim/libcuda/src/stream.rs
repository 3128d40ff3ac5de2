//! Streams: creation, waiting, memory words, host functions.

use crate::border::{Outcome, put, rc, require};
use crate::types::*;
use cuda_sys::{CUgreenCtx, CUresult, CUstreamBatchMemOpParams, CUstreamCallback};
use fcsp_sim::{Effect, Op, Width};
use fcsp_sim_driver::stream;
pub use fcsp_sim_driver::stream::*;
use std::ffi::{c_uint, c_void};

/// `cuStreamBatchMemOp` and `_v2`.
pub unsafe fn batch_mem_op(
    handle: StreamHandle,
    count: c_uint,
    params: *mut CUstreamBatchMemOpParams,
    flags: c_uint,
) -> Outcome {
    require(flags == 0 && count <= 256, rc::INVALID_VALUE)?;
    require(count == 0 || !params.is_null(), rc::INVALID_VALUE)?;
    let mut ops = Vec::with_capacity(count as usize);
    for index in 0..count as usize {
        // SAFETY: the caller passed `count` entries; each member below starts with the operation,
        // which says which member is meant, and every member is plain numbers.
        let op = unsafe {
            let entry = &*params.add(index);
            let (wait, write) = (&entry.waitValue, &entry.writeValue);
            // CUstreamBatchMemOpType of cuda.h.
            match entry.operation.0 {
                1 => wait_op(
                    wait.address,
                    u64::from(wait.__bindgen_anon_1.value),
                    wait.flags,
                    Width::Bits32,
                )?,
                2 => write_op(
                    write.address,
                    u64::from(write.__bindgen_anon_1.value),
                    write.flags,
                    Width::Bits32,
                )?,
                4 => wait_op(
                    wait.address,
                    wait.__bindgen_anon_1.value64,
                    wait.flags,
                    Width::Bits64,
                )?,
                5 => write_op(
                    write.address,
                    write.__bindgen_anon_1.value64,
                    write.flags,
                    Width::Bits64,
                )?,
                // Barriers and flushes: every effect is ordered already.
                3 | 6 => Op::Instant(Effect::None),
                _ => return Err(rc::INVALID_VALUE),
            }
        };
        ops.push(op);
    }
    stream::words(handle, ops)
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
