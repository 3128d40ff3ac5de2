//! The driver as a whole: `cuInit`, versions, error texts.

use crate::border::{self, Outcome, put, put_static_text, rc};
use crate::types::*;
use cuda_sys::CUuuid;
use fcsp_sim::calibration::CONTEXT_OVERHEAD_BYTES;
use fcsp_sim::{Comparison, Config};
pub use fcsp_sim_driver::driver::*;
use fcsp_sim_driver::{Profile, visible};
use std::ffi::{c_char, c_int, c_uint, c_void};

/// CUDA 13.0.
pub const DRIVER_VERSION: c_int = 13000;

/// The H200. The limits are stack, printf, malloc heap, device-runtime sync depth and pending launches, L2 fetch
/// granularity, persisting L2.
static H200: Profile = Profile {
    library: "libcuda",
    context_bytes: CONTEXT_OVERHEAD_BYTES,
    page_bytes: 512,
    pitch_bytes: 512,
    multiprocessors: 132,
    threads_per_multiprocessor: 2048,
    shared_bytes_max: 232_448,
    limits: &[1024, 7_340_032, 8_388_608, 0, 2048, 128, 0],
    priorities: (0, -5),
    at_least: Comparison::AtLeast,
    opens_own_handles: false,
};

/// `cuInit`.
pub unsafe fn init(flags: c_uint) -> Outcome {
    border::require(flags == 0, rc::INVALID_VALUE)?;
    fcsp_sim_driver::driver::init(&Config::from_env(), &H200, |ids| {
        let variable = std::env::var("CUDA_VISIBLE_DEVICES").ok();
        visible::select(variable.as_deref(), ids)
    })
}

/// `cuDriverGetVersion`.
pub unsafe fn version(version: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(version, DRIVER_VERSION) }
}

/// `cuGetErrorName`.
pub unsafe fn error_name(error: Failure, text: *mut *const c_char) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { error_text(cuda_sys::result_name(error.0), text) }
}

/// `cuGetErrorString`.
pub unsafe fn error_string(error: Failure, text: *mut *const c_char) -> Outcome {
    let description = match error {
        rc::SUCCESS => "no error",
        rc::INVALID_VALUE => "invalid argument",
        rc::OUT_OF_MEMORY => "out of memory",
        rc::NOT_INITIALIZED => "initialization error",
        rc::NO_DEVICE => "no CUDA-capable device is detected",
        rc::INVALID_DEVICE => "invalid device ordinal",
        rc::INVALID_CONTEXT => "invalid device context",
        rc::INVALID_HANDLE => "invalid resource handle",
        rc::NOT_FOUND => "named symbol not found",
        rc::NOT_READY => "device not ready",
        rc::NOT_SUPPORTED => "operation not supported",
        rc::UNKNOWN => "unknown error",
        // The driver has a sentence for each; the name says as much.
        other => cuda_sys::result_name(other.0),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { error_text(description, text) }
}

unsafe fn error_text(known: &'static str, text: *mut *const c_char) -> Outcome {
    if known == "unknown" {
        // SAFETY: as for the caller.
        unsafe { put(text, std::ptr::null()) }?;
        return Err(rc::INVALID_VALUE);
    }
    // SAFETY: as for the caller.
    unsafe { put_static_text(known, text) }
}

/// `cuGetExportTable`: the private tables of the real driver do not exist here.
pub unsafe fn export_table(table: *mut *const c_void, id: *const CUuuid) -> Outcome {
    border::require(!id.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(table, std::ptr::null()) }?;
    Err(rc::NOT_FOUND)
}
