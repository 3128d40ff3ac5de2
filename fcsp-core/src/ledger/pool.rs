//! What is charged for a memory pool: [`PoolCharge`].
//!
//! A pool takes memory from its device in pieces larger than what is asked for and keeps it after a free
//! for as long as its driver likes. What counts is what the driver says the pool has reserved, and that is
//! known only after a call. So every call that may make the pool grow is charged the most by which it can,
//! before the driver is asked (by whoever calls [`PoolCharge::begin`]); when it is over, what was
//! charged too much is given back. A free changes nothing by itself.
//!
//! # Never too little
//!
//! The ledger holds for a pool `charged + over + under_way`: what was settled, and the worst cases of the
//! calls that are over and of those under way. One thread at a time settles: it takes `over`, *then*
//! reads the driver's figure, and keeps the smaller of the figure and `charged + over`. A call that is over
//! before `over` was taken has all its growth in the figure; a call that is not is covered by its own worst
//! case. So at no instant does the ledger hold less than the pool has. It holds more only while calls are
//! under way.
//!
//! A figure beyond all three means that a worst case was none, or that the pool grew by calls nobody
//! saw. The difference is charged at once and reported as `short`.
//!
//! Nobody waits: a thread that finds another one settling leaves its worst case in `over`, and the other
//! looks for that in the same step in which it stops settling.
//!
//! Lives in the process; if that dies, its cells in the region are given back whole.

use crate::sync::{AtomicU64, Ordering, spin_hint};

/// Worst cases are counted in units of this.
pub const UNIT_BYTES: u64 = 1 << 20;
/// Largest worst case, a TiB: two thousand calls of it at once are still counted right. No device has that much
/// memory, so no driver grants it.
pub const WORST_BYTES_MAX: u64 = 1 << 40;

/// The word: a flag, the units under way, the units over.
const SETTLING: u64 = 1 << 63;
const UNDER_WAY_SHIFT: u32 = 32;
const OVER: u64 = (1 << UNDER_WAY_SHIFT) - 1;

/// How often a thread settles for others before it leaves that to the next.
const ROUNDS_MAX: u32 = 8;
/// How often [`PoolCharge::settle`] tries to become the one that settles. That takes about 0.1 µs.
const TRIES_MAX: u32 = if cfg!(loom) { 2 } else { 1_000 };

/// A pool's account. All of it may be called by any thread at any time.
///
/// Two closures connect it: `figure` asks the driver how many bytes the pool has, `None` if it does not say
/// (then everything stays charged); `correct` adds a difference of bytes to the ledger.
#[derive(Debug)]
pub struct PoolCharge {
    word: AtomicU64,
    /// Changed only by who set `SETTLING`.
    charged_bytes: AtomicU64,
}

/// What a call may add to a pool at most, in units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worst(u64);

impl Worst {
    /// The call cannot add anything.
    pub const NOTHING: Self = Self(0);

    /// Rounded up to units; `None` beyond [`WORST_BYTES_MAX`].
    #[inline]
    pub fn of(bytes: u64) -> Option<Self> {
        (bytes <= WORST_BYTES_MAX).then(|| Self(bytes.div_ceil(UNIT_BYTES)))
    }

    /// What is to be charged for it.
    #[inline]
    pub fn bytes(self) -> u64 {
        self.0 * UNIT_BYTES
    }
}

/// What settling found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Bytes the pool has, by its driver; `None` if another thread is settling or the driver does not say.
    pub reserved_bytes: Option<u64>,
    /// Bytes the pool had beyond everything that was charged for it.
    pub short_bytes: u64,
    /// Bytes that were given back to the ledger.
    pub released_bytes: u64,
    /// Whether more or less is charged for the pool than before.
    pub changed: bool,
}

fn over(word: u64) -> u64 {
    word & OVER
}

fn under_way(word: u64) -> u64 {
    (word & !SETTLING) >> UNDER_WAY_SHIFT
}

impl PoolCharge {
    /// A pool that has nothing.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            charged_bytes: AtomicU64::new(0),
        }
    }

    /// A pool that has nothing.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            charged_bytes: AtomicU64::new(0),
        }
    }

    /// A call is about to be made whose worst case is in the ledger.
    #[inline]
    pub fn begin(&self, worst: Worst) {
        // Relaxed: whoever sees this call's growth in the driver's figure got it from the driver, which was
        // called after this.
        self.word
            .fetch_add(worst.0 << UNDER_WAY_SHIFT, Ordering::Relaxed);
    }

    /// The driver refused a call that was begun: the pool did not grow. The caller gives its worst case back to
    /// the ledger afterwards. Needs no figure, which a driver may not give any more when it refuses everything.
    #[inline]
    pub fn cancel(&self, worst: Worst) {
        // Relaxed: there is nothing to publish.
        self.word
            .fetch_sub(worst.0 << UNDER_WAY_SHIFT, Ordering::Relaxed);
    }

    /// A call that was begun is over, and the driver did what it asked for.
    #[inline]
    pub fn finish(
        &self,
        worst: Worst,
        figure: impl FnMut() -> Option<u64>,
        correct: impl FnMut(i64),
    ) -> Settled {
        // Relaxed: the swap below reads again.
        let mut word = self.word.load(Ordering::Relaxed);
        loop {
            let after = word - (worst.0 << UNDER_WAY_SHIFT);
            let busy = after & SETTLING != 0;
            let new = if busy {
                after + worst.0
            } else {
                (after & !OVER) | SETTLING
            };
            // Release: the driver's answer is before this for whoever takes the units. Acquire: what
            // the last one settled.
            match self
                .word
                .compare_exchange_weak(word, new, Ordering::AcqRel, Ordering::Relaxed)
            {
                Ok(_) if busy => return Settled::default(),
                Ok(_) => return self.settle_rounds(over(after) + worst.0, figure, correct),
                Err(actual) => word = actual,
            }
        }
    }

    /// Brings the charge in line with the driver's figure. Waits for another thread that is about it, but not
    /// for long: then it is `None`.
    pub fn settle(
        &self,
        figure: impl FnMut() -> Option<u64>,
        correct: impl FnMut(i64),
    ) -> Option<Settled> {
        let taken = self.enter()?;
        Some(self.settle_rounds(taken, figure, correct))
    }

    /// The pool is gone: gives what was charged for it, which is the caller's now. `None`, and nothing
    /// changed, while another thread settles.
    pub fn close(&self) -> Option<u64> {
        let taken = self.enter()?;
        let charged_bytes = self.charged_bytes.load(Ordering::Relaxed);
        self.charged_bytes.store(0, Ordering::Relaxed);
        // Release: the next one to settle sees that nothing is charged.
        self.word.fetch_and(!SETTLING, Ordering::Release);
        Some(charged_bytes + taken * UNIT_BYTES)
    }

    /// As [`PoolCharge::close`] of what is charged to a process this one was forked from: it is nobody's.
    pub fn forget(&self) {
        self.charged_bytes.store(0, Ordering::Relaxed);
        self.word.store(0, Ordering::Release);
    }

    /// True if a call is under way or not settled: the ledger holds more than the pool has.
    pub fn is_busy(&self) -> bool {
        self.word.load(Ordering::Acquire) != 0
    }

    /// Bytes that are charged beside calls under way.
    pub fn charged_bytes(&self) -> u64 {
        self.charged_bytes.load(Ordering::Relaxed)
    }

    /// Becomes the one that settles; gives the units that are over.
    fn enter(&self) -> Option<u64> {
        for _ in 0..TRIES_MAX {
            let word = self.word.load(Ordering::Relaxed);
            let free = word & SETTLING == 0;
            // Acquire: the calls that are over, and what the last one settled.
            if free
                && self
                    .word
                    .compare_exchange(
                        word,
                        (word & !OVER) | SETTLING,
                        Ordering::Acquire,
                        Ordering::Relaxed,
                    )
                    .is_ok()
            {
                return Some(over(word));
            }
            spin_hint();
        }
        None
    }

    /// Settles `taken` units, and what others leave meanwhile; then lets the next one settle.
    #[inline]
    fn settle_rounds(
        &self,
        mut taken: u64,
        mut figure: impl FnMut() -> Option<u64>,
        mut correct: impl FnMut(i64),
    ) -> Settled {
        let mut settled = Settled::default();
        for round in 1.. {
            let now = self.settle_one(taken, &mut figure, &mut correct);
            settled.reserved_bytes = now.reserved_bytes;
            settled.short_bytes += now.short_bytes;
            settled.released_bytes += now.released_bytes;
            settled.changed |= now.changed;
            let mut word = self.word.load(Ordering::Relaxed);
            taken = loop {
                let again = over(word) != 0 && round < ROUNDS_MAX;
                let new = word & if again { !OVER } else { !SETTLING };
                // Release: the next one sees what was charged. Acquire: the calls whose units are taken.
                match self.word.compare_exchange_weak(
                    word,
                    new,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    Ok(_) if again => break over(word),
                    Ok(_) => return settled,
                    Err(actual) => word = actual,
                }
            };
        }
        settled
    }

    #[inline]
    fn settle_one(
        &self,
        taken: u64,
        figure: &mut impl FnMut() -> Option<u64>,
        correct: &mut impl FnMut(i64),
    ) -> Settled {
        // Relaxed, here and below: only who settles comes here, and acquired the last one's stores.
        let before_bytes = self.charged_bytes.load(Ordering::Relaxed);
        let have_bytes = before_bytes + taken * UNIT_BYTES;
        let Some(reserved_bytes) = figure() else {
            self.charged_bytes.store(have_bytes, Ordering::Relaxed);
            return Settled::default();
        };
        if reserved_bytes <= have_bytes {
            self.charged_bytes.store(reserved_bytes, Ordering::Relaxed);
            let released_bytes = have_bytes - reserved_bytes;
            if released_bytes > 0 {
                correct(-(released_bytes as i64));
            }
            return Settled {
                reserved_bytes: Some(reserved_bytes),
                short_bytes: 0,
                released_bytes,
                changed: reserved_bytes != before_bytes,
            };
        }
        // Acquire: read after the figure, so that every call with growth in it is here.
        let word = self.word.load(Ordering::Acquire);
        let others_bytes = (under_way(word) + over(word)) * UNIT_BYTES;
        let short_bytes = (reserved_bytes - have_bytes).saturating_sub(others_bytes);
        self.charged_bytes
            .store(have_bytes + short_bytes, Ordering::Relaxed);
        if short_bytes > 0 {
            correct(short_bytes as i64);
        }
        Settled {
            reserved_bytes: Some(reserved_bytes),
            short_bytes,
            released_bytes: 0,
            changed: true,
        }
    }
}

impl Default for PoolCharge {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(all(test, not(loom)))]
#[path = "pool_tests.rs"]
mod tests;
