//! Handlers of calls after which the driver holds memory of its own: code with its variables, stacks and
//! heaps. Nothing is refused here: [`noticed`] says what happens instead.

use core::ffi::{c_char, c_uint, c_void};

use fcsp_program::memory::noticed;
use hip_sys::{fn_types, hipError_t, hipJitOption, hipLimit_t, hipModule_t};

use crate::context::taking;
use crate::driver::Hip;

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
/// As `hipModuleLoadData`.
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
