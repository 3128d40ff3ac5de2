//! Handlers of calls after which the driver holds memory of its own: code with its variables, stacks and
//! heaps.
//! Nothing is refused here: [`noticed`] says what happens instead.

use core::ffi::{c_char, c_uint, c_void};

use cuda_sys::{CUjit_option, CUlibrary, CUlibraryOption, CUlimit, CUmodule, CUresult, fn_types};
use fcsp_program::memory::noticed;

use crate::driver::Cuda;

/// # Safety
///
/// As `cuModuleLoad`.
pub unsafe fn load(
    real: fn_types::cuModuleLoad,
    module: *mut CUmodule,
    path: *const c_char,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed::<Cuda>(unsafe { real(module, path) })
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
    noticed::<Cuda>(unsafe { real(module, image) })
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
    noticed::<Cuda>(unsafe { real(module, image, count, options, values) })
}

/// # Safety
///
/// As `cuModuleUnload`.
pub unsafe fn unload(real: fn_types::cuModuleUnload, module: CUmodule) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed::<Cuda>(unsafe { real(module) })
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
    noticed::<Cuda>(unsafe {
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
    noticed::<Cuda>(unsafe { real(library) })
}

/// # Safety
///
/// As `cuCtxSetLimit`: sizes of stacks and of heaps on the device.
pub unsafe fn set_limit(real: fn_types::cuCtxSetLimit, limit: CUlimit, value: usize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    noticed::<Cuda>(unsafe { real(limit, value) })
}
