//! What the driver says a device is: its UUID, which names the region, its name and its memory.
//!
//! Asked when a device is attached ([`fcsp_program::attach`]). The program waits for the answers, so a region that is
//! there is asked in the driver's place for all but the UUID.

use core::fmt::Write;

use cuda_sys::{CUdevice, CUresult, CUuuid};
use fcsp_core::backend::{DeviceInfo, Vendor};
use fcsp_program::driver::Undescribed;

use crate::hooks::cuda;
use crate::mps;

/// The device's identity, as NVML writes it: all that it takes to find its region.
///
/// # Errors
/// If the driver does not say.
pub fn id(ordinal: CUdevice) -> Result<String, Undescribed> {
    let mut uuid = CUuuid { bytes: [0; 16] };
    // SAFETY: the driver writes a UUID.
    said(unsafe {
        match (cuda::cuDeviceGetUuid_v2.get(), cuda::cuDeviceGetUuid.get()) {
            (Some(get), _) => get(&mut uuid, ordinal),
            (None, Some(get)) => get(&mut uuid, ordinal),
            (None, None) => LACKING,
        }
    })?;
    Ok(uuid_text(&uuid))
}

/// Everything about the device with that identity; what a region says of its device once it is made.
///
/// # Errors
/// If the driver does not say.
pub fn describe(ordinal: CUdevice, id: String) -> Result<DeviceInfo, Undescribed> {
    let mut name = [0_u8; 96];
    // SAFETY: the driver writes a text, within the length it is given.
    said(cuda::cuDeviceGetName.get().map_or(LACKING, |get| unsafe {
        get(name.as_mut_ptr().cast(), name.len() as i32 - 1, ordinal)
    }))?;
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    let name = String::from_utf8_lossy(&name[..end]).into_owned();
    Ok(DeviceInfo {
        vendor: Vendor::Nvidia,
        id,
        simulated: name.contains("simulated"),
        name,
        total_bytes: total_bytes(ordinal)?,
        sharing: mps::sharing_mode(ordinal),
    })
}

/// What the device has.
///
/// # Errors
/// If the driver does not say.
pub fn total_bytes(ordinal: CUdevice) -> Result<u64, Undescribed> {
    let mut total = 0_usize;
    let get = cuda::cuDeviceTotalMem_v2.get();
    // SAFETY: the driver writes one number.
    said(get.map_or(LACKING, |get| unsafe { get(&mut total, ordinal) }))?;
    Ok(total as u64)
}

/// What stands for the answer of a function that the driver does not have.
const LACKING: CUresult = CUresult::CUDA_ERROR_NOT_FOUND;

fn said(result: CUresult) -> Result<(), Undescribed> {
    match result {
        CUresult::CUDA_SUCCESS => Ok(()),
        CUresult::CUDA_ERROR_NOT_INITIALIZED
        | CUresult::CUDA_ERROR_DEINITIALIZED
        | CUresult::CUDA_ERROR_NO_DEVICE
        | CUresult::CUDA_ERROR_INVALID_DEVICE => Err(Undescribed::Absent),
        other => Err(Undescribed::Nameless(other.0.into())),
    }
}

/// `GPU-` and the UUID, as NVML and `nvidia-smi` write it.
fn uuid_text(uuid: &CUuuid) -> String {
    let mut text = String::from("GPU-");
    for (i, byte) in uuid.bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        // Writing to a string never fails.
        let _ = write!(text, "{:02x}", *byte as u8);
    }
    text
}
