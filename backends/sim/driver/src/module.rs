//! Modules and libraries.
//!
//! Owns: which functions a program has and what their parameters look like. Does not own: reading images, of which each
//! vendor has its own.

use crate::border::{Outcome, put, rc, require};
use crate::context::Context;
use crate::handles::Table;
use crate::memory::{self, Allocation, Kind};
use crate::types::*;
use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::sync::{Arc, Mutex};

/// A kernel.
pub struct Function {
    /// Its name.
    pub name: CString,
    /// Its parameters.
    pub entry: Entry,
    /// Most dynamic shared memory a launch may ask for.
    pub dynamic_shared_bytes: Mutex<c_int>,
}

/// Code that has been loaded.
pub struct Module {
    /// Group of its context, with which it ends.
    group: u64,
    functions: Vec<(Arc<Function>, u64)>,
    globals: Vec<(String, u64, u64)>,
}

/// All modules, functions, libraries.
pub static MODULES: Table<Module> = Table::new(4);
/// All functions. A `KernelHandle` is the same handle: the driver accepts it wherever a function goes.
pub static FUNCTIONS: Table<Function> = Table::new(5);
static LIBRARIES: Table<Library> = Table::new(6);

/// A library is a module that is not bound to a context.
struct Library {
    module: u64,
}

/// A parameter of a kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Where it lies in a packed argument buffer.
    pub offset: usize,
    /// Its size.
    pub bytes: usize,
}

/// A kernel, as its code declares it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// Its parameters.
    pub parameters: Vec<Parameter>,
}

/// What a piece of code declares.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Program {
    /// Kernels.
    pub entries: Vec<Entry>,
    /// Global variables: name and size in bytes.
    pub globals: Vec<(String, u64)>,
}

/// Loads code into a context; the handle of the module.
///
/// # Errors
/// No memory for its variables.
pub fn load(context: &Context, program: Program) -> Result<u64, Failure> {
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
            });
            Ok(function)
        })
        .collect::<Result<Vec<_>, Failure>>()?;
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

/// Unloads what a context leaves behind.
pub fn free_context(group: u64) {
    for module in MODULES.drain(|module| module.group == group) {
        destroy(module);
    }
}

fn destroy(module: Arc<Module>) {
    for (_, handle) in &module.functions {
        FUNCTIONS.remove(*handle as FunctionHandle);
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

/// `cuModuleUnload`.
pub unsafe fn unload(module: ModuleHandle) -> Outcome {
    destroy(MODULES.remove(module).ok_or(rc::INVALID_HANDLE)?);
    Ok(())
}

unsafe fn function_of(module: &Module, name: *const c_char) -> Result<u64, Failure> {
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
    place: *mut FunctionHandle,
    module: ModuleHandle,
    name: *const c_char,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let module = MODULES.get(module).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the same contract.
    unsafe { put(place, function_of(&module, name)? as FunctionHandle) }
}

/// `cuModuleGetFunctionCount`.
pub unsafe fn function_count(place: *mut c_uint, module: ModuleHandle) -> Outcome {
    let module = MODULES.get(module).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, module.functions.len() as c_uint) }
}

/// `cuModuleGetGlobal_v2`.
pub unsafe fn get_global(
    address: *mut Address,
    bytes: *mut usize,
    module: ModuleHandle,
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

/// A library of a loaded module; its handle.
pub fn make_library(module: u64) -> u64 {
    LIBRARIES.insert(Library { module })
}

fn library_module(library: LibraryHandle) -> Result<Arc<Module>, Failure> {
    let library = LIBRARIES.get(library).ok_or(rc::INVALID_HANDLE)?;
    MODULES
        .get(library.module as ModuleHandle)
        .ok_or(rc::INVALID_HANDLE)
}

/// `cuLibraryUnload`.
pub unsafe fn library_unload(library: LibraryHandle) -> Outcome {
    let library = LIBRARIES.remove(library).ok_or(rc::INVALID_HANDLE)?;
    // The context it was loaded in may be gone, and its code with it.
    if let Some(module) = MODULES.remove(library.module as ModuleHandle) {
        destroy(module);
    }
    Ok(())
}

/// `cuLibraryGetKernel`.
pub unsafe fn library_kernel(
    place: *mut KernelHandle,
    library: LibraryHandle,
    name: *const c_char,
) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let module = library_module(library)?;
    // SAFETY: the same contract.
    unsafe { put(place, function_of(&module, name)? as KernelHandle) }
}

/// `cuLibraryGetModule`.
pub unsafe fn library_get_module(place: *mut ModuleHandle, library: LibraryHandle) -> Outcome {
    let library = LIBRARIES.get(library).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, library.module as ModuleHandle) }
}

/// `cuKernelGetFunction`.
pub unsafe fn kernel_function(place: *mut FunctionHandle, kernel: KernelHandle) -> Outcome {
    FUNCTIONS.get(kernel).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, kernel.cast()) }
}

/// `cuFuncGetName` and `cuKernelGetName`.
pub unsafe fn function_name(place: *mut *const c_char, function: FunctionHandle) -> Outcome {
    let function = FUNCTIONS.get(function).ok_or(rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed; the name lives as long as its module.
    unsafe { put(place, function.name.as_ptr()) }
}

/// `cuKernelGetName`.
pub unsafe fn kernel_name(place: *mut *const c_char, kernel: KernelHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { function_name(place, kernel.cast()) }
}

/// `cuFuncGetModule`.
pub unsafe fn function_module(place: *mut ModuleHandle, function: FunctionHandle) -> Outcome {
    let owner = MODULES.find(|module| {
        module
            .functions
            .iter()
            .any(|(_, handle)| *handle == function as u64)
    });
    require(owner != 0, rc::INVALID_HANDLE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, owner as ModuleHandle) }
}

/// `cuFuncGetParamInfo`.
pub unsafe fn function_parameter(
    function: FunctionHandle,
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

/// `cuFuncLoad`.
pub unsafe fn load_function(function: FunctionHandle) -> Outcome {
    FUNCTIONS.get(function).map(drop).ok_or(rc::INVALID_HANDLE)
}
