//! Whose devices this machine has.

use crate::run::Simulated;
use fcsp_core::backend::{self, Vendor};

/// The vendor of the devices that are here; NVIDIA's go first. Asks every backend, which may take some time.
pub fn here() -> Option<Simulated> {
    let real = |backend: backend::Opened| match backend.and_then(|backend| backend.devices()) {
        // Simulated ones are found like real ones where LD_LIBRARY_PATH leads to them.
        Ok(devices) => devices.iter().any(|device| !device.simulated),
        Err(error) => {
            tracing::info!("{error}");
            false
        }
    };
    let mut found: Vec<Vendor> = backend::open_all()
        .into_iter()
        .filter_map(|(vendor, backend)| real(backend).then_some(vendor))
        .collect();
    found.sort_by_key(|vendor| *vendor as u32);
    found.into_iter().next().map(|vendor| match vendor {
        Vendor::Nvidia => Simulated::Nvidia,
        Vendor::Amd => Simulated::Amd,
        Vendor::Intel => Simulated::Intel,
    })
}
