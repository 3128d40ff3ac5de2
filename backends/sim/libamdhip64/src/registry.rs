//! What a program's own code registers before `main`: fat binaries, and the kernels and variables in them.
//!
//! Nothing is loaded until a thread uses it on a device; then the whole fat binary is, as in the real library. Kernels are
//! known by the address of their host function, variables by that of their shadow on the host.

use crate::border::{Outcome, chosen_device, rc, refuse, require};
use crate::module;
use fcsp_sim_driver::types::{FunctionHandle, ModuleHandle};
use fcsp_sim_driver::{Failure, memory, module as neutral};
use hip_sys::hipError_t;
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::sync::{Mutex, MutexGuard};

/// `HIPF`, with which the structure that the compiler registers begins.
const WRAPPER_MAGIC: u32 = 0x4849_5046;

/// What `__hipRegisterFatBinary` is given.
#[repr(C)]
struct Wrapper {
    magic: u32,
    version: u32,
    image: *const u8,
    unused: *const c_void,
}

/// A fat binary. Its address is the handle that the program's code has of it.
struct Binary {
    image: u64,
}

#[derive(Default)]
struct Registry {
    binaries: BTreeMap<u64, Binary>,
    /// Host function → binary, name.
    functions: BTreeMap<u64, (u64, CString)>,
    /// Host shadow → binary, name.
    variables: BTreeMap<u64, (u64, CString)>,
    /// Binary and device → module.
    modules: BTreeMap<(u64, c_int), u64>,
    /// Host function and device → function of the module.
    resolved: BTreeMap<(u64, c_int), u64>,
    next: u64,
}

static REGISTRY: Mutex<Option<Registry>> = Mutex::new(None);

fn with<R>(work: impl FnOnce(&mut Registry) -> R) -> R {
    let mut registry: MutexGuard<'_, Option<Registry>> =
        REGISTRY.lock().unwrap_or_else(|e| e.into_inner());
    work(registry.get_or_insert_default())
}

/// `__hipRegisterFatBinary`.
pub unsafe fn fat_binary(data: *const c_void) -> *mut *mut c_void {
    // SAFETY: the compiler's structure.
    let wrapper = unsafe { data.cast::<Wrapper>().as_ref() };
    let Some(wrapper) = wrapper.filter(|wrapper| wrapper.magic == WRAPPER_MAGIC) else {
        return std::ptr::null_mut();
    };
    with(|registry| {
        registry.next += 1;
        // Aligned like the address that it stands for.
        let handle = registry.next << 4;
        let image = wrapper.image as u64;
        registry.binaries.insert(handle, Binary { image });
        handle as *mut *mut c_void
    })
}

/// `__hipUnregisterFatBinary`.
pub unsafe fn unregister(binary: *mut *mut c_void) -> Outcome {
    let modules: Vec<u64> = with(|registry| {
        let handle = binary as u64;
        registry.binaries.remove(&handle);
        let gone: Vec<u64> = registry
            .functions
            .iter()
            .filter(|(_, (owner, _))| *owner == handle)
            .map(|(function, _)| *function)
            .collect();
        registry.functions.retain(|_, (owner, _)| *owner != handle);
        registry.variables.retain(|_, (owner, _)| *owner != handle);
        registry
            .resolved
            .retain(|(function, _), _| !gone.contains(function));
        let mut modules = Vec::new();
        registry.modules.retain(|(owner, _), module| {
            let keep = *owner != handle;
            if !keep {
                modules.push(*module);
            }
            keep
        });
        modules
    });
    for handle in modules {
        // SAFETY: a handle of ours. A module whose context has ended is gone already.
        let _ = unsafe { neutral::unload(handle as ModuleHandle) };
    }
    Ok(())
}

unsafe fn text(name: *const c_char) -> Result<CString, Failure> {
    require(!name.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the compiler's NUL-terminated name.
    Ok(unsafe { CStr::from_ptr(name) }.to_owned())
}

/// `__hipRegisterFunction`.
#[expect(clippy::too_many_arguments, reason = "the compiler's signature")]
pub unsafe fn register_function(
    binary: *mut *mut c_void,
    function: *const c_void,
    _device_function: *mut c_char,
    name: *const c_char,
    _thread_limit: u32,
    _tid: *mut c_void,
    _bid: *mut c_void,
    _block: *mut hip_sys::dim3,
    _grid: *mut hip_sys::dim3,
    _size: *mut c_int,
) -> Outcome {
    // SAFETY: the same contract.
    let name = unsafe { text(name) }?;
    with(|registry| {
        registry
            .functions
            .insert(function as u64, (binary as u64, name))
    });
    Ok(())
}

/// `__hipRegisterVar`.
#[expect(clippy::too_many_arguments, reason = "the compiler's signature")]
pub unsafe fn register_variable(
    binary: *mut *mut c_void,
    shadow: *mut c_void,
    _host_name: *mut c_char,
    name: *mut c_char,
    _external: c_int,
    _bytes: usize,
    _constant: c_int,
    _global: c_int,
) -> Outcome {
    // SAFETY: the same contract.
    let name = unsafe { text(name) }?;
    with(|registry| {
        registry
            .variables
            .insert(shadow as u64, (binary as u64, name))
    });
    Ok(())
}

/// `__hipRegisterManagedVar`: the host's pointer is to memory that both sides see, with the first value in it.
pub unsafe fn register_managed(
    _binary: *mut *mut c_void,
    pointer: *mut *mut c_void,
    value: *mut c_void,
    _name: *const c_char,
    bytes: usize,
    _align: u32,
) -> Outcome {
    crate::driver::ensure()?;
    crate::border::enter()?;
    let mut address = 0;
    // SAFETY: the compiler's pointers; the memory is as large as the value.
    unsafe {
        memory::alloc_managed(&mut address, bytes, 1)?;
        std::ptr::copy_nonoverlapping(value.cast::<u8>(), address as *mut u8, bytes);
        pointer.write(address as *mut c_void);
    }
    Ok(())
}

/// The module of a binary on the thread's device.
fn module_of(binary: u64) -> Result<ModuleHandle, Failure> {
    let device = chosen_device();
    let known = with(|registry| {
        let module = registry.modules.get(&(binary, device)).copied();
        module.ok_or_else(|| registry.binaries.get(&binary).map(|found| found.image))
    });
    match known {
        Ok(module) => Ok(module as ModuleHandle),
        Err(None) => refuse(hipError_t::hipErrorInvalidImage),
        Err(Some(image)) => {
            // SAFETY: the image that the program's own code registered.
            let module = unsafe { module::load(image as *const u8) }?;
            with(|registry| registry.modules.insert((binary, device), module as u64));
            Ok(module)
        }
    }
}

/// The kernel of a host function on the thread's device, whose context is current.
pub fn function(host: *const c_void) -> Result<FunctionHandle, Failure> {
    let key = (host as u64, chosen_device());
    if let Some(found) = with(|registry| registry.resolved.get(&key).copied()) {
        return Ok(found as FunctionHandle);
    }
    let known = with(|registry| registry.functions.get(&key.0).cloned());
    let Some((binary, name)) = known else {
        return refuse(hipError_t::hipErrorInvalidDeviceFunction);
    };
    let mut handle = std::ptr::null_mut();
    // SAFETY: a place for the handle, and a name with a NUL.
    unsafe { neutral::get_function(&mut handle, module_of(binary)?, name.as_ptr())? };
    with(|registry| registry.resolved.insert(key, handle as u64));
    Ok(handle)
}

/// The host function of a kernel, if that is how it was launched.
pub fn host_function(kernel: u64) -> Result<u64, Failure> {
    let found = with(|registry| {
        let mut known = registry.resolved.iter();
        known
            .find(|(_, function)| **function == kernel)
            .map(|((host, _), _)| *host)
    });
    found.ok_or(rc::NOT_FOUND)
}

/// Address and size of a variable on the thread's device, by its shadow.
pub fn variable(shadow: *const c_void) -> Result<(u64, usize), Failure> {
    let known = with(|registry| registry.variables.get(&(shadow as u64)).cloned());
    let Some((binary, name)) = known else {
        return refuse(hipError_t::hipErrorInvalidSymbol);
    };
    let (mut address, mut bytes) = (0, 0);
    // SAFETY: places for the results, and a name with a NUL.
    unsafe { neutral::get_global(&mut address, &mut bytes, module_of(binary)?, name.as_ptr())? };
    Ok((address, bytes))
}

/// Forgets what was loaded on a device that is being reset.
pub fn forget_device(device: c_int) {
    with(|registry| {
        registry.modules.retain(|(_, at), _| *at != device);
        registry.resolved.retain(|(_, at), _| *at != device);
    });
}
