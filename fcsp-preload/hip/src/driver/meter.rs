//! What this process uses of a device by ROCm SMI, which reads it from the kernel driver.

use fcsp_program::device::Device;
use fcsp_program::driver::Meter;
use rocm_smi_sys::{rsmi_process_info_t, rsmi_status_t};

use crate::driver::Hip;
use crate::hooks::rsmi;
use crate::info::view;

impl Meter for Hip {
    /// The library's index of the device.
    type Handle = u32;

    /// Not measured, and rather too much: what SMI shows replaces it, and programs that start together before anything
    /// was seen would else come to pass their quota by what their contexts take beyond it.
    const CONTEXT_BYTES_GUESS: u64 = 256 << 20;
    /// Not measured: as another vendor's driver takes.
    const GROWTH_BYTES: u64 = 12 << 20;

    fn handle_of(id: &str) -> Option<u32> {
        (0..view::devices()?).find(|index| view::id_of_index(*index).is_some_and(|it| it == id))
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
