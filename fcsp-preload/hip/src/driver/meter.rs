//! What this process uses of a device by ROCm SMI, which reads it from the kernel driver.

use fcsp_program::device::Device;
use fcsp_program::driver::Meter;
use rocm_smi_sys::{rsmi_process_info_t, rsmi_status_t};

use crate::driver::Hip;
use crate::hooks::rsmi;
use crate::info::view::bus_address;

impl Meter for Hip {
    /// The library's index of the device.
    type Handle = u32;

    /// Not measured, and rather too much: what SMI shows replaces it, and programs that start together before anything
    /// was seen would else come to pass their quota by what their contexts take beyond it.
    const CONTEXT_BYTES_GUESS: u64 = 256 << 20;
    /// Not measured: as another vendor's driver takes.
    const GROWTH_BYTES: u64 = 12 << 20;

    fn handle_of(id: &str) -> Option<u32> {
        let mut count = 0;
        // SAFETY: initialising twice is counted by the library; it writes a number.
        let results = unsafe {
            [
                rsmi::rsmi_init.get()?(0),
                rsmi::rsmi_num_monitor_devices.get()?(&mut count),
            ]
        };
        let known = results
            .iter()
            .all(|result| *result == rsmi_status_t::RSMI_STATUS_SUCCESS);
        (0..count)
            .filter(|_| known)
            .find(|index| bus_address(*index).is_some_and(|address| address == id))
    }

    fn process_bytes(handle: u32) -> Option<u64> {
        let mut info = rsmi_process_info_t::default();
        let ask = rsmi::rsmi_compute_process_info_by_device_get.get()?;
        // SAFETY: the library writes one structure, or fails.
        let result = unsafe { ask(std::process::id(), handle, &mut info) };
        (result == rsmi_status_t::RSMI_STATUS_SUCCESS).then_some(info.vram_usage)
    }

    fn shows_process(_device: &Device) -> bool {
        true
    }
}
