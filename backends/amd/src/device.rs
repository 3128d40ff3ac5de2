//! Which devices there are, and what they are called.

use crate::error::if_supported;
use crate::memory;
use crate::smi::Smi;
use fcsp_core::backend::{BackendError, DeviceInfo, SharingMode, Vendor};

/// Whether a device with that name is a simulated one: they all say so in their names.
pub fn is_simulated(name: &str) -> bool {
    name.contains("simulated")
}

/// The identity FCSP uses for the device with that number on the bus: its address, as HIP writes it in
/// `hipDeviceGetPCIBusId`, in small letters. Bits 28 to 31 tell the partitions of a device apart, which have one address:
/// those but the first have their number behind it.
pub fn id_of_bus_number(number: u64) -> String {
    let address = format!(
        "{:04x}:{:02x}:{:02x}.{:x}",
        number >> 32,
        number >> 8 & 0xff,
        number >> 3 & 0x1f,
        number & 7
    );
    match number >> 28 & 0xf {
        0 => address,
        partition => format!("{address}-p{partition}"),
    }
}

/// Every device, in the library's order, whatever `HIP_VISIBLE_DEVICES` hides from programs. The partitions of a device are
/// devices of their own; where the driver does not tell them apart, they are told as one.
pub(crate) fn list(smi: &dyn Smi) -> Result<Vec<DeviceInfo>, BackendError> {
    let mut devices: Vec<DeviceInfo> = Vec::new();
    for index in 0..smi.count()? {
        let id = id_of_bus_number(smi.bus_number(index)?);
        if devices.iter().any(|device| device.id == id) {
            continue;
        }
        let name = smi.device_name(index)?;
        devices.push(DeviceInfo {
            vendor: Vendor::Amd,
            id,
            total_bytes: memory::total_bytes(smi, index)?,
            sharing: SharingMode::Concurrent,
            simulated: is_simulated(&name),
            name,
        });
    }
    Ok(devices)
}

/// The library's number of the device with that identity.
pub(crate) fn index(smi: &dyn Smi, id: &str) -> Result<u32, BackendError> {
    for index in 0..smi.count()? {
        if id_of_bus_number(smi.bus_number(index)?) == id {
            return Ok(index);
        }
    }
    Err(BackendError::NoDevice {
        vendor: Vendor::Amd,
        id: id.to_owned(),
    })
}

/// Share of the last sample period in which the device worked, 0 to 1.
pub(crate) fn busy(smi: &dyn Smi, index: u32) -> Result<Option<f64>, BackendError> {
    let percent = if_supported(smi.busy_percent(index))?;
    Ok(percent.map(|percent| f64::from(percent.min(100)) / 100.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_hips_text_of_the_address() {
        assert_eq!(id_of_bus_number(0xc100), "0000:c1:00.0");
        assert_eq!(id_of_bus_number(0x1_0000_23ef), "0001:23:1d.7");
        assert_eq!(id_of_bus_number(0x3000_c100), "0000:c1:00.0-p3");
    }

    #[test]
    fn only_a_name_that_says_so_is_simulated() {
        assert!(is_simulated("AMD Instinct MI210 (simulated)"));
        assert!(!is_simulated("AMD Instinct MI210"));
    }
}
