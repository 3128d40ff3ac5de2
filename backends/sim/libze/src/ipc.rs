//! Memory and event pools that another process opens.

use crate::border::{Outcome, put, rc, require};
use crate::device;
use crate::driver::gpus;
use crate::event::Pool;
use crate::handles::{CONTEXTS, POOLS, get};
use crate::memory::{self, Allocation, Kind};
use fcsp_sim::export::{self, Extent};
use level_zero_sys::*;
use std::ffi::{c_char, c_void};

/// In place of a device's number, for an event pool.
const EVENT_POOL: u32 = u32::MAX;

fn to_c(handle: [u8; 64]) -> [c_char; 64] {
    handle.map(|byte| byte as c_char)
}

fn from_c(handle: [c_char; 64]) -> Result<Extent, ze_result_t> {
    Extent::from_handle(&handle.map(|byte| byte as u8)).ok_or(rc::INVALID_ARGUMENT)
}

/// `zeMemGetIpcHandle`.
pub unsafe fn get_memory(
    context: ze_context_handle_t,
    address: *const c_void,
    place: *mut ze_ipc_mem_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!address.is_null(), rc::NULL_POINTER)?;
    let found = memory::find(address as u64)
        .filter(|a| a.kind == Kind::Device)
        .ok_or(rc::INVALID_ARGUMENT)?;
    let gpu = found.ordinal.and_then(|ordinal| gpus().get(ordinal));
    let gpu = gpu.ok_or(rc::INVALID_ARGUMENT)?;
    let arena = gpu.arena()?;
    let offset = found.base - arena.base();
    let extent = Extent::own(gpu.device.index(), arena.raw_fd(), offset, found.bytes);
    let data = to_c(extent.to_handle());
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, ze_ipc_mem_handle_t { data }) }
}

/// `zeMemPutIpcHandle`: a handle holds nothing.
pub unsafe fn put_memory(context: ze_context_handle_t, handle: ze_ipc_mem_handle_t) -> Outcome {
    get(&CONTEXTS, context)?;
    from_c(handle.data).map(drop)
}

/// `zeMemOpenIpcHandle`.
pub unsafe fn open_memory(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    handle: ze_ipc_mem_handle_t,
    _flags: ze_ipc_memory_flags_t,
    place: *mut *mut c_void,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    let extent = from_c(handle.data)?;
    require(extent.device == gpu.device.index(), rc::INVALID_ARGUMENT)?;
    let base = extent.map().map_err(|_| rc::INVALID_ARGUMENT)?;
    memory::insert(base, extent.bytes, Kind::Imported, Some(gpu), 0);
    // SAFETY: checked above.
    unsafe { put(place, base as *mut c_void) }
}

/// `zeMemCloseIpcHandle`. Waits for the context's work, which may use it.
pub unsafe fn close_memory(context: ze_context_handle_t, address: *const c_void) -> Outcome {
    let context = get(&CONTEXTS, context)?;
    require(!address.is_null(), rc::NULL_POINTER)?;
    context.drain();
    let imported = |a: &Allocation| a.kind == Kind::Imported;
    let taken = memory::remove(address as u64, imported).ok_or(rc::INVALID_ARGUMENT)?;
    // SAFETY: exactly what was mapped; nobody else can take it out again.
    unsafe { export::unmap(taken.base, taken.bytes) };
    Ok(())
}

/// `zeEventPoolGetIpcHandle`.
pub unsafe fn get_pool(
    pool: ze_event_pool_handle_t,
    place: *mut ze_ipc_event_pool_handle_t,
) -> Outcome {
    let pool = get(&POOLS, pool)?;
    let (fd, bytes) = pool.file().ok_or(rc::INVALID_ARGUMENT)?;
    let data = to_c(Extent::own(EVENT_POOL, fd, 0, bytes).to_handle());
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, ze_ipc_event_pool_handle_t { data }) }
}

/// `zeEventPoolPutIpcHandle`: a handle holds nothing.
pub unsafe fn put_pool(
    context: ze_context_handle_t,
    handle: ze_ipc_event_pool_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    from_c(handle.data).map(drop)
}

/// `zeEventPoolOpenIpcHandle`.
pub unsafe fn open_pool(
    context: ze_context_handle_t,
    handle: ze_ipc_event_pool_handle_t,
    place: *mut ze_event_pool_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    let extent = from_c(handle.data)?;
    require(extent.device == EVENT_POOL, rc::INVALID_ARGUMENT)?;
    let base = extent.map().map_err(|_| rc::INVALID_ARGUMENT)?;
    let pool = Pool::opened(base, extent.bytes);
    // SAFETY: checked above.
    unsafe { put(place, POOLS.insert(pool) as ze_event_pool_handle_t) }
}

/// `zeEventPoolCloseIpcHandle`.
pub unsafe fn close_pool(pool: ze_event_pool_handle_t) -> Outcome {
    // SAFETY: the same contract.
    unsafe { crate::event::destroy_pool(pool) }
}
