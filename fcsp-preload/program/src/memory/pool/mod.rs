//! Stream-ordered allocation, and the pools it comes from.
//!
//! A pool is charged what its driver says it has, never less ([`fcsp_core::ledger::pool`] has the argument). An
//! allocation reserves the most by which its pool can grow, calls the driver, and gives back what was too
//! much, at once or, while there is room, some calls later; a free changes nothing by itself, because the driver keeps the memory until somebody waits for the
//! device, or longer ([`settle`]). So what is allocated from a pool has no entry among the
//! live allocations, except where the program made the pool and can destroy it.
//!
//! # Where there is no room
//!
//! The driver on a full device waits by itself until what was freed is free, and tries again. Under a quota
//! it cannot know that it is full, so that is done here: take what the stream itself freed
//! ([`reuse`]), make the pools give up what they do not use, wait for the stream, then for all
//! streams of the context, and only then refuse. A plain allocation is refused without the wait, as on a full device.
//!
//! Pools that share their memory with other processes are charged where they allocate; an import
//! is charged to nobody again. Pools of host memory are charged to nobody.
//!
//! Which pools there are is in [`table`], and which one a device's allocations come from now in [`current`].

pub mod current;
pub mod reuse;
pub mod settle;
pub mod table;

use fcsp_core::ledger::live::Live;
use fcsp_core::ledger::pool::{Settled, Worst};
use fcsp_core::sync::ThreadId;
use fcsp_preload::log;

use crate::capture::{self, Undisturbed};
use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver, StreamOf};
use crate::memory::charge::{
    When, charged, credited_by, give_back, key_at, remember, reserve_at_last,
};
use crate::memory::graph;
use crate::turn;
use reuse::{Block, Relying};
use settle::{correct, note_use};
use table::{Doomed, Found, Pool, UNKNOWN_POOL};

/// What a driver writes as an address.
pub trait Address: Copy {
    /// The address as a number.
    fn number(self) -> u64;
}

impl Address for u64 {
    #[inline(always)]
    fn number(self) -> u64 {
        self
    }
}

impl Address for u32 {
    #[inline(always)]
    fn number(self) -> u64 {
        self.into()
    }
}

impl<T> Address for *mut T {
    #[inline(always)]
    fn number(self) -> u64 {
        self.expose_provenance() as u64
    }
}

/// How often a thread lets others run before a stream-ordered allocation is refused: what their calls
/// reserve and do not use is back within microseconds.
const OTHERS_MAX: u32 = 8;
/// How often an allocation is tried whose pool grew beyond the quota.
const ATTEMPTS_MAX: u32 = 2;

/// An allocation in the order of a stream.
struct Request<D: Driver> {
    device: &'static Device,
    pool: &'static Pool,
    tag: u8,
    stream: StreamOf<D>,
    bytes: u64,
    /// The most by which the pool can grow.
    most: Worst,
}

/// What a call begins with.
struct Room {
    /// The most by which the pool can grow. The ledger has it.
    worst: Worst,
    /// The block it is certain to be given instead.
    relying: Option<Relying>,
}

impl<D: Driver> Request<D> {
    /// Sees to it that the ledger has what the call can take, and begins it.
    fn make_room<const PER_THREAD: bool>(&self) -> Result<Room, CodeOf<D>> {
        let worst = self.most;
        if reuse::is_watched() {
            if let Some(relying) = self.rely::<PER_THREAD>() {
                return Ok(self.begin(Worst::NOTHING, Some(relying)));
            }
        } else if self.pool.charge.begin_on_credit(worst) {
            let relying = None;
            return Ok(Room { worst, relying });
        } else if self.reserve_with_credit() {
            return Ok(self.begin(worst, None));
        }
        if self.device.attachment.try_reserve(worst.bytes()).is_err() {
            self.find_room::<PER_THREAD>()?;
        }
        Ok(self.begin(worst, None))
    }

    /// Begins a call for which the ledger has `worst`.
    fn begin(&self, worst: Worst, relying: Option<Relying>) -> Room {
        if self.pool.charge.begin(worst) {
            return Room { worst, relying };
        }
        // Too much to be counted, and more than there is: should the driver grant it all the same, settling finds it.
        self.device.ledger().release(worst.bytes());
        let worst = Worst::NOTHING;
        self.pool.charge.begin(worst);
        Room { worst, relying }
    }

    /// Reserves what this call can take and, in the same step, what the pool may be charged too much: the calls to
    /// come begin on that. False, and nothing is reserved, while there is no room for both.
    fn reserve_with_credit(&self) -> bool {
        let Some(credit) = Worst::of(self.device.slack_bytes()) else {
            return false;
        };
        let bytes = self.most.bytes() + credit.bytes();
        let fits = credit != Worst::NOTHING && bytes <= self.device.ledger().free_bytes();
        if !fits || self.device.attachment.try_reserve(bytes).is_err() {
            return false;
        }
        if self.pool.charge.lend(credit) {
            note_use();
        } else {
            self.device.ledger().release(credit.bytes());
        }
        true
    }

    /// A block that this stream freed, and that nobody else can be given meanwhile.
    #[cold]
    fn rely<const PER_THREAD: bool>(&self) -> Option<Relying> {
        let relying = reuse::take::<D, PER_THREAD>(self.stream, self.tag, self.bytes)?;
        // Nor by a call that began before anybody watched.
        (!self.pool.charge.is_busy()).then_some(relying)
    }

    #[cold]
    fn find_room<const PER_THREAD: bool>(&self) -> Result<(), CodeOf<D>> {
        let (device, bytes) = (self.device, self.most.bytes());
        let fits = || device.attachment.try_reserve(bytes).is_ok();
        let possible = device.quota_bytes().is_none_or(|quota| bytes <= quota);
        // Where no pool has memory there is nothing to get back, nor to take again.
        if possible && settle::in_use() {
            reuse::watch();
            if settle::shed::<D>(device, bytes) && fits() {
                return Ok(());
            }
            if settle::may_make_room::<D>(device, bytes) {
                wait_for::<D, PER_THREAD>(self.stream);
                if settle::shed::<D>(device, bytes) && fits() {
                    return Ok(());
                }
                if settle::may_make_room::<D>(device, bytes) {
                    wait_for_all::<D>();
                    settle::shed::<D>(device, bytes);
                }
            }
        }
        if possible && others_may_give_back(device) {
            for _ in 0..OTHERS_MAX {
                if fits() {
                    return Ok(());
                }
                std::thread::yield_now();
            }
        }
        reserve_at_last::<D>(device, bytes)
    }

    /// The driver was called within what was begun with, and gave `result`.
    fn called(&self, worst: Worst, result: CodeOf<D>) -> Settled {
        if result != D::SUCCESS {
            self.refused(worst);
            return Settled::default();
        }
        let mut slack_bytes = self.device.slack_bytes();
        if reuse::is_watched() {
            let needs_block =
                worst == Worst::NOTHING && self.device.ledger().free_bytes() < self.most.bytes();
            reuse::made(slack_bytes > 0 && !needs_block);
            slack_bytes = 0;
        }
        if slack_bytes > 0 && self.pool.charge.defer(worst, slack_bytes) {
            note_use();
            return Settled::default();
        }
        let figure = || self.pool.reserved_bytes::<D>();
        let settled = self
            .pool
            .charge
            .finish(worst, slack_bytes, figure, |bytes| {
                correct(self.device, bytes)
            });
        if settled.changed {
            self.device.activity.note();
        }
        if settled.reserved_bytes != Some(0) {
            note_use();
        }
        settled
    }

    /// The driver refused: gives back what was reserved. It may have waited by itself before.
    #[cold]
    fn refused(&self, worst: Worst) {
        self.pool.charge.cancel(worst);
        if worst != Worst::NOTHING {
            self.device.ledger().release(worst.bytes());
        }
        settle::settle::<D>(self.device, self.pool);
    }

    /// The pool grew by more than was reserved for it: true if the quota does not have that.
    #[cold]
    fn is_too_much(&self, worst: Worst, settled: &Settled) -> bool {
        if worst != Worst::NOTHING {
            self.pool.widen();
        }
        let over = self.device.ledger().is_over_quota();
        if over {
            log::info!(
                "device {}: a memory pool grew by {} bytes that the quota does not have: the allocation is undone",
                self.device.ordinal,
                settled.short_bytes
            );
        }
        over
    }

    /// Frees again what was just allocated at `address`.
    #[cold]
    fn undo<const PER_THREAD: bool>(&self, address: u64) {
        if !D::free_in_order::<PER_THREAD>(address, self.stream) {
            log::warn!("an allocation over the quota could not be undone; it stays charged");
        }
        wait_for::<D, PER_THREAD>(self.stream);
        settle::settle_all::<D>();
    }
}

/// True unless all that the tenant is charged is this process's, and none of that is a call's that is under way.
fn others_may_give_back(device: &Device) -> bool {
    let ledger = device.ledger();
    ledger.used_bytes() != ledger.slot_bytes()
        || table::any_busy(device)
        || device.activity.is_at_work()
}

/// Waits for what stands in `stream`, as the driver does on a full device.
fn wait_for<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) {
    turn::about_to_wait::<D>();
    settle::about_to_wait();
    let _undisturbed = Undisturbed::<D>::enter();
    // If it does not wait, nothing is freed, and the request is refused.
    if let Some(result) = D::wait_for_stream::<PER_THREAD>(stream) {
        turn::waited::<D>(result);
    }
}

/// Waits for everything of the calling thread's context: other streams have freed what this one needs.
fn wait_for_all<D: Driver>() {
    // It is refused while anything is captured, and spoils the capture.
    if capture::any() {
        return;
    }
    turn::about_to_wait::<D>();
    settle::about_to_wait();
    // If it does not wait, nothing is freed, and the request is refused.
    if let Some(result) = D::wait_for_all() {
        turn::waited::<D>(result);
    }
}

/// Allocates in the order of `stream` from the pool that `pool` says, by `allocate`, which has the driver write the
/// address to `address`.
///
/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
#[inline(always)]
pub unsafe fn allocate<D: Driver, const PER_THREAD: bool, A: Address>(
    address: *mut A,
    bytes: u64,
    stream: StreamOf<D>,
    pool: impl Fn() -> Option<Found> + Copy,
    allocate: impl Fn() -> CodeOf<D> + Copy,
) -> CodeOf<D> {
    // SAFETY: called after the driver has answered.
    let key_of = move |result| unsafe { key_at::<D, A>(result, address, A::number) };
    // Calls that are not the usual one are given copies: what they refer to lies in memory, and the usual call's
    // arguments need not.
    let Some((found, most)) = begin_on_credit(bytes, pool) else {
        let (pool, allocate, key_of) = (pool, allocate, key_of);
        let call = Call::<D> {
            bytes,
            stream,
            pool: &pool,
            allocate: &allocate,
            key_of: &key_of,
        };
        return call.make::<PER_THREAD>();
    };
    let result = allocate();
    let (_, pool) = found;
    if result == D::SUCCESS && !pool.is_made() && pool.charge.defer_own(ThreadId::current(), most) {
        return result;
    }
    let (allocate, key_of) = (allocate, key_of);
    let call = Call::<D> {
        bytes,
        stream,
        pool: &|| Some(found),
        allocate: &allocate,
        key_of: &key_of,
    };
    call.go_on::<PER_THREAD>(found, Some((most, result)))
}

/// Begins the usual call, which is not captured, and for which the pool has credit; says what it can take at most.
///
/// Pools are in use then: who lends credit says so, and it stays said while there is any, or a call that began on it is
/// not settled.
#[inline(always)]
fn begin_on_credit(bytes: u64, pool: impl Fn() -> Option<Found>) -> Option<(Found, Worst)> {
    if capture::any() || reuse::is_watched() || bytes == 0 {
        return None;
    }
    let found = pool()?;
    let (_, pool) = found;
    let most = pool.growth_max(bytes)?;
    pool.charge.begin_on_credit(most).then_some((found, most))
}

/// A call that allocates, other than the usual one.
struct Call<'a, D: Driver> {
    bytes: u64,
    stream: StreamOf<D>,
    /// The pool that it takes from.
    pool: &'a dyn Fn() -> Option<Found>,
    allocate: &'a dyn Fn() -> CodeOf<D>,
    /// The key of what was allocated, once the driver has answered with that result.
    key_of: &'a dyn Fn(CodeOf<D>) -> u64,
}

impl<D: Driver> Call<'_, D> {
    #[cold]
    #[inline(never)]
    fn make<const PER_THREAD: bool>(&self) -> CodeOf<D> {
        if capture::captures::<D, PER_THREAD>(self.stream) {
            // A node that allocates when the graph is launched.
            graph::note_node();
            return (self.allocate)();
        }
        if self.bytes == 0 {
            // The driver's to refuse.
            return (self.allocate)();
        }
        reuse::note_thread();
        match (self.pool)() {
            Some(found) => self.go_on::<PER_THREAD>(found, None),
            None => of_unknown_pool::<D>(self.bytes, || {
                let result = (self.allocate)();
                (result, (self.key_of)(result))
            }),
        }
    }

    /// From `found`. What was `begun` began on credit, and the driver has answered it.
    #[cold]
    #[inline(never)]
    fn go_on<const PER_THREAD: bool>(
        &self,
        (tag, pool): Found,
        mut begun: Option<(Worst, CodeOf<D>)>,
    ) -> CodeOf<D> {
        let bytes = self.bytes;
        // Host memory is not the device's, and what no device has is the driver's to refuse. Neither has credit.
        let (Some(device), Some(most)) = (pool.device::<D>(), pool.growth_max(bytes)) else {
            return begun.map_or_else(self.allocate, |(_, result)| result);
        };
        let request = Request::<D> {
            device,
            pool,
            tag,
            stream: self.stream,
            bytes,
            most,
        };
        pool.charge.adopt(ThreadId::current());
        for _ in 0..ATTEMPTS_MAX {
            let (worst, result, relying) = match begun.take() {
                Some((worst, result)) => (worst, result, None),
                None => match request.make_room::<PER_THREAD>() {
                    Ok(room) => (room.worst, (self.allocate)(), room.relying),
                    Err(refusal) => return refusal,
                },
            };
            let settled = request.called(worst, result);
            drop(relying);
            if result != D::SUCCESS {
                return result;
            }
            let key = (self.key_of)(result);
            if settled.short_bytes > 0 && request.is_too_much(worst, &settled) {
                request.undo::<PER_THREAD>(key);
                continue;
            }
            if pool.allocated() {
                let (bytes, kind) = (0, tag);
                remember(device, &device.allocations, key, Live { bytes, kind });
            }
            return result;
        }
        D::OUT_OF_MEMORY
    }
}

/// From a pool that has no place in the table, or of a driver that does not say which pool is current: it is
/// charged by itself, and given back when it is known to have left the device.
#[cold]
fn of_unknown_pool<D: Driver>(
    bytes: u64,
    allocate: impl FnOnce() -> (CodeOf<D>, u64),
) -> CodeOf<D> {
    match device::current::<D>() {
        Some(device) => charged::<D>(device, &device.allocations, bytes, UNKNOWN_POOL, allocate),
        None => allocate().0,
    }
}

/// Frees what is at `address` in the order of `stream`, by `free`.
pub fn free_in_order<D: Driver, const PER_THREAD: bool>(
    address: u64,
    stream: StreamOf<D>,
    free: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    if capture::captures::<D, PER_THREAD>(stream) {
        // A node that frees when the graph is launched; the memory is the graph's.
        return free();
    }
    reuse::note_thread();
    let block = Block::at::<D>(address);
    // A plain allocation is the device's again some time after the stream gets here.
    let result = credited_by::<D>(address, free, |device, live| {
        give_back(device, live, When::Later);
    });
    if let Some(block) = block.filter(|_| result == D::SUCCESS) {
        block.freed::<D, PER_THREAD>(stream);
    }
    result
}

/// Makes a call that makes a pool give back what it does not use.
pub fn trim<D: Driver>(call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    settle::about_to_wait();
    settle::waited::<D>(call())
}

/// Makes a call that destroys the pool with that handle.
pub fn destroy<D: Driver>(handle: u64, call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    settle::settle_all::<D>();
    let doomed = Doomed::of(handle);
    let result = call();
    if result != D::SUCCESS {
        if let Some(doomed) = doomed {
            doomed.refused();
        }
        return result;
    }
    // It may have been a current one.
    current::changed(None);
    if let Some((device, bytes)) = doomed.and_then(Doomed::destroyed::<D>) {
        // What was freed and not waited for.
        settle::give_back_later(device, bytes);
    }
    result
}
