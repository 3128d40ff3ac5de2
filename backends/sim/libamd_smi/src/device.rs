//! Sockets and processors, and what the library says about them.

use crate::border::{Outcome, put, put_list, rc, require, write_text};
use crate::library::devices;
use fcsp_sim::{Config, Device, Vendor};
use rocm_smi_sys::{
    amdsmi_asic_info_t, amdsmi_bdf_t, amdsmi_driver_info_t, amdsmi_engine_usage_t,
    amdsmi_memory_type_t, amdsmi_processor_handle, amdsmi_processor_type_t, amdsmi_socket_handle,
    amdsmi_status_t, amdsmi_vram_info_t, amdsmi_vram_type_t, amdsmi_vram_usage_t,
};
use std::ffi::{c_char, c_uint};

/// Handles are indices behind these marks; they are never followed.
const PROCESSOR_MARK: usize = 0x51a1_0000;
const SOCKET_MARK: usize = 0x51a2_0000;
/// AMD's number, and that of an MI210 with gfx90a and 104 compute units.
const VENDOR_ID: u32 = 0x1002;
const DEVICE_ID: u64 = 0x740f;
const GRAPHICS_VERSION: u64 = 0x90a;
const COMPUTE_UNITS: u32 = 104;
const BUS_BITS: u32 = 4096;
/// What a 32-bit field says that nobody knows.
const UNKNOWN: u32 = u32::MAX;

fn handle(mark: usize, index: u32) -> *mut std::ffi::c_void {
    (mark + 16 * index as usize) as *mut std::ffi::c_void
}

fn index(mark: usize, handle: *mut std::ffi::c_void) -> Result<usize, amdsmi_status_t> {
    let offset = (handle as usize).checked_sub(mark).ok_or(rc::INVAL)?;
    require(
        offset.is_multiple_of(16) && offset / 16 < devices()?.len(),
        rc::INVAL,
    )?;
    Ok(offset / 16)
}

/// The device behind a handle.
pub fn device(processor: amdsmi_processor_handle) -> Result<&'static Device, amdsmi_status_t> {
    Ok(&devices()?[index(PROCESSOR_MARK, processor)?])
}

fn bus_text(device: &Device) -> String {
    format!("0000:{:02x}:00.0", device.pci_bus())
}

/// `amdsmi_get_socket_handles`.
pub unsafe fn sockets(count: *mut u32, place: *mut amdsmi_socket_handle) -> Outcome {
    let all: Vec<_> = devices()?
        .iter()
        .map(|device| handle(SOCKET_MARK, device.index()))
        .collect();
    // SAFETY: the same contract.
    unsafe { put_list(&all, place, count) }
}

/// `amdsmi_get_socket_info`: the PCI address of what is in it.
pub unsafe fn socket_info(
    socket: amdsmi_socket_handle,
    room: usize,
    place: *mut c_char,
) -> Outcome {
    let text = bus_text(&devices()?[index(SOCKET_MARK, socket)?]);
    // SAFETY: the same contract.
    unsafe { put_text(&text, place, room) }
}

/// `amdsmi_get_processor_handles`: the one in a socket.
pub unsafe fn processors(
    socket: amdsmi_socket_handle,
    count: *mut u32,
    place: *mut amdsmi_processor_handle,
) -> Outcome {
    let here = [handle(PROCESSOR_MARK, index(SOCKET_MARK, socket)? as u32)];
    // SAFETY: the same contract.
    unsafe { put_list(&here, place, count) }
}

/// `amdsmi_get_processor_type`.
pub unsafe fn kind(
    processor: amdsmi_processor_handle,
    place: *mut amdsmi_processor_type_t,
) -> Outcome {
    device(processor)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe {
        put(
            place,
            amdsmi_processor_type_t::AMDSMI_PROCESSOR_TYPE_AMD_GPU,
        )
    }
}

fn bdf(device: &Device) -> amdsmi_bdf_t {
    // Function in 3 bits, device in 5, bus in 8, domain above.
    amdsmi_bdf_t {
        as_uint: u64::from(device.pci_bus()) << 8,
    }
}

/// `amdsmi_get_gpu_device_bdf`.
pub unsafe fn address(processor: amdsmi_processor_handle, place: *mut amdsmi_bdf_t) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, bdf(device(processor)?)) }
}

/// `amdsmi_get_gpu_bdf_id`: the address, and which partition it is above that.
pub unsafe fn address_number(processor: amdsmi_processor_handle, place: *mut u64) -> Outcome {
    let device = device(processor)?;
    let partition = u64::from(device.partition()) << 28;
    // SAFETY: the caller's pointer, null allowed; every bit pattern of the union is a number.
    unsafe { put(place, bdf(device).as_uint | partition) }
}

/// `amdsmi_get_processor_handle_from_bdf`.
pub unsafe fn by_address(wanted: amdsmi_bdf_t, place: *mut amdsmi_processor_handle) -> Outcome {
    // SAFETY: every bit pattern of the union is a number.
    let same = |device: &&Device| unsafe { bdf(device).as_uint == wanted.as_uint };
    let found = devices()?.iter().find(same).ok_or(rc::NOT_FOUND)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, handle(PROCESSOR_MARK, found.index())) }
}

/// The unique id: the first half of the model's, whose digits HIP has as well.
fn unique(device: &Device) -> u64 {
    let mut half = [0; 8];
    half.copy_from_slice(&device.uuid()[..8]);
    u64::from_be_bytes(half)
}

/// `amdsmi_get_gpu_device_uuid`, as a text of 36 characters; `length` is the buffer's.
pub unsafe fn uuid(
    processor: amdsmi_processor_handle,
    length: *mut c_uint,
    place: *mut c_char,
) -> Outcome {
    let id = unique(device(processor)?);
    let text = format!(
        "00ff740f-0000-1000-80{:02x}-{:012x}",
        id >> 48 & 0xff,
        id & 0xffff_ffff_ffff
    );
    require(!length.is_null() && !place.is_null(), rc::INVAL)?;
    // SAFETY: checked above; the caller says how much room there is.
    unsafe {
        require(length.read() as usize > text.len(), rc::INVAL)?;
        std::ptr::copy_nonoverlapping(text.as_ptr(), place.cast(), text.len());
        place.add(text.len()).write(0);
        put(length, text.len() as c_uint)
    }
}

/// `amdsmi_get_gpu_asic_info`.
pub unsafe fn asic(processor: amdsmi_processor_handle, place: *mut amdsmi_asic_info_t) -> Outcome {
    let device = device(processor)?;
    let mut info = amdsmi_asic_info_t {
        vendor_id: VENDOR_ID,
        subvendor_id: VENDOR_ID,
        device_id: DEVICE_ID,
        oam_id: UNKNOWN,
        num_of_compute_units: COMPUTE_UNITS,
        target_graphics_version: GRAPHICS_VERSION,
        ..amdsmi_asic_info_t::default()
    };
    write_text(&mut info.market_name, device.name());
    write_text(
        &mut info.vendor_name,
        "Advanced Micro Devices, Inc. (simulated)",
    );
    write_text(&mut info.asic_serial, &format!("0x{:016X}", unique(device)));
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, info) }
}

/// `amdsmi_get_gpu_vram_info`.
pub unsafe fn vram(processor: amdsmi_processor_handle, place: *mut amdsmi_vram_info_t) -> Outcome {
    let mut info = amdsmi_vram_info_t {
        vram_type: amdsmi_vram_type_t::AMDSMI_VRAM_TYPE_HBM2E,
        vram_size: device(processor)?.total_bytes() >> 20,
        vram_bit_width: BUS_BITS,
        ..amdsmi_vram_info_t::default()
    };
    write_text(&mut info.vram_vendor, "simulated");
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, info) }
}

/// `amdsmi_get_gpu_vram_usage`, in MiB.
pub unsafe fn vram_usage(
    processor: amdsmi_processor_handle,
    place: *mut amdsmi_vram_usage_t,
) -> Outcome {
    let memory = device(processor)?.memory();
    let usage = amdsmi_vram_usage_t {
        vram_total: (memory.total_bytes >> 20) as u32,
        vram_used: (memory.used_bytes >> 20) as u32,
        ..amdsmi_vram_usage_t::default()
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, usage) }
}

/// Device memory is what both kinds of it mean here; the host's share is none of the model's.
fn of_device(kind: amdsmi_memory_type_t) -> Outcome {
    match kind {
        amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VRAM
        | amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VIS_VRAM => Ok(()),
        amdsmi_memory_type_t::AMDSMI_MEM_TYPE_GTT => Err(rc::NOT_SUPPORTED),
        _ => Err(rc::INVAL),
    }
}

/// `amdsmi_get_gpu_memory_total`.
pub unsafe fn memory_total(
    processor: amdsmi_processor_handle,
    kind: amdsmi_memory_type_t,
    place: *mut u64,
) -> Outcome {
    let device = device(processor)?;
    of_device(kind)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device.total_bytes()) }
}

/// `amdsmi_get_gpu_memory_usage`.
pub unsafe fn memory_usage(
    processor: amdsmi_processor_handle,
    kind: amdsmi_memory_type_t,
    place: *mut u64,
) -> Outcome {
    let device = device(processor)?;
    of_device(kind)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device.memory().used_bytes) }
}

/// `amdsmi_get_gpu_activity`: what the compute units do; the rest is unknown.
pub unsafe fn activity(
    processor: amdsmi_processor_handle,
    place: *mut amdsmi_engine_usage_t,
) -> Outcome {
    let usage = amdsmi_engine_usage_t {
        gfx_activity: device(processor)?.utilization_percent(),
        umc_activity: UNKNOWN,
        mm_activity: UNKNOWN,
        ..amdsmi_engine_usage_t::default()
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, usage) }
}

/// `amdsmi_get_gpu_busy_percent`.
pub unsafe fn busy_percent(processor: amdsmi_processor_handle, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device(processor)?.utilization_percent()) }
}

/// `amdsmi_get_gpu_driver_info`: the version is marked as simulated.
pub unsafe fn driver_info(
    processor: amdsmi_processor_handle,
    place: *mut amdsmi_driver_info_t,
) -> Outcome {
    device(processor)?;
    let mut info = amdsmi_driver_info_t::default();
    write_text(&mut info.driver_version, "6.4.1.sim");
    write_text(&mut info.driver_name, "amdgpu");
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, info) }
}

fn partition() -> Result<(String, String), amdsmi_status_t> {
    Config::of(Vendor::Amd).partition.ok_or(rc::NOT_SUPPORTED)
}

/// Writes a text into a buffer of `room` bytes, ended.
unsafe fn put_text(text: &str, place: *mut c_char, room: usize) -> Outcome {
    require(!place.is_null() && room > text.len(), rc::INVAL)?;
    // SAFETY: checked above; the caller says how much room there is.
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr(), place.cast(), text.len());
        place.add(text.len()).write(0);
    }
    Ok(())
}

/// `amdsmi_get_gpu_compute_partition`: only where the environment says that the device can be partitioned.
pub unsafe fn compute_partition(
    processor: amdsmi_processor_handle,
    place: *mut c_char,
    room: u32,
) -> Outcome {
    device(processor)?;
    // SAFETY: the same contract.
    unsafe { put_text(&partition()?.0, place, room as usize) }
}

/// `amdsmi_get_gpu_memory_partition`: likewise.
pub unsafe fn memory_partition(
    processor: amdsmi_processor_handle,
    place: *mut c_char,
    room: u32,
) -> Outcome {
    device(processor)?;
    // SAFETY: the same contract.
    unsafe { put_text(&partition()?.1, place, room as usize) }
}
