//! The two questions this program asks the management library.

use anyhow::{Context, Result, ensure};
use cuda_sys::{fn_types, nvml_return_name, nvmlDevice_t, nvmlMemory_t, nvmlReturn_t};
use libloading::{Library, Symbol};
use std::ffi::{CStr, CString, c_char};

/// The management library, initialized.
pub struct Nvml(Library);

impl Nvml {
    /// Loads and initializes it.
    pub fn load() -> Result<Self> {
        // SAFETY: loading the vendor's library runs its initializers, which is its purpose.
        let library = unsafe { Library::new("libnvidia-ml.so.1") }
            .context("libnvidia-ml.so.1 could not be loaded; it comes with the NVIDIA driver")?;
        let nvml = Self(library);
        // SAFETY: the type is generated from the header's declaration; no arguments.
        let status = unsafe { nvml.symbol::<fn_types::nvmlInit_v2>(b"nvmlInit_v2\0")?() };
        check("nvmlInit_v2", status)?;
        Ok(nvml)
    }

    /// Version of the display driver.
    pub fn driver_version(&self) -> Result<String> {
        let mut text = [0 as c_char; 96];
        // SAFETY: the type is generated from the header; the buffer's true length is given.
        let status = unsafe {
            self.symbol::<fn_types::nvmlSystemGetDriverVersion>(b"nvmlSystemGetDriverVersion\0")?(
                text.as_mut_ptr(),
                text.len() as u32,
            )
        };
        check("nvmlSystemGetDriverVersion", status)?;
        // SAFETY: terminated within the length given.
        Ok(unsafe { CStr::from_ptr(text.as_ptr()) }
            .to_string_lossy()
            .into_owned())
    }

    /// The device with this UUID.
    pub fn device(&self, uuid: &str) -> Result<nvmlDevice_t> {
        let uuid = CString::new(uuid)?;
        let mut device = std::ptr::null_mut();
        // SAFETY: the type is generated from the header; a terminated name, a live out-parameter.
        let status = unsafe {
            self.symbol::<fn_types::nvmlDeviceGetHandleByUUID>(b"nvmlDeviceGetHandleByUUID\0")?(
                uuid.as_ptr(),
                &mut device,
            )
        };
        check("nvmlDeviceGetHandleByUUID", status)?;
        Ok(device)
    }

    /// Bytes of the device in use by anyone.
    pub fn used_bytes(&self, device: nvmlDevice_t) -> Result<u64> {
        let mut memory = nvmlMemory_t::default();
        // SAFETY: the type is generated from the header; a handle it answered, a live struct.
        let status = unsafe {
            self.symbol::<fn_types::nvmlDeviceGetMemoryInfo>(b"nvmlDeviceGetMemoryInfo\0")?(
                device,
                &mut memory,
            )
        };
        check("nvmlDeviceGetMemoryInfo", status)?;
        Ok(memory.used)
    }

    /// # Safety
    /// `T` must be the type the header declares for `name`.
    unsafe fn symbol<T>(&self, name: &[u8]) -> Result<Symbol<'_, T>> {
        // SAFETY: the caller vouches for the type.
        unsafe { self.0.get(name) }.with_context(|| {
            format!(
                "libnvidia-ml.so.1 has no {}",
                String::from_utf8_lossy(name).trim_end_matches('\0')
            )
        })
    }
}

fn check(name: &str, status: nvmlReturn_t) -> Result<()> {
    ensure!(
        status == nvmlReturn_t::NVML_SUCCESS,
        "{name} failed with {} ({})",
        nvml_return_name(status.0),
        status.0
    );
    Ok(())
}
