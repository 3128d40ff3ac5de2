//! `cuGetProcAddress`: how the CUDA runtime finds nearly every driver function.
//!
//! The driver decides which function a name means, by requested version and flags (legacy or per-thread default
//! stream); we replace the address it returns if a row of the table lives there. So an old caller keeps the old ABI, a
//! function the driver does not have is reported missing, and `symbolStatus` is the driver's own.

use core::ffi::{CStr, c_char, c_int, c_void};

use cuda_sys::{CUdriverProcAddressQueryResult, CUresult, cuuint64_t, fn_types};
use fcsp_preload::procaddr::substitute;

use crate::hooks::CUDA;

/// `cuGetProcAddress` of CUDA 11.3 to 11.8.
///
/// # Safety
///
/// As the driver's function.
pub unsafe fn get(
    real: fn_types::cuGetProcAddress,
    symbol: *const c_char,
    function: *mut *mut c_void,
    version: c_int,
    flags: cuuint64_t,
) -> CUresult {
    // SAFETY: the program's own arguments.
    let result = unsafe { real(symbol, function, version, flags) };
    // SAFETY: as above, and the driver has filled `function` in.
    unsafe { replace(result, symbol, function) };
    result
}

/// `cuGetProcAddress` since CUDA 12.0, which also says why a function is missing.
///
/// # Safety
///
/// As the driver's function.
pub unsafe fn get_v2(
    real: fn_types::cuGetProcAddress_v2,
    symbol: *const c_char,
    function: *mut *mut c_void,
    version: c_int,
    flags: cuuint64_t,
    status: *mut CUdriverProcAddressQueryResult,
) -> CUresult {
    // SAFETY: the program's own arguments.
    let result = unsafe { real(symbol, function, version, flags, status) };
    // SAFETY: as above, and the driver has filled `function` in.
    unsafe { replace(result, symbol, function) };
    result
}

/// # Safety
///
/// The program's arguments, after a driver call that returned `result`.
unsafe fn replace(result: CUresult, symbol: *const c_char, function: *mut *mut c_void) {
    if result != CUresult::CUDA_SUCCESS || symbol.is_null() || function.is_null() {
        return;
    }
    // SAFETY: the driver accepted both pointers: a string, and a place for an address.
    unsafe { *function = substitute(&CUDA, *function, Some(CStr::from_ptr(symbol))) };
}
