//! Handlers of calls after which the driver holds memory of its own: code with its variables, stacks and
//! heaps. Nothing is refused here: [`noticed`] says what happens instead.

use core::ffi::{c_char, c_int, c_uint, c_void};

use fcsp_program::memory::noticed;
use hip_sys::{fn_types, hipError_t, hipJitOption, hipLimit_t, hipModule_t};

use crate::context::taking;
use crate::driver::Hip;
use crate::since_7::fn_types as since_7;

/// # Safety
///
/// As `hipModuleLoad`.
pub unsafe fn load(
    real: fn_types::hipModuleLoad,
    module: *mut hipModule_t,
    path: *const c_char,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(taking(|| unsafe { real(module, path) }))
}

/// # Safety
///
/// As `hipModuleLoadData` and `hipModuleLoadFatBinary`.
pub unsafe fn load_data(
    real: fn_types::hipModuleLoadData,
    module: *mut hipModule_t,
    image: *const c_void,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(taking(|| unsafe { real(module, image) }))
}

/// # Safety
///
/// As `hipModuleLoadDataEx`.
pub unsafe fn load_data_ex(
    real: fn_types::hipModuleLoadDataEx,
    module: *mut hipModule_t,
    image: *const c_void,
    count: c_uint,
    options: *mut hipJitOption,
    values: *mut *mut c_void,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(taking(|| unsafe {
        real(module, image, count, options, values)
    }))
}

/// The type of `hipLibraryLoadData` and `hipLibraryLoadFromFile`.
type LoadLibrary<T> = unsafe extern "C" fn(
    *mut *mut c_void,
    *const T,
    *mut hipJitOption,
    *mut *mut c_void,
    c_uint,
    *mut c_int,
    *mut *mut c_void,
    c_uint,
) -> hipError_t;

/// # Safety
///
/// As `hipLibraryLoadData` and `hipLibraryLoadFromFile`, whose second argument is an image or a path.
#[allow(clippy::too_many_arguments, reason = "the driver's")]
pub unsafe fn load_library<T>(
    real: LoadLibrary<T>,
    library: *mut *mut c_void,
    code: *const T,
    jit_options: *mut hipJitOption,
    jit_values: *mut *mut c_void,
    jit_count: c_uint,
    options: *mut c_int,
    values: *mut *mut c_void,
    count: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(taking(|| unsafe {
        real(
            library,
            code,
            jit_options,
            jit_values,
            jit_count,
            options,
            values,
            count,
        )
    }))
}

/// # Safety
///
/// As `hipLibraryUnload`.
pub unsafe fn unload_library(real: since_7::hipLibraryUnload, library: *mut c_void) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(unsafe { real(library) })
}

/// # Safety
///
/// As `hipModuleUnload`.
pub unsafe fn unload(real: fn_types::hipModuleUnload, module: hipModule_t) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(unsafe { real(module) })
}

/// # Safety
///
/// As `hipDeviceSetLimit`: sizes of stacks and of heaps on the device.
pub unsafe fn set_limit(
    real: fn_types::hipDeviceSetLimit,
    limit: hipLimit_t,
    value: usize,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Hip>(unsafe { real(limit, value) })
}
