//! Device memory as NVML sees it: what the device has, and what a process really uses.

use crate::error;
use crate::nvml::{Nvml, call};
use cuda_sys::{nvmlDevice_t, nvmlMemory_t, nvmlProcessInfo_t, nvmlReturn_t};
use fcsp_core::backend::BackendError;

/// Total, free and used memory of the device. The first version of the call counts what the driver
/// reserves for itself as used, as `nvidia-smi` did when programs learnt to read it.
pub(crate) fn of_device(nvml: &Nvml, device: nvmlDevice_t) -> Result<nvmlMemory_t, BackendError> {
    let mut memory = nvmlMemory_t {
        total: 0,
        free: 0,
        used: 0,
    };
    call!(nvml, nvmlDeviceGetMemoryInfo(device, &mut memory))?;
    Ok(memory)
}

/// Bytes that the process `pid` uses on the device, contexts and code included. NVML speaks of pids
/// of the initial PID namespace.
pub(crate) fn process_bytes(
    nvml: &Nvml,
    device: nvmlDevice_t,
    pid: u32,
) -> Result<Option<u64>, BackendError> {
    /// What NVML says where it cannot tell (`NVML_VALUE_NOT_AVAILABLE`, nvml.h).
    const NOT_AVAILABLE: u64 = u64::MAX;
    let Some(processes) = error::if_supported(processes(nvml, device))? else {
        return Ok(None);
    };
    // A process has a row per MIG instance it uses.
    Ok(processes
        .iter()
        .filter(|process| process.pid == pid && process.usedGpuMemory != NOT_AVAILABLE)
        .map(|process| process.usedGpuMemory)
        .reduce(u64::saturating_add))
}

fn processes(nvml: &Nvml, device: nvmlDevice_t) -> Result<Vec<nvmlProcessInfo_t>, BackendError> {
    const EMPTY: nvmlProcessInfo_t = nvmlProcessInfo_t {
        pid: 0,
        usedGpuMemory: 0,
        gpuInstanceId: 0,
        computeInstanceId: 0,
    };
    let too_small = i64::from(nvmlReturn_t::NVML_ERROR_INSUFFICIENT_SIZE.0);
    let mut rows = vec![EMPTY; 64];
    loop {
        let mut count = rows.len() as u32;
        let asked = call!(
            nvml,
            nvmlDeviceGetComputeRunningProcesses_v3(device, &mut count, rows.as_mut_ptr())
        );
        match asked {
            Ok(()) => {
                rows.truncate(count as usize);
                return Ok(rows);
            }
            // NVML says how many there were; more may have come since.
            Err(BackendError::Call { code, .. }) if code == too_small && rows.len() < 1 << 16 => {
                rows.resize((count as usize).max(rows.len()) * 2, EMPTY);
            }
            Err(error) => return Err(error),
        }
    }
}
