//! Handlers of calls by which kernels get their names, and lose them: [`fcsp_program::kernels`].

use core::ffi::{c_char, c_void};

use fcsp_program::kernels::{forget, looked_up};
use hip_sys::{fn_types, hipError_t, hipFunction_t, hipModule_t};

use crate::driver::Hip;
use crate::memory;
use crate::since_7::fn_types as since_7;

/// # Safety
///
/// As `hipModuleGetFunction`.
pub unsafe fn function(
    real: fn_types::hipModuleGetFunction,
    function: *mut hipFunction_t,
    module: hipModule_t,
    name: *const c_char,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    unsafe { looked_up::<Hip, _>(real(function, module, name), function, name) }
}

/// # Safety
///
/// As `hipModuleUnload`.
pub unsafe fn unload(real: fn_types::hipModuleUnload, module: hipModule_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { memory::code::unload(real, module) };
    forget();
    result
}

/// # Safety
///
/// As `hipLibraryUnload`.
pub unsafe fn unload_library(real: since_7::hipLibraryUnload, library: *mut c_void) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { memory::code::unload_library(real, library) };
    forget();
    result
}
