//! The border between C and Rust: results, panics, out-parameters.

use rocm_smi_sys::rsmi_status_t;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a handler returns; the error is the code the program sees.
pub type Outcome = Result<(), rsmi_status_t>;

/// Short names of the result codes.
pub mod rc {
    use rocm_smi_sys::rsmi_status_t as R;
    macro_rules! codes {
        ($($name:ident = $full:ident),* $(,)?) => {
            $(pub const $name: R = R::$full;)*
        };
    }
    codes! {
        SUCCESS = RSMI_STATUS_SUCCESS,
        INVALID_ARGS = RSMI_STATUS_INVALID_ARGS,
        NOT_SUPPORTED = RSMI_STATUS_NOT_SUPPORTED,
        INIT_ERROR = RSMI_STATUS_INIT_ERROR,
        NOT_FOUND = RSMI_STATUS_NOT_FOUND,
        INSUFFICIENT_SIZE = RSMI_STATUS_INSUFFICIENT_SIZE,
        INTERNAL_EXCEPTION = RSMI_STATUS_INTERNAL_EXCEPTION,
    }
}

/// Runs a handler; a panic becomes an internal exception.
pub fn call(handler: impl FnOnce() -> Outcome) -> rsmi_status_t {
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Ok(())) => rc::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => rc::INTERNAL_EXCEPTION,
    }
}

/// Fails with `code` unless `condition` holds.
pub fn require(condition: bool, code: rsmi_status_t) -> Outcome {
    if condition { Ok(()) } else { Err(code) }
}

/// Writes a result; null asks whether the function is supported, in this library, and is refused here as an argument.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put<T>(place: *mut T, value: T) -> Outcome {
    require(!place.is_null(), rc::INVALID_ARGS)?;
    // SAFETY: not null, so writable by the caller's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Copies a text into a buffer of `room` bytes, cut and ended; a text that was cut is an error.
///
/// # Safety
/// `place` is null or has room for `room` bytes.
pub unsafe fn put_text(text: &str, place: *mut c_char, room: usize) -> Outcome {
    require(!place.is_null() && room > 0, rc::INVALID_ARGS)?;
    let bytes = &text.as_bytes()[..text.len().min(room - 1)];
    // SAFETY: the caller's buffer has room for as much.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr(), place.cast(), bytes.len());
        place.add(bytes.len()).write(0);
    }
    require(bytes.len() == text.len(), rc::INSUFFICIENT_SIZE)
}
