//! ROCm SMI: [`RocmSmi`].

use crate::driver;
use crate::error::if_found;
use crate::library::{self, call, text};
use crate::smi::Smi;
use fcsp_core::backend::BackendError;
use libloading::Library;
use rocm_smi_sys::{rsmi_memory_type_t, rsmi_process_info_t, rsmi_sw_component_t};
use std::ffi::c_char;

/// The names under which AMD's releases and Debian install the library, newest first.
const LIBRARIES: [&str; 4] = [
    "librocm_smi64.so.7",
    "librocm_smi64.so.6",
    "librocm_smi64.so.5",
    "librocm_smi64.so.1",
];
/// Longest text that is asked for, with its end.
const TEXT_BYTES: usize = 256;
const VRAM: rsmi_memory_type_t = rsmi_memory_type_t::RSMI_MEM_TYPE_VRAM;

/// The library between `rsmi_init` and `rsmi_shut_down`.
pub(crate) struct RocmSmi(Library);

impl RocmSmi {
    pub(crate) fn open() -> Result<Self, BackendError> {
        let library = library::open(&LIBRARIES)?;
        // Not a `RocmSmi` before it is initialized, or the drop would shut down what never began.
        call!(&library, rsmi_init(0)).map_err(driver::or_none)?;
        Ok(Self(library))
    }
}

impl Drop for RocmSmi {
    fn drop(&mut self) {
        // The library counts initializations; a failure here leaves nothing to be done.
        let _status = call!(&self.0, rsmi_shut_down());
    }
}

/// The text that `ask` writes into the room it is given.
fn text_of(
    ask: impl FnOnce(*mut c_char, usize) -> Result<(), BackendError>,
) -> Result<String, BackendError> {
    let mut room = [0; TEXT_BYTES];
    ask(room.as_mut_ptr(), room.len())?;
    Ok(text(&room))
}

impl Smi for RocmSmi {
    fn name(&self) -> &'static str {
        "ROCm SMI"
    }

    fn driver_version(&self) -> Result<String, BackendError> {
        let driver = rsmi_sw_component_t::RSMI_SW_COMP_DRIVER;
        text_of(|place, room| call!(&self.0, rsmi_version_str_get(driver, place, room as u32)))
    }

    fn count(&self) -> Result<u32, BackendError> {
        let mut count = 0;
        call!(&self.0, rsmi_num_monitor_devices(&mut count))?;
        Ok(count)
    }

    fn bus_number(&self, index: u32) -> Result<u64, BackendError> {
        let mut number = 0;
        call!(&self.0, rsmi_dev_pci_id_get(index, &mut number))?;
        Ok(number)
    }

    fn device_name(&self, index: u32) -> Result<String, BackendError> {
        text_of(|place, room| call!(&self.0, rsmi_dev_name_get(index, place, room)))
    }

    fn total_bytes(&self, index: u32) -> Result<u64, BackendError> {
        let mut bytes = 0;
        call!(&self.0, rsmi_dev_memory_total_get(index, VRAM, &mut bytes))?;
        Ok(bytes)
    }

    fn used_bytes(&self, index: u32) -> Result<u64, BackendError> {
        let mut bytes = 0;
        call!(&self.0, rsmi_dev_memory_usage_get(index, VRAM, &mut bytes))?;
        Ok(bytes)
    }

    fn busy_percent(&self, index: u32) -> Result<u32, BackendError> {
        let mut percent = 0;
        call!(&self.0, rsmi_dev_busy_percent_get(index, &mut percent))?;
        Ok(percent)
    }

    fn process_bytes(&self, index: u32, pid: u32) -> Result<Option<u64>, BackendError> {
        let mut info = rsmi_process_info_t::default();
        let asked = call!(
            &self.0,
            rsmi_compute_process_info_by_device_get(pid, index, &mut info)
        );
        Ok(if_found(asked)?.map(|()| info.vram_usage))
    }

    fn compute_partition(&self, index: u32) -> Result<String, BackendError> {
        text_of(|place, room| {
            call!(
                &self.0,
                rsmi_dev_compute_partition_get(index, place, room as u32)
            )
        })
    }

    fn memory_partition(&self, index: u32) -> Result<String, BackendError> {
        text_of(|place, room| {
            call!(
                &self.0,
                rsmi_dev_memory_partition_get(index, place, room as u32)
            )
        })
    }
}
