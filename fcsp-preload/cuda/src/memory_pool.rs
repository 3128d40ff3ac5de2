//! Memory pools: stream-ordered allocation, and what a pool keeps after a free.
//!
//! A pool whose release threshold is 0, as every pool's is at first, gives freed memory back at the
//! next synchronization: what is freed is no longer charged. With a threshold the pool keeps memory
//! on the device for its next allocation. That memory must stay charged, or a program could fill a
//! pool, free everything, and get its quota once more beside it. So a free into such a pool moves the
//! bytes to the pool's *kept* counter, and an allocation takes them from there before it asks the
//! ledger. When the quota refuses, kept memory is trimmed first ([`trim_all`]): the tenant gets it
//! for something else, as it would from a full device.
//!
//! Pools that share their memory with other processes are charged where they allocate; an import
//! (`cuMemPoolImportPointer`) is charged to nobody again.

use core::ffi::c_void;
use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use cuda_sys::{
    CUdevice, CUdeviceptr, CUmemAllocationType, CUmemLocation, CUmemLocationType,
    CUmemPool_attribute, CUmemPoolProps, CUmemoryPool, CUresult, CUstream, fn_types,
};
use fcsp_core::ledger::live::Live;
use fcsp_preload::log;

use crate::capture;
use crate::device::{self, DEVICES_MAX, Device};
use crate::hooks::cuda;
use crate::memory_charge::{charged, credited_by, key_at, remember, reserve};
use crate::memory_contexts::{TAGS_MAX, tag_of_current};
use crate::memory_graph;

/// Pools that are known: those the program made, and those it let keep memory. More are treated as
/// if they kept none, and reconciled.
const POOLS_MAX: usize = (u8::MAX - TAGS_MAX) as usize;
/// No pool has these handles.
const FREE: u64 = 0;
const CHANGING: u64 = u64::MAX;
/// Ordinal of pools of host memory.
const HOST: i32 = -1;

/// A pool we know. Its tag is `TAGS_MAX` plus one plus its place.
struct Pool {
    handle: AtomicU64,
    ordinal: AtomicI32,
    threshold_bytes: AtomicU64,
    kept_bytes: AtomicU64,
}

static POOLS: [Pool; POOLS_MAX] = [const {
    Pool {
        handle: AtomicU64::new(FREE),
        ordinal: AtomicI32::new(-1),
        threshold_bytes: AtomicU64::new(0),
        kept_bytes: AtomicU64::new(0),
    }
}; POOLS_MAX];

/// Pools in the table. While it is 0, stream-ordered allocations cost nothing extra.
static COUNT: AtomicU32 = AtomicU32::new(0);
/// The pool `cuMemAllocAsync` takes from, by device; 0 while not known.
static CURRENT: [AtomicU64; DEVICES_MAX] = [const { AtomicU64::new(0) }; DEVICES_MAX];

impl Pool {
    /// Its device, if it is one of ours.
    fn device(&self) -> Option<&'static Device> {
        device::at(self.ordinal.load(Ordering::Relaxed))
    }

    /// Takes up to `bytes` out of what is kept; gives how many.
    fn take(&self, bytes: u64) -> u64 {
        let before = self
            .kept_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
                Some(kept.saturating_sub(bytes))
            });
        before.unwrap_or(0).min(bytes)
    }

    /// Keeps `bytes` up to the threshold; gives how many it does not keep.
    fn keep(&self, bytes: u64) -> u64 {
        let threshold_bytes = self.threshold_bytes.load(Ordering::Relaxed);
        let keep = |kept: u64| kept.saturating_add(bytes).min(threshold_bytes.max(kept));
        let before = self
            .kept_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
                Some(keep(kept))
            })
            .unwrap_or(0);
        bytes - (keep(before) - before)
    }
}

fn find(handle: CUmemoryPool) -> Option<(u8, &'static Pool)> {
    if COUNT.load(Ordering::Acquire) == 0 || handle.is_null() {
        return None;
    }
    (TAGS_MAX + 1..=u8::MAX)
        .zip(&POOLS)
        .find(|(_, pool)| pool.handle.load(Ordering::Acquire) == handle as u64)
}

/// The pool with that tag; `None` for a context's.
fn tagged(tag: u8) -> Option<&'static Pool> {
    let place = tag.checked_sub(TAGS_MAX + 1)?;
    POOLS.get(usize::from(place))
}

/// The pool `cuMemAllocAsync` uses now, if we know any pool at all.
fn current() -> Option<CUmemoryPool> {
    if COUNT.load(Ordering::Acquire) == 0 {
        return None;
    }
    let device = device::current()?;
    let place = CURRENT.get(usize::try_from(device.ordinal).ok()?)?;
    let known = place.load(Ordering::Acquire);
    if known != FREE {
        return Some(known as CUmemoryPool);
    }
    let mut pool = core::ptr::null_mut();
    // SAFETY: the driver writes a handle there, or fails.
    let result = unsafe { cuda::cuDeviceGetMemPool.get()?(&mut pool, device.ordinal) };
    if result != CUresult::CUDA_SUCCESS {
        return None;
    }
    place.store(pool as u64, Ordering::Release);
    Some(pool)
}

/// Gives back to the device what the pools of `device` keep; true if that was anything.
pub fn trim_all(device: &Device) -> bool {
    if COUNT.load(Ordering::Acquire) == 0 {
        return false;
    }
    let mut any = false;
    for pool in &POOLS {
        let handle = pool.handle.load(Ordering::Acquire);
        if handle == FREE || pool.ordinal.load(Ordering::Relaxed) != device.ordinal {
            continue;
        }
        let kept_bytes = pool.kept_bytes.load(Ordering::Relaxed);
        if kept_bytes == 0 {
            continue;
        }
        let trim = cuda::cuMemPoolTrimTo.get();
        // SAFETY: a pool the program made and has not destroyed.
        let result = trim.map(|trim| unsafe { trim(handle as CUmemoryPool, 0) });
        if result == Some(CUresult::CUDA_SUCCESS) {
            device.ledger().release(pool.take(kept_bytes));
            any = true;
        }
    }
    any
}

/// An allocation from `pool` in the order of a stream.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
unsafe fn allocate(
    address: *mut CUdeviceptr,
    bytes: u64,
    captured: bool,
    pool: impl FnOnce() -> Option<CUmemoryPool>,
    allocate: impl FnOnce() -> CUresult,
) -> CUresult {
    if captured {
        // A node that allocates when the graph is launched.
        memory_graph::note_node();
        return allocate();
    }
    // SAFETY: called after the driver has answered.
    let key_of = |result| unsafe { key_at(result, address, |it| it) };
    let Some((tag, pool)) = pool().and_then(find) else {
        let Some(device) = device::current() else {
            return allocate();
        };
        return charged(device, &device.allocations, bytes, tag_of_current(), || {
            let result = allocate();
            (result, key_of(result))
        });
    };
    // Host memory is not the device's.
    let Some(device) = pool.device() else {
        return allocate();
    };
    let kept_bytes = pool.take(bytes);
    if let Err(refusal) = reserve(device, bytes - kept_bytes) {
        // What it took was kept by the same pool, so trimming did not reach it.
        device.ledger().release(pool.keep(kept_bytes));
        return refusal;
    }
    let result = allocate();
    if result == CUresult::CUDA_SUCCESS {
        let live = Live { bytes, kind: tag };
        remember(device, &device.allocations, key_of(result), live);
    } else {
        let not_kept_bytes = pool.keep(kept_bytes);
        device.ledger().release(bytes - kept_bytes + not_kept_bytes);
    }
    result
}

/// # Safety
///
/// As `cuMemAllocAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_async<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    h_stream: CUstream,
) -> CUresult {
    let captured = capture::captures::<PER_THREAD>(h_stream);
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate(dptr, bytesize as u64, captured, current, || {
            real(dptr, bytesize, h_stream)
        })
    }
}

/// # Safety
///
/// As `cuMemAllocFromPoolAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_from_pool<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocFromPoolAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    pool: CUmemoryPool,
    h_stream: CUstream,
) -> CUresult {
    let captured = capture::captures::<PER_THREAD>(h_stream);
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate(
            dptr,
            bytesize as u64,
            captured,
            || Some(pool),
            || real(dptr, bytesize, pool, h_stream),
        )
    }
}

/// What a free gives back: to the pool it came from if that keeps memory, else to the tenant.
pub fn give_back(device: &Device, live: Live) {
    let bytes = match tagged(live.kind) {
        Some(pool) => pool.keep(live.bytes),
        None => live.bytes,
    };
    if bytes > 0 {
        device.ledger().release(bytes);
    }
}

/// # Safety
///
/// As `cuMemFreeAsync`, or its variant for per-thread default streams.
pub unsafe fn free_async<const PER_THREAD: bool>(
    real: fn_types::cuMemFreeAsync,
    dptr: CUdeviceptr,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let free = || unsafe { real(dptr, h_stream) };
    if capture::captures::<PER_THREAD>(h_stream) {
        // A node that frees when the graph is launched; the memory is the graph's.
        return free();
    }
    credited_by(dptr, free, give_back)
}

/// # Safety
///
/// As `cuMemPoolSetAttribute`.
pub unsafe fn set_attribute(
    real: fn_types::cuMemPoolSetAttribute,
    pool: CUmemoryPool,
    attr: CUmemPool_attribute,
    value: *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, attr, value) };
    if result == CUresult::CUDA_SUCCESS
        && attr == CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD
    {
        // SAFETY: the driver accepted it: a 64-bit number, says cuda.h.
        let threshold_bytes = unsafe { value.cast::<u64>().read() };
        keeps(pool, threshold_bytes);
    }
    result
}

/// `pool` has a new threshold.
fn keeps(handle: CUmemoryPool, threshold_bytes: u64) {
    if let Some((_, pool)) = find(handle) {
        pool.threshold_bytes
            .store(threshold_bytes, Ordering::Relaxed);
        settle(pool, handle);
        return;
    }
    if threshold_bytes != 0
        && let Some(device) = device_of(handle)
    {
        enter(handle, device.ordinal, threshold_bytes);
    }
}

/// Enters a pool that is not known.
fn enter(handle: CUmemoryPool, ordinal: i32, threshold_bytes: u64) {
    let room = POOLS.iter().find(|pool| {
        pool.handle
            .compare_exchange(FREE, CHANGING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    });
    let Some(pool) = room else {
        log::warn!("too many memory pools: what this one keeps is charged only when reconciled");
        return;
    };
    pool.ordinal.store(ordinal, Ordering::Relaxed);
    pool.threshold_bytes
        .store(threshold_bytes, Ordering::Relaxed);
    pool.kept_bytes.store(0, Ordering::Relaxed);
    pool.handle.store(handle as u64, Ordering::Release);
    COUNT.fetch_add(1, Ordering::Release);
}

/// # Safety
///
/// As `cuMemPoolCreate`.
pub unsafe fn create(
    real: fn_types::cuMemPoolCreate,
    pool: *mut CUmemoryPool,
    props: *const CUmemPoolProps,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, props) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver read the one and wrote the other.
        let (location, handle) = unsafe { ((*props).location, *pool) };
        let on_device = location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        enter(handle, if on_device { location.id } else { HOST }, 0);
    }
    result
}

/// The device of a pool that was not made by [`create`]: a device's own pool, or an imported one.
fn device_of(pool: CUmemoryPool) -> Option<&'static Device> {
    let is_of = |device: &&Device| {
        [
            cuda::cuDeviceGetDefaultMemPool.get(),
            cuda::cuDeviceGetMemPool.get(),
        ]
        .into_iter()
        .flatten()
        .any(|get| {
            let mut found = core::ptr::null_mut();
            // SAFETY: the driver writes a handle there, or fails.
            let result = unsafe { get(&mut found, device.ordinal) };
            result == CUresult::CUDA_SUCCESS && found == pool
        })
    };
    device::attached().find(is_of).or_else(device::current)
}

/// Brings what is charged for kept memory down to what the driver says the pool holds unused.
fn settle(pool: &Pool, handle: CUmemoryPool) {
    let ask = |attribute| {
        let mut bytes = 0_u64;
        // SAFETY: a pool of the program's; the driver writes a 64-bit number.
        let result = unsafe {
            cuda::cuMemPoolGetAttribute.get()?(handle, attribute, (&raw mut bytes).cast())
        };
        (result == CUresult::CUDA_SUCCESS).then_some(bytes)
    };
    let (Some(reserved_bytes), Some(used_bytes)) = (
        ask(CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT),
        ask(CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT),
    ) else {
        return;
    };
    let unused_bytes = reserved_bytes.saturating_sub(used_bytes);
    let kept_bytes = pool.kept_bytes.load(Ordering::Relaxed);
    give_up(pool, kept_bytes.saturating_sub(unused_bytes));
}

fn give_up(pool: &Pool, bytes: u64) {
    if let Some(device) = pool.device() {
        device.ledger().release(pool.take(bytes));
    }
}

/// # Safety
///
/// As `cuMemPoolTrimTo`.
pub unsafe fn trim_to(
    real: fn_types::cuMemPoolTrimTo,
    pool: CUmemoryPool,
    min_bytes_to_keep: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, min_bytes_to_keep) };
    if result == CUresult::CUDA_SUCCESS
        && let Some((_, known)) = find(pool)
    {
        settle(known, pool);
    }
    result
}

/// # Safety
///
/// As `cuMemPoolDestroy`.
pub unsafe fn destroy(real: fn_types::cuMemPoolDestroy, pool: CUmemoryPool) -> CUresult {
    let known = find(pool);
    for place in &CURRENT {
        // A destroyed pool is current no more.
        place
            .compare_exchange(pool as u64, FREE, Ordering::AcqRel, Ordering::Relaxed)
            .ok();
    }
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool) };
    if result == CUresult::CUDA_SUCCESS
        && let Some((_, known)) = known
    {
        // Nothing is kept any more. What is still allocated from it stays charged until it is freed.
        known.threshold_bytes.store(0, Ordering::Relaxed);
        give_up(known, u64::MAX);
        known.handle.store(FREE, Ordering::Release);
    }
    result
}

/// # Safety
///
/// As `cuDeviceSetMemPool`.
pub unsafe fn set_current(
    real: fn_types::cuDeviceSetMemPool,
    dev: CUdevice,
    pool: CUmemoryPool,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(dev, pool) };
    if let Some(place) = usize::try_from(dev).ok().and_then(|at| CURRENT.get(at)) {
        place.store(FREE, Ordering::Release);
    }
    result
}

/// # Safety
///
/// As `cuMemSetMemPool`.
pub unsafe fn set_current_of(
    real: fn_types::cuMemSetMemPool,
    location: *mut CUmemLocation,
    type_: CUmemAllocationType,
    pool: CUmemoryPool,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(location, type_, pool) };
    for place in &CURRENT {
        place.store(FREE, Ordering::Release);
    }
    result
}
