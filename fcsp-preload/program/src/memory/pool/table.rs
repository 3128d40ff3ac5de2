//! Which memory pools there are, and whose.
//!
//! A pool is entered when a context is made (the device's default one), when the program makes one, or when
//! it is first allocated from. What is charged for it is [`crate::memory::pool::settle`]'s business.
//!
//! When the last context of a device ends, its pools are forgotten; those that the program made are asleep
//! instead, because only who saw one made knows whose device it is. Whether their handles are any good then is
//! not documented, so they are not used before the program uses them.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use fcsp_core::ledger::pool::{PoolCharge, Worst};
use fcsp_preload::log;

use crate::device::{self, DEVICES_MAX, Device};
use crate::driver::Driver;
use crate::memory::TAGS_MAX;
use crate::memory::pool::current;
use crate::memory::pool::reuse;
use crate::memory::pool::settle;

/// Tag of what was allocated from a pool that has no place here.
pub const UNKNOWN_POOL: u8 = u8::MAX;
/// Pools that have a place. What is allocated from more of them is charged one by one.
const POOLS_MAX: usize = (UNKNOWN_POOL - TAGS_MAX - 1) as usize;
/// No pool has these handles.
const FREE: u64 = 0;
/// Being destroyed.
const CHANGING: u64 = u64::MAX;
/// Destroyed by the program, while something was allocated from it.
const DESTROYED: u64 = u64::MAX - 1;
/// Ordinal of pools of host memory.
pub const HOST: i32 = -1;

/// More than this for what a pool grows by, at least, is not believed.
const GRANULE_BYTES_MAX: u64 = 512 << 20;

/// A pool. Its tag is `TAGS_MAX` plus one plus its place. Each has lines of its own: threads that use
/// different pools do not meet. On the first is what every allocation reads.
#[repr(C, align(128))]
pub struct Pool {
    /// What is charged for it.
    pub charge: PoolCharge,
    /// What it grows by, at least; a power of two.
    granule_bytes: AtomicU64,
    ordinal: AtomicI32,
    /// Whether the program made it, so that all that was ever allocated from it is counted in `live`.
    made: AtomicBool,
    /// Whether the last context of its device has ended since the program last used it.
    asleep: AtomicBool,
    /// Allocations from it that live; of a pool that the program made.
    live: AtomicU32,
    handle: AtomicU64,
    /// Bytes that were freed without a stream's order, or ended with a context. The driver counts them as used
    /// for ever.
    freed_now_bytes: AtomicU64,
}

/// A pool with its tag.
pub type Found = (u8, &'static Pool);

static POOLS: [Pool; POOLS_MAX] = [const {
    Pool {
        handle: AtomicU64::new(FREE),
        ordinal: AtomicI32::new(HOST),
        granule_bytes: AtomicU64::new(1),
        made: AtomicBool::new(false),
        asleep: AtomicBool::new(false),
        live: AtomicU32::new(0),
        freed_now_bytes: AtomicU64::new(0),
        charge: PoolCharge::new(),
    }
}; POOLS_MAX];

/// No place at or beyond this one was ever taken.
static PLACES: AtomicUsize = AtomicUsize::new(0);
/// Held while a pool is entered, which is rare, so that none is entered twice.
static ENTERING: AtomicBool = AtomicBool::new(false);

impl Pool {
    /// Its device, if it is one of ours.
    #[inline]
    pub fn device<D: Driver>(&self) -> Option<&'static Device> {
        // Relaxed: it does not change while the pool is in the table.
        match self.ordinal.load(Ordering::Relaxed) {
            HOST => None,
            ordinal => device::at::<D>(ordinal),
        }
    }

    /// The driver's handle; `None` once it must not be used any more.
    #[inline]
    pub fn handle(&self) -> Option<u64> {
        // Acquire pairs with the release in `enter`: the place is filled in.
        match self.handle.load(Ordering::Acquire) {
            FREE | CHANGING | DESTROYED => None,
            // Relaxed: who forgets a pool stores it before the handle, and its device has no context then.
            _ if self.asleep.load(Ordering::Relaxed) => None,
            handle => Some(handle),
        }
    }

    /// The most that an allocation of `bytes` can make it grow; `None` if no device has that much.
    #[inline(always)]
    pub fn growth_max(&self, bytes: u64) -> Option<Worst> {
        // A power of two: no division on the way of every allocation.
        let below = self.granule_bytes.load(Ordering::Relaxed) - 1;
        Worst::of(bytes.checked_add(below)? & !below)
    }

    /// It grew by more than was expected: from now on twice as much is.
    #[cold]
    pub fn widen(&self) {
        let wider = |bytes| (bytes < GRANULE_BYTES_MAX).then_some(2 * bytes);
        let before = self
            .granule_bytes
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, wider);
        if let Ok(bytes) = before {
            log::info!("a memory pool grows by more than {bytes} bytes at a time");
        }
    }

    /// Bytes it has of its device, by the driver.
    #[inline]
    pub fn reserved_bytes<D: Driver>(&self) -> Option<u64> {
        D::pool_reserved(self.handle()?)
    }

    /// Bytes that are allocated from it: by the driver, less what it does not notice.
    pub fn used_bytes<D: Driver>(&self) -> Option<u64> {
        let bytes = D::pool_used(self.handle()?)?;
        // Relaxed: it decides only what to try before a refusal.
        Some(bytes.saturating_sub(self.freed_now_bytes.load(Ordering::Relaxed)))
    }

    /// Bytes it has and nobody uses, or will not when what is queued has run; 0 if the driver does not say.
    pub fn unused_bytes<D: Driver>(&self) -> u64 {
        let unused = || {
            let used_bytes = self.used_bytes::<D>()?;
            Some(self.reserved_bytes::<D>()?.saturating_sub(used_bytes))
        };
        unused().unwrap_or(0)
    }

    /// Nothing is allocated from it, whatever the driver says.
    pub fn nothing_used<D: Driver>(&self) {
        self.freed_now_bytes.store(0, Ordering::Relaxed);
        let bytes = self.used_bytes::<D>().unwrap_or(0);
        self.freed_now_bytes.store(bytes, Ordering::Relaxed);
    }

    /// Bytes of it were freed by a plain free.
    pub fn freed_now(&self, bytes: u64) {
        self.freed_now_bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Whether what is allocated from it has to be remembered.
    #[inline(always)]
    pub fn is_made(&self) -> bool {
        self.made.load(Ordering::Relaxed)
    }

    /// Something was allocated from it; true if that has to be remembered.
    #[inline]
    pub fn allocated(&self) -> bool {
        let made = self.is_made();
        if made {
            self.live.fetch_add(1, Ordering::Relaxed);
        }
        made
    }

    /// Something that was remembered is freed. If it was the last of a destroyed pool, gives the bytes
    /// that were charged for that.
    pub fn freed(&self) -> Option<u64> {
        // SeqCst, here and in `destroyed`: one of the two sees that nothing lives in a destroyed pool.
        let before = self.live.fetch_sub(1, Ordering::SeqCst);
        if before == 1 && self.handle.load(Ordering::SeqCst) == DESTROYED {
            return self.bury();
        }
        None
    }

    /// Takes a destroyed pool out of the table; gives what was charged for it. One caller gets it.
    fn bury(&self) -> Option<u64> {
        self.handle
            .compare_exchange(DESTROYED, CHANGING, Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        Some(self.leave())
    }

    /// Frees the place of a pool that is `CHANGING`; gives what was charged for it.
    fn leave(&self) -> u64 {
        let bytes = self.close();
        self.asleep.store(false, Ordering::Relaxed);
        self.handle.store(FREE, Ordering::Release);
        bytes
    }

    /// Puts a pool that is `CHANGING` to sleep under its handle; gives what was charged for it.
    fn sleep(&self, handle: u64) -> u64 {
        let bytes = self.close();
        self.asleep.store(true, Ordering::Relaxed);
        self.handle.store(handle, Ordering::Release);
        bytes
    }

    /// Ends the charge of a pool that is `CHANGING`, whose allocations are gone; gives what it was.
    fn close(&self) -> u64 {
        self.live.store(0, Ordering::Relaxed);
        loop {
            match self.charge.close() {
                Some(bytes) => return bytes,
                // Another thread is asking the driver about it.
                None => std::thread::yield_now(),
            }
        }
    }
}

/// A pool that is about to be destroyed: nobody asks the driver about it any more.
pub struct Doomed {
    pool: &'static Pool,
    handle: u64,
}

impl Doomed {
    /// The pool with that handle, if it is known.
    pub fn of(handle: u64) -> Option<Self> {
        let (_, pool) = find_even_asleep(handle)?;
        pool.handle
            .compare_exchange(handle, CHANGING, Ordering::AcqRel, Ordering::Relaxed)
            .ok()?;
        // Whoever asks the driver about it at this instant is let finish.
        while !pool.charge.await_settled() {
            std::thread::yield_now();
        }
        Some(Self { pool, handle })
    }

    /// The driver refused: the pool goes on.
    pub fn refused(self) {
        self.pool.handle.store(self.handle, Ordering::Release);
    }

    /// The pool is gone for the program. Gives its device and what was charged for it, unless something
    /// that is allocated from it lives: then it goes with the last of that.
    pub fn destroyed<D: Driver>(self) -> Option<(&'static Device, u64)> {
        let pool = self.pool;
        let device = pool.device::<D>();
        if !pool.made.load(Ordering::Relaxed) {
            let bytes = pool.leave();
            return Some((device?, bytes));
        }
        pool.handle.swap(DESTROYED, Ordering::SeqCst);
        if pool.live.load(Ordering::SeqCst) > 0 {
            return None;
        }
        let bytes = pool.bury()?;
        Some((device?, bytes))
    }
}

/// Every pool there is or was, with its tag.
fn places() -> impl Iterator<Item = Found> {
    let count = PLACES.load(Ordering::Acquire);
    (TAGS_MAX + 1..UNKNOWN_POOL).zip(&POOLS).take(count)
}

/// The pools of a device.
pub fn of_device(device: &Device) -> impl Iterator<Item = Found> {
    places().filter(|(_, pool)| {
        pool.handle().is_some() && pool.ordinal.load(Ordering::Relaxed) == device.ordinal
    })
}

/// True if the ledger holds more for the pools of a device than they have.
pub fn any_busy(device: &Device) -> bool {
    of_device(device).any(|(_, pool)| pool.charge.is_busy())
}

/// A known pool by its handle.
pub fn find(handle: u64) -> Option<Found> {
    places().find(|(_, pool)| pool.handle() == Some(handle))
}

/// A pool by its handle, also if its device had no context since it was used.
fn find_even_asleep(handle: u64) -> Option<Found> {
    match handle {
        FREE | CHANGING | DESTROYED => None,
        handle => places().find(|(_, pool)| pool.handle.load(Ordering::Acquire) == handle),
    }
}

/// The pool with that tag; `None` if it is another kind of tag.
#[inline(always)]
pub fn tagged(tag: u8) -> Option<&'static Pool> {
    POOLS.get(usize::from(tag.checked_sub(TAGS_MAX + 1)?))
}

/// A pool that the program uses, entered if it is new. `None` if there is no room for it.
pub fn find_or_enter<D: Driver>(handle: u64) -> Option<Found> {
    if handle == FREE {
        return None;
    }
    find(handle).or_else(|| find_again::<D>(handle))
}

#[cold]
fn find_again<D: Driver>(handle: u64) -> Option<Found> {
    // A handle that is none, or none any more, must not be kept and asked about again.
    D::pool_reserved(handle)?;
    let ordinal = match find_even_asleep(handle) {
        Some((_, pool)) => pool.ordinal.load(Ordering::Relaxed),
        None => device_of::<D>(handle)?.ordinal,
    };
    let found = enter::<D>(handle, ordinal, false)?;
    // It may have something already.
    settle::learn_of::<D>(found.1);
    Some(found)
}

/// Enters a pool, unless it is known; `made` if the program has just made it.
pub fn enter<D: Driver>(handle: u64, ordinal: i32, made: bool) -> Option<Found> {
    let _entering = Entering::begin();
    if let Some((tag, pool)) = find_even_asleep(handle) {
        // One that the driver makes now has got the handle of one that is no more.
        if pool.asleep.load(Ordering::Relaxed) && made {
            pool.ordinal.store(ordinal, Ordering::Relaxed);
            pool.granule_bytes
                .store(D::GRANULE_BYTES, Ordering::Relaxed);
            pool.freed_now_bytes.store(0, Ordering::Relaxed);
        }
        pool.asleep.store(false, Ordering::Relaxed);
        return Some((tag, pool));
    }
    let Some((at, tag)) = room() else {
        log::warn!("too many memory pools: what comes from this one is charged one by one");
        return None;
    };
    let pool = &POOLS[at];
    pool.ordinal.store(ordinal, Ordering::Relaxed);
    pool.granule_bytes
        .store(D::GRANULE_BYTES, Ordering::Relaxed);
    pool.made.store(made, Ordering::Relaxed);
    pool.asleep.store(false, Ordering::Relaxed);
    pool.live.store(0, Ordering::Relaxed);
    pool.freed_now_bytes.store(0, Ordering::Relaxed);
    pool.handle.store(handle, Ordering::Release);
    PLACES.fetch_max(at + 1, Ordering::Release);
    Some((tag, pool))
}

/// A place for a pool, with its tag: one that is free, else that of a pool that is asleep.
fn room() -> Option<(usize, u8)> {
    let places = || POOLS.iter().zip(TAGS_MAX + 1..UNKNOWN_POOL).enumerate();
    let free = places().find(|(_, (pool, _))| pool.handle.load(Ordering::Acquire) == FREE);
    let asleep = || {
        places().find(|(_, (pool, _))| {
            let handle = pool.handle.load(Ordering::Acquire);
            // Fails if the program destroys it at this instant.
            pool.asleep.load(Ordering::Relaxed)
                && !matches!(handle, CHANGING | DESTROYED)
                && pool
                    .handle
                    .compare_exchange(handle, CHANGING, Ordering::AcqRel, Ordering::Relaxed)
                    .is_ok()
        })
    };
    free.or_else(asleep).map(|(at, (_, tag))| (at, tag))
}

/// The device of a pool that the program did not make before our eyes: a device's own, of a device that may
/// be new to us.
fn device_of<D: Driver>(pool: u64) -> Option<&'static Device> {
    let of = |ordinal| [D::default_pool(ordinal), D::current_pool(ordinal)];
    (0..DEVICES_MAX as i32)
        // The driver refuses ordinals beyond its last device.
        .take_while(|ordinal| of(*ordinal).iter().any(Option::is_some))
        .find(|ordinal| of(*ordinal).contains(&Some(pool)))
        .map_or_else(device::current::<D>, device::at::<D>)
}

/// The default pool of `device` if it was not known.
pub fn new_default_of<D: Driver>(device: &Device) -> Option<Found> {
    let handle = D::default_pool(device.ordinal)?;
    if handle == FREE || find(handle).is_some() {
        return None;
    }
    enter::<D>(handle, device.ordinal, false)
}

/// Forgets every pool of `device`, whose last context is gone; gives what was charged for them.
pub fn forget(device: &Device) -> u64 {
    let mut bytes = 0;
    for (_, pool) in places() {
        let handle = pool.handle.load(Ordering::Acquire);
        let ours = pool.ordinal.load(Ordering::Relaxed) == device.ordinal;
        if ours
            && !matches!(handle, FREE | CHANGING)
            && pool
                .handle
                .compare_exchange(handle, CHANGING, Ordering::AcqRel, Ordering::Relaxed)
                .is_ok()
        {
            bytes += if handle != DESTROYED && pool.made.load(Ordering::Relaxed) {
                pool.sleep(handle)
            } else {
                pool.leave()
            };
        }
    }
    current::changed(Some(device.ordinal));
    bytes
}

/// In the child of a fork: the pools are its parent's, and so is what is charged for them.
pub fn forget_in_child() {
    for (_, pool) in places() {
        pool.charge.forget();
        pool.asleep.store(false, Ordering::Relaxed);
        pool.handle.store(FREE, Ordering::Release);
    }
    current::changed(None);
    ENTERING.store(false, Ordering::Release);
    reuse::forget_in_child();
}

/// Held while a pool is entered. Not a mutex: a fork must be able to clear it in the child.
struct Entering;

impl Entering {
    fn begin() -> Self {
        // Acquire pairs with the release below: what the last one entered is seen.
        while ENTERING.swap(true, Ordering::Acquire) {
            std::thread::yield_now();
        }
        Self
    }
}

impl Drop for Entering {
    fn drop(&mut self) {
        ENTERING.store(false, Ordering::Release);
    }
}
