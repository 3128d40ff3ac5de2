//! Intel devices behind [`GpuBackend`].
//!
//! This crate asks Sysman, the management interface of Level Zero, about devices: it lists them, reads their load and tells
//! in how many parts they are. It launches nothing and limits nothing. The operator's tools open it through the
//! registration below. The preload library does not use it: inside a program the driver is already there. What both need,
//! the gate in the queue, is the crate `fcsp-intel-queue` beside this one; [`queue`] finds its functions for programs that
//! load the driver.
//!
//! Nothing links to a vendor library: the loader is found at run time, so everything builds and starts on machines without
//! a GPU. Nothing of this has run on hardware.

pub mod device;
pub mod driver;
pub mod error;
mod library;
mod memory;
pub mod partition;
pub mod queue;
mod sysman;

use fcsp_core::backend::{BackendError, DeviceInfo, GpuBackend, Registration, Telemetry, Vendor};
use sysman::Sysman;

inventory::submit! {
    Registration {
        vendor: Vendor::Intel,
        open: || Intel::open().map(|backend| Box::new(backend) as Box<dyn GpuBackend>),
    }
}

/// The Intel devices of this machine, through Sysman. Thread-safe; every call may take milliseconds.
pub struct Intel {
    sysman: Sysman,
    busy: device::BusyCounters,
}

impl Intel {
    /// Finds and starts the loader. Fails if there is none or if it finds no driver of a GPU.
    ///
    /// A loader of before specification 1.5 has Sysman only together with the core interface, where the environment of this
    /// process says so; this sets `ZES_ENABLE_SYSMAN` then. So open it before other threads look at the environment.
    pub fn open() -> Result<Self, BackendError> {
        Ok(Self {
            sysman: Sysman::open()?,
            busy: device::BusyCounters::default(),
        })
    }

    /// In how many parts the device with that identity is, and can be used.
    pub fn setup(&self, device_id: &str) -> Result<partition::Setup, BackendError> {
        partition::setup(&self.sysman, device::find(&self.sysman, device_id)?)
    }
}

impl GpuBackend for Intel {
    fn vendor(&self) -> Vendor {
        Vendor::Intel
    }

    fn driver_version(&self) -> Result<String, BackendError> {
        device::driver_version(&self.sysman)
    }

    fn devices(&self) -> Result<Vec<DeviceInfo>, BackendError> {
        device::list(&self.sysman)
    }

    fn process_bytes(&self, device_id: &str, pid: u32) -> Result<Option<u64>, BackendError> {
        memory::process_bytes(&self.sysman, device::find(&self.sysman, device_id)?, pid)
    }

    fn telemetry(&self, device_id: &str) -> Result<Telemetry, BackendError> {
        let device = device::find(&self.sysman, device_id)?;
        Ok(Telemetry {
            used_bytes: memory::used_bytes(&self.sysman, device)?,
            busy: self.busy.busy(&self.sysman, device_id, device)?,
        })
    }
}
