//! Sysman: what management tools and SYCL ask. Initialized by `zesInit`, or with the core by `ZES_ENABLE_SYSMAN=1`.
//!
//! A device's handle is the same in both. What a simulated device has no sensor for it does not list: no power domain,
//! no temperature, no fan.

use crate::border::{Outcome, at, list, put, put_text, rc, require};
use crate::device::{compute_engines, describe};
use crate::driver::{Gpu, gpus, start};
use crate::handles::{DEVICE, DRIVER, ENGINE, MEMORY_MODULE, number, numbered};
use fcsp_sim::now_ns;
use level_zero_sys::*;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::{Acquire, Release};

static INITIALIZED: AtomicBool = AtomicBool::new(false);

fn check() -> Outcome {
    let by_variable = || std::env::var("ZES_ENABLE_SYSMAN").is_ok_and(|value| value == "1");
    if !INITIALIZED.load(Acquire) {
        require(by_variable(), rc::UNINITIALIZED)?;
        INITIALIZED.store(true, Release);
    }
    Ok(())
}

fn gpu_of<H>(kind: usize, handle: *mut H) -> Result<&'static Gpu, ze_result_t> {
    check()?;
    let gpu = gpus().get(number(kind, handle)?);
    gpu.ok_or(rc::INVALID_ARGUMENT)
}

/// Handles of engines of one device: all in one, and each compute engine.
const ENGINES: usize = 8;

/// The device of an engine, and which of its engines it is.
fn engine_of(engine: zes_engine_handle_t) -> Result<(&'static Gpu, usize), ze_result_t> {
    check()?;
    let number = number(ENGINE, engine)?;
    let gpu = gpus().get(number / ENGINES).ok_or(rc::INVALID_ARGUMENT)?;
    Ok((gpu, number % ENGINES))
}

fn gpu(device: zes_device_handle_t) -> Result<&'static Gpu, ze_result_t> {
    gpu_of(DEVICE, device)
}

/// `zesInit`.
pub unsafe fn init(flags: zes_init_flags_t) -> Outcome {
    require(flags == 0, rc::INVALID_ENUMERATION)?;
    start()?;
    INITIALIZED.store(true, Release);
    Ok(())
}

/// `zesDriverGet`.
pub unsafe fn drivers(count: *mut u32, drivers: *mut zes_driver_handle_t) -> Outcome {
    check()?;
    // SAFETY: the same contract.
    unsafe {
        list(count, drivers, &[0], |place, one| {
            *place = numbered(DRIVER, *one)
        })
    }
}

/// `zesDeviceGet`.
pub unsafe fn devices(
    driver: zes_driver_handle_t,
    count: *mut u32,
    devices: *mut zes_device_handle_t,
) -> Outcome {
    check()?;
    require(number(DRIVER, driver)? == 0, rc::INVALID_ARGUMENT)?;
    // SAFETY: the same contract.
    unsafe {
        list(count, devices, gpus(), |place, gpu| {
            *place = numbered(DEVICE, gpu.ordinal)
        })
    }
}

/// `zesDriverGetDeviceByUuidExp`.
pub unsafe fn by_uuid(
    driver: zes_driver_handle_t,
    uuid: zes_uuid_t,
    device: *mut zes_device_handle_t,
    on_subdevice: *mut ze_bool_t,
    subdevice: *mut u32,
) -> Outcome {
    check()?;
    require(number(DRIVER, driver)? == 0, rc::INVALID_ARGUMENT)?;
    let found = gpus().iter().find(|gpu| gpu.device.uuid() == uuid.id);
    let found = found.ok_or(rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put(device, numbered(DEVICE, found.ordinal))?;
        put(on_subdevice, 0)?;
        put(subdevice, 0)
    }
}

/// `zesDeviceGetProperties`.
pub unsafe fn properties(
    device: zes_device_handle_t,
    properties: *mut zes_device_properties_t,
) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    describe(gpu, &mut p.core);
    p.numSubdevices = 0;
    put_text(&mut p.serialNumber, "unknown");
    put_text(&mut p.boardNumber, "unknown");
    put_text(&mut p.brandName, "unknown");
    put_text(&mut p.modelName, gpu.device.name());
    put_text(&mut p.vendorName, "Intel(R) Corporation");
    put_text(&mut p.driverVersion, "simulated");
    Ok(())
}

/// `zesDeviceGetState`.
pub unsafe fn state(device: zes_device_handle_t, state: *mut zes_device_state_t) -> Outcome {
    gpu(device)?;
    // SAFETY: the caller's structure.
    let state = unsafe { at(state) }?;
    state.reset = 0;
    state.repaired = zes_repair_status_t::ZES_REPAIR_STATUS_UNSUPPORTED;
    Ok(())
}

/// `zesDevicePciGetProperties`.
pub unsafe fn pci(device: zes_device_handle_t, properties: *mut zes_pci_properties_t) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.address = zes_pci_address_t {
        bus: gpu.device.pci_bus(),
        ..Default::default()
    };
    // Unknown, as the specification has it.
    (p.maxSpeed.gen_, p.maxSpeed.width, p.maxSpeed.maxBandwidth) = (-1, -1, -1);
    (
        p.haveBandwidthCounters,
        p.havePacketCounters,
        p.haveReplayCounters,
    ) = (0, 0, 0);
    Ok(())
}

/// `zesDeviceProcessesGetState`.
pub unsafe fn processes(
    device: zes_device_handle_t,
    count: *mut u32,
    processes: *mut zes_process_state_t,
) -> Outcome {
    let gpu = gpu(device)?;
    let all = gpu.device.processes();
    // SAFETY: the same contract.
    unsafe {
        list(count, processes, &all, |place, process| {
            place.processId = process.pid;
            place.memSize = process.memory_bytes;
            place.sharedSize = 0;
            place.engines = zes_engine_type_flag_t::ZES_ENGINE_TYPE_FLAG_COMPUTE.0;
        })
    }
}

/// `zesDeviceEnumMemoryModules`.
pub unsafe fn memory_modules(
    device: zes_device_handle_t,
    count: *mut u32,
    modules: *mut zes_mem_handle_t,
) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the same contract.
    unsafe {
        list(count, modules, &[gpu], |place, gpu| {
            *place = numbered(MEMORY_MODULE, gpu.ordinal)
        })
    }
}

/// `zesMemoryGetProperties`.
pub unsafe fn memory_properties(
    module: zes_mem_handle_t,
    properties: *mut zes_mem_properties_t,
) -> Outcome {
    let gpu = gpu_of(MEMORY_MODULE, module)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.type_ = zes_mem_type_t::ZES_MEM_TYPE_HBM;
    (p.onSubdevice, p.subdeviceId) = (0, 0);
    p.location = zes_mem_loc_t::ZES_MEM_LOC_DEVICE;
    p.physicalSize = gpu.device.total_bytes();
    (p.busWidth, p.numChannels) = (-1, -1);
    Ok(())
}

/// `zesMemoryGetState`.
pub unsafe fn memory_state(module: zes_mem_handle_t, state: *mut zes_mem_state_t) -> Outcome {
    let gpu = gpu_of(MEMORY_MODULE, module)?;
    let memory = gpu.device.memory();
    // SAFETY: the caller's structure.
    let state = unsafe { at(state) }?;
    state.health = zes_mem_health_t::ZES_MEM_HEALTH_OK;
    state.size = memory.total_bytes;
    state.free = memory.total_bytes.saturating_sub(memory.used_bytes);
    Ok(())
}

/// `zesDeviceEnumEngineGroups`: all engines in one, and each compute engine.
pub unsafe fn engines(
    device: zes_device_handle_t,
    count: *mut u32,
    engines: *mut zes_engine_handle_t,
) -> Outcome {
    let gpu = gpu(device)?;
    // SAFETY: the same contract.
    unsafe {
        let all: Vec<u32> = (0..=compute_engines(gpu.ordinal)).collect();
        list(count, engines, &all, |place, engine| {
            *place = numbered(ENGINE, gpu.ordinal * ENGINES + *engine as usize)
        })
    }
}

/// `zesEngineGetProperties`.
pub unsafe fn engine_properties(
    engine: zes_engine_handle_t,
    properties: *mut zes_engine_properties_t,
) -> Outcome {
    let (_, which) = engine_of(engine)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.type_ = match which {
        0 => zes_engine_group_t::ZES_ENGINE_GROUP_ALL,
        _ => zes_engine_group_t::ZES_ENGINE_GROUP_COMPUTE_SINGLE,
    };
    (p.onSubdevice, p.subdeviceId) = (0, 0);
    Ok(())
}

/// `zesEngineGetActivity`, in microseconds: an engine is busy when the device is.
pub unsafe fn engine_activity(
    engine: zes_engine_handle_t,
    stats: *mut zes_engine_stats_t,
) -> Outcome {
    let (gpu, _) = engine_of(engine)?;
    let stats_now = zes_engine_stats_t {
        activeTime: gpu.device.busy_ns() / 1000,
        timestamp: now_ns() / 1000,
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(stats, stats_now) }
}

/// Lists of what a simulated device has none of.
pub unsafe fn none<H>(device: zes_device_handle_t, count: *mut u32, handles: *mut H) -> Outcome {
    gpu(device)?;
    // SAFETY: the same contract.
    unsafe { list(count, handles, &[] as &[()], |_, ()| {}) }
}

/// `zesDeviceGetCardPowerDomain`.
pub unsafe fn card_power(device: zes_device_handle_t, power: *mut zes_pwr_handle_t) -> Outcome {
    gpu(device)?;
    require(!power.is_null(), rc::NULL_POINTER)?;
    Err(rc::UNSUPPORTED_FEATURE)
}
