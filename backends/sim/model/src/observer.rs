//! Devices as a management library sees them: all of them, without a place on any.

use crate::config::{Config, Vendor};
use crate::device::Device;
use std::io;
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{AcqRel, Acquire};
use std::sync::{Mutex, OnceLock};

/// The devices of a vendor, opened once and shared by all who began and have not ended.
///
/// Everything is safe to use from any thread. Opening the first time makes files; nothing else blocks.
pub struct Observer {
    vendor: Vendor,
    devices: OnceLock<Vec<Device>>,
    users: AtomicU32,
    opening: Mutex<()>,
}

impl Observer {
    /// Of nothing opened yet.
    pub const fn new(vendor: Vendor) -> Self {
        Self {
            vendor,
            devices: OnceLock::new(),
            users: AtomicU32::new(0),
            opening: Mutex::new(()),
        }
    }

    /// Begins to use the devices; counted.
    ///
    /// # Errors
    /// A device's files cannot be made, or belong to another version.
    pub fn begin(&self) -> io::Result<()> {
        let _one_at_a_time = self.opening.lock().unwrap_or_else(|e| e.into_inner());
        if self.devices.get().is_none() {
            let config = Config::of(self.vendor);
            let opened = (0..config.devices)
                .map(|index| Device::open(&config, index))
                .collect::<io::Result<Vec<Device>>>()?;
            self.devices.get_or_init(|| opened);
        }
        self.users.fetch_add(1, AcqRel);
        Ok(())
    }

    /// Ends one use. False if nobody had begun.
    pub fn end(&self) -> bool {
        self.users
            .fetch_update(AcqRel, Acquire, |users| users.checked_sub(1))
            .is_ok()
    }

    /// The devices, while somebody uses them.
    pub fn devices(&self) -> Option<&[Device]> {
        if self.users.load(Acquire) == 0 {
            return None;
        }
        self.devices.get().map(Vec::as_slice)
    }
}
