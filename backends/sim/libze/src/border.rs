//! The border between C and Rust: what every function has in common.
//!
//! Owns: that the driver is initialized and not inherited by fork, and that no panic crosses into C.

use level_zero_sys::ze_result_t;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What a handler returns; the error is the code the program sees.
pub type Outcome = Result<(), ze_result_t>;

/// Short names of the result codes.
pub mod rc {
    use level_zero_sys::ze_result_t as R;
    macro_rules! codes {
        ($($name:ident = $full:ident),* $(,)?) => {
            $(pub const $name: R = R::$full;)*
        };
    }
    codes! {
        SUCCESS = ZE_RESULT_SUCCESS,
        NOT_READY = ZE_RESULT_NOT_READY,
        UNINITIALIZED = ZE_RESULT_ERROR_UNINITIALIZED,
        UNKNOWN = ZE_RESULT_ERROR_UNKNOWN,
        UNSUPPORTED_VERSION = ZE_RESULT_ERROR_UNSUPPORTED_VERSION,
        UNSUPPORTED_FEATURE = ZE_RESULT_ERROR_UNSUPPORTED_FEATURE,
        UNSUPPORTED_SIZE = ZE_RESULT_ERROR_UNSUPPORTED_SIZE,
        UNSUPPORTED_ALIGNMENT = ZE_RESULT_ERROR_UNSUPPORTED_ALIGNMENT,
        UNSUPPORTED_ENUMERATION = ZE_RESULT_ERROR_UNSUPPORTED_ENUMERATION,
        UNSUPPORTED_IMAGE_FORMAT = ZE_RESULT_ERROR_UNSUPPORTED_IMAGE_FORMAT,
        OUT_OF_HOST_MEMORY = ZE_RESULT_ERROR_OUT_OF_HOST_MEMORY,
        OUT_OF_DEVICE_MEMORY = ZE_RESULT_ERROR_OUT_OF_DEVICE_MEMORY,
        NULL_HANDLE = ZE_RESULT_ERROR_INVALID_NULL_HANDLE,
        NULL_POINTER = ZE_RESULT_ERROR_INVALID_NULL_POINTER,
        INVALID_SIZE = ZE_RESULT_ERROR_INVALID_SIZE,
        INVALID_ARGUMENT = ZE_RESULT_ERROR_INVALID_ARGUMENT,
        INVALID_ENUMERATION = ZE_RESULT_ERROR_INVALID_ENUMERATION,
        INVALID_NATIVE_BINARY = ZE_RESULT_ERROR_INVALID_NATIVE_BINARY,
        MODULE_BUILD_FAILURE = ZE_RESULT_ERROR_MODULE_BUILD_FAILURE,
        INVALID_KERNEL_NAME = ZE_RESULT_ERROR_INVALID_KERNEL_NAME,
        INVALID_ARGUMENT_INDEX = ZE_RESULT_ERROR_INVALID_KERNEL_ARGUMENT_INDEX,
        INVALID_ARGUMENT_SIZE = ZE_RESULT_ERROR_INVALID_KERNEL_ARGUMENT_SIZE,
        INVALID_GROUP_SIZE = ZE_RESULT_ERROR_INVALID_GROUP_SIZE_DIMENSION,
        OBJECT_IN_USE = ZE_RESULT_ERROR_HANDLE_OBJECT_IN_USE,
    }
}

const FRESH: u8 = 0;
const READY: u8 = 1;
const FORKED: u8 = 2;

static STATE: AtomicU8 = AtomicU8::new(FRESH);

/// An initialization succeeded.
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

/// A call that works before initialization.
pub fn early(handler: impl FnOnce() -> Outcome) -> ze_result_t {
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Ok(())) => rc::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => rc::UNKNOWN,
    }
}

/// Any other call.
pub fn call(handler: impl FnOnce() -> Outcome) -> ze_result_t {
    if STATE.load(Acquire) != READY {
        return rc::UNINITIALIZED;
    }
    early(handler)
}

/// A call that returns a handle, or null.
pub fn handle<T>(handler: impl FnOnce() -> Result<*mut T, ze_result_t>) -> *mut T {
    value(handler, std::ptr::null_mut())
}

/// A call that returns a number, or the largest.
pub fn number(handler: impl FnOnce() -> Result<u32, ze_result_t>) -> u32 {
    value(handler, u32::MAX)
}

fn value<T>(handler: impl FnOnce() -> Result<T, ze_result_t>, otherwise: T) -> T {
    let mut found = None;
    // Such a call has no way to say why it failed.
    let _ = call(|| {
        found = Some(handler()?);
        Ok(())
    });
    found.unwrap_or(otherwise)
}

/// Fails with `code` unless `condition` holds.
pub fn require(condition: bool, code: ze_result_t) -> Outcome {
    if condition { Ok(()) } else { Err(code) }
}

/// Writes a result.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put<T>(place: *mut T, value: T) -> Outcome {
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: not null, so writable by the caller's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// What a descriptor or an output structure holds.
///
/// # Safety
/// `place` is null or valid, and nobody else writes to it during the call.
pub unsafe fn at<'a, T>(place: *mut T) -> Result<&'a mut T, ze_result_t> {
    // SAFETY: the caller's contract.
    unsafe { place.as_mut() }.ok_or(rc::NULL_POINTER)
}

/// What a descriptor holds.
///
/// # Safety
/// `place` is null or readable.
pub unsafe fn read<'a, T>(place: *const T) -> Result<&'a T, ze_result_t> {
    // SAFETY: the caller's contract.
    unsafe { place.as_ref() }.ok_or(rc::NULL_POINTER)
}

/// Level Zero's way to return a list: a count of 0 asks how many there are, any other is the room there is.
///
/// # Safety
/// `count` is null or valid, and `out` is null or has room for that many.
pub unsafe fn list<T, U>(
    count: *mut u32,
    out: *mut T,
    items: &[U],
    mut write: impl FnMut(&mut T, &U),
) -> Outcome {
    // SAFETY: the same contract.
    let count = unsafe { at(count) }?;
    if *count == 0 || out.is_null() {
        *count = items.len() as u32;
        return Ok(());
    }
    *count = (*count).min(items.len() as u32);
    for (index, item) in items.iter().take(*count as usize).enumerate() {
        // SAFETY: within the room the caller promised.
        write(unsafe { &mut *out.add(index) }, item);
    }
    Ok(())
}

/// Writes a text and its NUL into a field; what does not fit is cut off.
pub fn put_text<const N: usize>(field: &mut [std::ffi::c_char; N], text: &str) {
    field.fill(0);
    for (place, byte) in field.iter_mut().zip(text.bytes().take(N - 1)) {
        *place = byte as std::ffi::c_char;
    }
}
