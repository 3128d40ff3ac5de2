//! The border between C and Rust: results, panics, out-parameters.

use rocm_smi_sys::amdsmi_status_t;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a handler returns; the error is the code the program sees.
pub type Outcome = Result<(), amdsmi_status_t>;

/// Short names of the result codes.
pub mod rc {
    use rocm_smi_sys::amdsmi_status_t as R;
    macro_rules! codes {
        ($($name:ident = $full:ident),* $(,)?) => {
            $(pub const $name: R = R::$full;)*
        };
    }
    codes! {
        SUCCESS = AMDSMI_STATUS_SUCCESS,
        INVAL = AMDSMI_STATUS_INVAL,
        NOT_SUPPORTED = AMDSMI_STATUS_NOT_SUPPORTED,
        NOT_INIT = AMDSMI_STATUS_NOT_INIT,
        NOT_FOUND = AMDSMI_STATUS_NOT_FOUND,
        INIT_ERROR = AMDSMI_STATUS_INIT_ERROR,
        OUT_OF_RESOURCES = AMDSMI_STATUS_OUT_OF_RESOURCES,
        INSUFFICIENT_SIZE = AMDSMI_STATUS_INSUFFICIENT_SIZE,
        INTERNAL_EXCEPTION = AMDSMI_STATUS_INTERNAL_EXCEPTION,
    }
}

/// Runs a handler; a panic becomes an internal exception.
pub fn call(handler: impl FnOnce() -> Outcome) -> amdsmi_status_t {
    match catch_unwind(AssertUnwindSafe(handler)) {
        Ok(Ok(())) => rc::SUCCESS,
        Ok(Err(code)) => code,
        Err(_) => rc::INTERNAL_EXCEPTION,
    }
}

/// Fails with `code` unless `condition` holds.
pub fn require(condition: bool, code: amdsmi_status_t) -> Outcome {
    if condition { Ok(()) } else { Err(code) }
}

/// Writes a result; null is an invalid argument.
///
/// # Safety
/// `place` is null or writable.
pub unsafe fn put<T>(place: *mut T, value: T) -> Outcome {
    require(!place.is_null(), rc::INVAL)?;
    // SAFETY: not null, so writable by the caller's contract.
    unsafe { place.write(value) };
    Ok(())
}

/// Writes a list the way the library does: null asks for the number only, and `count` says how much room there is, then how
/// much was written.
///
/// # Safety
/// `count` is null or readable and writable; `place` is null or has room for so many.
pub unsafe fn put_list<T: Copy>(items: &[T], place: *mut T, count: *mut u32) -> Outcome {
    require(!count.is_null(), rc::INVAL)?;
    // SAFETY: checked above; the caller says how much room there is.
    unsafe {
        if place.is_null() {
            return put(count, items.len() as u32);
        }
        let room = (count.read() as usize).min(items.len());
        for (at, item) in items.iter().take(room).enumerate() {
            place.add(at).write(*item);
        }
        put(count, room as u32)?;
        require(room == items.len(), rc::OUT_OF_RESOURCES)
    }
}

/// Writes a text into a field of characters, cut to fit and ended.
pub fn write_text<const N: usize>(field: &mut [c_char; N], text: &str) {
    for (place, byte) in field.iter_mut().zip(text.bytes().take(N - 1)) {
        *place = byte as c_char;
    }
}
