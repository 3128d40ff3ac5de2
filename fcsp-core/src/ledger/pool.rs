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
//! The ledger holds for a pool `charged + over + under_way + credit`: what was settled, the worst cases of the
//! calls that are over and of those under way, and what no call has begun with yet. One thread at a time settles: it takes `over`, *then*
//! reads the driver's figure, and keeps the smaller of the figure and `charged + over`. A call that is over
//! before `over` was taken has all its growth in the figure; a call that is not is covered by its own worst
//! case. So at no instant does the ledger hold less than the pool has. It holds more only while calls are
//! under way or not settled.
//!
//! A call that is over may also be left unsettled ([`PoolCharge::defer`]), up to a bound. And what settling
//! finds to be too much may be kept for the calls to come, as *credit*, within the same bound: the ledger holds it
//! as well, and a call that begins on credit ([`PoolCharge::begin_on_credit`]) leaves the ledger alone, since the
//! sum is the same before and after. So a program that allocates again and again has its own word to change, and
//! not the one it shares with others. [`PoolCharge::settle`] gives all credit back.
//!
//! # The pool's own thread
//!
//! Most pools are allocated from by one thread. The first that is to be it ([`PoolCharge::adopt`]) says what is over
//! without an atomic instruction ([`PoolCharge::defer_own`]): it adds to a number that only it writes. Those units stay
//! among the units under way until somebody settles, who takes what the number has grown by since it was last taken,
//! before the figure is read. So they are in the ledger at every instant, and what was said above of `over` holds for them.
//!
//! A figure beyond all three means that a worst case was none, or that the pool grew by calls nobody
//! saw. The difference is charged at once and reported as `short`.
//!
//! Nobody waits: a thread that finds another one settling leaves its worst case in `over`, and the other
//! looks for that in the same step in which it stops settling.
//!
//! Lives in the process; if that dies, its cells in the region are given back whole.

use crate::sync::{AtomicU64, AtomicUsize, Ordering, ThreadId, spin_hint};

/// Worst cases are counted in units of this.
pub const UNIT_BYTES: u64 = 1 << 20;
/// Largest worst case, half a TiB. No device has that much memory, so no driver grants it.
pub const WORST_BYTES_MAX: u64 = 1 << 39;

/// The word: a flag, the units of credit, the units under way, the units over.
const SETTLING: u64 = 1 << 63;
const FIELD_BITS: u32 = 21;
const FIELD: u64 = (1 << FIELD_BITS) - 1;
const OVER: u64 = FIELD;
const UNDER_WAY_SHIFT: u32 = FIELD_BITS;
const CREDIT_SHIFT: u32 = 2 * FIELD_BITS;
const CREDIT: u64 = FIELD << CREDIT_SHIFT;

/// No thread has this number.
const NOBODY: usize = 0;

/// How often a thread settles for others before it leaves that to the next.
const ROUNDS_MAX: u32 = 8;
/// How often [`PoolCharge::settle`] tries to become the one that settles. That takes about 0.1 µs.
const TRIES_MAX: u32 = if cfg!(loom) { 2 } else { 1_000 };

/// A pool's account. All of it may be called by any thread at any time.
///
/// Two closures connect it: `figure` asks the driver how many bytes the pool has, `None` if it does not say
/// (then everything stays charged); `correct` adds a difference of bytes to the ledger.
#[derive(Debug)]
#[repr(C)]
pub struct PoolCharge {
    word: AtomicU64,
    /// The pool's own thread; 0 while it has none.
    own: AtomicUsize,
    /// Units that are over by that thread, counted for ever; only it changes that.
    own_over: AtomicU64,
    /// How many of these were taken. Changed only by who set `SETTLING`, as is the next.
    own_taken: AtomicU64,
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
    (word >> UNDER_WAY_SHIFT) & FIELD
}

fn credit(word: u64) -> u64 {
    (word & CREDIT) >> CREDIT_SHIFT
}

/// The word with that much credit.
fn with_credit(word: u64, units: u64) -> u64 {
    (word & !CREDIT) | (units.min(FIELD) << CREDIT_SHIFT)
}

impl PoolCharge {
    /// A pool that has nothing.
    #[cfg(not(loom))]
    pub const fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            own: AtomicUsize::new(NOBODY),
            own_over: AtomicU64::new(0),
            own_taken: AtomicU64::new(0),
            charged_bytes: AtomicU64::new(0),
        }
    }

    /// A pool that has nothing.
    #[cfg(loom)]
    pub fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            own: AtomicUsize::new(NOBODY),
            own_over: AtomicU64::new(0),
            own_taken: AtomicU64::new(0),
            charged_bytes: AtomicU64::new(0),
        }
    }

    /// A call is about to be made whose worst case is in the ledger. False, and nothing is changed, if calls are
    /// under way for more than a word can count, two TiB: no driver grants all of them.
    #[inline]
    pub fn begin(&self, worst: Worst) -> bool {
        let more = |word: u64| {
            let fits = under_way(word) + over(word) + worst.0 <= FIELD;
            fits.then(|| word + (worst.0 << UNDER_WAY_SHIFT))
        };
        // Relaxed: whoever sees this call's growth in the driver's figure got it from the driver, which was
        // called after this.
        self.word
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more)
            .is_ok()
    }

    /// A call is about to be made whose worst case there is credit for. False, and nothing is changed, if there
    /// is less.
    #[inline]
    pub fn begin_on_credit(&self, worst: Worst) -> bool {
        let spend = |word: u64| {
            let is_enough = credit(word) >= worst.0;
            let fits = under_way(word) + over(word) + worst.0 <= FIELD;
            (is_enough && fits)
                .then(|| word + (worst.0 << UNDER_WAY_SHIFT) - (worst.0 << CREDIT_SHIFT))
        };
        // Acquire: what is spent is in the ledger. The rest as in `begin`.
        self.word
            .fetch_update(Ordering::Acquire, Ordering::Relaxed, spend)
            .is_ok()
    }

    /// Adds what the caller has put into the ledger, for calls to come. False, and nothing is changed, unless
    /// nothing is over and there is no credit: so a bound for both holds.
    #[inline]
    pub fn lend(&self, units: Worst) -> bool {
        let own = self.own_untaken();
        let add = |word: u64| {
            let has_none = over(word) + own == 0 && credit(word) == 0;
            has_none.then(|| with_credit(word, units.0))
        };
        // Release: the ledger before this.
        self.word
            .fetch_update(Ordering::Release, Ordering::Relaxed, add)
            .is_ok()
    }

    /// The driver refused a call that was begun: the pool did not grow. The caller gives its worst case back to
    /// the ledger afterwards. Needs no figure, which a driver may not give any more when it refuses everything.
    #[inline]
    pub fn cancel(&self, worst: Worst) {
        // Relaxed: there is nothing to publish.
        self.word
            .fetch_sub(worst.0 << UNDER_WAY_SHIFT, Ordering::Relaxed);
    }

    /// As [`PoolCharge::finish`], but leaves the settling to a later call: a figure and what it gives back to
    /// the ledger cost more than all the rest. False, and nothing is changed, if more than `most_bytes` would
    /// be over and not settled, or credit, then, or if that would leave nothing for another such call.
    #[inline]
    pub fn defer(&self, worst: Worst, most_bytes: u64) -> bool {
        let own = self.own_untaken();
        let left = |word: u64| {
            let after = word - (worst.0 << UNDER_WAY_SHIFT) + worst.0;
            let most = most_bytes / UNIT_BYTES;
            let unsettled = over(after) + own;
            let is_next_ready = credit(after) >= worst.0 || unsettled + worst.0 <= most;
            (unsettled + credit(after) <= most && is_next_ready).then_some(after)
        };
        // Release: the driver's answer is before this for whoever takes the units.
        self.word
            .fetch_update(Ordering::Release, Ordering::Relaxed, left)
            .is_ok()
    }

    /// Makes `thread`, the calling thread, the pool's own, unless it has had one: for good, because nobody knows when
    /// another is about to write what is its own. Where a new thread has the number of one that has ended, it is its heir.
    #[inline]
    pub fn adopt(&self, thread: ThreadId) {
        if self.own.load(Ordering::Relaxed) == NOBODY {
            // Relaxed: nothing was written by an own thread before.
            let _other =
                self.own
                    .compare_exchange(NOBODY, thread.0, Ordering::Relaxed, Ordering::Relaxed);
        }
    }

    /// As [`PoolCharge::defer`] of a call that began on credit, without an atomic instruction: false, and nothing is
    /// changed, unless `thread`, the calling thread, is the pool's own, and there is credit for another such call. What
    /// is not settled is bounded by the credit that was given.
    #[inline(always)]
    pub fn defer_own(&self, thread: ThreadId, worst: Worst) -> bool {
        // Relaxed: only the calling thread wrote its number there.
        if self.own.load(Ordering::Relaxed) != thread.0 {
            return false;
        }
        // Relaxed: if it changes now, the next call does not begin on credit.
        if credit(self.word.load(Ordering::Relaxed)) < worst.0 {
            return false;
        }
        let over = self.own_over.load(Ordering::Relaxed);
        // Release: the driver's answer is before this for whoever takes the units.
        self.own_over.store(over + worst.0, Ordering::Release);
        true
    }

    /// A call that was begun is over, and the driver did what it asked for. Of what was too much, up to `keep_bytes`
    /// become credit.
    #[inline]
    pub fn finish(
        &self,
        worst: Worst,
        keep_bytes: u64,
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
                Ok(_) => {
                    let taken = over(after) + worst.0 + self.take_own();
                    return self.settle_rounds(taken, keep_bytes, figure, correct);
                }
                Err(actual) => word = actual,
            }
        }
    }

    /// Brings the charge in line with the driver's figure, and gives all credit back. Waits for another thread that
    /// is about it, but not for long: then it is `None`.
    pub fn settle(
        &self,
        figure: impl FnMut() -> Option<u64>,
        correct: impl FnMut(i64),
    ) -> Option<Settled> {
        let taken = self.enter()?;
        Some(self.settle_rounds(taken, 0, figure, correct))
    }

    /// Waits, but not for long, until no other thread settles: true if none does. Changes nothing that is charged.
    pub fn await_settled(&self) -> bool {
        let Some(taken) = self.enter() else {
            return false;
        };
        self.settle_rounds(taken, u64::MAX, || None, |_| {});
        true
    }

    /// The pool is gone: gives what was charged for it, which is the caller's now. `None`, and nothing
    /// changed, while another thread settles.
    pub fn close(&self) -> Option<u64> {
        let taken = self.enter()?;
        let charged_bytes = self.charged_bytes.load(Ordering::Relaxed);
        self.charged_bytes.store(0, Ordering::Relaxed);
        // Release: the next one to settle sees that nothing is charged. Acquire: what was lent is in the ledger.
        let word = self.word.fetch_and(!(SETTLING | CREDIT), Ordering::AcqRel);
        Some(charged_bytes + (taken + credit(word)) * UNIT_BYTES)
    }

    /// As [`PoolCharge::close`] of what is charged to a process this one was forked from: it is nobody's.
    pub fn forget(&self) {
        self.charged_bytes.store(0, Ordering::Relaxed);
        self.own.store(NOBODY, Ordering::Relaxed);
        self.own_over.store(0, Ordering::Relaxed);
        self.own_taken.store(0, Ordering::Relaxed);
        self.word.store(0, Ordering::Release);
    }

    /// True if a call is under way or not settled, or there is credit: the ledger holds more than the pool has.
    pub fn is_busy(&self) -> bool {
        self.word.load(Ordering::Acquire) != 0
    }

    /// Bytes that the ledger holds for calls to come.
    pub fn credit_bytes(&self) -> u64 {
        credit(self.word.load(Ordering::Relaxed)) * UNIT_BYTES
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
                return Some(over(word) + self.take_own());
            }
            spin_hint();
        }
        None
    }

    /// Units that are over by the pool's own thread and not taken.
    fn own_untaken(&self) -> u64 {
        // Acquire: in this order, so that never more were taken than are over. A bound need not be exact.
        let taken = self.own_taken.load(Ordering::Acquire);
        self.own_over.load(Ordering::Relaxed).saturating_sub(taken)
    }

    /// Takes the units that are over by the pool's own thread; for who settles.
    fn take_own(&self) -> u64 {
        // Acquire: the driver's answers to these calls are before the figure.
        let over = self.own_over.load(Ordering::Acquire);
        // Relaxed: acquired with `SETTLING`.
        let units = over - self.own_taken.load(Ordering::Relaxed);
        if units != 0 {
            self.own_taken.store(over, Ordering::Relaxed);
            // Relaxed: they are the settling thread's from here on.
            self.word
                .fetch_sub(units << UNDER_WAY_SHIFT, Ordering::Relaxed);
        }
        units
    }

    /// Settles `taken` units, and what others leave meanwhile; then lets the next one settle.
    #[inline]
    fn settle_rounds(
        &self,
        mut taken: u64,
        keep_bytes: u64,
        mut figure: impl FnMut() -> Option<u64>,
        mut correct: impl FnMut(i64),
    ) -> Settled {
        let mut settled = Settled::default();
        // What was too much. The ledger has it until it is clear how much of it becomes credit.
        let mut spare_bytes = 0;
        for round in 1.. {
            let now = self.settle_one(taken, &mut figure, &mut correct);
            settled.reserved_bytes = now.reserved_bytes;
            settled.short_bytes += now.short_bytes;
            settled.changed |= now.changed;
            spare_bytes += now.released_bytes;
            let mut word = self.word.load(Ordering::Relaxed);
            taken = loop {
                let again = over(word) != 0 && round < ROUNDS_MAX;
                let have_bytes = spare_bytes + credit(word) * UNIT_BYTES;
                let kept = (have_bytes.min(keep_bytes) / UNIT_BYTES).min(FIELD);
                let new = if again {
                    word & !OVER
                } else {
                    with_credit(word & !SETTLING, kept)
                };
                // Release: the next one sees what was charged. Acquire: the calls whose units are taken.
                match self.word.compare_exchange_weak(
                    word,
                    new,
                    Ordering::AcqRel,
                    Ordering::Relaxed,
                ) {
                    Ok(_) if again => break over(word),
                    Ok(_) => {
                        settled.released_bytes = have_bytes - kept * UNIT_BYTES;
                        if settled.released_bytes > 0 {
                            correct(-(settled.released_bytes as i64));
                        }
                        return settled;
                    }
                    Err(actual) => word = actual,
                }
            };
        }
        settled
    }

    /// Settles `taken` units. What it says is released is the caller's to give back.
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
            return Settled {
                reserved_bytes: Some(reserved_bytes),
                short_bytes: 0,
                released_bytes: have_bytes - reserved_bytes,
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
