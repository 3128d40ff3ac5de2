//! One change of limits at a time.

use super::locks::{Byte, Description};
use super::{Region, RegionError};
use std::time::Duration;

/// How long to wait for another who changes limits: far longer than that takes.
const WAIT_MAX: Duration = Duration::from_secs(2);

/// Held by whoever reads the limits of live tenants in order to change them. Ends when it is
/// dropped, or with its process.
#[derive(Debug)]
pub struct LimitsLock {
    _description: Description,
}

impl Region {
    /// Waits until nobody else changes limits here. Blocks for 2 s at most; for the tools, not for
    /// the paths of a program.
    ///
    /// # Errors
    /// If the lock file cannot be used, or somebody holds the lock for that long (it is stopped: a
    /// killed one is no obstacle).
    pub fn lock_limits(&self) -> Result<LimitsLock, RegionError> {
        let description = self
            .locks
            .description()
            .map_err(RegionError::io("open the lock file of", self.path()))?;
        match description.lock_within(Byte::LIMITS, WAIT_MAX) {
            Ok(true) => Ok(LimitsLock {
                _description: description,
            }),
            Ok(false) => Err(RegionError::Busy {
                path: self.path().to_owned(),
                what: "changing limits",
                waited_ms: WAIT_MAX.as_millis() as u64,
            }),
            Err(source) => Err(RegionError::Io {
                action: "lock the limits of",
                path: self.path().to_owned(),
                source,
            }),
        }
    }
}
