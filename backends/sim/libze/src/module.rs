//! Modules: SPIR-V, or what this driver made of it.
//!
//! A native binary is this driver's own: a mark and the SPIR-V. Real binaries for Intel's devices are refused. Code
//! takes device memory.

use crate::border::{Outcome, at, list, put, rc, read, require};
use crate::device;
use crate::driver::Gpu;
use crate::handles::{BUILD_LOGS, CONTEXTS, MODULES, get, take};
use crate::memory::{PAGE_BYTES, charge};
use crate::spirv::{self, Entry};
use level_zero_sys::*;
use std::ffi::{CString, c_char};

/// What a native binary begins with.
const MARK: &[u8; 8] = b"fcspzebn";

/// A module.
pub struct Module {
    /// Its device.
    pub gpu: &'static Gpu,
    names: Vec<CString>,
    entries: Vec<Entry>,
    native: Vec<u8>,
    charged_bytes: u64,
}

/// What the compiler says.
pub struct BuildLog {
    text: CString,
}

impl Module {
    fn create(gpu: &'static Gpu, code: &[u8]) -> Result<Self, ze_result_t> {
        let entries = spirv::parse(code).ok_or(rc::MODULE_BUILD_FAILURE)?;
        let names = entries
            .iter()
            .map(|entry| CString::new(entry.name.as_str()).map_err(|_| rc::MODULE_BUILD_FAILURE))
            .collect::<Result<_, _>>()?;
        let native = [MARK, code].concat();
        let charged_bytes = (native.len() as u64).next_multiple_of(PAGE_BYTES);
        charge(gpu, charged_bytes)?;
        Ok(Self {
            gpu,
            names,
            entries,
            native,
            charged_bytes,
        })
    }

    /// The kernel of a name.
    pub fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        self.gpu.device.release(self.charged_bytes);
    }
}

/// `zeModuleCreate`.
pub unsafe fn create(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_module_desc_t,
    place: *mut ze_module_handle_t,
    log: *mut ze_module_build_log_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    // SAFETY: the caller's descriptor.
    let desc = unsafe { read(desc) }?;
    require(
        !place.is_null() && !desc.pInputModule.is_null(),
        rc::NULL_POINTER,
    )?;
    require(desc.inputSize > 0, rc::INVALID_SIZE)?;
    // SAFETY: the caller's module and its size.
    let input = unsafe { std::slice::from_raw_parts(desc.pInputModule, desc.inputSize) };
    let made = match desc.format {
        ze_module_format_t::ZE_MODULE_FORMAT_IL_SPIRV => Module::create(gpu, input),
        ze_module_format_t::ZE_MODULE_FORMAT_NATIVE => match input.strip_prefix(MARK) {
            Some(code) => Module::create(gpu, code),
            None => Err(rc::INVALID_NATIVE_BINARY),
        },
        _ => Err(rc::UNSUPPORTED_ENUMERATION),
    };
    if !log.is_null() {
        let text = match &made {
            Ok(_) => c"",
            Err(_) => c"simulated compiler: neither SPIR-V nor a binary of this driver",
        };
        let text = text.to_owned();
        // SAFETY: checked above.
        unsafe {
            put(
                log,
                BUILD_LOGS.insert(BuildLog { text }) as ze_module_build_log_handle_t,
            )?;
        }
    }
    // SAFETY: checked above.
    unsafe { put(place, MODULES.insert(made?) as ze_module_handle_t) }
}

/// `zeModuleDestroy`.
pub unsafe fn destroy(module: ze_module_handle_t) -> Outcome {
    take(&MODULES, module).map(drop)
}

/// `zeModuleDynamicLink`: simulated code refers to nothing outside.
pub unsafe fn link(
    count: u32,
    modules: *mut ze_module_handle_t,
    log: *mut ze_module_build_log_handle_t,
) -> Outcome {
    require(!modules.is_null(), rc::NULL_POINTER)?;
    for index in 0..count as usize {
        // SAFETY: within the array, by the caller's contract.
        get(&MODULES, unsafe { *modules.add(index) })?;
    }
    if !log.is_null() {
        let text = CString::default();
        // SAFETY: checked above.
        unsafe {
            put(
                log,
                BUILD_LOGS.insert(BuildLog { text }) as ze_module_build_log_handle_t,
            )?;
        }
    }
    Ok(())
}

/// Level Zero's way to return bytes: without room it says how many there are.
unsafe fn bytes(size: *mut usize, out: *mut u8, all: &[u8]) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    let size = unsafe { at(size) }?;
    if out.is_null() {
        *size = all.len();
        return Ok(());
    }
    require(*size >= all.len(), rc::INVALID_SIZE)?;
    *size = all.len();
    // SAFETY: room for that many, by the caller's contract.
    unsafe { std::ptr::copy_nonoverlapping(all.as_ptr(), out, all.len()) };
    Ok(())
}

/// A text with its NUL, in the same way.
pub unsafe fn text(size: *mut usize, out: *mut c_char, text: &std::ffi::CStr) -> Outcome {
    // SAFETY: the same contract.
    unsafe { bytes(size, out.cast(), text.to_bytes_with_nul()) }
}

/// `zeModuleGetNativeBinary`.
pub unsafe fn native_binary(module: ze_module_handle_t, size: *mut usize, out: *mut u8) -> Outcome {
    let module = get(&MODULES, module)?;
    // SAFETY: the same contract.
    unsafe { bytes(size, out, &module.native) }
}

/// `zeModuleGetKernelNames`. The names live as long as the module.
pub unsafe fn kernel_names(
    module: ze_module_handle_t,
    count: *mut u32,
    names: *mut *const c_char,
) -> Outcome {
    let module = get(&MODULES, module)?;
    // SAFETY: the same contract.
    unsafe {
        list(count, names, &module.names, |place, name| {
            *place = name.as_ptr()
        })
    }
}

/// `zeModuleGetProperties`: nothing is imported.
pub unsafe fn properties(
    module: ze_module_handle_t,
    properties: *mut ze_module_properties_t,
) -> Outcome {
    get(&MODULES, module)?;
    // SAFETY: the caller's structure.
    unsafe { at(properties) }?.flags = 0;
    Ok(())
}

/// `zeModuleBuildLogGetString`.
pub unsafe fn log_text(
    log: ze_module_build_log_handle_t,
    size: *mut usize,
    out: *mut c_char,
) -> Outcome {
    let log = get(&BUILD_LOGS, log)?;
    // SAFETY: the same contract.
    unsafe { text(size, out, &log.text) }
}

/// `zeModuleBuildLogDestroy`.
pub unsafe fn log_destroy(log: ze_module_build_log_handle_t) -> Outcome {
    take(&BUILD_LOGS, log).map(drop)
}
