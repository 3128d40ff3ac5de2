//! A pool's charge against a reference model of a driver, by one thread step by step and by many at once.

use super::*;
use proptest::prelude::*;
use std::sync::Mutex;
use std::sync::atomic::AtomicI64;

const MIB: u64 = 1 << 20;
const CHUNK: u64 = 32 * MIB;
/// The pool's own thread.
const OWN: ThreadId = ThreadId(ThreadId::APART);

/// A driver: what the pool has. A figure is what it has at that instant.
#[derive(Default)]
struct Driver {
    reserved_bytes: AtomicI64,
}

impl Driver {
    fn grow(&self, bytes: u64) {
        self.reserved_bytes
            .fetch_add(bytes as i64, Ordering::SeqCst);
    }

    fn figure(&self) -> u64 {
        self.reserved_bytes.load(Ordering::SeqCst) as u64
    }
}

#[derive(Clone, Debug)]
enum Step {
    /// A call begins; its worst case and how much of that the pool grows, in chunks.
    Begin {
        worst: u64,
        growth: u64,
    },
    /// The driver does what the oldest call not done asks for.
    Do,
    /// The oldest call that is done ends; so many chunks may be kept as credit.
    Finish(u64),
    /// The oldest call that is done ends, and is not settled if no more than so many chunks are then.
    Defer(u64),
    /// The same by the pool's own thread, as far as there is credit.
    DeferOwn,
    /// The driver refuses the oldest call not done.
    Refuse,
    /// The driver releases some chunks.
    Shrink(u64),
    Settle,
    /// Some chunks are put into the ledger and lent.
    Lend(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let begin = (0..6_u64).prop_flat_map(|worst| (Just(worst), 0..=worst));
    let step = prop_oneof![
        3 => begin.prop_map(|(worst, growth)| Step::Begin { worst, growth }),
        3 => Just(Step::Do),
        3 => (0..12_u64).prop_map(Step::Finish),
        1 => (0..12_u64).prop_map(Step::Lend),
        3 => (0..12_u64).prop_map(Step::Defer),
        3 => Just(Step::DeferOwn),
        1 => Just(Step::Refuse),
        1 => (0..8_u64).prop_map(Step::Shrink),
        1 => Just(Step::Settle),
    ];
    proptest::collection::vec(step, 0..400)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_ledger_never_holds_less_than_the_pool(steps in steps()) {
        let pool = PoolCharge::new();
        pool.adopt(OWN);
        let driver = Driver::default();
        let ledger = AtomicI64::new(0);
        let correct = |bytes| { ledger.fetch_add(bytes, Ordering::SeqCst); };
        let figure = || Some(driver.figure());
        let (mut begun, mut done) = (Vec::new(), Vec::new());
        for step in steps {
            match step {
                Step::Begin { worst, growth } => {
                    let worst = Worst::of(worst * CHUNK).expect("small");
                    if !pool.begin_on_credit(worst) {
                        correct(worst.bytes() as i64);
                        prop_assert!(pool.begin(worst));
                    }
                    begun.push((worst, growth * CHUNK));
                }
                Step::Do if !begun.is_empty() => {
                    let (worst, growth) = begun.remove(0);
                    driver.grow(growth);
                    done.push(worst);
                }
                Step::Finish(keep) if !done.is_empty() => {
                    let settled = pool.finish(done.remove(0), keep * CHUNK, figure, correct);
                    prop_assert_eq!(settled.short_bytes, 0);
                    prop_assert!(pool.credit_bytes() <= keep * CHUNK);
                }
                Step::Defer(chunks) if !done.is_empty() => {
                    let before = ledger.load(Ordering::SeqCst);
                    let worst = done.remove(0);
                    if pool.defer(worst, chunks * CHUNK) {
                        prop_assert_eq!(ledger.load(Ordering::SeqCst), before);
                        prop_assert!(pool.credit_bytes() <= chunks * CHUNK);
                    } else {
                        pool.finish(worst, 0, figure, correct);
                    }
                }
                Step::DeferOwn if !done.is_empty() => {
                    let before = ledger.load(Ordering::SeqCst);
                    let worst = done.remove(0);
                    if pool.defer_own(OWN, worst) {
                        prop_assert_eq!(ledger.load(Ordering::SeqCst), before);
                        prop_assert!(pool.credit_bytes() >= worst.bytes());
                    } else {
                        pool.finish(worst, 0, figure, correct);
                    }
                }
                Step::Shrink(chunks) => {
                    let bytes = (chunks * CHUNK).min(driver.figure());
                    driver.reserved_bytes.fetch_sub(bytes as i64, Ordering::SeqCst);
                }
                Step::Settle => {
                    pool.settle(figure, correct);
                    prop_assert_eq!(pool.credit_bytes(), 0);
                }
                Step::Lend(chunks) => {
                    let credit = Worst::of(chunks * CHUNK).expect("small");
                    correct(credit.bytes() as i64);
                    if !pool.lend(credit) {
                        correct(-(credit.bytes() as i64));
                    }
                }
                Step::Refuse if !begun.is_empty() => {
                    let (worst, _) = begun.remove(0);
                    pool.cancel(worst);
                    correct(-(worst.bytes() as i64));
                }
                Step::Do | Step::Finish(_) | Step::Defer(_) | Step::DeferOwn | Step::Refuse => {}
            }
            prop_assert!(ledger.load(Ordering::SeqCst) as u64 >= driver.figure());
        }
        for (worst, growth) in begun {
            driver.grow(growth);
            pool.finish(worst, 0, figure, correct);
        }
        for worst in done {
            pool.finish(worst, 0, figure, correct);
        }
        pool.settle(figure, correct);
        prop_assert_eq!(ledger.load(Ordering::SeqCst) as u64, driver.figure());
        prop_assert!(!pool.is_busy());
    }
}

#[test]
fn growth_nobody_reserved_is_charged_and_reported() {
    let pool = PoolCharge::new();
    let ledger = AtomicI64::new(0);
    let correct = |bytes| {
        ledger.fetch_add(bytes, Ordering::SeqCst);
    };
    assert!(pool.begin(Worst::NOTHING));
    let settled = pool.finish(Worst::NOTHING, 0, || Some(3 * CHUNK), correct);
    assert_eq!(settled.short_bytes, 3 * CHUNK);
    assert_eq!(ledger.load(Ordering::SeqCst) as u64, 3 * CHUNK);
    let settled = pool.settle(|| Some(CHUNK), correct);
    assert_eq!(settled.map(|it| it.released_bytes), Some(2 * CHUNK));
    assert_eq!(pool.close(), Some(CHUNK), "what the caller now owes");
    assert_eq!(pool.close(), Some(0));
}

#[test]
fn a_driver_that_does_not_say_leaves_everything_charged() {
    let pool = PoolCharge::new();
    let worst = Worst::of(CHUNK + 1).expect("small");
    assert_eq!(worst.bytes(), CHUNK + MIB);
    assert!(pool.begin(worst));
    let settled = pool.finish(
        worst,
        0,
        || None,
        |_| panic!("nothing is known, nothing is corrected"),
    );
    assert_eq!(settled, Settled::default());
    assert_eq!(pool.charged_bytes(), CHUNK + MIB);
    assert_eq!(Worst::of(WORST_BYTES_MAX + 1), None);
}

/// The pool as a driver has it that releases everything free at random moments, with a lock around growth so
/// that the judge can stop it.
#[test]
fn threads_that_allocate_at_once_are_never_charged_too_little() {
    const THREADS: u64 = 8;
    const CALLS: u64 = 20_000;
    let pool = PoolCharge::new();
    let ledger = AtomicI64::new(0);
    // Ledger and driver as one who looks from outside would see them at the same instant.
    let driver = Mutex::new(0_i64);
    let correct = |bytes| {
        ledger.fetch_add(bytes, Ordering::SeqCst);
    };
    let figure = || Some(*driver.lock().expect("no thread panics") as u64);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (pool, driver, ledger) = (&pool, &driver, &ledger);
            scope.spawn(move || {
                let mut random = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(thread + 1);
                for _ in 0..CALLS {
                    random ^= random << 13;
                    random ^= random >> 7;
                    random ^= random << 17;
                    let worst = Worst::of(random % 4 * CHUNK).expect("small");
                    if !pool.begin_on_credit(worst) {
                        ledger.fetch_add(worst.bytes() as i64, Ordering::SeqCst);
                        // While the one who settles is not on a processor, the others leave more than can be counted.
                        while !pool.begin(worst) {
                            std::thread::yield_now();
                        }
                    }
                    {
                        let mut reserved = driver.lock().expect("no thread panics");
                        if random & 16 == 0 {
                            *reserved += worst.bytes() as i64;
                        }
                        let held = ledger.load(Ordering::SeqCst);
                        assert!(held >= *reserved, "{held} of {reserved}, thread {thread}");
                        if random.is_multiple_of(5) {
                            *reserved /= 2;
                        }
                    }
                    pool.adopt(ThreadId::current());
                    if random & 64 == 0 && pool.defer_own(ThreadId::current(), worst) {
                        continue;
                    }
                    if random & 32 == 0 && pool.defer(worst, 8 * CHUNK) {
                        continue;
                    }
                    let settled = pool.finish(worst, 4 * CHUNK, figure, correct);
                    assert_eq!(settled.short_bytes, 0, "thread {thread}");
                }
            });
        }
    });
    pool.settle(figure, correct);
    assert_eq!(
        ledger.load(Ordering::SeqCst),
        *driver.lock().expect("no thread panicked")
    );
    assert!(!pool.is_busy());
}

#[test]
fn what_was_too_much_is_kept_as_credit_and_a_call_begins_on_it_without_the_ledger() {
    let pool = PoolCharge::new();
    let ledger = AtomicI64::new(0);
    let correct = |bytes| {
        ledger.fetch_add(bytes, Ordering::SeqCst);
    };
    let worst = Worst::of(CHUNK).expect("small");
    assert!(pool.await_settled(), "nobody settles");
    assert!(!pool.begin_on_credit(worst), "there is none");
    correct(3 * CHUNK as i64);
    assert!(pool.begin(worst));
    assert!(pool.lend(Worst::of(2 * CHUNK).expect("small")));
    assert!(!pool.lend(worst), "there is some");
    assert!(pool.begin_on_credit(worst));
    assert!(pool.defer(worst, 2 * CHUNK), "one over, one left");
    assert!(!pool.defer(worst, CHUNK));
    // The pool has grown by one chunk: of three, two are too much, and one of them may be kept.
    let settled = pool.finish(worst, CHUNK, || Some(CHUNK), correct);
    assert_eq!(settled.released_bytes, CHUNK);
    assert_eq!((pool.credit_bytes(), pool.charged_bytes()), (CHUNK, CHUNK));
    assert_eq!(ledger.load(Ordering::SeqCst) as u64, 2 * CHUNK);
    assert!(pool.await_settled());
    assert_eq!((pool.credit_bytes(), pool.charged_bytes()), (CHUNK, CHUNK));
    assert_eq!(pool.close(), Some(2 * CHUNK), "what is lent is owed too");
    assert_eq!(pool.credit_bytes(), 0);
}

#[test]
fn what_is_over_by_the_pools_own_thread_is_settled_with_the_rest() {
    let pool = PoolCharge::new();
    let worst = Worst::of(CHUNK).expect("small");
    let ledger = AtomicI64::new(4 * CHUNK as i64);
    let correct = |bytes| {
        ledger.fetch_add(bytes, Ordering::SeqCst);
    };
    assert!(pool.lend(Worst::of(4 * CHUNK).expect("small")));
    assert!(pool.begin_on_credit(worst));
    assert!(!pool.defer_own(OWN, worst), "no thread is its own");
    pool.adopt(OWN);
    pool.adopt(ThreadId(OWN.0 + ThreadId::APART));
    assert!(!pool.defer_own(ThreadId(OWN.0 + ThreadId::APART), worst));
    assert!(pool.defer_own(OWN, worst));
    for _ in 0..2 {
        assert!(pool.begin_on_credit(worst));
        assert!(pool.defer_own(OWN, worst));
    }
    assert!(pool.begin_on_credit(worst));
    assert!(!pool.defer_own(OWN, worst), "the next could not begin");
    assert!(!pool.defer(worst, 4 * CHUNK), "nor so: four are over");
    let settled = pool.finish(worst, 4 * CHUNK, || Some(CHUNK), correct);
    assert_eq!((settled.short_bytes, settled.released_bytes), (0, 0));
    assert_eq!(
        (pool.credit_bytes(), pool.charged_bytes()),
        (3 * CHUNK, CHUNK)
    );
    assert_eq!(ledger.load(Ordering::SeqCst) as u64, 4 * CHUNK);
    pool.settle(|| Some(CHUNK), correct);
    assert_eq!(ledger.load(Ordering::SeqCst) as u64, CHUNK);
    assert!(!pool.is_busy());
}

#[test]
fn more_than_can_be_counted_is_not_begun() {
    let pool = PoolCharge::new();
    let worst = Worst::of(WORST_BYTES_MAX).expect("the most");
    let begun = (0..8).filter(|_| pool.begin(worst)).count();
    assert_eq!(begun, 3, "two TiB less one unit");
    for _ in 0..begun {
        pool.cancel(worst);
    }
    assert!(!pool.is_busy());
}
