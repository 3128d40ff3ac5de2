//! The border between C and Rust: what every exported function has in common.
//!
//! Owns: the order of checks (forked, initialized), the per-thread-default-stream mode of a call,
//! and that no panic crosses into C. Sits between [`crate::exports`] and the handlers.

use cuda_sys::CUresult;
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What a handler returns; the error is the code the program sees.
pub type Outcome = Result<(), CUresult>;

/// Short names of the result codes.
pub mod rc {
    use cuda_sys::CUresult as R;
    macro_rules! codes {
        ($($name:ident = $full:ident),* $(,)?) => {
            $(pub const $name: R = R::$full;)*
        };
    }
    codes! {
        SUCCESS = CUDA_SUCCESS,
        INVALID_VALUE = CUDA_ERROR_INVALID_VALUE,
        OUT_OF_MEMORY = CUDA_ERROR_OUT_OF_MEMORY,
        NOT_INITIALIZED = CUDA_ERROR_NOT_INITIALIZED,
        NO_DEVICE = CUDA_ERROR_NO_DEVICE,
        INVALID_DEVICE = CUDA_ERROR_INVALID_DEVICE,
        INVALID_PTX = CUDA_ERROR_INVALID_PTX,
        INVALID_IMAGE = CUDA_ERROR_INVALID_IMAGE,
        INVALID_CONTEXT = CUDA_ERROR_INVALID_CONTEXT,
        CONTEXT_IS_DESTROYED = CUDA_ERROR_CONTEXT_IS_DESTROYED,
        NO_BINARY_FOR_GPU = CUDA_ERROR_NO_BINARY_FOR_GPU,
        FILE_NOT_FOUND = CUDA_ERROR_FILE_NOT_FOUND,
        OPERATING_SYSTEM = CUDA_ERROR_OPERATING_SYSTEM,
        INVALID_HANDLE = CUDA_ERROR_INVALID_HANDLE,
        NOT_FOUND = CUDA_ERROR_NOT_FOUND,
        NOT_READY = CUDA_ERROR_NOT_READY,
        ILLEGAL_ADDRESS = CUDA_ERROR_ILLEGAL_ADDRESS,
        NOT_SUPPORTED = CUDA_ERROR_NOT_SUPPORTED,
        UNKNOWN = CUDA_ERROR_UNKNOWN,
        COOPERATIVE_LAUNCH_TOO_LARGE = CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE,
        HOST_MEMORY_ALREADY_REGISTERED = CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED,
        HOST_MEMORY_NOT_REGISTERED = CUDA_ERROR_HOST_MEMORY_NOT_REGISTERED,
        STREAM_CAPTURE_UNSUPPORTED = CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED,
        STREAM_CAPTURE_INVALIDATED = CUDA_ERROR_STREAM_CAPTURE_INVALIDATED,
        STREAM_CAPTURE_UNMATCHED = CUDA_ERROR_STREAM_CAPTURE_UNMATCHED,
        STREAM_CAPTURE_UNJOINED = CUDA_ERROR_STREAM_CAPTURE_UNJOINED,
        STREAM_CAPTURE_ISOLATION = CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
        STREAM_CAPTURE_MERGE = CUDA_ERROR_STREAM_CAPTURE_MERGE,
        ILLEGAL_STATE = CUDA_ERROR_ILLEGAL_STATE,
        STREAM_CAPTURE_WRONG_THREAD = CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD,
        CAPTURED_EVENT = CUDA_ERROR_CAPTURED_EVENT,
        GRAPH_EXEC_UPDATE_FAILURE = CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE,
    }
}

const FRESH: u8 = 0;
const READY: u8 = 1;
const FORKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(FRESH);

thread_local! {
    static PER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// `cuInit` succeeded.
pub fn set_ready() {
    STATE.store(READY, Release);
}

/// This process is a fork of one that had initialized the driver. Safe in a fork handler.
pub fn set_forked() {
    if STATE.load(Acquire) == READY {
        STATE.store(FORKED, Release);
    }
}

/// Whether this process may not use what its parent initialized.
pub fn forked() -> bool {
    STATE.load(Acquire) == FORKED
}

/// Whether the call that runs on this thread came through a `_ptsz` or `_ptds` symbol.
pub fn per_thread_default() -> bool {
    PER_THREAD.get()
}

/// A call that works before `cuInit`.
pub fn early(handler: impl FnOnce() -> Outcome) -> CUresult {
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Ok(())) => rc::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => rc::UNKNOWN,
    }
}

/// Any other call.
pub fn call(handler: impl FnOnce() -> Outcome) -> CUresult {
    if STATE.load(Acquire) != READY {
        return rc::NOT_INITIALIZED;
    }
    early(handler)
}

/// A call through a `_ptsz` or `_ptds` symbol: the default stream is the thread's own.
pub fn call_per_thread(handler: impl FnOnce() -> Outcome) -> CUresult {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            PER_THREAD.set(self.0);
        }
    }
    let _restore = Restore(PER_THREAD.replace(true));
    call(handler)
}

/// Writes a result; null is an invalid value.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put<T>(place: *mut T, value: T) -> Outcome {
    if place.is_null() {
        return Err(rc::INVALID_VALUE);
    }
    // SAFETY: not null, so writable by the caller's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Writes a result the caller may not want.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put_optional<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not null, so writable by the caller's contract.
        unsafe { place.write(value) };
    }
}

/// Fails with `code` unless `condition` holds.
pub fn require(condition: bool, code: CUresult) -> Outcome {
    if condition { Ok(()) } else { Err(code) }
}
