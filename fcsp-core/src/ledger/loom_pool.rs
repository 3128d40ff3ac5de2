//! Models of a pool's account: every interleaving of a few threads, up to three preemptions.
//!
//! The driver is a number that only grows, so that what the ledger holds must never be less than any earlier
//! figure.

use super::pool::{PoolCharge, UNIT_BYTES, Worst};
use crate::sync::ThreadId;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

/// The pool's own thread.
const OWN: ThreadId = ThreadId(ThreadId::APART);

#[derive(Default)]
struct Model {
    pool: PoolCharge,
    ledger_bytes: AtomicU64,
    driver_bytes: AtomicU64,
}

impl Model {
    /// A call that may make the pool grow by `worst` units and makes it grow by `growth`; `keep` units may
    /// become credit.
    fn call(&self, worst: u64, growth: u64, keep: u64) {
        let worst = Worst::of(worst * UNIT_BYTES).expect("small");
        if !self.pool.begin_on_credit(worst) {
            self.ledger_bytes.fetch_add(worst.bytes(), Ordering::SeqCst);
            assert!(self.pool.begin(worst));
        }
        self.driver_bytes
            .fetch_add(growth * UNIT_BYTES, Ordering::SeqCst);
        self.assert_covered();
        let settled = self.pool.finish(
            worst,
            keep * UNIT_BYTES,
            || self.figure(),
            |it| self.correct(it),
        );
        assert_eq!(settled.short_bytes, 0);
    }

    /// The same by the pool's own thread, which leaves it unsettled if it can.
    fn call_own(&self, worst: u64, growth: u64, keep: u64) {
        let worst = Worst::of(worst * UNIT_BYTES).expect("small");
        let on_credit = self.pool.begin_on_credit(worst);
        if !on_credit {
            self.ledger_bytes.fetch_add(worst.bytes(), Ordering::SeqCst);
            assert!(self.pool.begin(worst));
        }
        self.driver_bytes
            .fetch_add(growth * UNIT_BYTES, Ordering::SeqCst);
        self.assert_covered();
        if on_credit && self.pool.defer_own(OWN, worst) {
            return;
        }
        let settled = self.pool.finish(
            worst,
            keep * UNIT_BYTES,
            || self.figure(),
            |it| self.correct(it),
        );
        assert_eq!(settled.short_bytes, 0);
    }

    fn lend(&self, units: u64) {
        let units = Worst::of(units * UNIT_BYTES).expect("small");
        self.ledger_bytes.fetch_add(units.bytes(), Ordering::SeqCst);
        if !self.pool.lend(units) {
            self.correct(-(units.bytes() as i64));
        }
    }

    fn figure(&self) -> Option<u64> {
        Some(self.driver_bytes.load(Ordering::SeqCst))
    }

    fn correct(&self, bytes: i64) {
        self.ledger_bytes.fetch_add(bytes as u64, Ordering::SeqCst);
    }

    fn assert_covered(&self) {
        let driver_bytes = self.driver_bytes.load(Ordering::SeqCst);
        assert!(self.ledger_bytes.load(Ordering::SeqCst) >= driver_bytes);
    }

    /// Everybody is done: nothing is left unsettled.
    fn assert_settled(&self) {
        assert!(!self.pool.is_busy());
        assert_eq!(self.pool.credit_bytes(), 0);
        assert_eq!(
            self.ledger_bytes.load(Ordering::SeqCst),
            self.driver_bytes.load(Ordering::SeqCst)
        );
    }
}

fn explore(model: impl Fn(Arc<Model>) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || model(Arc::default()));
}

#[test]
fn loom_calls_that_meet_leave_nothing_unsettled() {
    explore(|model| {
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.call(3, 1, 0))
        };
        model.call(2, 2, 0);
        other.join().expect("a thread");
        model.assert_settled();
    });
}

#[test]
fn loom_settling_beside_calls_never_charges_too_little() {
    explore(|model| {
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.call(2, 1, 0);
                model.call(2, 0, 0);
            })
        };
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_covered();
        other.join().expect("a thread");
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_settled();
    });
}

#[test]
fn loom_credit_is_in_the_ledger_until_it_is_spent_or_given_back() {
    explore(|model| {
        model.lend(2);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.call(2, 1, 2))
        };
        model.call(1, 1, 2);
        other.join().expect("a thread");
        model.assert_covered();
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_settled();
    });
}

#[test]
fn loom_credit_that_is_lent_beside_one_who_settles_is_not_lost() {
    explore(|model| {
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.lend(1);
                model.call(1, 1, 1);
            })
        };
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        other.join().expect("a thread");
        model.assert_covered();
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_settled();
    });
}

#[test]
fn loom_what_is_over_by_the_own_thread_is_taken_once_beside_one_who_settles() {
    explore(|model| {
        model.pool.adopt(OWN);
        model.lend(3);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || {
                model.call_own(1, 1, 2);
                model.call_own(1, 1, 2);
            })
        };
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_covered();
        other.join().expect("a thread");
        model.assert_covered();
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_settled();
    });
}

#[test]
fn loom_the_own_thread_and_another_call_at_once() {
    explore(|model| {
        model.pool.adopt(OWN);
        model.lend(3);
        let other = {
            let model = Arc::clone(&model);
            thread::spawn(move || model.call(1, 1, 0))
        };
        model.call_own(1, 1, 2);
        model.call_own(1, 0, 2);
        other.join().expect("a thread");
        model.assert_covered();
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_settled();
    });
}
