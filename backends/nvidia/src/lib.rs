//! NVIDIA devices behind [`GpuBackend`].
//!
//! This crate asks the management library (NVML) about devices: it lists them, reads their load and
//! tells how programs can overlap on them. It launches nothing and limits nothing. The operator's
//! tools open it through the registration below. The preload library does not use it: inside a program
//! the driver is already there. What both need, the gate in the stream, is the crate `fcsp-nvidia-queue`
//! beside this one; [`queue`] finds its functions for programs that load the driver.
//!
//! Nothing links to a vendor library: both are found at run time, so everything builds and starts on
//! machines without a GPU.

pub mod device;
pub mod driver;
pub mod error;
mod memory;
mod nvml;
pub mod partition;
pub mod queue;

use fcsp_core::backend::{BackendError, DeviceInfo, GpuBackend, Registration, Telemetry, Vendor};

inventory::submit! {
    Registration {
        vendor: Vendor::Nvidia,
        open: || Nvidia::open().map(|backend| Box::new(backend) as Box<dyn GpuBackend>),
    }
}

/// The NVIDIA devices of this machine, through NVML. Thread-safe; every call may take milliseconds.
pub struct Nvidia {
    nvml: nvml::Nvml,
}

impl Nvidia {
    /// Finds and starts NVML. Fails if there is none or if it finds no driver.
    pub fn open() -> Result<Self, BackendError> {
        Ok(Self {
            nvml: nvml::Nvml::open()?,
        })
    }

    /// CUDA version the driver implements, as NVIDIA writes it: 13000 is 13.0.
    pub fn cuda_version(&self) -> Result<i32, BackendError> {
        device::cuda_version(&self.nvml)
    }

    /// How the device with that identity is set up for sharing.
    pub fn setup(&self, device_id: &str) -> Result<partition::Setup, BackendError> {
        partition::setup(&self.nvml, self.nvml.device(device_id)?)
    }
}

impl GpuBackend for Nvidia {
    fn vendor(&self) -> Vendor {
        Vendor::Nvidia
    }

    fn driver_version(&self) -> Result<String, BackendError> {
        device::driver_version(&self.nvml)
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, BackendError> {
        device::list(&self.nvml)
    }

    fn process_bytes(&self, device_id: &str, pid: u32) -> Result<Option<u64>, BackendError> {
        memory::process_bytes(&self.nvml, self.nvml.device(device_id)?, pid)
    }

    fn telemetry(&self, device_id: &str) -> Result<Telemetry, BackendError> {
        let device = self.nvml.device(device_id)?;
        Ok(Telemetry {
            used_bytes: Some(memory::of_device(&self.nvml, device)?.used),
            busy: device::busy(&self.nvml, device)?,
        })
    }
}
