//! What the driver says a device is: its address on the bus, which names the region, its name and its memory.

use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_program::driver::Undescribed;
use hip_sys::{hipError_t, hipUUID};

use crate::errors::quietly;
use crate::hooks::hip;
use crate::info::view;

/// Longest name, and longest address, that is asked for.
const TEXT_BYTES: usize = 128;

/// The device's address on the bus, as ROCm SMI's tools write it: `0000:c1:00.0`. The partitions of a device have one
/// address; those but the first have their number behind it, `0000:c1:00.0-p3`.
///
/// # Errors
/// If the driver does not say.
pub fn id(ordinal: i32) -> Result<String, Undescribed> {
    let address = address(ordinal)?;
    if !may_be_partition(ordinal, &address) {
        return Ok(address);
    }
    let rank = (0..ordinal).filter(|other| is_at(*other, &address)).count();
    let partition = view::partition_at(&address, unique_id(ordinal), rank);
    // Without a management library that says which: the place among those that the program sees.
    Ok(view::id_of(&address, partition.unwrap_or(rank as u64)))
}

fn address(ordinal: i32) -> Result<String, Undescribed> {
    text(|place, room| match hip::hipDeviceGetPCIBusId.get() {
        // SAFETY: the driver writes a text, within the length it is given.
        Some(get) => unsafe { get(place, room, ordinal) },
        None => LACKING,
    })
    .map(|address| address.to_ascii_lowercase())
}

fn is_at(ordinal: i32, wanted: &str) -> bool {
    address(ordinal).is_ok_and(|it| it == wanted)
}

/// Whether the device may be one of several with its address. The kernel driver says it in a file, where it can be read;
/// else it may be if others are there, or hidden.
fn may_be_partition(ordinal: i32, address: &str) -> bool {
    let file = format!("/sys/bus/pci/devices/{address}/current_compute_partition");
    if let Ok(mode) = std::fs::read_to_string(file) {
        return mode.trim() != "SPX";
    }
    let hidden = ["ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"];
    let mut count = 0;
    let get = hip::hipGetDeviceCount.get();
    // SAFETY: the driver writes one number.
    let ask = || get.map_or(LACKING, |get| unsafe { get(&mut count) });
    let others = said(quietly(ask)).map_or(0, |()| count);
    hidden.iter().any(|name| std::env::var_os(name).is_some())
        || (0..others).any(|other| other != ordinal && is_at(other, address))
}

/// The device's unique id, in the driver's digits.
fn unique_id(ordinal: i32) -> Option<[u8; 16]> {
    let get = hip::hipDeviceGetUuid.get()?;
    let mut uuid = hipUUID::default();
    // SAFETY: the driver writes one structure.
    let result = quietly(|| unsafe { get(&mut uuid, ordinal) });
    (result == hipError_t::hipSuccess).then(|| uuid.bytes.map(|byte| byte as u8))
}

/// Everything about the device with that identity.
///
/// # Errors
/// If the driver does not say.
pub fn describe(ordinal: i32, id: String) -> Result<DeviceInfo, Undescribed> {
    let name = text(|place, room| match hip::hipDeviceGetName.get() {
        // SAFETY: as above.
        Some(get) => unsafe { get(place, room, ordinal) },
        None => LACKING,
    })?;
    Ok(DeviceInfo {
        vendor: Vendor::Amd,
        id,
        simulated: name.contains("simulated"),
        name,
        total_bytes: total_bytes(ordinal)?,
        sharing: SharingMode::Concurrent,
    })
}

/// What the device has.
///
/// # Errors
/// If the driver does not say.
pub fn total_bytes(ordinal: i32) -> Result<u64, Undescribed> {
    let mut total = 0_usize;
    let get = hip::hipDeviceTotalMem.get();
    // SAFETY: the driver writes one number.
    let ask = || get.map_or(LACKING, |get| unsafe { get(&mut total, ordinal) });
    said(quietly(ask))?;
    Ok(total as u64)
}

/// What stands for the answer of a function that the driver does not have.
const LACKING: hipError_t = hipError_t::hipErrorNotFound;

fn text(
    ask: impl FnOnce(*mut core::ffi::c_char, i32) -> hipError_t,
) -> Result<String, Undescribed> {
    let mut bytes = [0_u8; TEXT_BYTES];
    said(quietly(|| {
        ask(bytes.as_mut_ptr().cast(), TEXT_BYTES as i32 - 1)
    }))?;
    let end = bytes.iter().position(|byte| *byte == 0);
    Ok(String::from_utf8_lossy(&bytes[..end.unwrap_or(TEXT_BYTES)]).into_owned())
}

fn said(result: hipError_t) -> Result<(), Undescribed> {
    match result {
        hipError_t::hipSuccess => Ok(()),
        hipError_t::hipErrorNotInitialized
        | hipError_t::hipErrorDeinitialized
        | hipError_t::hipErrorInsufficientDriver
        | hipError_t::hipErrorNoDevice
        | hipError_t::hipErrorInvalidDevice => Err(Undescribed::Absent),
        other => Err(Undescribed::Nameless(other.0.into())),
    }
}
