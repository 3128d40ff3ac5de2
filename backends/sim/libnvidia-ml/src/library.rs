//! The library as a whole: initialization, versions, error texts.

use crate::border::{Outcome, put, put_text, rc, require};
use cuda_sys::nvmlReturn_t;
use fcsp_sim::{Device, Observer, Vendor};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char, c_int, c_uint};
use std::sync::Mutex;

/// The driver's version: the release whose answers are reproduced, marked as simulated.
const DRIVER_VERSION: &str = "580.159.sim";
const NVML_VERSION: &str = "13.580.159.sim";
const CUDA_VERSION: c_int = 13000;

static OBSERVER: Observer = Observer::new(Vendor::Nvidia);

/// The devices, if the library is initialized.
pub fn devices() -> Result<&'static [Device], nvmlReturn_t> {
    OBSERVER.devices().ok_or(rc::UNINITIALIZED)
}

/// `nvmlInit` and `nvmlInit_v2`.
pub unsafe fn init() -> Outcome {
    OBSERVER.begin().map_err(|error| {
        eprintln!("simulated libnvidia-ml: {error}");
        rc::DRIVER_NOT_LOADED
    })
}

/// `nvmlInitWithFlags`; no flag (no GPUs is fine, do not attach) changes anything here.
pub unsafe fn init_with_flags(_flags: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { init() }
}

/// `nvmlShutdown`: counted, as often as it was initialized.
pub unsafe fn shutdown() -> Outcome {
    require(OBSERVER.end(), rc::UNINITIALIZED)
}

/// `nvmlErrorString`.
pub unsafe fn error_string(result: nvmlReturn_t) -> *const c_char {
    static TEXTS: Mutex<BTreeMap<u32, &'static CStr>> = Mutex::new(BTreeMap::new());
    let mut texts = TEXTS.lock().unwrap_or_else(|e| e.into_inner());
    let text = texts.entry(result.0).or_insert_with(|| {
        let text = match result {
            rc::SUCCESS => "Success",
            rc::UNINITIALIZED => "Uninitialized",
            rc::INVALID_ARGUMENT => "Invalid Argument",
            rc::NOT_SUPPORTED => "Not Supported",
            rc::NOT_FOUND => "Not Found",
            rc::INSUFFICIENT_SIZE => "Insufficient Size",
            rc::DRIVER_NOT_LOADED => "Driver Not Loaded",
            rc::UNKNOWN => "Unknown Error",
            other => cuda_sys::nvml_return_name(other.0),
        };
        let owned = CString::new(text).unwrap_or_default();
        Box::leak(owned.into_boxed_c_str())
    });
    text.as_ptr()
}

/// `nvmlSystemGetDriverVersion`.
pub unsafe fn driver_version(place: *mut c_char, room: c_uint) -> Outcome {
    devices()?;
    // SAFETY: the same contract.
    unsafe { put_text(DRIVER_VERSION, place, room) }
}

/// `nvmlSystemGetNVMLVersion`.
pub unsafe fn nvml_version(place: *mut c_char, room: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(NVML_VERSION, place, room) }
}

/// `nvmlSystemGetCudaDriverVersion` and `_v2`.
pub unsafe fn cuda_version(place: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, CUDA_VERSION) }
}

/// `nvmlSystemGetProcessName`.
pub unsafe fn process_name(pid: c_uint, place: *mut c_char, room: c_uint) -> Outcome {
    devices()?;
    require(!place.is_null() && room > 0, rc::INVALID_ARGUMENT)?;
    let path = std::fs::read_link(format!("/proc/{pid}/exe")).map_err(|_| rc::NOT_FOUND)?;
    let name = path.to_string_lossy();
    let mut cut = name.len().min(room as usize - 1);
    while !name.is_char_boundary(cut) {
        cut -= 1;
    }
    // SAFETY: the same contract.
    unsafe { put_text(&name[..cut], place, room) }
}
