//! Whose view a question to a management library is answered from: [`fcsp_program::info::tenant`], by ROCm SMI's
//! indices of devices and AMD SMI's handles.

use fcsp_program::info::tenant::{self, Described, View, visible_place};
use rocm_smi_sys::{
    amdsmi_memory_type_t, amdsmi_processor_handle, amdsmi_status_t, rsmi_memory_type_t,
    rsmi_status_t,
};

use crate::hooks::{amdsmi, rsmi};

/// Where a device is: its address on the bus, and which partition of that device it is.
struct Place {
    address: String,
    partition: u64,
}

impl Place {
    /// From the number that both libraries have for it: function, device and bus from the lowest bit on (3, 5 and 8 bits),
    /// the partition in bits 28 to 31, the domain in the upper half.
    fn of(number: u64) -> Self {
        let (domain, bus) = (number >> 32, number >> 8 & 0xff);
        let (device, function) = (number >> 3 & 0x1f, number & 7);
        Self {
            address: format!("{domain:04x}:{bus:02x}:{device:02x}.{function:x}"),
            partition: number >> 28 & 0xf,
        }
    }

    fn of_index(index: u32) -> Option<Self> {
        let mut number = 0;
        // SAFETY: the library writes a number there, or fails.
        let result = unsafe { rsmi::rsmi_dev_pci_id_get.get()?(index, &mut number) };
        (result == rsmi_status_t::RSMI_STATUS_SUCCESS).then(|| Self::of(number))
    }

    fn id(&self) -> String {
        id_of(&self.address, self.partition)
    }
}

/// The identity of a device: its address as the driver writes it, and behind it the number of the partition, unless that is
/// the first or only one.
pub fn id_of(address: &str, partition: u64) -> String {
    match partition {
        0 => address.to_owned(),
        partition => format!("{address}-p{partition}"),
    }
}

/// The identity of the device with that index of ROCm SMI's.
pub fn id_of_index(index: u32) -> Option<String> {
    Some(Place::of_index(index)?.id())
}

/// Initialises ROCm SMI and gives how many devices it knows.
pub fn devices() -> Option<u32> {
    let mut count = 0;
    // SAFETY: initialising twice is counted by the library; it writes a number.
    let results = unsafe {
        [
            rsmi::rsmi_init.get()?(0),
            rsmi::rsmi_num_monitor_devices.get()?(&mut count),
        ]
    };
    let known = |result: &rsmi_status_t| *result == rsmi_status_t::RSMI_STATUS_SUCCESS;
    results.iter().all(known).then_some(count)
}

/// Which partition of the device with that address it is whose unique id HIP writes so: by ROCm SMI, of which both are.
/// Where it does not tell them by their ids, the `rank`-th is taken.
pub fn partition_at(address: &str, unique_id: Option<[u8; 16]>, rank: usize) -> Option<u64> {
    let mut partitions = Vec::new();
    for index in 0..devices()? {
        let Some(place) = Place::of_index(index).filter(|it| it.address == address) else {
            continue;
        };
        partitions.push((place.partition, unique_id_of(index)));
    }
    partitions.sort_unstable();
    choose(&partitions, unique_id, rank)
}

fn choose(
    partitions: &[(u64, Option<[u8; 16]>)],
    unique_id: Option<[u8; 16]>,
    rank: usize,
) -> Option<u64> {
    let mut same = partitions
        .iter()
        .filter(|it| unique_id.is_some() && it.1 == unique_id);
    match (same.next(), same.next()) {
        (Some((partition, _)), None) => Some(*partition),
        _ => partitions.get(rank).map(|it| it.0),
    }
}

/// The unique id of the device with that index, in the digits that HIP's are.
fn unique_id_of(index: u32) -> Option<[u8; 16]> {
    let mut number = 0;
    // SAFETY: the library writes a number there, or fails.
    let result = unsafe { rsmi::rsmi_dev_unique_id_get.get()?(index, &mut number) };
    let known = result == rsmi_status_t::RSMI_STATUS_SUCCESS;
    known.then(|| format!("{number:016x}").into_bytes().try_into().ok())?
}

/// The view of the device with that index of ROCm SMI's.
pub fn of_index(index: u32) -> Option<View> {
    let id = id_of_index(index)?;
    tenant::view_of(&id, || {
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
    let mut number = 0;
    // SAFETY: the library writes a number there, or fails.
    let result = unsafe { amdsmi::amdsmi_get_gpu_bdf_id.get()?(handle, &mut number) };
    if result != amdsmi_status_t::AMDSMI_STATUS_SUCCESS {
        return None;
    }
    let id = Place::of(number).id();
    tenant::view_of(&id, || {
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
    fn devices_are_named_by_their_addresses_and_partitions_by_their_numbers() {
        assert_eq!(Place::of(0xc1 << 8).id(), "0000:c1:00.0");
        assert_eq!(
            Place::of(2 << 32 | 0x03 << 8 | 5 << 3 | 1).id(),
            "0002:03:05.1"
        );
        assert_eq!(Place::of(3 << 28 | 0xc1 << 8).id(), "0000:c1:00.0-p3");
    }

    #[test]
    fn a_partition_is_found_by_its_id_and_else_by_its_place() {
        let id = |digit: u8| Some([digit; 16]);
        let own = [(0, id(b'a')), (1, id(b'b')), (2, id(b'c'))];
        assert_eq!(choose(&own, id(b'c'), 0), Some(2));
        assert_eq!(choose(&own, None, 1), Some(1));
        let common = [(0, id(b'a')), (1, id(b'a'))];
        assert_eq!(choose(&common, id(b'a'), 1), Some(1));
        assert_eq!(choose(&common, id(b'a'), 5), None, "SMI knows fewer");
    }
}
