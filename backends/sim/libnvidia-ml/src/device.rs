//! What the management library says about a device.

use crate::border::{Outcome, put, put_text, rc, require};
use crate::library::devices;
use cuda_sys::{
    nvmlComputeMode_t, nvmlDevice_t, nvmlEnableState_t, nvmlMemory_t, nvmlMemory_v2_t,
    nvmlPciInfo_t, nvmlProcessInfo_t, nvmlProcessInfo_v1_t, nvmlProcessInfo_v2_t, nvmlReturn_t,
    nvmlUtilization_t,
};
use fcsp_sim::calibration::DRIVER_RESERVE_BYTES;
use fcsp_sim::{Device, Process};
use std::ffi::{CStr, c_char, c_int, c_uint};

/// A handle is an index behind this mark; it is never followed.
const MARK: usize = 0x51a0_0000;
/// No instance of a partitioned device.
pub const NO_INSTANCE: c_uint = c_uint::MAX;

fn handle(index: u32) -> nvmlDevice_t {
    (MARK + 16 * index as usize) as nvmlDevice_t
}

pub fn device(handle: nvmlDevice_t) -> Result<&'static Device, nvmlReturn_t> {
    let offset = (handle as usize)
        .checked_sub(MARK)
        .ok_or(rc::INVALID_ARGUMENT)?;
    require(offset.is_multiple_of(16), rc::INVALID_ARGUMENT)?;
    devices()?.get(offset / 16).ok_or(rc::INVALID_ARGUMENT)
}

fn uuid_text(device: &Device) -> String {
    let hex: String = device
        .uuid()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "GPU-{}-{}-{}-{}-{}",
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..]
    )
}

fn bus_text(device: &Device) -> String {
    format!("00000000:{:02X}:00.0", device.pci_bus())
}

/// `nvmlDeviceGetCount` and `_v2`.
pub unsafe fn count(place: *mut c_uint) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, devices()?.len() as c_uint) }
}

/// `nvmlDeviceGetHandleByIndex` and `_v2`.
pub unsafe fn by_index(index: c_uint, place: *mut nvmlDevice_t) -> Outcome {
    require((index as usize) < devices()?.len(), rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, handle(index)) }
}

unsafe fn find(
    text: *const c_char,
    place: *mut nvmlDevice_t,
    matches: impl Fn(&Device, &str) -> bool,
) -> Outcome {
    let devices = devices()?;
    require(!text.is_null() && !place.is_null(), rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's NUL-terminated text.
    let text = unsafe { CStr::from_ptr(text) }
        .to_str()
        .map_err(|_| rc::INVALID_ARGUMENT)?;
    let found = devices
        .iter()
        .find(|device| matches(device, text))
        .ok_or(rc::NOT_FOUND)?;
    // SAFETY: checked above.
    unsafe { put(place, handle(found.index())) }
}

/// `nvmlDeviceGetHandleByUUID`.
pub unsafe fn by_uuid(text: *const c_char, place: *mut nvmlDevice_t) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        find(text, place, |device, text| {
            uuid_text(device).eq_ignore_ascii_case(text)
        })
    }
}

/// `nvmlDeviceGetHandleByPciBusId` and `_v2`; the domain may have four digits or be left out.
pub unsafe fn by_bus(text: *const c_char, place: *mut nvmlDevice_t) -> Outcome {
    let tail = |id: &str| id.rsplit(':').take(2).collect::<Vec<_>>().join(":");
    // SAFETY: the same contract.
    unsafe {
        find(text, place, |device, text| {
            tail(&bus_text(device)).eq_ignore_ascii_case(&tail(text))
        })
    }
}

/// `nvmlDeviceGetName`.
pub unsafe fn name(of: nvmlDevice_t, place: *mut c_char, room: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(device(of)?.name(), place, room) }
}

/// `nvmlDeviceGetUUID`.
pub unsafe fn uuid(of: nvmlDevice_t, place: *mut c_char, room: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(&uuid_text(device(of)?), place, room) }
}

/// `nvmlDeviceGetIndex`, and `nvmlDeviceGetMinorNumber`, which is the same here.
pub unsafe fn index(of: nvmlDevice_t, place: *mut c_uint) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device(of)?.index()) }
}

/// `nvmlDeviceGetPciInfo_v3`, with the H200's ids.
pub unsafe fn pci(of: nvmlDevice_t, place: *mut nvmlPciInfo_t) -> Outcome {
    let device = device(of)?;
    require(!place.is_null(), rc::INVALID_ARGUMENT)?;
    let mut info = nvmlPciInfo_t {
        bus: device.pci_bus(),
        pciDeviceId: 0x2335_10de,
        pciSubSystemId: 0x18bf_10de,
        ..nvmlPciInfo_t::default()
    };
    let long = bus_text(device);
    // The legacy form has a domain of four digits.
    let short = &long[4..];
    for (place, byte) in info.busId.iter_mut().zip(long.bytes()) {
        *place = byte as c_char;
    }
    for (place, byte) in info.busIdLegacy.iter_mut().zip(short.bytes()) {
        *place = byte as c_char;
    }
    // SAFETY: checked above.
    unsafe { put(place, info) }
}

/// `nvmlDeviceGetMemoryInfo`: what the driver keeps for itself counts as used.
pub unsafe fn memory(of: nvmlDevice_t, place: *mut nvmlMemory_t) -> Outcome {
    let memory = device(of)?.memory();
    let total = memory.total_bytes + DRIVER_RESERVE_BYTES;
    let used = (memory.used_bytes + DRIVER_RESERVE_BYTES).min(total);
    // SAFETY: the caller's pointer, null allowed.
    unsafe {
        put(
            place,
            nvmlMemory_t {
                total,
                free: total - used,
                used,
            },
        )
    }
}

/// `nvmlDeviceGetMemoryInfo_v2`: what the driver keeps for itself stands apart.
pub unsafe fn memory_v2(of: nvmlDevice_t, place: *mut nvmlMemory_v2_t) -> Outcome {
    let device = device(of)?;
    require(!place.is_null(), rc::INVALID_ARGUMENT)?;
    // SAFETY: not null, so readable by the caller's contract.
    let version = unsafe { (*place).version };
    let wanted = cuda_sys::structure_version::<nvmlMemory_v2_t>(2);
    require(version == wanted, rc::VERSION_MISMATCH)?;
    let memory = device.memory();
    let used = memory.used_bytes.min(memory.total_bytes);
    let info = nvmlMemory_v2_t {
        version,
        total: memory.total_bytes + DRIVER_RESERVE_BYTES,
        reserved: DRIVER_RESERVE_BYTES,
        free: memory.total_bytes - used,
        used,
    };
    // SAFETY: checked above.
    unsafe { put(place, info) }
}

/// `nvmlDeviceGetUtilizationRates`. The memory controller is not simulated: 0.
pub unsafe fn utilization(of: nvmlDevice_t, place: *mut nvmlUtilization_t) -> Outcome {
    let gpu = device(of)?.utilization_percent();
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, nvmlUtilization_t { gpu, memory: 0 }) }
}

/// Lists processes the way NVML does: too little room is an error that says how much is needed.
pub unsafe fn list<T>(
    found: &[Process],
    count: *mut c_uint,
    infos: *mut T,
    info: impl Fn(&Process) -> T,
) -> Outcome {
    require(!count.is_null(), rc::INVALID_ARGUMENT)?;
    // SAFETY: not null, so readable and writable by the caller's contract.
    unsafe {
        let room = count.read() as usize;
        count.write(found.len() as c_uint);
        require(found.len() <= room, rc::INSUFFICIENT_SIZE)?;
        require(found.is_empty() || !infos.is_null(), rc::INVALID_ARGUMENT)?;
        for (at, process) in found.iter().enumerate() {
            infos.add(at).write(info(process));
        }
    }
    Ok(())
}

/// `nvmlDeviceGetComputeRunningProcesses`, the first form.
pub unsafe fn processes_v1(
    of: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_v1_t,
) -> Outcome {
    let info = |process: &Process| nvmlProcessInfo_v1_t {
        pid: process.pid,
        usedGpuMemory: process.memory_bytes,
    };
    // SAFETY: the same contract.
    unsafe { list(&device(of)?.processes(), count, infos, info) }
}

/// `nvmlDeviceGetComputeRunningProcesses_v2`.
pub unsafe fn processes_v2(
    of: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_v2_t,
) -> Outcome {
    let info = |process: &Process| nvmlProcessInfo_v2_t {
        pid: process.pid,
        usedGpuMemory: process.memory_bytes,
        gpuInstanceId: NO_INSTANCE,
        computeInstanceId: NO_INSTANCE,
    };
    // SAFETY: the same contract.
    unsafe { list(&device(of)?.processes(), count, infos, info) }
}

fn process_info(process: &Process) -> nvmlProcessInfo_t {
    nvmlProcessInfo_t {
        pid: process.pid,
        usedGpuMemory: process.memory_bytes,
        gpuInstanceId: NO_INSTANCE,
        computeInstanceId: NO_INSTANCE,
    }
}

/// `nvmlDeviceGetComputeRunningProcesses_v3`.
pub unsafe fn processes(
    of: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { list(&device(of)?.processes(), count, infos, process_info) }
}

/// `nvmlDeviceGetMPSComputeRunningProcesses_v3`: everybody, if the device runs under MPS.
pub unsafe fn mps_processes(
    of: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> Outcome {
    let device = device(of)?;
    let found = if device.mps() {
        device.processes()
    } else {
        Vec::new()
    };
    // SAFETY: the same contract.
    unsafe { list(&found, count, infos, process_info) }
}

/// `nvmlDeviceGetGraphicsRunningProcesses_v3`: nobody draws.
pub unsafe fn graphics_processes(
    of: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> Outcome {
    device(of)?;
    // SAFETY: the same contract.
    unsafe { list(&[], count, infos, process_info) }
}

/// `nvmlDeviceGetMigMode`: possible on this product, and off.
pub unsafe fn mig_mode(of: nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put(current, 0)?;
        put(pending, 0)
    }
}

/// `nvmlDeviceGetMaxMigDeviceCount`: there are none to be had here.
pub unsafe fn mig_count(of: nvmlDevice_t, place: *mut c_uint) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, 0) }
}

/// `nvmlDeviceIsMigDeviceHandle`.
pub unsafe fn is_mig_device(of: nvmlDevice_t, place: *mut c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { mig_count(of, place) }
}

/// `nvmlDeviceGetComputeMode`.
pub unsafe fn compute_mode(of: nvmlDevice_t, place: *mut nvmlComputeMode_t) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, nvmlComputeMode_t::NVML_COMPUTEMODE_DEFAULT) }
}

/// `nvmlDeviceGetPersistenceMode`.
pub unsafe fn persistence_mode(of: nvmlDevice_t, place: *mut nvmlEnableState_t) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, nvmlEnableState_t::NVML_FEATURE_ENABLED) }
}

/// `nvmlDeviceGetCudaComputeCapability`.
pub unsafe fn compute_capability(
    of: nvmlDevice_t,
    major: *mut c_int,
    minor: *mut c_int,
) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put(major, 9)?;
        put(minor, 0)
    }
}

/// `nvmlDeviceGetNumGpuCores`: 132 multiprocessors of 128.
pub unsafe fn cores(of: nvmlDevice_t, place: *mut c_uint) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, 132 * 128) }
}

/// `nvmlDeviceGetMemoryBusWidth`, in bits.
pub unsafe fn bus_width(of: nvmlDevice_t, place: *mut c_uint) -> Outcome {
    device(of)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, 6016) }
}

/// `nvmlDeviceGetPowerUsage` and other single numbers a simulation does not have.
pub unsafe fn unknown_number(of: nvmlDevice_t, place: *mut c_uint) -> Outcome {
    device(of)?;
    require(!place.is_null(), rc::INVALID_ARGUMENT)?;
    Err(rc::NOT_SUPPORTED)
}

/// `nvmlDeviceGetTemperature`.
pub unsafe fn temperature(
    of: nvmlDevice_t,
    _sensor: cuda_sys::nvmlTemperatureSensors_t,
    place: *mut c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { unknown_number(of, place) }
}
