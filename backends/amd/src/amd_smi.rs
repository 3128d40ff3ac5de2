//! AMD SMI: [`AmdSmi`].

use crate::driver;
use crate::library::{self, call, text};
use crate::smi::Smi;
use fcsp_core::backend::{BackendError, Vendor};
use libloading::Library;
use rocm_smi_sys::{
    amdsmi_asic_info_t, amdsmi_driver_info_t, amdsmi_init_flags_t, amdsmi_memory_type_t,
    amdsmi_proc_info_t, amdsmi_processor_handle, amdsmi_processor_type_t, amdsmi_socket_handle,
    amdsmi_status_t,
};
use std::ptr;

/// The version whose structures the bindings have: those that are asked for have changed from version to version.
const LIBRARIES: [&str; 1] = ["libamd_smi.so.27"];
const TEXT_BYTES: usize = 256;
const VRAM: amdsmi_memory_type_t = amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VRAM;
/// More processes than a device has at once.
const PROCESSES_MAX: usize = 1 << 16;

/// The library between `amdsmi_init` and `amdsmi_shut_down`, with the devices that it found.
pub(crate) struct AmdSmi {
    library: Library,
    devices: Vec<amdsmi_processor_handle>,
}

// SAFETY: handles are opaque names, which only the library looks behind; it may be called from any thread.
unsafe impl Send for AmdSmi {}
// SAFETY: as above.
unsafe impl Sync for AmdSmi {}

impl AmdSmi {
    pub(crate) fn open() -> Result<Self, BackendError> {
        let library = library::open(&LIBRARIES)?;
        let devices = amdsmi_init_flags_t::AMDSMI_INIT_AMD_GPUS;
        call!(&library, amdsmi_init(u64::from(devices.0))).map_err(driver::or_none)?;
        // From here on the drop shuts it down.
        let mut smi = Self {
            library,
            devices: Vec::new(),
        };
        smi.devices = smi.find()?;
        Ok(smi)
    }

    /// The devices of every socket; a partitioned one has several.
    fn find(&self) -> Result<Vec<amdsmi_processor_handle>, BackendError> {
        let mut found = Vec::new();
        let sockets: Vec<amdsmi_socket_handle> =
            list(|count, place| call!(&self.library, amdsmi_get_socket_handles(count, place)))?;
        for socket in sockets {
            let processors: Vec<amdsmi_processor_handle> = list(|count, place| {
                call!(
                    &self.library,
                    amdsmi_get_processor_handles(socket, count, place)
                )
            })?;
            for processor in processors {
                let mut kind = amdsmi_processor_type_t::AMDSMI_PROCESSOR_TYPE_UNKNOWN;
                call!(
                    &self.library,
                    amdsmi_get_processor_type(processor, &mut kind)
                )?;
                if kind == amdsmi_processor_type_t::AMDSMI_PROCESSOR_TYPE_AMD_GPU {
                    found.push(processor);
                }
            }
        }
        Ok(found)
    }

    fn device(&self, index: u32) -> Result<amdsmi_processor_handle, BackendError> {
        let device = self.devices.get(index as usize);
        device.copied().ok_or_else(|| BackendError::NoDevice {
            vendor: Vendor::Amd,
            id: index.to_string(),
        })
    }
}

impl Drop for AmdSmi {
    fn drop(&mut self) {
        // The library counts initializations; a failure here leaves nothing to be done.
        let _status = call!(&self.library, amdsmi_shut_down());
    }
}

/// Handles that `ask` tells the number of first.
fn list(
    ask: impl Fn(*mut u32, *mut *mut std::ffi::c_void) -> Result<(), BackendError>,
) -> Result<Vec<*mut std::ffi::c_void>, BackendError> {
    let mut count = 0;
    ask(&mut count, ptr::null_mut())?;
    let mut handles = vec![ptr::null_mut(); count as usize];
    if count > 0 {
        ask(&mut count, handles.as_mut_ptr())?;
        handles.truncate(count as usize);
    }
    Ok(handles)
}

impl Smi for AmdSmi {
    fn name(&self) -> &'static str {
        "AMD SMI"
    }

    fn driver_version(&self) -> Result<String, BackendError> {
        // One driver serves all devices.
        let device = self.device(0)?;
        let mut info = amdsmi_driver_info_t::default();
        call!(&self.library, amdsmi_get_gpu_driver_info(device, &mut info))?;
        Ok(text(&info.driver_version))
    }

    fn count(&self) -> Result<u32, BackendError> {
        Ok(self.devices.len() as u32)
    }

    fn bus_number(&self, index: u32) -> Result<u64, BackendError> {
        let device = self.device(index)?;
        let mut number = 0;
        call!(&self.library, amdsmi_get_gpu_bdf_id(device, &mut number))?;
        Ok(number)
    }

    fn device_name(&self, index: u32) -> Result<String, BackendError> {
        let device = self.device(index)?;
        let mut info = amdsmi_asic_info_t::default();
        call!(&self.library, amdsmi_get_gpu_asic_info(device, &mut info))?;
        Ok(text(&info.market_name))
    }

    fn total_bytes(&self, index: u32) -> Result<u64, BackendError> {
        let device = self.device(index)?;
        let mut bytes = 0;
        call!(
            &self.library,
            amdsmi_get_gpu_memory_total(device, VRAM, &mut bytes)
        )?;
        Ok(bytes)
    }

    fn used_bytes(&self, index: u32) -> Result<u64, BackendError> {
        let device = self.device(index)?;
        let mut bytes = 0;
        call!(
            &self.library,
            amdsmi_get_gpu_memory_usage(device, VRAM, &mut bytes)
        )?;
        Ok(bytes)
    }

    fn busy_percent(&self, index: u32) -> Result<u32, BackendError> {
        let device = self.device(index)?;
        let mut percent = 0;
        call!(
            &self.library,
            amdsmi_get_gpu_busy_percent(device, &mut percent)
        )?;
        Ok(percent)
    }

    fn process_bytes(&self, index: u32, pid: u32) -> Result<Option<u64>, BackendError> {
        let device = self.device(index)?;
        let too_few = i64::from(amdsmi_status_t::AMDSMI_STATUS_OUT_OF_RESOURCES.0);
        let mut rows = vec![amdsmi_proc_info_t::default(); 64];
        loop {
            let mut count = rows.len() as u32;
            let asked = call!(
                &self.library,
                amdsmi_get_gpu_process_list(device, &mut count, rows.as_mut_ptr())
            );
            match asked {
                Ok(()) => break rows.truncate(count as usize),
                // The library says how many there were; more may have come since.
                Err(BackendError::Call { code, .. })
                    if code == too_few && rows.len() < PROCESSES_MAX =>
                {
                    let wanted = (count as usize).max(rows.len()) * 2;
                    rows.resize(wanted, amdsmi_proc_info_t::default());
                }
                Err(error) => return Err(error),
            }
        }
        let of_process = rows.iter().filter(|row| row.pid == pid);
        Ok(of_process
            .map(|row| row.memory_usage.vram_mem)
            .reduce(u64::saturating_add))
    }

    fn compute_partition(&self, index: u32) -> Result<String, BackendError> {
        let device = self.device(index)?;
        let mut room = [0; TEXT_BYTES];
        call!(
            &self.library,
            amdsmi_get_gpu_compute_partition(device, room.as_mut_ptr(), TEXT_BYTES as u32)
        )?;
        Ok(text(&room))
    }

    fn memory_partition(&self, index: u32) -> Result<String, BackendError> {
        let device = self.device(index)?;
        let mut room = [0; TEXT_BYTES];
        call!(
            &self.library,
            amdsmi_get_gpu_memory_partition(device, room.as_mut_ptr(), TEXT_BYTES as u32)
        )?;
        Ok(text(&room))
    }
}
