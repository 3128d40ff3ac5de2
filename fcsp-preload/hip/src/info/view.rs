//! Whose view a question to a management library is answered from: [`fcsp_program::info::tenant`], by ROCm SMI's
//! indices of devices and AMD SMI's handles.

use fcsp_program::info::tenant::{self, Described, View, visible_place};
use rocm_smi_sys::{
    amdsmi_bdf_t, amdsmi_memory_type_t, amdsmi_processor_handle, amdsmi_status_t,
    rsmi_memory_type_t, rsmi_status_t,
};

use crate::driver::Hip;
use crate::hooks::{amdsmi, rsmi};

/// A device's address as the driver writes it, from the number that both libraries have for it: function, device and bus
/// from the lowest bit on (3, 5 and 8 bits), the domain in the upper half. What lies between says which partition it is.
fn address_of(number: u64) -> String {
    let (domain, bus) = (number >> 32, number >> 8 & 0xff);
    let (device, function) = (number >> 3 & 0x1f, number & 7);
    format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}")
}

/// The address of the device with that index of ROCm SMI's.
pub fn bus_address(index: u32) -> Option<String> {
    let mut number = 0;
    // SAFETY: the library writes a number there, or fails.
    let result = unsafe { rsmi::rsmi_dev_pci_id_get.get()?(index, &mut number) };
    (result == rsmi_status_t::RSMI_STATUS_SUCCESS).then(|| address_of(number))
}

/// The view of the device with that index of ROCm SMI's.
pub fn of_index(index: u32) -> Option<View> {
    let id = bus_address(index)?;
    tenant::view_of::<Hip>(&id, || {
        let mut bytes = 0;
        let kind = rsmi_memory_type_t::RSMI_MEM_TYPE_VRAM;
        // SAFETY: the library writes a number there, or fails.
        let result = unsafe { rsmi::rsmi_dev_memory_total_get.get()?(index, kind, &mut bytes) };
        (result == rsmi_status_t::RSMI_STATUS_SUCCESS).then_some(Described {
            ordinal: ordinal(&id, index),
            total_bytes: bytes,
        })
    })
}

/// The number that HIP would give the device in this process: the first variable chooses among all devices, the second
/// among those.
fn ordinal(id: &str, index: u32) -> u32 {
    ["ROCR_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"]
        .iter()
        .filter_map(|variable| std::env::var(variable).ok())
        .fold(index, |index, visible| visible_place(&visible, id, index))
}

/// The view of the device behind a handle of AMD SMI's.
pub fn of_handle(handle: amdsmi_processor_handle) -> Option<View> {
    let mut address = amdsmi_bdf_t::default();
    // SAFETY: the library writes the address there, or fails.
    let result = unsafe { amdsmi::amdsmi_get_gpu_device_bdf.get()?(handle, &mut address) };
    if result != amdsmi_status_t::AMDSMI_STATUS_SUCCESS {
        return None;
    }
    // SAFETY: a number has every value. Function, device, bus and domain from the lowest bit on (3, 5, 8 and 48 bits).
    let number = unsafe { address.as_uint };
    let id = address_of(number & 0xffff | number >> 16 << 32);
    tenant::view_of::<Hip>(&id, || {
        let mut bytes = 0;
        let kind = amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VRAM;
        // SAFETY: the library writes a number there, or fails.
        let result =
            unsafe { amdsmi::amdsmi_get_gpu_memory_total.get()?(handle, kind, &mut bytes) };
        (result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS).then_some(Described {
            // It has no index; settings by number hold for the first.
            ordinal: 0,
            total_bytes: bytes,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_driver_writes_them() {
        assert_eq!(address_of(0xc1 << 8), "0000:c1:00.0");
        assert_eq!(address_of(2 << 32 | 0x03 << 8 | 5 << 3 | 1), "0002:03:05.1");
        assert_eq!(
            address_of(3 << 28 | 0xc1 << 8),
            "0000:c1:00.0",
            "a partition"
        );
    }
}
