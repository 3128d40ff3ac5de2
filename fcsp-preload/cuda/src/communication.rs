//! Handlers of calls by which kernels get their names, and lose them: [`fcsp_program::kernels`].

use core::ffi::c_char;

use cuda_sys::{CUfunction, CUkernel, CUlibrary, CUmodule, CUresult, fn_types};
use fcsp_gate::Handle;
use fcsp_program::kernels::{also, forget, looked_up};

use crate::driver::Cuda;
use crate::memory;

/// # Safety
///
/// As `cuModuleGetFunction`.
pub unsafe fn function(
    real: fn_types::cuModuleGetFunction,
    function: *mut CUfunction,
    module: CUmodule,
    name: *const c_char,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { looked_up::<Cuda, _>(real(function, module, name), function, name) }
}

/// # Safety
///
/// As `cuLibraryGetKernel`.
pub unsafe fn kernel(
    real: fn_types::cuLibraryGetKernel,
    kernel: *mut CUkernel,
    library: CUlibrary,
    name: *const c_char,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { looked_up::<Cuda, _>(real(kernel, library, name), kernel, name) }
}

/// # Safety
///
/// As `cuKernelGetFunction`: the same kernel by another handle.
pub unsafe fn kernel_function(
    real: fn_types::cuKernelGetFunction,
    function: *mut CUfunction,
    kernel: CUkernel,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(function, kernel) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver accepted and filled the pointer.
        also(kernel.number(), unsafe { *function }.number());
    }
    result
}

/// # Safety
///
/// As `cuModuleUnload`.
pub unsafe fn unload(real: fn_types::cuModuleUnload, module: CUmodule) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { memory::code::unload(real, module) };
    forget();
    result
}

/// # Safety
///
/// As `cuLibraryUnload`.
pub unsafe fn unload_library(real: fn_types::cuLibraryUnload, library: CUlibrary) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { memory::code::unload_library(real, library) };
    forget();
    result
}
