//! Which devices there are, and what they are called.

use crate::nvml::{Nvml, call, text};
use crate::{error, memory, partition};
use cuda_sys::{
    NVML_DEVICE_NAME_V2_BUFFER_SIZE, NVML_DEVICE_UUID_V2_BUFFER_SIZE,
    NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE, nvmlDevice_t, nvmlUtilization_t,
};
use fcsp_core::backend::{BackendError, DeviceInfo, Vendor};
use std::fmt::Write;
use std::ptr;

/// Whether a device with that name is a simulated one: they all say so in their names.
pub fn is_simulated(name: &str) -> bool {
    name.contains("(simulated)")
}

/// The identity FCSP uses for the device with that UUID, which is also NVML's text for it. For the
/// preload library, which has the bytes from `cuDeviceGetUuid`.
pub fn id_of_uuid(uuid: [u8; 16]) -> String {
    let mut id = String::from("GPU");
    for (index, byte) in uuid.iter().enumerate() {
        if matches!(index, 0 | 4 | 6 | 8 | 10) {
            id.push('-');
        }
        // Writing to a string cannot fail.
        let _ok = write!(id, "{byte:02x}");
    }
    id
}

/// Every device, in NVML's order, whatever `CUDA_VISIBLE_DEVICES` hides from programs.
pub(crate) fn list(nvml: &Nvml) -> Result<Vec<DeviceInfo>, BackendError> {
    let mut count = 0;
    call!(nvml, nvmlDeviceGetCount_v2(&mut count))?;
    (0..count)
        .map(|index| {
            let mut device: nvmlDevice_t = ptr::null_mut();
            call!(nvml, nvmlDeviceGetHandleByIndex_v2(index, &mut device))?;
            info(nvml, device)
        })
        .collect()
}

fn info(nvml: &Nvml, device: nvmlDevice_t) -> Result<DeviceInfo, BackendError> {
    let mut uuid = [0; NVML_DEVICE_UUID_V2_BUFFER_SIZE as usize];
    call!(
        nvml,
        nvmlDeviceGetUUID(device, uuid.as_mut_ptr(), uuid.len() as u32)
    )?;
    let mut name = [0; NVML_DEVICE_NAME_V2_BUFFER_SIZE as usize];
    call!(
        nvml,
        nvmlDeviceGetName(device, name.as_mut_ptr(), name.len() as u32)
    )?;
    let name = text(&name);
    let simulated = is_simulated(&name);
    Ok(DeviceInfo {
        vendor: Vendor::Nvidia,
        id: text(&uuid),
        total_bytes: memory::of_device(nvml, device)?.total,
        sharing: partition::sharing_mode(simulated),
        simulated,
        name,
    })
}

pub(crate) fn driver_version(nvml: &Nvml) -> Result<String, BackendError> {
    let mut version = [0; NVML_SYSTEM_DRIVER_VERSION_BUFFER_SIZE as usize];
    call!(
        nvml,
        nvmlSystemGetDriverVersion(version.as_mut_ptr(), version.len() as u32)
    )?;
    Ok(text(&version))
}

pub(crate) fn cuda_version(nvml: &Nvml) -> Result<i32, BackendError> {
    let mut version = 0;
    call!(nvml, nvmlSystemGetCudaDriverVersion_v2(&mut version))?;
    Ok(version)
}

/// Share of the last sample period in which a kernel ran, 0 to 1. NVML's figure is a percentage
/// that changes every 200 to 330 ms (measured: H200, driver 580.159).
pub(crate) fn busy(nvml: &Nvml, device: nvmlDevice_t) -> Result<Option<f64>, BackendError> {
    let mut rates = nvmlUtilization_t { gpu: 0, memory: 0 };
    let asked = call!(nvml, nvmlDeviceGetUtilizationRates(device, &mut rates));
    Ok(error::if_supported(asked)?.map(|()| f64::from(rates.gpu) / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_nvmls_text_of_the_uuid() {
        let uuid = [
            0xde, 0xad, 0xbe, 0xef, 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x09, 0x0a,
            0x0b, 0xff,
        ];
        assert_eq!(id_of_uuid(uuid), "GPU-deadbeef-0102-0304-0506-0708090a0bff");
    }

    #[test]
    fn only_a_name_that_says_so_is_simulated() {
        assert!(is_simulated("NVIDIA H200 (simulated)"));
        assert!(!is_simulated("NVIDIA H200"));
    }
}
