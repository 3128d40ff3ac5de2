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

use fcsp_core::ledger::pool::Settled;

use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver};
use crate::memory::charge::credited;
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
pub fn plain_free<D: Driver>(address: u64, free: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    let block = in_use().then(|| Block::of::<D>(address)).flatten();
    let result = credited::<D>(address, free);
    if let Some(block) = block.filter(|_| result == D::SUCCESS) {
        block.freed_now();
    }
    result
}

/// Brings one pool in line.
pub fn settle<D: Driver>(device: &Device, pool: &Pool) -> Settled {
    settle_after::<D>(device, pool, || {})
}

/// As [`settle`], after `change`, with nobody else asking or destroying the pool meanwhile.
fn settle_after<D: Driver>(device: &Device, pool: &Pool, change: impl Fn()) -> Settled {
    let figure = || {
        change();
        pool.reserved_bytes::<D>()
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
pub fn settle_all<D: Driver>() {
    // Lowered first, and raised again if any pool has or may soon have memory: who allocates meanwhile
    // raises it after that, or holds up its pool.
    if !IN_USE.swap(false, Ordering::SeqCst) {
        return;
    }
    let mut any = false;
    for device in device::attached() {
        for (_, pool) in table::of_device(device) {
            let settled = settle::<D>(device, pool);
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
pub fn waited<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    if in_use() {
        settle_all::<D>();
    }
    result
}

/// Makes the pools of `device` give up what they do not use; true if that was anything. Nothing is asked of the driver
/// where `bytes` would not fit all the same.
pub fn shed<D: Driver>(device: &Device, bytes: u64) -> bool {
    if !in_use() {
        return false;
    }
    let mut any = graphs::shed::<D>(device);
    for (_, pool) in table::of_device(device) {
        any |= settle::<D>(device, pool).released_bytes > 0;
    }
    if !may_make_room::<D>(device, bytes) {
        return any;
    }
    for (_, pool) in table::of_device(device) {
        if pool.unused_bytes::<D>() == 0 {
            continue;
        }
        let trim = || {
            // Nobody destroys a pool while it is being settled. If the driver does not do it, its figure says so.
            if let Some(handle) = pool.handle() {
                D::trim_pool(handle);
            }
        };
        reuse::forget();
        any |= settle_after::<D>(device, pool, trim).released_bytes > 0;
    }
    any
}

/// True if the pools of `device` have memory that nobody uses, or will not when what is queued has run, and `bytes` may
/// fit once they have given it back.
pub fn may_make_room<D: Driver>(device: &Device, bytes: u64) -> bool {
    let unused_bytes = table::of_device(device)
        .map(|(_, pool)| pool.unused_bytes::<D>())
        .fold(0, u64::saturating_add);
    unused_bytes > 0 && device.ledger().free_bytes().saturating_add(unused_bytes) >= bytes
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
    pub fn take<D: Driver>() -> Self {
        // With a second context, work on the device goes on after the wait.
        let known = in_use() && D::is_only_context();
        let device = known.then(device::current::<D>).flatten();
        Self(device.map(|device| {
            let destroyed = graphs::about_to_wait(device);
            let bytes = device.leaving_bytes.swap(0, Ordering::AcqRel);
            (device, bytes, destroyed)
        }))
    }

    /// The wait is over, with that result.
    pub fn waited<D: Driver>(self, result: CodeOf<D>) {
        let Some((device, bytes, destroyed)) = self.0 else {
            return;
        };
        graphs::waited::<D>(device, destroyed, result == D::SUCCESS);
        if bytes == 0 {
            return;
        }
        if result == D::SUCCESS {
            device.ledger().release(bytes);
        } else {
            device.leaving_bytes.fetch_add(bytes, Ordering::AcqRel);
        }
    }
}

/// A context was made on `device`: its default pool may have outlived the one before, with what it has, and so
/// may what the driver keeps for graphs.
pub fn learn<D: Driver>(device: &Device) {
    if let Some((_, pool)) = table::new_default_of::<D>(device) {
        learn_of::<D>(pool);
    }
    graphs::learn::<D>(device);
}

/// A pool was entered of which nothing is allocated, as far as is known, and which may have something.
pub fn learn_of<D: Driver>(pool: &Pool) {
    pool.nothing_used::<D>();
    if let Some(device) = pool.device::<D>()
        && settle::<D>(device, pool).reserved_bytes != Some(0)
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
