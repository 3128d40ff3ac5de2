//! Device memory as the management library sees it: what the device has, and what a process really uses.

use crate::error::if_supported;
use crate::smi::Smi;
use fcsp_core::backend::BackendError;

/// Memory of the device, bytes.
pub(crate) fn total_bytes(smi: &dyn Smi, index: u32) -> Result<u64, BackendError> {
    smi.total_bytes(index)
}

/// Bytes in use by everybody.
pub(crate) fn used_bytes(smi: &dyn Smi, index: u32) -> Result<Option<u64>, BackendError> {
    if_supported(smi.used_bytes(index))
}

/// Bytes that the process `pid` uses on the device, contexts and code included. The library speaks of pids of the
/// initial PID namespace.
pub(crate) fn process_bytes(
    smi: &dyn Smi,
    index: u32,
    pid: u32,
) -> Result<Option<u64>, BackendError> {
    Ok(if_supported(smi.process_bytes(index, pid))?.flatten())
}
