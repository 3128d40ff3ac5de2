//! Handlers of calls after which the driver holds memory of its own: code with its variables, stacks and
//! heaps.
//!
//! How much it is, the driver does not say before, and with lazy loading not even after. So nothing is
//! refused here; [`crate::usage`] is told to look at the driver's own figure, and what it finds is charged
//! and counts against the next allocation.

use core::ffi::{c_char, c_uint, c_void};

use cuda_sys::{CUjit_option, CUlibrary, CUlibraryOption, CUlimit, CUmodule, CUresult, fn_types};

use crate::{device, usage};

/// Passes the driver's answer on; if it did something, its memory is looked at.
fn noticed(result: CUresult) -> CUresult {
    if result == CUresult::CUDA_SUCCESS {
        // Code may be loaded for all devices, and without a context.
        device::attached().for_each(usage::changed);
    }
    result
}

/// # Safety
///
/// As `cuModuleLoad`.
pub unsafe fn load(
    real: fn_types::cuModuleLoad,
    module: *mut CUmodule,
    path: *const c_char,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe { real(module, path) })
}

/// # Safety
///
/// As `cuModuleLoadData` and `cuModuleLoadFatBinary`.
pub unsafe fn load_data(
    real: fn_types::cuModuleLoadData,
    module: *mut CUmodule,
    image: *const c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe { real(module, image) })
}

/// # Safety
///
/// As `cuModuleLoadDataEx`.
pub unsafe fn load_data_ex(
    real: fn_types::cuModuleLoadDataEx,
    module: *mut CUmodule,
    image: *const c_void,
    count: c_uint,
    options: *mut CUjit_option,
    values: *mut *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe { real(module, image, count, options, values) })
}

/// # Safety
///
/// As `cuModuleUnload`.
pub unsafe fn unload(real: fn_types::cuModuleUnload, module: CUmodule) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe { real(module) })
}

/// # Safety
///
/// As `cuLibraryLoadData` and `cuLibraryLoadFromFile`, whose second argument is an image or a path.
#[allow(clippy::too_many_arguments, reason = "the driver's")]
pub unsafe fn load_library<T>(
    real: LoadLibrary<T>,
    library: *mut CUlibrary,
    code: *const T,
    jit_options: *mut CUjit_option,
    jit_values: *mut *mut c_void,
    jit_count: c_uint,
    options: *mut CUlibraryOption,
    values: *mut *mut c_void,
    count: c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe {
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
    })
}

/// The type of `cuLibraryLoadData` and `cuLibraryLoadFromFile`.
type LoadLibrary<T> = unsafe extern "C" fn(
    *mut CUlibrary,
    *const T,
    *mut CUjit_option,
    *mut *mut c_void,
    c_uint,
    *mut CUlibraryOption,
    *mut *mut c_void,
    c_uint,
) -> CUresult;

/// # Safety
///
/// As `cuLibraryUnload`.
pub unsafe fn unload_library(real: fn_types::cuLibraryUnload, library: CUlibrary) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe { real(library) })
}

/// # Safety
///
/// As `cuCtxSetLimit`: sizes of stacks and of heaps on the device.
pub unsafe fn set_limit(real: fn_types::cuCtxSetLimit, limit: CUlimit, value: usize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed(unsafe { real(limit, value) })
}
