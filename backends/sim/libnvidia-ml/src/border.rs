//! The border between C and Rust: results, panics, out-parameters.

use cuda_sys::nvmlReturn_t;
use std::ffi::{c_char, c_uint};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a handler returns; the error is the code the program sees.
pub type Outcome = Result<(), nvmlReturn_t>;

/// Short names of the result codes.
pub mod rc {
    use cuda_sys::nvmlReturn_t as R;
    macro_rules! codes {
        ($($name:ident = $full:ident),* $(,)?) => {
            $(pub const $name: R = R::$full;)*
        };
    }
    codes! {
        SUCCESS = NVML_SUCCESS,
        UNINITIALIZED = NVML_ERROR_UNINITIALIZED,
        INVALID_ARGUMENT = NVML_ERROR_INVALID_ARGUMENT,
        NOT_SUPPORTED = NVML_ERROR_NOT_SUPPORTED,
        NOT_FOUND = NVML_ERROR_NOT_FOUND,
        INSUFFICIENT_SIZE = NVML_ERROR_INSUFFICIENT_SIZE,
        DRIVER_NOT_LOADED = NVML_ERROR_DRIVER_NOT_LOADED,
        VERSION_MISMATCH = NVML_ERROR_ARGUMENT_VERSION_MISMATCH,
        UNKNOWN = NVML_ERROR_UNKNOWN,
    }
}

/// Runs a handler; a panic becomes an unknown error.
pub fn call(handler: impl FnOnce() -> Outcome) -> nvmlReturn_t {
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Ok(())) => rc::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => rc::UNKNOWN,
    }
}

/// Fails with `code` unless `condition` holds.
pub fn require(condition: bool, code: nvmlReturn_t) -> Outcome {
    if condition { Ok(()) } else { Err(code) }
}

/// Writes a result; null is an invalid argument.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put<T>(place: *mut T, value: T) -> Outcome {
    require(!place.is_null(), rc::INVALID_ARGUMENT)?;
    // SAFETY: not null, so writable by the caller's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Copies a text into a buffer of `room` bytes; a buffer that is too small is an error.
///
/// # Safety
/// `place` is null or has room for `room` bytes.
pub unsafe fn put_text(text: &str, place: *mut c_char, room: c_uint) -> Outcome {
    require(!place.is_null(), rc::INVALID_ARGUMENT)?;
    require(text.len() < room as usize, rc::INSUFFICIENT_SIZE)?;
    // SAFETY: checked above.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), place.cast(), text.len());
        place.add(text.len()).write(0);
    }
    Ok(())
}
