//! What the vendors' drivers say about the devices, where they answer.

use fcsp_core::backend::{self, DeviceInfo, GpuBackend, Telemetry};

/// The drivers that could be opened.
pub struct Drivers(Vec<Box<dyn GpuBackend>>);

impl Drivers {
    /// Opens every driver there is. One that is missing is nothing to worry about here: `fcsp doctor`
    /// tells.
    pub fn open() -> Self {
        let found = backend::open_all()
            .into_iter()
            .filter_map(|(vendor, backend)| {
                backend
                    .map_err(|error| tracing::debug!("{vendor}: {error}"))
                    .ok()
            });
        Self(found.collect())
    }

    /// Load of the device; nothing in it if its driver does not answer.
    pub fn telemetry(&self, device: &DeviceInfo) -> Telemetry {
        let backend = self
            .0
            .iter()
            .find(|backend| backend.vendor() == device.vendor);
        backend
            .map(|backend| backend.telemetry(&device.id))
            .and_then(|answer| answer.map_err(|error| tracing::debug!("{error}")).ok())
            .unwrap_or_default()
    }
}
