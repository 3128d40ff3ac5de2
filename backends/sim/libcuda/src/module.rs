//! Modules and libraries: PTX text and the kernels it declares.
//!
//! Owns: which functions a program has and what their parameters look like. Only PTX text is
//! understood: a cubin or fat binary is refused with the driver's code for code it has no binary of.

use crate::border::{Outcome, put, rc, require};
use crate::context::{Context, current};
use crate::handles::Table;
use crate::memory::{self, Allocation, Kind};
use crate::ptx::{self, Entry};
use cuda_sys::{
    CUdevice, CUdeviceptr, CUfunction, CUfunction_attribute, CUjit_option, CUkernel, CUlibrary,
    CUlibraryOption, CUmodule, CUresult,
};
use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::sync::{Arc, Mutex};

/// A kernel.
pub struct Function {
    /// Its name.
    pub name: CString,
    /// Its parameters.
    pub entry: Entry,
    dynamic_shared_bytes: Mutex<c_int>,
    /// For launches of before CUDA 4.
    pub settings: Mutex<crate::launch_old::Settings>,
}

/// PTX that has been loaded.
pub struct Module {
    /// Group of its context, with which it ends.
    group: u64,
    functions: Vec<(Arc<Function>, u64)>,
    globals: Vec<(String, u64, u64)>,
}

/// All modules, functions, libraries.
pub static MODULES: Table<Module> = Table::new(4);
/// All functions. A `CUkernel` is the same handle: the driver accepts it wherever a function goes.
pub static FUNCTIONS: Table<Function> = Table::new(5);
static LIBRARIES: Table<Library> = Table::new(6);

/// A library is a module that is not bound to a context.
struct Library {
    module: u64,
}

/// Largest dynamic shared memory a kernel may opt in to (attribute 97 of the device).
pub const SHARED_OPTIN_BYTES: c_int = 232_448;

fn load(context: &Context, text: &[u8]) -> Result<u64, CUresult> {
    let source = std::str::from_utf8(text).map_err(|_| rc::INVALID_IMAGE)?;
    let program = ptx::parse(source).ok_or(rc::INVALID_PTX)?;
    let mut globals = Vec::new();
    for (name, bytes) in program.globals {
        let kind = memory::Kind::Variable;
        let address = memory::allocate(context, bytes.max(1), memory::ALIGN_BYTES, kind)?;
        globals.push((name, address, bytes));
    }
    let functions = program
        .entries
        .into_iter()
        .map(|entry| {
            let name = CString::new(entry.name.as_str()).map_err(|_| rc::INVALID_PTX)?;
            let function = Arc::new(Function {
                name,
                entry,
                dynamic_shared_bytes: Mutex::new(49_152),
                settings: Mutex::default(),
            });
            Ok(function)
        })
        .collect::<Result<Vec<_>, CUresult>>()?;
    let functions = functions
        .into_iter()
        .map(|function| (Arc::clone(&function), FUNCTIONS.insert_arc(function)))
        .collect();
    Ok(MODULES.insert(Module {
        group: context.group,
        functions,
        globals,
    }))
}

/// The image behind a pointer: text up to its NUL; binary images by their first bytes.
unsafe fn image<'a>(image: *const c_void) -> Result<&'a [u8], CUresult> {
    require(!image.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller passed an image, which is never shorter than 4 bytes.
    let magic = unsafe { image.cast::<[u8; 4]>().read_unaligned() };
    let elf = magic == *b"\x7fELF";
    let fat = matches!(u32::from_le_bytes(magic), 0x466243b1 | 0xba55ed50);
    require(!elf && !fat, rc::NO_BINARY_FOR_GPU)?;
    // SAFETY: PTX passed to the driver ends with a NUL.
    Ok(unsafe { CStr::from_ptr(image.cast()) }.to_bytes())
}

/// Unloads what a context leaves behind.
pub fn free_context(group: u64) {
    for module in MODULES.drain(|module| module.group == group) {
        destroy(module);
    }
}

fn destroy(module: Arc<Module>) {
    for (_, handle) in &module.functions {
        FUNCTIONS.remove(*handle as CUfunction);
    }
    for (_, address, _) in &module.globals {
        let ours = |a: &Allocation| a.kind == Kind::Variable;
        if let Some(found) = memory::remove(*address, ours)
            && let Ok(gpu) = crate::driver::gpu(found.ordinal)
        {
            memory::give_back(gpu, &found);
        }
    }
}

/// `cuModuleLoadData` and `cuModuleLoadFatBinary`.
pub unsafe fn load_data(place: *mut CUmodule, data: *const c_void) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let context = current()?;
    // SAFETY: the same contract.
    let module = load(&context, unsafe { image(data) }?)?;
    // SAFETY: checked above.
    unsafe { put(place, module as CUmodule) }
}

/// `cuModuleLoadDataEx`; there is nothing to tune in a simulated compiler.
pub unsafe fn load_data_ex(
    place: *mut CUmodule,
    data: *const c_void,
    _count: c_uint,
    _options: *mut CUjit_option,
    _values: *mut *mut c_void,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { load_data(place, data) }
}

unsafe fn read_file(name: *const c_char) -> Result<Vec<u8>, CUresult> {
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
pub unsafe fn load_file(place: *mut CUmodule, name: *const c_char) -> Outcome {
    // SAFETY: the same contract; the buffer ends with zeros.
    unsafe { load_data(place, read_file(name)?.as_ptr().cast()) }
}

/// `cuModuleUnload`.
pub unsafe fn unload(module: CUmodule) -> Outcome {
    destroy(MODULES.remove(module).ok_or(rc::INVALID_HANDLE)?);
    Ok(())
}

unsafe fn function_of(module: &Module, name: *const c_char) -> Result<u64, CUresult> {
    require(!name.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) };
    let found = module
        .functions
        .iter()
        .find(|(function, _)| function.name.as_c_str() == name);
    found.map(|(_, handle)| *handle).ok_or(rc::NOT_FOUND)
}

/// `cuModuleGetFunction`.
pub unsafe fn get_function(
    place: *mut CUfunction,
    module: CUmodule,
    name: *const c_char,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let module = MODULES.get(module).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the same contract.
    unsafe { put(place, function_of(&module, name)? as CUfunction) }
}

/// `cuModuleGetFunctionCount`.
pub unsafe fn function_count(place: *mut c_uint, module: CUmodule) -> Outcome {
    let module = MODULES.get(module).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, module.functions.len() as c_uint) }
}

/// `cuModuleGetGlobal_v2`.
pub unsafe fn get_global(
    address: *mut CUdeviceptr,
    bytes: *mut usize,
    module: CUmodule,
    name: *const c_char,
) -> Outcome {
    require(!name.is_null(), rc::INVALID_VALUE)?;
    let module = MODULES.get(module).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's NUL-terminated name.
    let name = unsafe { CStr::from_ptr(name) };
    let found = module
        .globals
        .iter()
        .find(|(global, ..)| global.as_bytes() == name.to_bytes());
    let (_, at, length) = found.ok_or(rc::NOT_FOUND)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        crate::border::put_optional(address, *at);
        crate::border::put_optional(bytes, *length as usize);
    }
    Ok(())
}

/// `cuLibraryLoadData`.
#[expect(clippy::too_many_arguments, reason = "the driver's signature")]
pub unsafe fn library_load(
    place: *mut CUlibrary,
    code: *const c_void,
    _jit: *mut CUjit_option,
    _jit_values: *mut *mut c_void,
    _jit_count: c_uint,
    _options: *mut CUlibraryOption,
    _values: *mut *mut c_void,
    _count: c_uint,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let context = current()?;
    // SAFETY: the same contract.
    let module = load(&context, unsafe { image(code) }?)?;
    // SAFETY: checked above.
    unsafe { put(place, LIBRARIES.insert(Library { module }) as CUlibrary) }
}

fn library_module(library: CUlibrary) -> Result<Arc<Module>, CUresult> {
    let library = LIBRARIES.get(library).ok_or(rc::INVALID_HANDLE)?;
    MODULES
        .get(library.module as CUmodule)
        .ok_or(rc::INVALID_HANDLE)
}

/// `cuLibraryUnload`.
pub unsafe fn library_unload(library: CUlibrary) -> Outcome {
    let library = LIBRARIES.remove(library).ok_or(rc::INVALID_HANDLE)?;
    // The context it was loaded in may be gone, and its code with it.
    if let Some(module) = MODULES.remove(library.module as CUmodule) {
        destroy(module);
    }
    Ok(())
}

/// `cuLibraryGetKernel`.
pub unsafe fn library_kernel(
    place: *mut CUkernel,
    library: CUlibrary,
    name: *const c_char,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let module = library_module(library)?;
    // SAFETY: the same contract.
    unsafe { put(place, function_of(&module, name)? as CUkernel) }
}

/// `cuLibraryGetModule`.
pub unsafe fn library_get_module(place: *mut CUmodule, library: CUlibrary) -> Outcome {
    let library = LIBRARIES.get(library).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, library.module as CUmodule) }
}

/// `cuKernelGetFunction`.
pub unsafe fn kernel_function(place: *mut CUfunction, kernel: CUkernel) -> Outcome {
    FUNCTIONS.get(kernel).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, kernel.cast()) }
}

/// `cuFuncGetName` and `cuKernelGetName`.
pub unsafe fn function_name(place: *mut *const c_char, function: CUfunction) -> Outcome {
    let function = FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed; the name lives as long as its module.
    unsafe { put(place, function.name.as_ptr()) }
}

/// `cuKernelGetName`.
pub unsafe fn kernel_name(place: *mut *const c_char, kernel: CUkernel) -> Outcome {
    // SAFETY: the same contract.
    unsafe { function_name(place, kernel.cast()) }
}

/// `cuFuncGetModule`.
pub unsafe fn function_module(place: *mut CUmodule, function: CUfunction) -> Outcome {
    let owner = MODULES.find(|module| {
        module
            .functions
            .iter()
            .any(|(_, handle)| *handle == function as u64)
    });
    require(owner != 0, rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, owner as CUmodule) }
}

/// `cuFuncGetParamInfo`.
pub unsafe fn function_parameter(
    function: CUfunction,
    index: usize,
    offset: *mut usize,
    bytes: *mut usize,
) -> Outcome {
    let function = FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    let parameter = function
        .entry
        .parameters
        .get(index)
        .ok_or(rc::INVALID_VALUE)?;
    require(!offset.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: checked above; the size may be null.
    unsafe {
        put(offset, parameter.offset)?;
        crate::border::put_optional(bytes, parameter.bytes);
    }
    Ok(())
}

/// `cuFuncGetAttribute`: what a small kernel compiled for this device reports.
pub unsafe fn attribute(
    place: *mut c_int,
    attribute: CUfunction_attribute,
    function: CUfunction,
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
    function: CUfunction,
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
    kernel: CUkernel,
    device: CUdevice,
) -> Outcome {
    crate::driver::gpu(device)?;
    // SAFETY: the same contract.
    unsafe { attribute(place, of, kernel.cast()) }
}

/// `cuKernelSetAttribute`.
pub unsafe fn set_kernel_attribute(
    of: CUfunction_attribute,
    value: c_int,
    kernel: CUkernel,
    device: CUdevice,
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
    function: CUfunction,
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

/// `cuFuncLoad`.
pub unsafe fn load_function(function: CUfunction) -> Outcome {
    FUNCTIONS.get(function).map(drop).ok_or(rc::INVALID_HANDLE)
}
