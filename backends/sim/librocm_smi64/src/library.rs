//! The library as a whole: initialization, versions, error texts.

use crate::border::{Outcome, put, put_text, rc, require};
use fcsp_sim::{Device, Observer, Vendor};
use rocm_smi_sys::{rsmi_status_name, rsmi_status_t, rsmi_sw_component_t, rsmi_version_t};
use std::collections::BTreeMap;
use std::ffi::{CStr, CString, c_char};
use std::sync::Mutex;

/// The driver's version, marked as simulated.
const DRIVER_VERSION: &str = "6.4.1.sim";

static OBSERVER: Observer = Observer::new(Vendor::Amd);

/// The devices, if the library is initialized.
pub fn devices() -> Result<&'static [Device], rsmi_status_t> {
    OBSERVER.devices().ok_or(rc::INIT_ERROR)
}

/// `rsmi_init`; its flag, which shows devices of other vendors as well, changes nothing here.
pub unsafe fn init(_flags: u64) -> Outcome {
    OBSERVER.begin().map_err(|error| {
        eprintln!("simulated librocm_smi64: {error}");
        rc::INIT_ERROR
    })
}

/// `rsmi_shut_down`: counted, as often as it was initialized.
pub unsafe fn shut_down() -> Outcome {
    require(OBSERVER.end(), rc::INIT_ERROR)
}

fn kept(text: String) -> &'static CStr {
    static TEXTS: Mutex<BTreeMap<String, &'static CStr>> = Mutex::new(BTreeMap::new());
    let mut texts = TEXTS.lock().unwrap_or_else(|e| e.into_inner());
    texts.entry(text).or_insert_with_key(|text| {
        let owned = CString::new(text.as_str()).unwrap_or_default();
        Box::leak(owned.into_boxed_c_str())
    })
}

/// `rsmi_status_string`: the name, which says as much as the library's sentences.
pub unsafe fn status_string(status: rsmi_status_t, place: *mut *const c_char) -> Outcome {
    let name = kept(rsmi_status_name(status.0).to_owned());
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, name.as_ptr()) }
}

/// `rsmi_version_get`.
pub unsafe fn version(place: *mut rsmi_version_t) -> Outcome {
    let version = rsmi_version_t {
        major: 7,
        minor: 5,
        patch: 0,
        build: kept("sim".to_owned()).as_ptr(),
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, version) }
}

/// `rsmi_version_str_get`, of the only component there is: the driver.
pub unsafe fn version_text(
    component: rsmi_sw_component_t,
    place: *mut c_char,
    room: u32,
) -> Outcome {
    require(component.0 == 0, rc::INVALID_ARGS)?;
    // SAFETY: the same contract.
    unsafe { put_text(DRIVER_VERSION, place, room as usize) }
}
