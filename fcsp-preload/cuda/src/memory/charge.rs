//! Charging and giving back: what every kind of device memory has in common.
//!
//! Reserve first, then ask the driver, then keep the charge or give it back. What the program frees
//! is looked up by address or handle; what nobody saw goes to the driver unchanged. What a handle
//! means and how many bytes it takes is each handler's business.

use cuda_sys::CUresult;
use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_preload::log;

use crate::device::{self, Device};
use crate::memory::pool;
use crate::memory::pool::table::{UNKNOWN_POOL, tagged};
use crate::usage_rhythm;

/// What the driver takes for `bytes` of `cuMemAlloc` and its like: from 1 MiB on, whole blocks of
/// 2 MiB (measured on an H200, driver 580.159: 1 MiB + 1 byte takes 2 MiB). What small ones share a
/// block with is left to [`crate::usage`].
pub fn blocks(bytes: u64) -> u64 {
    const BLOCK_BYTES: u64 = 2 << 20;
    if bytes <= BLOCK_BYTES / 2 {
        return bytes;
    }
    bytes
        .checked_next_multiple_of(BLOCK_BYTES)
        .unwrap_or(u64::MAX)
}

/// Reserves `bytes` within the quota. Before it refuses, memory that pools keep and do not use is given
/// back to the device.
pub fn reserve(device: &Device, bytes: u64) -> Result<(), CUresult> {
    if device.attachment.try_reserve(bytes).is_ok() {
        return Ok(());
    }
    pool::settle::shed(device);
    let Err(refused) = device.attachment.reserve(bytes) else {
        return Ok(());
    };
    log::info!("device {}: {refused}", device.ordinal);
    Err(CUresult::CUDA_ERROR_OUT_OF_MEMORY)
}

/// Charges `bytes` to `device`, runs `allocate`, and settles. `allocate` gives the driver's answer
/// and the key of what was allocated; `tag` says what it ends with.
pub fn charged(
    device: &Device,
    live: &LiveMap,
    bytes: u64,
    tag: u8,
    allocate: impl FnOnce() -> (CUresult, u64),
) -> CUresult {
    usage_rhythm::stirred();
    let _at_work = device.activity.begin();
    if let Err(refusal) = reserve(device, bytes) {
        return refusal;
    }
    let (result, key) = allocate();
    if result == CUresult::CUDA_SUCCESS {
        remember(device, live, key, Live { bytes, kind: tag });
    } else {
        device.ledger().release(bytes);
    }
    result
}

/// What the driver wrote to `place` if it accepted the call, as a key; 0, which is no key, if not.
///
/// # Safety
///
/// After the call: if `result` is success, `place` is valid and filled in.
pub unsafe fn key_at<T: Copy>(result: CUresult, place: *const T, key: impl Fn(T) -> u64) -> u64 {
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: as above.
        key(unsafe { *place })
    } else {
        0
    }
}

/// Notes what `key` was charged, so that freeing it gives that back.
pub fn remember(device: &Device, map: &LiveMap, key: u64, live: Live) {
    match map.insert(key, live) {
        Ok(None) => {}
        // The driver gave an address out again that we never saw freed (its context is gone).
        Ok(Some(lost)) => give_back(device, lost, When::Now),
        Err(_) => log::warn!(
            "an allocation of {} bytes cannot be tracked: its charge outlives it",
            live.bytes
        ),
    }
}

/// When freed memory is the device's again.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// It is, unless it came from a pool that is not known.
    Now,
    /// Some time from now.
    Later,
}

/// Gives back what a freed allocation was charged. What came from a pool has no charge of its own, but
/// may be the last of a pool that the program destroyed.
pub fn give_back(device: &Device, live: Live, when: When) {
    let bytes = match tagged(live.kind) {
        Some(pool) => pool.freed().unwrap_or(0),
        None => live.bytes,
    };
    if when == When::Later || live.kind == UNKNOWN_POOL {
        pool::settle::give_back_later(device, bytes);
    } else if bytes > 0 {
        device.ledger().release(bytes);
    }
}

/// Runs `free`; if the driver agrees, gives back what `key` was charged.
pub fn credited(key: u64, free: impl FnOnce() -> CUresult) -> CUresult {
    let result = credited_by(key, free, |device, live| give_back(device, live, When::Now));
    // A plain free of a pool's memory makes the pool smaller at once.
    pool::settle::waited(result)
}

/// As [`credited`], with another way of giving back.
pub fn credited_by(
    key: u64,
    free: impl FnOnce() -> CUresult,
    give_back: impl FnOnce(&Device, Live),
) -> CUresult {
    usage_rhythm::stirred();
    // Taken out first: once the driver has freed it, another thread may be given the same address.
    let found =
        device::attached().find_map(|device| Some((device, device.allocations.remove(key)?)));
    let _at_work = found.map(|(device, _)| device.activity.begin());
    let result = free();
    if let Some((device, live)) = found {
        if result == CUresult::CUDA_SUCCESS {
            give_back(device, live);
        } else {
            remember(device, &device.allocations, key, live);
        }
    }
    result
}

/// Gives back everything on `device` whose tag `ends`.
pub fn sweep(device: &Device, ends: impl Fn(u8) -> bool) {
    let map = &device.allocations;
    map.for_each(|key, live| {
        if !ends(live.kind) {
            return;
        }
        match map.remove(key) {
            Some(gone) if ends(gone.kind) => give_back(device, gone, When::Now),
            // The address was freed and given out again between the two looks.
            Some(other) => remember(device, map, key, other),
            None => {}
        }
    });
}
