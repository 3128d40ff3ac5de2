//! What is asked of a management library: [`Smi`], which both of AMD's answer.

use crate::amd_smi::AmdSmi;
use crate::rocm_smi::RocmSmi;
use fcsp_core::backend::BackendError;

/// A management library between its initialization and its end. Devices are named by its own numbers, which begin with
/// 0 and stay the same while it is open.
pub(crate) trait Smi: Send + Sync {
    /// The library's name for people.
    fn name(&self) -> &'static str;

    /// Version of the kernel driver.
    fn driver_version(&self) -> Result<String, BackendError>;

    /// Number of devices.
    fn count(&self) -> Result<u32, BackendError>;

    /// The device's place on the bus: domain in the upper 32 bits, then bus, device and function in 8, 5 and 3.
    fn bus_number(&self, index: u32) -> Result<u64, BackendError>;

    /// The device's name.
    fn device_name(&self, index: u32) -> Result<String, BackendError>;

    /// Device memory, bytes.
    fn total_bytes(&self, index: u32) -> Result<u64, BackendError>;

    /// Device memory in use by everybody, bytes.
    fn used_bytes(&self, index: u32) -> Result<u64, BackendError>;

    /// Percentage of the last sample period in which the device worked.
    fn busy_percent(&self, index: u32) -> Result<u32, BackendError>;

    /// Device memory that the process has; `None` if it is not known there.
    fn process_bytes(&self, index: u32, pid: u32) -> Result<Option<u64>, BackendError>;

    /// How the compute units are partitioned, as the vendor writes it (`SPX`).
    fn compute_partition(&self, index: u32) -> Result<String, BackendError>;

    /// How the memory is partitioned, as the vendor writes it (`NPS1`).
    fn memory_partition(&self, index: u32) -> Result<String, BackendError>;
}

/// Opens ROCm SMI, whose structures have been the same for long, or AMD SMI where there is no other.
///
/// # Errors
/// What ROCm SMI says, if neither can be opened.
pub(crate) fn open() -> Result<Box<dyn Smi>, BackendError> {
    match RocmSmi::open() {
        Ok(smi) => Ok(Box::new(smi)),
        Err(BackendError::NoLibrary { vendor, reason }) => match AmdSmi::open() {
            Ok(smi) => Ok(Box::new(smi)),
            Err(BackendError::NoLibrary { .. }) => Err(BackendError::NoLibrary { vendor, reason }),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    }
}
