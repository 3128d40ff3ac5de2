//! Handlers of calls that ask about the device.
//!
//! Every handler passes its call on unchanged: nothing is accounted or held back yet.

use cuda_sys::*;

/// # Safety
///
/// As `cuMemGetInfo_v2`.
pub unsafe fn memory(
    real: fn_types::cuMemGetInfo_v2,
    free: *mut usize,
    total: *mut usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(free, total) }
}

/// # Safety
///
/// As `cuDeviceTotalMem_v2`.
pub unsafe fn total(
    real: fn_types::cuDeviceTotalMem_v2,
    bytes: *mut usize,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(bytes, dev) }
}

/// # Safety
///
/// As `nvmlDeviceGetMemoryInfo`.
pub unsafe fn nvml_memory(
    real: fn_types::nvmlDeviceGetMemoryInfo,
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_t,
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    unsafe { real(device, memory) }
}

/// # Safety
///
/// As `nvmlDeviceGetMemoryInfo_v2`.
pub unsafe fn nvml_memory_v2(
    real: fn_types::nvmlDeviceGetMemoryInfo_v2,
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    unsafe { real(device, memory) }
}
