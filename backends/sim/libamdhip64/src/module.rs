//! Modules from images and files, and what functions say about themselves.

use crate::border::{Outcome, put, put_optional, rc, refuse, require};
use crate::code_object::{self, Unusable};
use crate::registry;
use fcsp_sim_driver::driver::profile;
use fcsp_sim_driver::module::{self, FUNCTIONS, MODULES};
use fcsp_sim_driver::types::{Address, FunctionHandle, ModuleHandle};
use fcsp_sim_driver::{Failure, context};
use hip_sys::{hipError_t, hipFuncAttributes};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};

/// Loads the code for this device out of a bundle or code object.
///
/// # Safety
/// As [`code_object::find`].
pub unsafe fn load(image: *const u8) -> Result<ModuleHandle, Failure> {
    // SAFETY: the same contract.
    let code = unsafe { code_object::find(image) }.and_then(code_object::read);
    let code = match code {
        Ok(code) => code,
        Err(Unusable::Image) => return refuse(hipError_t::hipErrorInvalidImage),
        Err(Unusable::Processor) => return refuse(hipError_t::hipErrorNoBinaryForGpu),
    };
    let handle = module::load(&*context::current()?, code.program)? as ModuleHandle;
    for (name, data) in code.contents {
        let name = CString::new(name).map_err(|_| rc::INVALID_IMAGE)?;
        let (mut address, mut bytes): (Address, usize) = (0, 0);
        // SAFETY: places for the results; the variable was just made, with that size.
        unsafe {
            module::get_global(&mut address, &mut bytes, handle, name.as_ptr())?;
            std::ptr::copy_nonoverlapping(data.as_ptr(), address as *mut u8, bytes.min(data.len()));
        }
    }
    Ok(handle)
}

/// `hipModuleLoadData`.
pub unsafe fn load_data(place: *mut ModuleHandle, image: *const c_void) -> Outcome {
    require(!place.is_null() && !image.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { put(place, load(image.cast())?) }
}

/// `hipModuleLoadDataEx`; there is nothing to tune in a simulated compiler.
pub unsafe fn load_data_ex(
    place: *mut ModuleHandle,
    image: *const c_void,
    _count: c_uint,
    _options: *mut c_uint,
    _values: *mut *mut c_void,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { load_data(place, image) }
}

/// `hipModuleLoad`.
pub unsafe fn load_file(place: *mut ModuleHandle, name: *const c_char) -> Outcome {
    require(!place.is_null() && !name.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated path.
    let path = unsafe { CStr::from_ptr(name) }
        .to_str()
        .map_err(|_| rc::FILE_NOT_FOUND)?;
    let bytes = std::fs::read(path).map_err(|_| rc::FILE_NOT_FOUND)?;
    require(bytes.len() >= 64, rc::INVALID_IMAGE)?;
    // SAFETY: a file of at least a header; what a bundle's table names is inside it if the file is whole, and the real
    // library trusts it as well.
    unsafe { load_data(place, bytes.as_ptr().cast()) }
}

/// `hipModuleUnload`.
pub unsafe fn unload(handle: ModuleHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { module::unload(handle) }
}

/// `hipModuleGetGlobal`.
pub unsafe fn get_global(
    address: *mut Address,
    bytes: *mut usize,
    handle: ModuleHandle,
    name: *const c_char,
) -> Outcome {
    MODULES.get(handle).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the same contract.
    unsafe { module::get_global(address, bytes, handle, name) }
}

/// `hipFuncGetAttribute`: what a small kernel reports.
pub unsafe fn attribute(place: *mut c_int, attribute: c_uint, function: FunctionHandle) -> Outcome {
    let function = FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // Numbers of hipFunction_attribute in hip_runtime_api.h.
    let value = match attribute {
        0 => 1024,
        1..=3 | 7 => 0,
        4 => 32,
        5 | 6 => 90,
        8 => *function
            .dynamic_shared_bytes
            .lock()
            .unwrap_or_else(|e| e.into_inner()),
        9 => 0,
        _ => return Err(rc::INVALID_VALUE),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, value) }
}

/// `hipFuncGetAttributes`, by the host's function.
pub unsafe fn attributes(place: *mut hipFuncAttributes, function: *const c_void) -> Outcome {
    registry::function(function)?;
    let attributes = hipFuncAttributes {
        binaryVersion: 90,
        maxDynamicSharedSizeBytes: profile().shared_bytes_max as c_int,
        maxThreadsPerBlock: 1024,
        numRegs: 32,
        ..hipFuncAttributes::default()
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, attributes) }
}

/// `hipFuncSetAttribute`: the largest dynamic shared memory, and how it is carved out.
pub unsafe fn set_attribute(function: *const c_void, attribute: c_uint, value: c_int) -> Outcome {
    registry::function(function)?;
    let most = profile().shared_bytes_max as c_int;
    match attribute {
        8 => require((0..=most).contains(&value), rc::INVALID_VALUE),
        9 => require((-1..=100).contains(&value), rc::INVALID_VALUE),
        _ => Err(rc::INVALID_VALUE),
    }
}

/// `hipFuncSetCacheConfig` and `hipFuncSetSharedMemConfig`: hints that no AMD device follows.
pub unsafe fn set_hint(function: *const c_void, _hint: c_uint) -> Outcome {
    registry::function(function).map(drop)
}

/// `hipGetFuncBySymbol`.
pub unsafe fn by_symbol(place: *mut FunctionHandle, function: *const c_void) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, registry::function(function)?) }
}

/// `hipKernelNameRef`.
pub fn name(function: hip_sys::hipFunction_t) -> *const c_char {
    let found = FUNCTIONS.get(function);
    found.map_or(std::ptr::null(), |function| function.name.as_ptr())
}

/// `hipKernelNameRefByPtr`.
pub fn name_by_host(function: *const c_void, _stream: hip_sys::hipStream_t) -> *const c_char {
    let entered = crate::driver::ensure().and_then(|()| crate::border::enter());
    match entered.and_then(|()| registry::function(function)) {
        Ok(handle) => name(handle.cast()),
        Err(_) => std::ptr::null(),
    }
}

/// `hipGetSymbolAddress`.
pub unsafe fn symbol_address(place: *mut *mut c_void, symbol: *const c_void) -> Outcome {
    let (address, _) = registry::variable(symbol)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, address as *mut c_void) }
}

/// `hipGetSymbolSize`.
pub unsafe fn symbol_size(place: *mut usize, symbol: *const c_void) -> Outcome {
    let (_, bytes) = registry::variable(symbol)?;
    require(!place.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: checked above.
    unsafe { put_optional(place, bytes) };
    Ok(())
}
