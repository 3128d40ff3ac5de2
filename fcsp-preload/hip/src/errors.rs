//! The thread's last error, which the driver keeps for the program: our own calls leave no trace in it.
//!
//! What fails in a call of ours is taken out again ([`quietly`]). An error of the program's that is lost by that, or that
//! a call of ours would overwrite in a version that keeps the result of every call, is owed to the program: it gets it
//! when it asks, unless the driver has a newer one.

use core::cell::Cell;

use hip_sys::{fn_types, hipError_t};

use crate::hooks::hip;

thread_local! {
    static OWED: Cell<hipError_t> = const { Cell::new(hipError_t::hipSuccess) };
}

/// Makes a call of ours that may fail.
#[inline]
pub fn quietly<R>(call: impl FnOnce() -> R) -> R {
    let before = peeked();
    let result = call();
    if peeked() != before {
        take_back(before);
    }
    result
}

fn peeked() -> Option<hipError_t> {
    // SAFETY: no arguments.
    hip::hipPeekAtLastError.get().map(|peek| unsafe { peek() })
}

#[cold]
fn take_back(before: Option<hipError_t>) {
    if let Some(get) = hip::hipGetLastError.get() {
        // SAFETY: no arguments; what it gives is ours.
        let _ours = unsafe { get() };
    }
    if let Some(theirs) = before.filter(|code| *code != hipError_t::hipSuccess) {
        OWED.set(theirs);
    }
}

/// The result of a call of the program's, after which calls of ours follow.
#[inline]
pub fn kept(result: hipError_t) -> hipError_t {
    if result != hipError_t::hipSuccess {
        OWED.set(result);
    }
    result
}

fn newer(driver: hipError_t, owed: hipError_t) -> hipError_t {
    if driver == hipError_t::hipSuccess {
        owed
    } else {
        driver
    }
}

/// # Safety
///
/// As `hipGetLastError`.
pub unsafe fn take(real: fn_types::hipGetLastError) -> hipError_t {
    let owed = OWED.replace(hipError_t::hipSuccess);
    // SAFETY: the program's own call, passed on.
    newer(unsafe { real() }, owed)
}

/// # Safety
///
/// As `hipPeekAtLastError`.
pub unsafe fn peek(real: fn_types::hipPeekAtLastError) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    newer(unsafe { real() }, OWED.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_owed_is_told_once_and_after_what_is_newer() {
        unsafe extern "C" fn nothing() -> hipError_t {
            hipError_t::hipSuccess
        }
        unsafe extern "C" fn newer() -> hipError_t {
            hipError_t::hipErrorInvalidValue
        }
        kept(hipError_t::hipErrorOutOfMemory);
        // SAFETY: functions above.
        unsafe {
            assert_eq!(peek(nothing), hipError_t::hipErrorOutOfMemory);
            assert_eq!(take(nothing), hipError_t::hipErrorOutOfMemory);
            assert_eq!(take(nothing), hipError_t::hipSuccess);
            kept(hipError_t::hipErrorOutOfMemory);
            assert_eq!(take(newer), hipError_t::hipErrorInvalidValue);
            assert_eq!(take(nothing), hipError_t::hipSuccess);
        }
    }
}
