//! Models of the ledger's protocol: every interleaving of a few threads, up to three preemptions.
//!
//! A process that is killed is a thread that unwinds from one of the protocol's failpoints, in the
//! very code that ships. Recovery runs after it is gone, as in life, while others still work.

use super::account::{Account, Cells, slot_sum};
use super::word::{CellId, UsedWord};
use crate::failpoint::model::killed_at;
use crate::region::layout::Cell;
use loom::sync::Arc;
use loom::thread::{self, JoinHandle};

const SLOTS: usize = 3;

/// Every point of an operation, in order; whether it has happened when the thread dies there.
const OPERATION_POINTS: [(&str, bool); 5] = [
    ("ledger.apply.begun", false),
    ("ledger.apply.sum_written", false),
    ("ledger.apply.other_settled", false),
    ("ledger.apply.swapped", true),
    ("ledger.apply.applied", true),
];

/// Every point of a recovery besides those of its operation.
const RECOVERY_POINTS: [(&str, bool); 2] = [
    ("ledger.recover.settled", false),
    ("ledger.recover.given_back", true),
];

#[derive(Default)]
struct Model {
    word: UsedWord,
    cells: [[Cell; 2]; SLOTS],
}

impl Cells for Model {
    const PER_SLOT: u32 = 2;

    fn cell(&self, id: CellId) -> &Cell {
        &self.cells[id.slot as usize][id.cell as usize]
    }
}

impl Model {
    fn account(&self) -> Account<'_, Self> {
        Account {
            word: &self.word,
            cells: self,
        }
    }

    fn reserve(&self, slot: u32, bytes: u64, quota: u64) -> bool {
        let id = CellId { slot, cell: 0 };
        let used = self.account().apply(id, bytes, |used| {
            (used + bytes <= quota).then_some(used + bytes).ok_or(used)
        });
        assert!(used.is_err_and(|used| used <= quota) || used.is_ok_and(|used| used <= quota));
        used.is_ok()
    }

    fn release(&self, slot: u32, bytes: u64) {
        let id = CellId { slot, cell: 0 };
        self.account()
            .apply(id, bytes.wrapping_neg(), |used| {
                used.checked_sub(bytes).ok_or(())
            })
            .expect("it was reserved");
    }

    /// The bytes in the word and in the cells of those who live agree.
    fn assert_balanced(&self, expected: u64) {
        let sums: u64 = (0..SLOTS as u32).map(|slot| slot_sum(self, slot)).sum();
        assert_eq!((self.word.bytes(), sums), (expected, expected));
    }
}

fn explore(model: impl Fn(Arc<Model>) + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || model(Arc::default()));
}

fn spawn<T: 'static>(
    model: &Arc<Model>,
    work: impl FnOnce(&Model) -> T + 'static,
) -> JoinHandle<T> {
    let model = Arc::clone(model);
    thread::spawn(move || work(&model))
}

#[test]
fn loom_reservations_never_pass_the_quota() {
    explore(|model| {
        let threads = [0, 1].map(|slot| spawn(&model, move |model| model.reserve(slot, 60, 100)));
        assert!(model.word.bytes() <= 100);
        let fitted = threads.map(|it| it.join().expect("a thread"));
        assert_eq!(fitted.iter().filter(|fits| **fits).count(), 1);
        model.assert_balanced(60);
    });
}

#[test]
fn loom_what_is_released_can_be_reserved_by_another() {
    explore(|model| {
        assert!(model.reserve(0, 60, 100));
        let other = spawn(&model, |model| model.reserve(1, 60, 100));
        model.release(0, 60);
        let fits = other.join().expect("a thread");
        model.assert_balanced(if fits { 60 } else { 0 });
    });
}

#[test]
fn loom_operations_settle_each_other() {
    explore(|model| {
        let other = spawn(&model, |model| {
            assert!(model.reserve(1, 10, 100));
            model.release(1, 9);
        });
        assert!(model.reserve(0, 10, 100));
        model.release(0, 8);
        other.join().expect("a thread");
        model.assert_balanced(3);
    });
}

#[test]
fn loom_two_cells_of_one_process_add_up() {
    explore(|model| {
        let other = spawn(&model, |model| {
            let id = CellId { slot: 0, cell: 1 };
            let used = model.account().apply(id, 5, |used| Ok::<_, ()>(used + 5));
            assert!(used.is_ok());
        });
        assert!(model.reserve(0, 7, 100));
        other.join().expect("a thread");
        model.assert_balanced(12);
        assert_eq!(slot_sum(&*model, 0), 12);
    });
}

#[test]
fn loom_a_killed_process_gives_back_exactly_what_it_had() {
    for (point, happened) in OPERATION_POINTS {
        explore(move |model| {
            assert!(model.reserve(0, 5, 100));
            let killed = spawn(&model, move |model| {
                killed_at(point, || model.reserve(0, 30, 100))
            });
            let other = spawn(&model, |model| {
                assert!(model.reserve(1, 7, 100));
                model.release(1, 6);
            });
            assert_eq!(killed.join().expect("a thread"), None);
            let bytes = model.account().recover(0);
            assert_eq!(bytes, if happened { 35 } else { 5 });
            assert_eq!(slot_sum(&*model, 0), 0);
            other.join().expect("a thread");
            model.assert_balanced(1);
        });
    }
}

#[test]
fn loom_a_killed_recovery_is_finished_by_the_next() {
    for (point, happened) in OPERATION_POINTS.into_iter().chain(RECOVERY_POINTS) {
        explore(move |model| {
            let dying = killed_at("ledger.apply.swapped", || model.reserve(0, 30, 100));
            assert_eq!(dying, None);
            let killed = spawn(&model, move |model| {
                killed_at(point, || model.account().recover(0))
            });
            let other = spawn(&model, |model| assert!(model.reserve(1, 7, 100)));
            assert_eq!(killed.join().expect("a thread"), None);
            let bytes = model.account().recover(0);
            assert_eq!(bytes, if happened { 0 } else { 30 });
            other.join().expect("a thread");
            model.assert_balanced(7);
        });
    }
}

#[test]
fn loom_a_slot_passes_to_the_next_process_empty() {
    explore(|model| {
        let dying = killed_at("ledger.apply.swapped", || model.reserve(0, 30, 100));
        assert_eq!(dying, None);
        // Reads the dead process's tag, and may settle it when the slot has another owner.
        let other = spawn(&model, |model| assert!(model.reserve(1, 7, 100)));
        assert_eq!(model.account().recover(0), 30);
        assert!(model.reserve(0, 9, 100));
        model.release(0, 4);
        other.join().expect("a thread");
        model.assert_balanced(12);
        assert_eq!(slot_sum(&*model, 0), 5);
    });
}

#[test]
fn loom_a_sum_read_while_its_owner_works_is_one_it_had() {
    explore(|model| {
        let owner = spawn(&model, |model| {
            assert!(model.reserve(0, 10, 100));
            model.release(0, 10);
            assert!(model.reserve(0, 30, 100));
        });
        assert!([0, 10, 30].contains(&slot_sum(&*model, 0)));
        owner.join().expect("a thread");
    });
}
