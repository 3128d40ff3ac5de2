//! The runtime interface (`zer`): devices by number, and a context that is there without being made.

use crate::border::{Outcome, put, rc};
use crate::context::Context;
use crate::device;
use crate::driver::{check, gpus};
use crate::handles::CONTEXTS;
use level_zero_sys::*;
use std::ffi::c_char;
use std::sync::OnceLock;

/// `zerGetDefaultContext`: made when somebody first asks, and never destroyed.
pub unsafe fn default_context() -> Result<ze_context_handle_t, ze_result_t> {
    static DEFAULT: OnceLock<u64> = OnceLock::new();
    let handle = *DEFAULT.get_or_init(|| CONTEXTS.insert(Context::new()));
    Ok(handle as ze_context_handle_t)
}

/// `zeDriverGetDefaultContext`.
pub unsafe fn default_of_driver(
    driver: ze_driver_handle_t,
) -> Result<ze_context_handle_t, ze_result_t> {
    check(driver)?;
    // SAFETY: it has no requirements.
    unsafe { default_context() }
}

/// `zerTranslateDeviceHandleToIdentifier`.
pub unsafe fn identifier(device: ze_device_handle_t) -> Result<u32, ze_result_t> {
    Ok(device::gpu(device)?.ordinal as u32)
}

/// `zerTranslateIdentifierToDeviceHandle`.
pub unsafe fn device_of(identifier: u32) -> Result<ze_device_handle_t, ze_result_t> {
    let gpu = gpus().get(identifier as usize);
    Ok(device::handle(gpu.ok_or(rc::INVALID_ARGUMENT)?))
}

/// `zerGetLastErrorDescription`: the code says it all.
pub unsafe fn last_error(text: *mut *const c_char) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(text, c"".as_ptr()) }
}

/// `zeDeviceSynchronize`.
pub unsafe fn synchronize(device: ze_device_handle_t) -> Outcome {
    let gpu = device::gpu(device)?;
    if let Some(queues) = gpu.queues_in_use() {
        for context in CONTEXTS.all(|_| true) {
            queues.wait_group(context.group);
        }
    }
    Ok(())
}
