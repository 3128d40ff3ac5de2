//! The driver as a whole: initialization, the devices it found, versions, fork.

use crate::border::{self, Outcome, at, list, put, rc, read, require};
use crate::device::compute_engines;
use crate::handles::{DRIVER, number, numbered};
use fcsp_sim::calibration::INTEL_CONTEXT_OVERHEAD_BYTES;
use fcsp_sim::{Arena, Config, DEVICES_MAX, Device, Queues, Vendor};
use level_zero_sys::*;
use std::ffi::{c_char, c_void};
use std::sync::atomic::AtomicI32;
use std::sync::atomic::Ordering::{Relaxed, Release};
use std::sync::{Arc, Mutex, OnceLock};

/// A device this process can see.
pub struct Gpu {
    /// Its number in this process.
    pub ordinal: usize,
    /// The model.
    pub device: Arc<Device>,
    queues: Mutex<Option<&'static Queues>>,
    arena: Mutex<Option<&'static Arena>>,
}

static GPUS: OnceLock<Vec<Gpu>> = OnceLock::new();
static HOST: OnceLock<Option<Arena>> = OnceLock::new();
static INIT: Mutex<()> = Mutex::new(());
static FORK_FDS: [AtomicI32; DEVICES_MAX as usize] =
    [const { AtomicI32::new(-1) }; DEVICES_MAX as usize];

/// The version of the specification the tables follow.
pub const API_VERSION: ze_api_version_t = ze_api_version_t::ZE_API_VERSION_1_17;

/// The devices this process can see, in its order.
pub fn gpus() -> &'static [Gpu] {
    GPUS.get().map_or(&[], |gpus| gpus)
}

impl Gpu {
    /// The queues of this process on the device; made on first use, kept until it ends. With them the process takes
    /// what every process takes of the device's memory.
    pub fn queues(&self) -> Result<&'static Queues, ze_result_t> {
        let mut queues = self.queues.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(queues) = *queues {
            return Ok(queues);
        }
        self.device
            .charge(INTEL_CONTEXT_OVERHEAD_BYTES)
            .map_err(|_| rc::OUT_OF_DEVICE_MEMORY)?;
        let made = Queues::new(Arc::clone(&self.device))
            .inspect_err(|_| self.device.release(INTEL_CONTEXT_OVERHEAD_BYTES))
            .map_err(report)?;
        Ok(*queues.insert(Box::leak(Box::new(made))))
    }

    /// The queues, if there are any yet.
    pub fn queues_in_use(&self) -> Option<&'static Queues> {
        *self.queues.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// The memory behind the device's addresses; made on first use, kept until the process ends.
    pub fn arena(&self) -> Result<&'static Arena, ze_result_t> {
        let mut arena = self.arena.lock().unwrap_or_else(|e| e.into_inner());
        if let Some(arena) = *arena {
            return Ok(arena);
        }
        let made = Arena::new().map_err(report)?;
        Ok(*arena.insert(Box::leak(Box::new(made))))
    }
}

/// The memory behind host allocations. It is never unmapped: a copy that is still under way when its program frees the
/// memory finds zeros and not a fault.
pub fn host_arena() -> Result<&'static Arena, ze_result_t> {
    HOST.get_or_init(|| Arena::new().ok())
        .as_ref()
        .ok_or(rc::OUT_OF_HOST_MEMORY)
}

/// Lets everything that has ended on any device have its effect.
pub fn notice() {
    for queues in gpus().iter().filter_map(Gpu::queues_in_use) {
        queues.notice();
    }
}

fn report(error: std::io::Error) -> ze_result_t {
    eprintln!("simulated Level Zero driver: {error}");
    rc::UNKNOWN
}

extern "C" fn after_fork_in_child() {
    border::set_forked();
    for fd in &FORK_FDS {
        let fd = fd.swap(-1, Relaxed);
        if fd >= 0 {
            // SAFETY: our own descriptor, which nothing in the child uses: every call is refused.
            unsafe { libc::close(fd) };
        }
    }
}

/// Which devices `ZE_AFFINITY_MASK` leaves, in the driver's order: numbers separated by commas, of a device or of one
/// of its tiles, of which there is one.
fn visible(mask: Option<&str>, index: u32) -> bool {
    let Some(mask) = mask.filter(|mask| !mask.trim().is_empty()) else {
        return true;
    };
    mask.split(',').any(|entry| {
        let (device, tile) = entry.trim().split_once('.').unwrap_or((entry.trim(), "0"));
        device.parse() == Ok(index) && tile.parse() == Ok(0_u32)
    })
}

/// Finds the devices.
pub fn start() -> Outcome {
    let _one_at_a_time = INIT.lock().unwrap_or_else(|e| e.into_inner());
    require(!border::forked(), rc::UNINITIALIZED)?;
    if GPUS.get().is_some() {
        return Ok(());
    }
    let mut config = Config::of(Vendor::Intel);
    // Each engine works for another process.
    config.mps = (0..config.devices as usize).any(|at| compute_engines(at) > 1);
    let mask = std::env::var("ZE_AFFINITY_MASK").ok();
    let mut gpus = Vec::new();
    for index in (0..config.devices).filter(|index| visible(mask.as_deref(), *index)) {
        let device = Device::open(&config, index).map_err(report)?;
        FORK_FDS[index as usize].store(device.fork_sensitive_fd(), Release);
        gpus.push(Gpu {
            ordinal: gpus.len(),
            device: Arc::new(device),
            queues: Mutex::new(None),
            arena: Mutex::new(None),
        });
    }
    // A driver without devices does not initialize; the loader goes on to the next.
    require(!gpus.is_empty(), rc::UNINITIALIZED)?;
    // SAFETY: the handler only stores atomics and closes descriptors.
    unsafe { libc::pthread_atfork(None, None, Some(after_fork_in_child)) };
    GPUS.get_or_init(|| gpus);
    border::set_ready();
    Ok(())
}

/// Fails unless the handle is the driver's.
pub fn check(driver: ze_driver_handle_t) -> Outcome {
    require(number(DRIVER, driver)? == 0, rc::INVALID_ARGUMENT)
}

/// `zeInit`.
pub unsafe fn init(flags: ze_init_flags_t) -> Outcome {
    let vpu = ze_init_flag_t::ZE_INIT_FLAG_VPU_ONLY.0;
    let gpu = ze_init_flag_t::ZE_INIT_FLAG_GPU_ONLY.0;
    require(flags & !(gpu | vpu) == 0, rc::INVALID_ENUMERATION)?;
    require(flags != vpu, rc::UNINITIALIZED)?;
    start()
}

/// `zeInitDrivers`.
pub unsafe fn init_drivers(
    count: *mut u32,
    drivers: *mut ze_driver_handle_t,
    desc: *mut ze_init_driver_type_desc_t,
) -> Outcome {
    // SAFETY: the caller's descriptor.
    let kinds = unsafe { read(desc) }?.flags;
    let gpu = ze_init_driver_type_flag_t::ZE_INIT_DRIVER_TYPE_FLAG_GPU.0;
    require(kinds != 0, rc::INVALID_ENUMERATION)?;
    require(kinds & gpu != 0, rc::UNINITIALIZED)?;
    start()?;
    // SAFETY: the same contract.
    unsafe { get(count, drivers) }
}

/// `zeDriverGet`.
pub unsafe fn get(count: *mut u32, drivers: *mut ze_driver_handle_t) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        list(count, drivers, &[0], |place, one| {
            *place = numbered(DRIVER, *one)
        })
    }
}

/// `zeDriverGetApiVersion`.
pub unsafe fn api_version(driver: ze_driver_handle_t, version: *mut ze_api_version_t) -> Outcome {
    check(driver)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(version, API_VERSION) }
}

/// `zeDriverGetProperties`. Says nothing of tables in handles: there are none.
pub unsafe fn properties(
    driver: ze_driver_handle_t,
    properties: *mut ze_driver_properties_t,
) -> Outcome {
    check(driver)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.uuid.id = *b"fcsp-sim-driver\0";
    p.driverVersion = 0x0103_0000;
    Ok(())
}

/// `zeDriverGetIpcProperties`.
pub unsafe fn ipc_properties(
    driver: ze_driver_handle_t,
    properties: *mut ze_driver_ipc_properties_t,
) -> Outcome {
    check(driver)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.flags = ze_ipc_property_flag_t::ZE_IPC_PROPERTY_FLAG_MEMORY.0
        | ze_ipc_property_flag_t::ZE_IPC_PROPERTY_FLAG_EVENT_POOL.0;
    Ok(())
}

/// `zeDriverGetExtensionProperties`: no extensions.
pub unsafe fn extensions(
    driver: ze_driver_handle_t,
    count: *mut u32,
    out: *mut ze_driver_extension_properties_t,
) -> Outcome {
    check(driver)?;
    // SAFETY: the same contract.
    unsafe { list(count, out, &[] as &[()], |_, ()| {}) }
}

/// `zeDriverGetExtensionFunctionAddress`: what is in a table, and what Intel's driver has beyond.
pub unsafe fn extension_function(
    driver: ze_driver_handle_t,
    name: *const c_char,
    address: *mut *mut c_void,
) -> Outcome {
    check(driver)?;
    require(!name.is_null() && !address.is_null(), rc::NULL_POINTER)?;
    // SAFETY: a text that ends with a NUL, by the caller's contract.
    let name = unsafe { std::ffi::CStr::from_ptr(name) };
    let found = name.to_str().map_or(std::ptr::null(), |name| {
        let found = crate::functions::address(name);
        match found.is_null() {
            true => crate::extension::address(name),
            false => found,
        }
    });
    require(!found.is_null(), rc::INVALID_ARGUMENT)?;
    // SAFETY: checked above.
    unsafe { put(address, found.cast_mut()) }
}

/// `zeDriverGetLastErrorDescription`: the code says it all.
pub unsafe fn last_error(driver: ze_driver_handle_t, text: *mut *const c_char) -> Outcome {
    check(driver)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(text, c"".as_ptr()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_affinity_mask_leaves_what_it_names() {
        assert!(visible(None, 3) && visible(Some(""), 3));
        assert!(visible(Some("0,2"), 2) && !visible(Some("0,2"), 1));
        assert!(visible(Some("1.0"), 1) && !visible(Some("1.1"), 1));
    }
}
