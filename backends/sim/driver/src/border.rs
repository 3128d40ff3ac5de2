//! The border between C and Rust: what every exported function has in common.
//!
//! Owns: whether the process may use the driver (initialized, not forked), the per-thread-default-stream mode of a call,
//! results, and that no panic crosses into C. Sits between a vendor's exports and the handlers.

use crate::Failure;
use std::cell::Cell;
use std::ffi::{CStr, CString, c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What a handler returns; the error is the code the program sees.
pub type Outcome = Result<(), Failure>;

/// Names of the result codes; the numbers are CUDA's, and HIP's are the same.
#[allow(missing_docs, reason = "the names say it")]
pub mod rc {
    use crate::Failure;
    macro_rules! codes {
        ($($name:ident = $code:literal),* $(,)?) => {
            $(pub const $name: Failure = Failure($code);)*
        };
    }
    codes! {
        SUCCESS = 0,
        INVALID_VALUE = 1,
        OUT_OF_MEMORY = 2,
        NOT_INITIALIZED = 3,
        NO_DEVICE = 100,
        INVALID_DEVICE = 101,
        INVALID_IMAGE = 200,
        INVALID_CONTEXT = 201,
        NO_BINARY_FOR_GPU = 209,
        INVALID_PTX = 218,
        FILE_NOT_FOUND = 301,
        OPERATING_SYSTEM = 304,
        INVALID_HANDLE = 400,
        ILLEGAL_STATE = 401,
        NOT_FOUND = 500,
        NOT_READY = 600,
        ILLEGAL_ADDRESS = 700,
        CONTEXT_IS_DESTROYED = 709,
        HOST_MEMORY_ALREADY_REGISTERED = 712,
        HOST_MEMORY_NOT_REGISTERED = 713,
        COOPERATIVE_LAUNCH_TOO_LARGE = 720,
        NOT_SUPPORTED = 801,
        STREAM_CAPTURE_UNSUPPORTED = 900,
        STREAM_CAPTURE_INVALIDATED = 901,
        STREAM_CAPTURE_MERGE = 902,
        STREAM_CAPTURE_UNMATCHED = 903,
        STREAM_CAPTURE_UNJOINED = 904,
        STREAM_CAPTURE_ISOLATION = 905,
        CAPTURED_EVENT = 907,
        STREAM_CAPTURE_WRONG_THREAD = 908,
        GRAPH_EXEC_UPDATE_FAILURE = 910,
        UNKNOWN = 999,
    }
}

const FRESH: u8 = 0;
const READY: u8 = 1;
const FORKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(FRESH);

thread_local! {
    static PER_THREAD: Cell<bool> = const { Cell::new(false) };
}

/// Initialization succeeded.
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

/// Whether the default stream of the call that runs on this thread is the thread's own.
pub fn per_thread_default() -> bool {
    PER_THREAD.get()
}

/// Whether the driver is initialized and this process may use it.
pub fn ready() -> bool {
    STATE.load(Acquire) == READY
}

/// Runs a handler; a panic becomes [`rc::UNKNOWN`].
pub fn guarded(handler: impl FnOnce() -> Outcome) -> Outcome {
    catch_unwind(AssertUnwindSafe(handler)).unwrap_or(Err(rc::UNKNOWN))
}

/// Runs `call` with the thread's own default stream in the place of the legacy one.
pub fn with_own_default_stream<R>(call: impl FnOnce() -> R) -> R {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            PER_THREAD.set(self.0);
        }
    }
    let _restore = Restore(PER_THREAD.replace(true));
    call()
}

/// Hands out a text that lives as long as the process.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put_static_text(text: &'static str, place: *mut *const c_char) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put(place, static_text(text)?.as_ptr()) }
}

/// A text with a NUL that lives as long as the process; the same one every time.
pub fn static_text(text: &'static str) -> Result<&'static CStr, Failure> {
    static TEXTS: Mutex<Vec<&'static CStr>> = Mutex::new(Vec::new());
    let mut texts = TEXTS.lock().unwrap_or_else(|e| e.into_inner());
    let found = texts
        .iter()
        .find(|known| known.to_bytes() == text.as_bytes())
        .copied();
    if let Some(kept) = found {
        return Ok(kept);
    }
    let made = CString::new(text).map_err(|_| rc::UNKNOWN)?;
    let made: &'static CStr = Box::leak(made.into_boxed_c_str());
    texts.push(made);
    Ok(made)
}

/// Copies a text into a buffer of `room` bytes, cut to fit and ended.
///
/// # Safety
/// `place` is null or has room for `room` bytes.
pub unsafe fn put_text(text: &str, place: *mut c_char, room: c_int) -> Outcome {
    require(!place.is_null() && room > 0, rc::INVALID_VALUE)?;
    let bytes = &text.as_bytes()[..text.len().min(room as usize - 1)];
    // SAFETY: the caller's buffer has room for `room` bytes.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len());
        place.add(bytes.len()).write(0);
    }
    Ok(())
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
pub fn require(condition: bool, code: Failure) -> Outcome {
    if condition { Ok(()) } else { Err(code) }
}
