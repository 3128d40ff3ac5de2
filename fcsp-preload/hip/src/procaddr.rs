//! `hipGetProcAddress`: how programs find functions by name and version.
//!
//! The driver decides which function a name means, by requested version and flags (legacy or per-thread default
//! stream); we replace the address it returns if a row of the table lives there.

use core::ffi::{CStr, c_char, c_int, c_void};

use fcsp_preload::procaddr::substitute;
use hip_sys::{fn_types, hipDriverProcAddressQueryResult, hipError_t};

use crate::hooks::HIP;

/// # Safety
///
/// As `hipGetProcAddress`.
pub unsafe fn get(
    real: fn_types::hipGetProcAddress,
    symbol: *const c_char,
    function: *mut *mut c_void,
    version: c_int,
    flags: u64,
    status: *mut hipDriverProcAddressQueryResult,
) -> hipError_t {
    // SAFETY: the program's own arguments.
    let result = unsafe { real(symbol, function, version, flags, status) };
    if result == hipError_t::hipSuccess && !symbol.is_null() && !function.is_null() {
        // SAFETY: the driver accepted both pointers: a string, and a place for an address.
        unsafe { *function = substitute(&HIP, *function, Some(CStr::from_ptr(symbol))) };
    }
    result
}
