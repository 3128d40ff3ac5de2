//! The library as a whole: initialization, version, error texts.

use crate::border::{Outcome, put, rc, require};
use fcsp_sim::{Device, Observer, Vendor};
use rocm_smi_sys::{amdsmi_status_name, amdsmi_status_t, amdsmi_version_t};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::sync::Mutex;

static OBSERVER: Observer = Observer::new(Vendor::Amd);

/// The devices, if the library is initialized.
pub fn devices() -> Result<&'static [Device], amdsmi_status_t> {
    OBSERVER.devices().ok_or(rc::NOT_INIT)
}

/// `amdsmi_init`; which kinds of processor are wanted changes nothing here.
pub unsafe fn init(_flags: u64) -> Outcome {
    OBSERVER.begin().map_err(|error| {
        eprintln!("simulated libamd_smi: {error}");
        rc::INIT_ERROR
    })
}

/// `amdsmi_shut_down`: counted, as often as it was initialized.
pub unsafe fn shut_down() -> Outcome {
    require(OBSERVER.end(), rc::NOT_INIT)
}

/// `amdsmi_status_code_to_string`: the name, which says as much as the library's sentences.
pub unsafe fn status_string(status: amdsmi_status_t, place: *mut *const c_char) -> Outcome {
    static TEXTS: Mutex<BTreeMap<u32, &'static CStr>> = Mutex::new(BTreeMap::new());
    let mut texts = TEXTS.lock().unwrap_or_else(|e| e.into_inner());
    let text = texts.entry(status.0).or_insert_with(|| {
        let owned = CString::new(amdsmi_status_name(status.0)).unwrap_or_default();
        Box::leak(owned.into_boxed_c_str())
    });
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, text.as_ptr()) }
}

/// `amdsmi_get_lib_version`.
pub unsafe fn version(place: *mut amdsmi_version_t) -> Outcome {
    let version = amdsmi_version_t {
        major: 27,
        minor: 1,
        release: 0,
        build: c"sim".as_ptr(),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, version) }
}
