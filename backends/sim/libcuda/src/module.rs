//! Modules and libraries: PTX text and the kernels it declares.
//!
//! Owns: which functions a program has and what their parameters look like. Only PTX text is
//! understood: a cubin or fat binary is refused with the driver's code for code it has no binary of.

use crate::border::{Outcome, put, rc, require};
use crate::context::current;
use crate::ptx;
use crate::types::*;
use cuda_sys::{CUfunction_attribute, CUjit_option, CUlibraryOption};
use fcsp_sim_driver::module;
pub use fcsp_sim_driver::module::*;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

/// Largest dynamic shared memory a kernel may opt in to (attribute 97 of the device).
pub const SHARED_OPTIN_BYTES: c_int = 232_448;

fn load(text: &[u8]) -> Result<u64, Failure> {
    let context = current()?;
    let source = std::str::from_utf8(text).map_err(|_| rc::INVALID_IMAGE)?;
    module::load(&context, ptx::parse(source).ok_or(rc::INVALID_PTX)?)
}

/// The image behind a pointer: text up to its NUL; binary images by their first bytes.
unsafe fn image<'a>(image: *const c_void) -> Result<&'a [u8], Failure> {
    require(!image.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller passed an image, which is never shorter than 4 bytes.
    let magic = unsafe { image.cast::<[u8; 4]>().read_unaligned() };
    let elf = magic == *b"\x7fELF";
    let fat = matches!(u32::from_le_bytes(magic), 0x466243b1 | 0xba55ed50);
    require(!elf && !fat, rc::NO_BINARY_FOR_GPU)?;
    // SAFETY: PTX passed to the driver ends with a NUL.
    Ok(unsafe { CStr::from_ptr(image.cast()) }.to_bytes())
}

/// `cuModuleLoadData` and `cuModuleLoadFatBinary`.
pub unsafe fn load_data(place: *mut ModuleHandle, data: *const c_void) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    let module = load(unsafe { image(data) }?)?;
    // SAFETY: checked above.
    unsafe { put(place, module as ModuleHandle) }
}

/// `cuModuleLoadDataEx`; there is nothing to tune in a simulated compiler.
pub unsafe fn load_data_ex(
    place: *mut ModuleHandle,
    data: *const c_void,
    _count: c_uint,
    _options: *mut CUjit_option,
    _values: *mut *mut c_void,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { load_data(place, data) }
}

unsafe fn read_file(name: *const c_char) -> Result<Vec<u8>, Failure> {
    require(!name.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated path.
    let path = unsafe { CStr::from_ptr(name) }
        .to_str()
        .map_err(|_| rc::FILE_NOT_FOUND)?;
    let mut bytes = std::fs::read(path).map_err(|_| rc::FILE_NOT_FOUND)?;
    bytes.extend([0; 4]);
    Ok(bytes)
}

/// `cuModuleLoad`.
pub unsafe fn load_file(place: *mut ModuleHandle, name: *const c_char) -> Outcome {
    // SAFETY: the same contract; the buffer ends with zeros.
    unsafe { load_data(place, read_file(name)?.as_ptr().cast()) }
}

/// `cuLibraryLoadData`.
#[expect(clippy::too_many_arguments, reason = "the driver's signature")]
pub unsafe fn library_load(
    place: *mut LibraryHandle,
    code: *const c_void,
    _jit: *mut CUjit_option,
    _jit_values: *mut *mut c_void,
    _jit_count: c_uint,
    _options: *mut CUlibraryOption,
    _values: *mut *mut c_void,
    _count: c_uint,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    let module = load(unsafe { image(code) }?)?;
    // SAFETY: checked above.
    unsafe { put(place, module::make_library(module) as LibraryHandle) }
}

/// `cuFuncGetAttribute`: what a small kernel compiled for this device reports.
pub unsafe fn attribute(
    place: *mut c_int,
    attribute: CUfunction_attribute,
    function: FunctionHandle,
) -> Outcome {
    let function = FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // Numbers of CUfunction_attribute in cuda.h.
    let value = match attribute.0 {
        0 => 1024,
        1..=3 => 0,
        4 => 32,
        5 | 6 => 90,
        7 => 0,
        8 => *function
            .dynamic_shared_bytes
            .lock()
            .unwrap_or_else(|e| e.into_inner()),
        9 => -1,
        10..=15 => 0,
        _ => return Err(rc::INVALID_VALUE),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, value) }
}

/// `cuFuncSetAttribute`.
pub unsafe fn set_attribute(
    function: FunctionHandle,
    attribute: CUfunction_attribute,
    value: c_int,
) -> Outcome {
    let function = FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    match attribute.0 {
        8 => {
            require((0..=SHARED_OPTIN_BYTES).contains(&value), rc::INVALID_VALUE)?;
            *function
                .dynamic_shared_bytes
                .lock()
                .unwrap_or_else(|e| e.into_inner()) = value;
            Ok(())
        }
        9 => require((-1..=100).contains(&value), rc::INVALID_VALUE),
        14 | 15 => Ok(()),
        _ => Err(rc::INVALID_VALUE),
    }
}

/// `cuKernelGetAttribute`.
pub unsafe fn kernel_attribute(
    place: *mut c_int,
    of: CUfunction_attribute,
    kernel: KernelHandle,
    device: c_int,
) -> Outcome {
    crate::driver::gpu(device)?;
    // SAFETY: the same contract.
    unsafe { attribute(place, of, kernel.cast()) }
}

/// `cuKernelSetAttribute`.
pub unsafe fn set_kernel_attribute(
    of: CUfunction_attribute,
    value: c_int,
    kernel: KernelHandle,
    device: c_int,
) -> Outcome {
    crate::driver::gpu(device)?;
    // SAFETY: the same contract.
    unsafe { set_attribute(kernel.cast(), of, value) }
}

/// `cuModuleGetLoadingMode`: everything is loaded at once.
pub unsafe fn loading_mode(place: *mut cuda_sys::CUmoduleLoadingMode) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe {
        put(
            place,
            cuda_sys::CUmoduleLoadingMode::CU_MODULE_EAGER_LOADING,
        )
    }
}

/// `cuFuncIsLoaded`.
pub unsafe fn is_loaded(
    place: *mut cuda_sys::CUfunctionLoadingState,
    function: FunctionHandle,
) -> Outcome {
    FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe {
        put(
            place,
            cuda_sys::CUfunctionLoadingState::CU_FUNCTION_LOADING_STATE_LOADED,
        )
    }
}
