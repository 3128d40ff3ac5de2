//! What is known of memory pools: which keep memory after a free, and how much is charged for it.
//!
//! Why it is charged at all is said in [`crate::memory_pool`], whose handlers use this. A pool is entered
//! when the program makes it or gives it a release threshold; all others keep nothing.

use core::sync::atomic::{AtomicI32, AtomicU32, AtomicU64, Ordering};

use cuda_sys::{CUdevice, CUmemPool_attribute, CUmemoryPool, CUresult};
use fcsp_preload::log;

use crate::device::{self, DEVICES_MAX, Device};
use crate::hooks::cuda;
use crate::memory_contexts::TAGS_MAX;

/// Pools that are known: those the program made, and those it let keep memory. More are treated as
/// if they kept none, and reconciled.
const POOLS_MAX: usize = (u8::MAX - TAGS_MAX) as usize;
/// No pool has these handles.
const FREE: u64 = 0;
const CHANGING: u64 = u64::MAX;
/// Ordinal of pools of host memory.
pub const HOST: i32 = -1;

/// A pool we know. Its tag is `TAGS_MAX` plus one plus its place.
pub struct Pool {
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
    pub fn device(&self) -> Option<&'static Device> {
        device::at(self.ordinal.load(Ordering::Relaxed))
    }

    /// Takes up to `bytes` out of what is kept; gives how many.
    pub fn take(&self, bytes: u64) -> u64 {
        let before = self
            .kept_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |kept| {
                Some(kept.saturating_sub(bytes))
            });
        before.unwrap_or(0).min(bytes)
    }

    /// Keeps `bytes` up to the threshold; gives how many it does not keep.
    pub fn keep(&self, bytes: u64) -> u64 {
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

pub fn find(handle: CUmemoryPool) -> Option<(u8, &'static Pool)> {
    if COUNT.load(Ordering::Acquire) == 0 || handle.is_null() {
        return None;
    }
    (TAGS_MAX + 1..=u8::MAX)
        .zip(&POOLS)
        .find(|(_, pool)| pool.handle.load(Ordering::Acquire) == handle as u64)
}

/// The pool with that tag; `None` for a context's.
pub fn tagged(tag: u8) -> Option<&'static Pool> {
    let place = tag.checked_sub(TAGS_MAX + 1)?;
    POOLS.get(usize::from(place))
}

/// The pool `cuMemAllocAsync` uses now, if we know any pool at all.
pub fn current() -> Option<CUmemoryPool> {
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
        let ours = pool.ordinal.load(Ordering::Relaxed) == device.ordinal;
        if handle == FREE || handle == CHANGING || !ours {
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

/// `pool` has a new threshold.
pub fn keeps(handle: CUmemoryPool, threshold_bytes: u64) {
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
pub fn enter(handle: CUmemoryPool, ordinal: i32, threshold_bytes: u64) {
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

/// Enters the device's default pool if it has a threshold already: it may outlive contexts, and its
/// settings with it. Called when a context was made.
pub fn learn(device: &Device) {
    let mut handle = core::ptr::null_mut();
    let get = cuda::cuDeviceGetDefaultMemPool.get();
    // SAFETY: the driver writes a handle there, or fails.
    let result = get.map(|get| unsafe { get(&mut handle, device.ordinal) });
    if result != Some(CUresult::CUDA_SUCCESS) || find(handle).is_some() {
        return;
    }
    let attribute = CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
    let threshold_bytes = ask(handle, attribute).unwrap_or(0);
    if threshold_bytes == 0 {
        return;
    }
    enter(handle, device.ordinal, threshold_bytes);
    if let (Some((_, pool)), Some(unused_bytes)) = (find(handle), unused_bytes(handle)) {
        pool.kept_bytes.fetch_add(unused_bytes, Ordering::Relaxed);
        device.ledger().adjust(unused_bytes as i64);
    }
}

/// A number of a pool.
fn ask(handle: CUmemoryPool, attribute: CUmemPool_attribute) -> Option<u64> {
    let mut bytes = 0_u64;
    // SAFETY: a pool of the program's; for these attributes the driver writes a 64-bit number.
    let result =
        unsafe { cuda::cuMemPoolGetAttribute.get()?(handle, attribute, (&raw mut bytes).cast()) };
    (result == CUresult::CUDA_SUCCESS).then_some(bytes)
}

/// Bytes that a pool holds and nobody uses.
fn unused_bytes(handle: CUmemoryPool) -> Option<u64> {
    let reserved_bytes = ask(
        handle,
        CUmemPool_attribute::CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT,
    )?;
    let used_bytes = ask(
        handle,
        CUmemPool_attribute::CU_MEMPOOL_ATTR_USED_MEM_CURRENT,
    )?;
    Some(reserved_bytes.saturating_sub(used_bytes))
}

/// Brings what is charged for kept memory down to what the driver says the pool holds unused.
pub fn settle(pool: &Pool, handle: CUmemoryPool) {
    let Some(unused_bytes) = unused_bytes(handle) else {
        return;
    };
    let kept_bytes = pool.kept_bytes.load(Ordering::Relaxed);
    give_up(pool, kept_bytes.saturating_sub(unused_bytes));
}

/// Forgets a pool that is gone: it keeps nothing any more.
pub fn leave(pool: &Pool) {
    pool.threshold_bytes.store(0, Ordering::Relaxed);
    give_up(pool, u64::MAX);
    if pool.handle.swap(FREE, Ordering::AcqRel) != FREE {
        COUNT.fetch_sub(1, Ordering::Release);
    }
}

/// Forgets every pool of `device`, whose last context is gone. Whether the driver's pools outlive that is
/// not documented, and a handle that does not must not be used; what they still hold is reconciled.
pub fn forget(device: &Device) {
    for pool in &POOLS {
        let handle = pool.handle.load(Ordering::Acquire);
        if handle != FREE
            && handle != CHANGING
            && pool.ordinal.load(Ordering::Relaxed) == device.ordinal
        {
            leave(pool);
        }
    }
    current_changed(Some(device.ordinal));
}

fn give_up(pool: &Pool, bytes: u64) {
    if let Some(device) = pool.device() {
        device.ledger().release(pool.take(bytes));
    }
}

/// The pool that `cuMemAllocAsync` uses on that device, on every device for `None`, is another now.
pub fn current_changed(ordinal: Option<CUdevice>) {
    for (at, place) in CURRENT.iter().enumerate() {
        if ordinal.is_none_or(|ordinal| usize::try_from(ordinal) == Ok(at)) {
            place.store(FREE, Ordering::Release);
        }
    }
}
