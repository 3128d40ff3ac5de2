//! Handlers of the management library's utilization: [`fcsp_program::info::utilization`].

use core::ffi::{c_uint, c_ulonglong};

use cuda_sys::{
    fn_types, nvmlDevice_t, nvmlReturn_t, nvmlSample_t, nvmlSamplingType_t, nvmlUtilization_t,
    nvmlValueType_t,
};
use fcsp_program::info::utilization::{Own, own};

use crate::info::view::view_of;

/// The tenant's own figures for the device; nothing if the library's are its own.
fn own_of(device: nvmlDevice_t) -> Option<Own> {
    own(device.addr() as u64, || view_of(device)?.usage())
}

/// # Safety
///
/// As `nvmlDeviceGetUtilizationRates`.
pub unsafe fn rates(
    real: fn_types::nvmlDeviceGetUtilizationRates,
    device: nvmlDevice_t,
    place: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, place) };
    if result == nvmlReturn_t::NVML_SUCCESS
        && let Some(own) = own_of(device)
    {
        // SAFETY: the library accepted and filled the structure.
        let rates = unsafe { &mut *place };
        rates.gpu = own.gpu;
        rates.memory = own.part_of(rates.memory);
    }
    result
}

/// # Safety
///
/// As `nvmlDeviceGetSamples`. Samples of utilization keep their times and get the tenant's figure.
pub unsafe fn samples(
    real: fn_types::nvmlDeviceGetSamples,
    device: nvmlDevice_t,
    kind: nvmlSamplingType_t,
    since_us: c_ulonglong,
    value_type: *mut nvmlValueType_t,
    count: *mut c_uint,
    samples: *mut nvmlSample_t,
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, kind, since_us, value_type, count, samples) };
    let gpu = kind == nvmlSamplingType_t::NVML_GPU_UTILIZATION_SAMPLES;
    let memory = kind == nvmlSamplingType_t::NVML_MEMORY_UTILIZATION_SAMPLES;
    // Without room the library says how many there are.
    if result != nvmlReturn_t::NVML_SUCCESS || samples.is_null() || !(gpu || memory) {
        return result;
    }
    // SAFETY: the library accepted and filled both.
    let (value_type, count) = unsafe { (*value_type, *count as usize) };
    if value_type != nvmlValueType_t::NVML_VALUE_TYPE_UNSIGNED_INT {
        return result;
    }
    if let Some(own) = own_of(device) {
        for at in 0..count {
            // SAFETY: the library filled so many; all are unsigned integers, as it said.
            unsafe {
                let value = &mut (*samples.add(at)).sampleValue.uiVal;
                *value = if gpu { own.gpu } else { own.part_of(*value) };
            }
        }
    }
    result
}
