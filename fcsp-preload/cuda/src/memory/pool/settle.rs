//! Bringing what is charged for pools in line with what they really have, and making them give up what they
//! do not use.
//!
//! When: after an allocation from a pool (that pool; while the quota has room, after some), when a thread has waited for the device, when the program asks
//! how much memory is left, after a plain free, and before anything is refused. The driver's figure costs
//! 40 ns. A program that uses no pool pays one load for all of it.
//!
//! Beside pools, memory can be on its way back to the device out of our sight: what a destroyed pool had, and
//! plain allocations that were freed in stream order. It stays charged until a wait for the whole context, or
//! until the management library says otherwise ([`crate::usage`]).

use core::sync::atomic::{AtomicBool, Ordering};

use cuda_sys::{CUdeviceptr, CUresult};
use fcsp_core::ledger::pool::Settled;

use crate::device::{self, Device};
use crate::hooks::cuda;
use crate::memory::charge::credited;
use crate::memory::contexts;
use crate::memory::graph::charge::{self as graphs, Destroyed};
use crate::memory::pool::reuse::{self, Block};
use crate::memory::pool::table::{self, Pool};
use crate::usage;

/// True while some pool may have memory, or something waits to be given back.
static IN_USE: AtomicBool = AtomicBool::new(false);

/// True while some pool may have memory: what it has may change whenever a thread waits.
#[inline]
pub fn in_use() -> bool {
    // Relaxed: a thread that waits for what another one freed has ordered the two.
    IN_USE.load(Ordering::Relaxed)
}

/// Some pool may have memory.
#[inline]
pub fn note_use() {
    if !in_use() {
        // SeqCst: not before a `settle_all` that is about to find nothing: see there.
        IN_USE.store(true, Ordering::SeqCst);
    }
}

/// Adds a difference of bytes to what the tenant is charged.
#[inline]
pub fn correct(device: &Device, bytes: i64) {
    if bytes < 0 {
        device.ledger().release(bytes.unsigned_abs());
    } else {
        device.ledger().adjust(bytes);
    }
}

/// Runs a plain free of what is at `address`, which may be a pool's.
pub fn plain_free(address: CUdeviceptr, free: impl FnOnce() -> CUresult) -> CUresult {
    let block = in_use().then(|| Block::of(address)).flatten();
    let result = credited(address, free);
    if let (Some(block), CUresult::CUDA_SUCCESS) = (block, result) {
        block.freed_now();
    }
    result
}

/// Brings one pool in line.
pub fn settle(device: &Device, pool: &Pool) -> Settled {
    settle_after(device, pool, || {})
}

/// As [`settle`], after `change`, with nobody else asking or destroying the pool meanwhile.
fn settle_after(device: &Device, pool: &Pool, change: impl Fn()) -> Settled {
    let figure = || {
        change();
        pool.reserved_bytes()
    };
    // While another thread keeps at it nothing is known.
    let settled = pool
        .charge
        .settle(figure, |bytes| correct(device, bytes))
        .unwrap_or_default();
    if settled.changed {
        device.activity.note();
    }
    settled
}

/// Brings all pools of the process in line.
pub fn settle_all() {
    // Lowered first, and raised again if any pool has or may soon have memory: who allocates meanwhile
    // raises it after that, or holds up its pool.
    if !IN_USE.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut any = false;
    for device in device::attached() {
        for (_, pool) in table::of_device(device) {
            let settled = settle(device, pool);
            any |= settled.reserved_bytes != Some(0) || pool.charge.is_busy();
        }
        any |= device.leaving_bytes.load(Ordering::Relaxed) > 0 || graphs::keeps(device);
    }
    if any {
        note_use();
    }
}

/// A thread is about to wait, whereupon pools may give memory back.
#[inline]
pub fn about_to_wait() {
    reuse::note_thread();
    reuse::forget();
}

/// A thread has waited: pools may have given memory back.
#[inline]
pub fn waited(result: CUresult) -> CUresult {
    if in_use() {
        settle_all();
    }
    result
}

/// Makes the pools of `device` give up what they do not use; true if that was anything.
pub fn shed(device: &Device) -> bool {
    if !in_use() {
        return false;
    }
    let mut any = graphs::shed(device);
    for (_, pool) in table::of_device(device) {
        let settled = settle(device, pool);
        any |= settled.released_bytes > 0;
        if settled.reserved_bytes == Some(0) {
            continue;
        }
        let trim = || {
            if let (Some(trim), Some(handle)) = (cuda::cuMemPoolTrimTo.get(), pool.handle()) {
                // SAFETY: a pool of the program's, which nobody destroys while it is being settled. If
                // the driver does not do it, its figure says so.
                let _figure_tells = unsafe { trim(handle, 0) };
            }
        };
        reuse::forget();
        any |= settle_after(device, pool, trim).released_bytes > 0;
    }
    any
}

/// True if the pools of `device` have memory that nobody uses, or will not when what is queued has run.
pub fn any_unused(device: &Device) -> bool {
    let unused = |pool: &Pool| Some(pool.used_bytes()? < pool.reserved_bytes()?);
    table::of_device(device).any(|(_, pool)| unused(pool) == Some(true))
}

/// Bytes that go back to the device some time from now.
pub fn give_back_later(device: &Device, bytes: u64) {
    if bytes == 0 {
        return;
    }
    device.leaving_bytes.fetch_add(bytes, Ordering::AcqRel);
    note_use();
    usage::changed(device);
}

/// What will have gone back to the device of the calling thread's context once all its work is done. Taken
/// before the wait: what is added meanwhile is not waited for.
pub struct Leaving(Option<(&'static Device, u64, Destroyed)>);

impl Leaving {
    /// Takes it, if there is anything.
    pub fn take() -> Self {
        // With a second context, work on the device goes on after the wait.
        let known = in_use() && contexts::is_only();
        let device = known.then(device::current).flatten();
        Self(device.map(|device| {
            let destroyed = graphs::about_to_wait(device);
            let bytes = device.leaving_bytes.swap(0, Ordering::AcqRel);
            (device, bytes, destroyed)
        }))
    }

    /// The wait is over, with that result.
    pub fn waited(self, result: CUresult) {
        let Some((device, bytes, destroyed)) = self.0 else {
            return;
        };
        graphs::waited(device, destroyed, result == CUresult::CUDA_SUCCESS);
        if bytes == 0 {
            return;
        }
        if result == CUresult::CUDA_SUCCESS {
            device.ledger().release(bytes);
        } else {
            device.leaving_bytes.fetch_add(bytes, Ordering::AcqRel);
        }
    }
}

/// A context was made on `device`: its default pool may have outlived the one before, with what it has, and so
/// may what the driver keeps for graphs.
pub fn learn(device: &Device) {
    if let Some((_, pool)) = table::new_default_of(device) {
        learn_of(pool);
    }
    graphs::learn(device);
}

/// A pool was entered of which nothing is allocated, as far as is known, and which may have something.
pub fn learn_of(pool: &Pool) {
    pool.nothing_used();
    if let Some(device) = pool.device()
        && settle(device, pool).reserved_bytes != Some(0)
    {
        note_use();
    }
}

/// The last context of `device` is gone, and what its pools had with it.
pub fn forget(device: &Device) {
    let bytes = table::forget(device)
        + graphs::forget(device)
        + device.leaving_bytes.swap(0, Ordering::AcqRel);
    if bytes > 0 {
        device.ledger().release(bytes);
    }
    reuse::forget();
}
