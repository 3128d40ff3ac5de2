//! `hipGetProcAddress` and, since version 7, `hipGetDriverEntryPoint`: how programs find functions by name and version.
//!
//! The driver decides which function a name means, by requested version and flags (legacy or per-thread default
//! stream); we replace the address it returns if a row of the table lives there.

use core::ffi::{CStr, c_char, c_int, c_ulonglong, c_void};

use fcsp_preload::procaddr::substitute;
use hip_sys::{fn_types, hipDriverProcAddressQueryResult, hipError_t};

use crate::hooks::{HIP, HIP_7};
use crate::since_7::fn_types as since_7;

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
    // SAFETY: as above, and the driver has filled `function` in.
    unsafe { replace(result, symbol, function) };
    result
}

/// # Safety
///
/// As `hipGetDriverEntryPoint` and `hipGetDriverEntryPoint_spt`.
pub unsafe fn entry_point(
    real: since_7::hipGetDriverEntryPoint,
    symbol: *const c_char,
    function: *mut *mut c_void,
    flags: c_ulonglong,
    status: *mut c_int,
) -> hipError_t {
    // SAFETY: the program's own arguments.
    let result = unsafe { real(symbol, function, flags, status) };
    // SAFETY: as above, and the driver has filled `function` in.
    unsafe { replace(result, symbol, function) };
    result
}

/// # Safety
///
/// The program's arguments, after a driver call that returned `result`.
unsafe fn replace(result: hipError_t, symbol: *const c_char, function: *mut *mut c_void) {
    if result != hipError_t::hipSuccess || symbol.is_null() || function.is_null() {
        return;
    }
    // SAFETY: the driver accepted both pointers: a string, and a place for an address.
    let (name, found) = unsafe { (CStr::from_ptr(symbol), *function) };
    let ours = [&HIP, &HIP_7].map(|table| substitute(table, found, Some(name)));
    if let Some(ours) = ours.into_iter().find(|it| *it != found) {
        // SAFETY: as above.
        unsafe { *function = ours };
    }
}
