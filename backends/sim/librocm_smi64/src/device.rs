//! What the management library says about a device and about processes.

use crate::border::{Outcome, put, put_text, rc, require};
use crate::library::devices;
use fcsp_sim::{Config, Device, Process, Vendor};
use rocm_smi_sys::{rsmi_gpu_metrics_t, rsmi_memory_type_t, rsmi_process_info_t, rsmi_status_t};
use std::ffi::c_char;

/// AMD's number, and that of an MI210.
const VENDOR_ID: u16 = 0x1002;
const DEVICE_ID: u16 = 0x740f;
/// gfx90a as a number.
const GRAPHICS_VERSION: u64 = 0x90a;
/// Render nodes begin at this minor number.
const RENDER_MINOR: u32 = 128;
/// What a 16-bit field says that nobody knows.
const UNKNOWN: u16 = u16::MAX;

fn device(index: u32) -> Result<&'static Device, rsmi_status_t> {
    devices()?.get(index as usize).ok_or(rc::INVALID_ARGS)
}

/// `rsmi_num_monitor_devices`.
pub unsafe fn count(place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, devices()?.len() as u32) }
}

/// `rsmi_dev_id_get`.
pub unsafe fn id(index: u32, place: *mut u16) -> Outcome {
    device(index)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, DEVICE_ID) }
}

/// `rsmi_dev_vendor_id_get`.
pub unsafe fn vendor_id(index: u32, place: *mut u16) -> Outcome {
    device(index)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, VENDOR_ID) }
}

/// `rsmi_dev_name_get`.
pub unsafe fn name(index: u32, place: *mut c_char, room: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { put_text(device(index)?.name(), place, room) }
}

/// `rsmi_dev_vendor_name_get`.
pub unsafe fn vendor_name(index: u32, place: *mut c_char, room: usize) -> Outcome {
    device(index)?;
    // SAFETY: the same contract.
    unsafe { put_text("Advanced Micro Devices, Inc. (simulated)", place, room) }
}

/// The unique id: the first half of the model's, whose digits HIP has as well.
fn unique(device: &Device) -> u64 {
    let mut half = [0; 8];
    half.copy_from_slice(&device.uuid()[..8]);
    u64::from_be_bytes(half)
}

/// `rsmi_dev_unique_id_get`.
pub unsafe fn unique_id(index: u32, place: *mut u64) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, unique(device(index)?)) }
}

/// `rsmi_dev_pci_id_get`: domain, partition, bus, device and function in one number.
pub unsafe fn pci_id(index: u32, place: *mut u64) -> Outcome {
    let device = device(index)?;
    let number = u64::from(device.partition()) << 28 | u64::from(device.pci_bus()) << 8;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, number) }
}

/// `rsmi_dev_drm_render_minor_get`.
pub unsafe fn render_minor(index: u32, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, RENDER_MINOR + device(index)?.index()) }
}

/// `rsmi_dev_target_graphics_version_get`.
pub unsafe fn graphics_version(index: u32, place: *mut u64) -> Outcome {
    device(index)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, GRAPHICS_VERSION) }
}

/// Device memory is what both kinds of it mean here; the host's share is none of the model's.
fn of_device(kind: rsmi_memory_type_t) -> Outcome {
    match kind {
        rsmi_memory_type_t::RSMI_MEM_TYPE_VRAM | rsmi_memory_type_t::RSMI_MEM_TYPE_VIS_VRAM => {
            Ok(())
        }
        rsmi_memory_type_t::RSMI_MEM_TYPE_GTT => Err(rc::NOT_SUPPORTED),
        _ => Err(rc::INVALID_ARGS),
    }
}

/// `rsmi_dev_memory_total_get`.
pub unsafe fn memory_total(index: u32, kind: rsmi_memory_type_t, place: *mut u64) -> Outcome {
    let device = device(index)?;
    of_device(kind)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device.total_bytes()) }
}

/// `rsmi_dev_memory_usage_get`.
pub unsafe fn memory_usage(index: u32, kind: rsmi_memory_type_t, place: *mut u64) -> Outcome {
    let device = device(index)?;
    of_device(kind)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device.memory().used_bytes) }
}

/// `rsmi_dev_busy_percent_get`.
pub unsafe fn busy_percent(index: u32, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device(index)?.utilization_percent()) }
}

/// `rsmi_dev_gpu_metrics_info_get`: how busy the device is; all else is unknown.
pub unsafe fn metrics(index: u32, place: *mut rsmi_gpu_metrics_t) -> Outcome {
    let device = device(index)?;
    let mut metrics = rsmi_gpu_metrics_t {
        average_gfx_activity: device.utilization_percent() as u16,
        average_umc_activity: UNKNOWN,
        average_mm_activity: UNKNOWN,
        temperature_edge: UNKNOWN,
        temperature_hotspot: UNKNOWN,
        temperature_mem: UNKNOWN,
        average_socket_power: UNKNOWN,
        current_gfxclk: UNKNOWN,
        current_socclk: UNKNOWN,
        current_uclk: UNKNOWN,
        current_fan_speed: UNKNOWN,
        ..rsmi_gpu_metrics_t::default()
    };
    metrics.common_header.structure_size = size_of::<rsmi_gpu_metrics_t>() as u16;
    metrics.common_header.format_revision = 1;
    metrics.common_header.content_revision = 3;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, metrics) }
}

fn info(process: &Process) -> rsmi_process_info_t {
    rsmi_process_info_t {
        process_id: process.pid,
        pasid: 0,
        vram_usage: process.memory_bytes,
        sdma_usage: 0,
        cu_occupancy: 0,
    }
}

/// Processes on all devices, each once, with what it has of all of them.
fn everywhere() -> Result<Vec<rsmi_process_info_t>, rsmi_status_t> {
    let mut all: Vec<rsmi_process_info_t> = Vec::new();
    for process in devices()?.iter().flat_map(Device::processes) {
        match all.iter_mut().find(|known| known.process_id == process.pid) {
            Some(known) => known.vram_usage += process.memory_bytes,
            None => all.push(info(&process)),
        }
    }
    Ok(all)
}

/// `rsmi_compute_process_info_get`: null asks for the number only; too little room is filled, and an error.
pub unsafe fn processes(place: *mut rsmi_process_info_t, count: *mut u32) -> Outcome {
    require(!count.is_null(), rc::INVALID_ARGS)?;
    let all = everywhere()?;
    // SAFETY: checked above; the caller says how much room there is.
    unsafe {
        let room = if place.is_null() { 0 } else { count.read() } as usize;
        for (at, process) in all.iter().take(room).enumerate() {
            place.add(at).write(*process);
        }
        count.write(if place.is_null() {
            all.len()
        } else {
            all.len().min(room)
        } as u32);
        require(place.is_null() || room >= all.len(), rc::INSUFFICIENT_SIZE)
    }
}

/// `rsmi_compute_process_info_by_pid_get`.
pub unsafe fn process(pid: u32, place: *mut rsmi_process_info_t) -> Outcome {
    let found = everywhere()?.into_iter().find(|it| it.process_id == pid);
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, found.ok_or(rc::NOT_FOUND)?) }
}

/// `rsmi_compute_process_info_by_device_get`.
pub unsafe fn process_on(pid: u32, index: u32, place: *mut rsmi_process_info_t) -> Outcome {
    let all = device(index)?.processes();
    let found = all.iter().find(|it| it.pid == pid).ok_or(rc::NOT_FOUND)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, info(found)) }
}

/// `rsmi_compute_process_gpus_get`: the devices a process is on.
pub unsafe fn devices_of(pid: u32, place: *mut u32, count: *mut u32) -> Outcome {
    require(!count.is_null(), rc::INVALID_ARGS)?;
    let on: Vec<u32> = devices()?
        .iter()
        .filter(|device| device.processes().iter().any(|it| it.pid == pid))
        .map(Device::index)
        .collect();
    // SAFETY: checked above; the caller says how much room there is.
    unsafe {
        let room = if place.is_null() { 0 } else { count.read() } as usize;
        for (at, index) in on.iter().take(room).enumerate() {
            place.add(at).write(*index);
        }
        count.write(on.len() as u32);
        require(place.is_null() || room >= on.len(), rc::INSUFFICIENT_SIZE)
    }
}

/// `rsmi_dev_compute_partition_get`: only where the environment says that the device can be partitioned.
pub unsafe fn compute_partition(index: u32, place: *mut c_char, room: u32) -> Outcome {
    device(index)?;
    let (compute, _) = Config::of(Vendor::Amd).partition.ok_or(rc::NOT_SUPPORTED)?;
    // SAFETY: the same contract.
    unsafe { put_text(&compute, place, room as usize) }
}

/// `rsmi_dev_memory_partition_get`: likewise.
pub unsafe fn memory_partition(index: u32, place: *mut c_char, room: u32) -> Outcome {
    device(index)?;
    let (_, memory) = Config::of(Vendor::Amd).partition.ok_or(rc::NOT_SUPPORTED)?;
    // SAFETY: the same contract.
    unsafe { put_text(&memory, place, room as usize) }
}
