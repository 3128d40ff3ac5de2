//! Charging and giving back: what every kind of device memory has in common.
//!
//! Reserve first, then ask the driver, then keep the charge or give it back. What the program frees
//! is looked up by address or handle; what nobody saw goes to the driver unchanged. What a handle
//! means and how many bytes it takes is each handler's business.

use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_preload::log;

use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver};
use crate::memory::pool;
use crate::memory::pool::table::{UNKNOWN_POOL, tagged};
use crate::usage_rhythm;

/// Reserves `bytes` within the quota. Before it refuses, memory that pools keep and do not use is given
/// back to the device.
pub fn reserve<D: Driver>(device: &Device, bytes: u64) -> Result<(), CodeOf<D>> {
    if device.attachment.try_reserve(bytes).is_ok() {
        return Ok(());
    }
    if pool::settle::shed::<D>(device, bytes) && device.attachment.try_reserve(bytes).is_ok() {
        return Ok(());
    }
    reserve_at_last::<D>(device, bytes)
}

/// As [`reserve`], where pools have given back what they can.
pub fn reserve_at_last<D: Driver>(device: &Device, bytes: u64) -> Result<(), CodeOf<D>> {
    let Err(refused) = device.attachment.reserve_at_last(bytes) else {
        return Ok(());
    };
    log::info!("device {}: {refused}", device.ordinal);
    Err(D::OUT_OF_MEMORY)
}

/// Charges `bytes` to `device`, runs `allocate`, and settles. `allocate` gives the driver's answer
/// and the key of what was allocated; `tag` says what it ends with.
pub fn charged<D: Driver>(
    device: &Device,
    live: &LiveMap,
    bytes: u64,
    tag: u8,
    allocate: impl FnOnce() -> (CodeOf<D>, u64),
) -> CodeOf<D> {
    usage_rhythm::stirred();
    let _at_work = device.activity.begin();
    if let Err(refusal) = reserve::<D>(device, bytes) {
        return refusal;
    }
    let (result, key) = allocate();
    if result == D::SUCCESS {
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
pub unsafe fn key_at<D: Driver, T: Copy>(
    result: CodeOf<D>,
    place: *const T,
    key: impl Fn(T) -> u64,
) -> u64 {
    if result == D::SUCCESS {
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
pub fn credited<D: Driver>(key: u64, free: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    let result = credited_by::<D>(key, free, |device, live| give_back(device, live, When::Now));
    // A plain free of a pool's memory makes the pool smaller at once.
    pool::settle::waited::<D>(result)
}

/// As [`credited`], with another way of giving back.
pub fn credited_by<D: Driver>(
    key: u64,
    free: impl FnOnce() -> CodeOf<D>,
    give_back: impl FnOnce(&Device, Live),
) -> CodeOf<D> {
    usage_rhythm::stirred();
    // Taken out first: once the driver has freed it, another thread may be given the same address.
    let found = match device::sole() {
        Some(device) => device.allocations.remove(key).map(|live| (device, live)),
        None => take_of_several(key),
    };
    let _at_work = found.map(|(device, _)| device.activity.begin());
    let result = free();
    if let Some((device, live)) = found {
        if result == D::SUCCESS {
            give_back(device, live);
        } else {
            remember(device, &device.allocations, key, live);
        }
    }
    result
}

#[cold]
#[inline(never)]
fn take_of_several(key: u64) -> Option<(&'static Device, Live)> {
    device::attached().find_map(|device| Some((device, device.allocations.remove(key)?)))
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
