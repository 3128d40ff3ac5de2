//! Handlers of calls that make a stream wait for something that FCSP cannot bring about: a word that
//! the program or another device writes, another interface's semaphore, and, once a process has such
//! waits or collectives, another stream that may stand behind one.
//!
//! The open segment ends before such a wait is put into its stream: so its end is seen, and the turn
//! passes on. What comes after it is granted when the device has come to it. Calls that only signal
//! take no device time and wait for nothing; they are forwarded.

use core::ffi::c_uint;

use cuda_sys::{
    CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS, CUdeviceptr, CUevent, CUexternalSemaphore, CUresult,
    CUstream, CUstreamBatchMemOpParams, CUstreamBatchMemOpType, cuuint32_t, cuuint64_t, fn_types,
};
use fcsp_program::turn;

use crate::driver::Cuda;

/// # Safety
///
/// As `cuStreamWaitValue32` and its versions.
pub unsafe fn wait_value_32<const PER_THREAD: bool>(
    real: fn_types::cuStreamWaitValue32_v2,
    stream: CUstream,
    address: CUdeviceptr,
    value: cuuint32_t,
    flags: c_uint,
) -> CUresult {
    turn::stall::<Cuda, PER_THREAD>(stream);
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream, address, value, flags) }
}

/// # Safety
///
/// As `cuStreamWaitValue64` and its versions.
pub unsafe fn wait_value_64<const PER_THREAD: bool>(
    real: fn_types::cuStreamWaitValue64_v2,
    stream: CUstream,
    address: CUdeviceptr,
    value: cuuint64_t,
    flags: c_uint,
) -> CUresult {
    turn::stall::<Cuda, PER_THREAD>(stream);
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream, address, value, flags) }
}

/// # Safety
///
/// As `cuStreamBatchMemOp` and its versions.
pub unsafe fn batch<const PER_THREAD: bool>(
    real: fn_types::cuStreamBatchMemOp_v2,
    stream: CUstream,
    count: c_uint,
    operations: *mut CUstreamBatchMemOpParams,
    flags: c_uint,
) -> CUresult {
    let waits = |at: usize| {
        // SAFETY: the program's own array of `count`; the kind stands first in every operation.
        let kind = unsafe { (*operations.add(at)).operation };
        kind == CUstreamBatchMemOpType::CU_STREAM_MEM_OP_WAIT_VALUE_32
            || kind == CUstreamBatchMemOpType::CU_STREAM_MEM_OP_WAIT_VALUE_64
    };
    // The driver refuses null and more than 256 (cuda.h 13.0).
    if !operations.is_null() && count <= 256 && (0..count as usize).any(waits) {
        turn::stall::<Cuda, PER_THREAD>(stream);
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream, count, operations, flags) }
}

/// # Safety
///
/// As `cuWaitExternalSemaphoresAsync`.
pub unsafe fn wait_semaphores<const PER_THREAD: bool>(
    real: fn_types::cuWaitExternalSemaphoresAsync,
    semaphores: *const CUexternalSemaphore,
    params: *const CUDA_EXTERNAL_SEMAPHORE_WAIT_PARAMS,
    count: c_uint,
    stream: CUstream,
) -> CUresult {
    turn::stall::<Cuda, PER_THREAD>(stream);
    // SAFETY: the program's own call, passed on.
    unsafe { real(semaphores, params, count, stream) }
}

/// # Safety
///
/// As `cuStreamWaitEvent`.
pub unsafe fn wait_event<const PER_THREAD: bool>(
    real: fn_types::cuStreamWaitEvent,
    stream: CUstream,
    event: CUevent,
    flags: c_uint,
) -> CUresult {
    turn::follow::<Cuda, PER_THREAD>(stream);
    if turn::stalls() {
        // The event may stand behind a collective in another stream.
        turn::stall::<Cuda, PER_THREAD>(stream);
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream, event, flags) }
}
