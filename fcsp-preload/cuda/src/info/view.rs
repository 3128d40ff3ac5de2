//! Whose view a question to the management library is answered from: [`fcsp_program::info::tenant`], by the library's
//! handles.

use core::ffi::CStr;

use cuda_sys::{nvmlDevice_t, nvmlMemory_v2_t, nvmlReturn_t};
use fcsp_program::info::tenant::{self, Described, View, visible_place};

use crate::hooks::nvml;

/// `NVML_DEVICE_UUID_V2_BUFFER_SIZE` in nvml.h 13.0.
const UUID_BYTES: usize = 96;

/// The view of the device behind a management handle. A call of some microseconds.
pub fn view_of(handle: nvmlDevice_t) -> Option<View> {
    let mut text = [0; UUID_BYTES];
    // SAFETY: the library writes a string within the length.
    let result =
        unsafe { nvml::nvmlDeviceGetUUID.get()?(handle, text.as_mut_ptr(), UUID_BYTES as u32) };
    if result != nvmlReturn_t::NVML_SUCCESS {
        return None;
    }
    // SAFETY: the library ended it with a NUL.
    let id = unsafe { CStr::from_ptr(text.as_ptr()) }.to_str().ok()?;
    tenant::view_of(id, || {
        Some(Described {
            total_bytes: total_bytes(handle)?,
            ordinal: ordinal(id, handle)?,
        })
    })
}

/// What programs can allocate on the device: what CUDA calls its total.
fn total_bytes(handle: nvmlDevice_t) -> Option<u64> {
    let mut memory = nvmlMemory_v2_t {
        version: cuda_sys::structure_version::<nvmlMemory_v2_t>(2),
        ..nvmlMemory_v2_t::default()
    };
    // SAFETY: a structure of the version it says.
    let result = unsafe { nvml::nvmlDeviceGetMemoryInfo_v2.get()?(handle, &mut memory) };
    (result == nvmlReturn_t::NVML_SUCCESS).then(|| memory.total - memory.reserved.min(memory.total))
}

/// The number CUDA would give the device in this process.
fn ordinal(id: &str, handle: nvmlDevice_t) -> Option<u32> {
    let mut index = 0;
    // SAFETY: the library writes a number there, or fails.
    let result = unsafe { nvml::nvmlDeviceGetIndex.get()?(handle, &mut index) };
    if result != nvmlReturn_t::NVML_SUCCESS {
        return None;
    }
    let visible = std::env::var("CUDA_VISIBLE_DEVICES").ok();
    Some(visible.map_or(index, |visible| visible_place(&visible, id, index)))
}
