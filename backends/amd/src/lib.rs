//! AMD devices behind [`GpuBackend`].
//!
//! This crate asks a management library about devices: ROCm SMI, or its successor AMD SMI where only that is installed.
//! It lists them, reads their load and tells how they are partitioned. It launches nothing and limits nothing. The
//! operator's tools open it through the registration below. The preload library does not use it: inside a program the
//! driver is already there. What both need, the gate in the stream, is the crate `fcsp-amd-queue` beside this one;
//! [`queue`] finds its functions for programs that load the driver.
//!
//! Nothing links to a vendor library: all are found at run time, so everything builds and starts on machines without a
//! GPU. Nothing of this has run on hardware.

mod amd_smi;
pub mod device;
pub mod driver;
pub mod error;
mod library;
mod memory;
pub mod partition;
pub mod queue;
mod rocm_smi;
mod smi;

use fcsp_core::backend::{BackendError, DeviceInfo, GpuBackend, Registration, Telemetry, Vendor};
use smi::Smi;

inventory::submit! {
    Registration {
        vendor: Vendor::Amd,
        open: || Amd::open().map(|backend| Box::new(backend) as Box<dyn GpuBackend>),
    }
}

/// The AMD devices of this machine, through the management library. Thread-safe; every call may take milliseconds.
pub struct Amd {
    smi: Box<dyn Smi>,
}

impl Amd {
    /// Finds and starts the management library. Fails if there is none or if it finds no driver.
    pub fn open() -> Result<Self, BackendError> {
        Ok(Self { smi: smi::open()? })
    }

    /// Through AMD SMI even where ROCm SMI is installed as well.
    pub fn open_amd_smi() -> Result<Self, BackendError> {
        let smi = amd_smi::AmdSmi::open()?;
        Ok(Self { smi: Box::new(smi) })
    }

    /// The management library that answers, by its name for people.
    pub fn library(&self) -> &'static str {
        self.smi.name()
    }

    /// How the device with that identity is partitioned.
    pub fn setup(&self, device_id: &str) -> Result<partition::Setup, BackendError> {
        partition::setup(&*self.smi, device::index(&*self.smi, device_id)?)
    }
}

impl GpuBackend for Amd {
    fn vendor(&self) -> Vendor {
        Vendor::Amd
    }

    fn driver_version(&self) -> Result<String, BackendError> {
        self.smi.driver_version()
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, BackendError> {
        device::list(&*self.smi)
    }

    fn process_bytes(&self, device_id: &str, pid: u32) -> Result<Option<u64>, BackendError> {
        memory::process_bytes(&*self.smi, device::index(&*self.smi, device_id)?, pid)
    }

    fn telemetry(&self, device_id: &str) -> Result<Telemetry, BackendError> {
        let index = device::index(&*self.smi, device_id)?;
        Ok(Telemetry {
            used_bytes: memory::used_bytes(&*self.smi, index)?,
            busy: device::busy(&*self.smi, index)?,
        })
    }
}
