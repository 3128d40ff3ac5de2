//! What the driver says a device is: its UUID, which names the region, its name and its memory.
//!
//! Asked once, when a device is attached ([`crate::device`]).

use cuda_sys::{CUdevice, CUresult, CUuuid};
use fcsp_core::backend::{DeviceInfo, Vendor};

use crate::hooks::cuda;
use crate::mps;

/// Why a device is not described.
#[derive(Debug)]
pub enum Undescribed {
    /// The driver has no such device, or is not initialised: a program that goes on all the same is
    /// refused by the driver itself.
    Absent,
    /// It is there, and the driver does not say which it is.
    Nameless(CUresult),
}

/// Asks the driver.
///
/// # Errors
/// If it does not say.
pub fn describe(ordinal: CUdevice) -> Result<DeviceInfo, Undescribed> {
    let mut uuid = CUuuid { bytes: [0; 16] };
    let mut name = [0_u8; 96];
    let mut total = 0_usize;
    let lacking = CUresult::CUDA_ERROR_NOT_FOUND;
    // SAFETY: each call writes into what it is given, within the length it is given.
    let results = unsafe {
        [
            match (cuda::cuDeviceGetUuid_v2.get(), cuda::cuDeviceGetUuid.get()) {
                (Some(get), _) => get(&mut uuid, ordinal),
                (None, Some(get)) => get(&mut uuid, ordinal),
                (None, None) => lacking,
            },
            cuda::cuDeviceGetName.get().map_or(lacking, |get| {
                get(name.as_mut_ptr().cast(), name.len() as i32 - 1, ordinal)
            }),
            cuda::cuDeviceTotalMem_v2
                .get()
                .map_or(lacking, |get| get(&mut total, ordinal)),
        ]
    };
    if let Some(result) = results
        .into_iter()
        .find(|result| *result != CUresult::CUDA_SUCCESS)
    {
        return Err(match result {
            CUresult::CUDA_ERROR_NOT_INITIALIZED
            | CUresult::CUDA_ERROR_DEINITIALIZED
            | CUresult::CUDA_ERROR_NO_DEVICE
            | CUresult::CUDA_ERROR_INVALID_DEVICE => Undescribed::Absent,
            other => Undescribed::Nameless(other),
        });
    }
    let end = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    let name = String::from_utf8_lossy(&name[..end]).into_owned();
    Ok(DeviceInfo {
        vendor: Vendor::Nvidia,
        id: uuid_text(&uuid),
        simulated: name.contains("simulated"),
        name,
        total_bytes: total as u64,
        sharing: mps::sharing_mode(ordinal),
    })
}

/// `GPU-` and the UUID, as NVML and `nvidia-smi` write it.
fn uuid_text(uuid: &CUuuid) -> String {
    let mut text = String::from("GPU-");
    for (i, byte) in uuid.bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", *byte as u8));
    }
    text
}
