//! Contexts: what memory, queues and events belong to.

use crate::border::{Outcome, put, rc, require};
use crate::device;
use crate::driver::{Gpu, check, gpus};
use crate::handles::{CONTEXTS, get, take};
use level_zero_sys::*;
use std::ffi::c_void;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// A context.
pub struct Context {
    /// Tells contexts apart; the group of their streams in the model.
    pub group: u64,
}

static GROUPS: AtomicU64 = AtomicU64::new(1);

impl Context {
    /// A context without anything in it.
    pub fn new() -> Self {
        let group = GROUPS.fetch_add(1, Relaxed);
        Self { group }
    }

    /// Waits for everything it has submitted to any device.
    pub fn drain(&self) {
        for queues in gpus().iter().filter_map(Gpu::queues_in_use) {
            queues.wait_group(self.group);
        }
    }
}

/// `zeContextCreate`.
pub unsafe fn create(
    driver: ze_driver_handle_t,
    desc: *const ze_context_desc_t,
    place: *mut ze_context_handle_t,
) -> Outcome {
    check(driver)?;
    require(!desc.is_null() && !place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: checked above.
    unsafe {
        put(
            place,
            CONTEXTS.insert(Context::new()) as ze_context_handle_t,
        )
    }
}

/// `zeContextCreateEx`. Devices outside the list may be used all the same.
pub unsafe fn create_ex(
    driver: ze_driver_handle_t,
    desc: *const ze_context_desc_t,
    _count: u32,
    _devices: *mut ze_device_handle_t,
    place: *mut ze_context_handle_t,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { create(driver, desc, place) }
}

/// `zeContextDestroy`.
pub unsafe fn destroy(context: ze_context_handle_t) -> Outcome {
    take(&CONTEXTS, context)?.drain();
    Ok(())
}

/// `zeContextGetStatus`.
pub unsafe fn status(context: ze_context_handle_t) -> Outcome {
    get(&CONTEXTS, context).map(drop)
}

/// `zeContextSystemBarrier`.
pub unsafe fn system_barrier(context: ze_context_handle_t, device: ze_device_handle_t) -> Outcome {
    device::gpu(device)?;
    get(&CONTEXTS, context)?.drain();
    Ok(())
}

/// `zeContextMakeMemoryResident`: all memory is.
pub unsafe fn make_resident(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    address: *mut c_void,
    bytes: usize,
) -> Outcome {
    get(&CONTEXTS, context)?;
    device::gpu(device)?;
    require(!address.is_null(), rc::NULL_POINTER)?;
    let known = crate::memory::contains(address as u64, bytes as u64);
    require(known, rc::INVALID_ARGUMENT)
}

/// `zeContextEvictMemory`: it stays where it is.
pub unsafe fn evict(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    address: *mut c_void,
    bytes: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { make_resident(context, device, address, bytes) }
}
