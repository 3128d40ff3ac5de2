//! Models of a pool's account: every interleaving of a few threads, up to three preemptions.
//!
//! The driver is a number that only grows, so that what the ledger holds must never be less than any earlier
//! figure.

use super::pool::{PoolCharge, UNIT_BYTES, Worst};
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

#[derive(Default)]
struct Model {
    pool: PoolCharge,
    ledger_bytes: AtomicU64,
    driver_bytes: AtomicU64,
}

impl Model {
    /// A call that may make the pool grow by `worst` units and makes it grow by `growth`.
    fn call(&self, worst: u64, growth: u64) {
        let worst = Worst::of(worst * UNIT_BYTES).expect("small");
        self.ledger_bytes.fetch_add(worst.bytes(), Ordering::SeqCst);
        self.pool.begin(worst);
        self.driver_bytes
            .fetch_add(growth * UNIT_BYTES, Ordering::SeqCst);
        self.assert_covered();
        let settled = self
            .pool
            .finish(worst, || self.figure(), |it| self.correct(it));
        assert_eq!(settled.short_bytes, 0);
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
            thread::spawn(move || model.call(3, 1))
        };
        model.call(2, 2);
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
                model.call(2, 1);
                model.call(2, 0);
            })
        };
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_covered();
        other.join().expect("a thread");
        model.pool.settle(|| model.figure(), |it| model.correct(it));
        model.assert_settled();
    });
}
