//! The ledger's protocol: a detectable compare-and-swap with helping.
//!
//! # What it must do
//!
//! A tenant's word holds the bytes in use; each process's cells hold the bytes it is answerable for.
//! The two must agree to the byte although they cannot be written in one step, although any process
//! may be killed between any two instructions, and although nobody may ever wait for a dead one.
//!
//! # How
//!
//! One thread at a time has a cell (which thread of a process is decided inside it, see
//! [`super::Ledger`]). With `n` the cell's `applied`, an operation is number `s = n + 1`:
//!
//! 1. write `sums[s % 2] = sums[n % 2] + delta`;
//! 2. read the word `(bytes, tag)`, and refuse if the quota says so: nothing has to be undone;
//! 3. *settle* the tag: raise `applied` of the cell it names to the number it names;
//! 4. swap `(bytes, tag)` for `(bytes + delta, (slot, cell, s))`; if the word changed, back to 2;
//! 5. raise the own `applied` to `s`.
//!
//! The swap of step 4 is where the operation happens.
//!
//! # Why it is exact
//!
//! *Operation `s` happened exactly if the word's tag names it or the cell's `applied` is at least
//! `s`.* Before the swap neither holds: only step 5 and settling raise `applied`, and settling
//! raises it only to a number that was read from the word. After it the tag names `s` until somebody
//! swaps it away, and whoever does has settled it first. A thread that slept between its steps 3 and
//! 4 cannot swap away an operation it has not settled, because a word never repeats (see
//! [`super::word`]), so its swap fails.
//!
//! So recovery of a cell whose owner is gone settles the word's tag once, and then `sums[applied % 2]`
//! is what the cell stands for: an operation that did not happen only ever wrote the other sum.
//!
//! What a dead process leaves is given back by one more operation in its name, on its first cell,
//! that takes off the sum over its cells. It happens in one step like any other; a recovery that is
//! killed is begun again by the next, which finds the sum still there or zero. The caller sees to
//! it that one recovery runs at a time.
//!
//! `applied` never falls, not even when a slot passes to another process, so a tag that stays behind
//! in some tenant's word names an operation that is long settled, and settling it again does nothing.
//!
//! # Memory order
//!
//! The swap acquires and releases, and every value the word ever had was put there by such a swap,
//! so they form one release sequence: whoever acquires the word sees all that earlier swappers wrote
//! before their swaps: in particular the sums of the operation it names (step 1), and the settled
//! `applied` of each operation it has replaced (step 3). `applied` is released and acquired besides,
//! for readers of the sums that do not look at the word.

use super::word::{CellId, Tag, Used, UsedWord};
use crate::failpoint::failpoint;
use crate::region::layout::{CELLS_PER_SLOT, Cell};
use crate::sync::Ordering;

/// Where cells are found. The region, or a few of them in a model.
pub trait Cells {
    /// How many cells a slot has.
    const PER_SLOT: u32;

    /// The cell `id` names. Must return some cell for any `id`: tags are read from memory that
    /// others can write.
    fn cell(&self, id: CellId) -> &Cell;
}

impl Cells for crate::region::layout::RegionLayout {
    const PER_SLOT: u32 = CELLS_PER_SLOT as u32;

    #[inline]
    fn cell(&self, id: CellId) -> &Cell {
        // The tag's bits allow exactly the indices there are; the remainders cost nothing and spare
        // the check.
        let slot = &self.slots[id.slot as usize % crate::region::layout::SLOTS_MAX].slot;
        &slot.cells[id.cell as usize % CELLS_PER_SLOT]
    }
}

/// A tenant's word with the cells that its tags can name.
#[derive(Debug)]
pub(crate) struct Account<'a, C> {
    pub(crate) word: &'a UsedWord,
    pub(crate) cells: &'a C,
}

impl<C: Cells> Account<'_, C> {
    /// Adds `delta` (two's complement) to cell `id`, and to the word what `admit` makes of the bytes
    /// in use; gives the bytes in use afterwards. If `admit` refuses, nothing has happened.
    ///
    /// The caller has cell `id` to itself. Free of locks: a thread tries again only because another
    /// one's operation happened meanwhile.
    #[inline]
    pub(crate) fn apply<E>(
        &self,
        id: CellId,
        delta: u64,
        admit: impl Fn(u64) -> Result<u64, E>,
    ) -> Result<u64, E> {
        let cell = self.cells.cell(id);
        // Relaxed: this thread has the cell to itself, and acquired it together with the cell.
        let applied = cell.applied.load(Ordering::Relaxed);
        let seq = applied + 1;
        let sum = cell.sums[(applied % 2) as usize].load(Ordering::Relaxed);
        failpoint!("ledger.apply.begun");
        // Release: not before `applied` reached the number that makes this the spare sum, for those
        // who read the sums of a living process. Pairs with the acquire in `cell_sum`.
        cell.sums[(seq % 2) as usize].store(sum.wrapping_add(delta), Ordering::Release);
        failpoint!("ledger.apply.sum_written");
        let mut seen = self.word.load();
        let bytes = loop {
            let bytes = admit(seen.bytes)?;
            self.settle(seen.tag);
            failpoint!("ledger.apply.other_settled");
            let new = Used {
                bytes,
                tag: Tag::new(id, seq),
            };
            match self.word.swap(seen, new) {
                Ok(()) => break bytes,
                Err(actual) => seen = actual,
            }
        };
        failpoint!("ledger.apply.swapped");
        finish(cell, seq);
        failpoint!("ledger.apply.applied");
        Ok(bytes)
    }

    /// Raises `applied` of the cell that `tag` names to the number it names.
    #[inline]
    fn settle(&self, tag: Tag) {
        let applied = &self.cells.cell(tag.id()).applied;
        // Relaxed: if it is there already, whoever acquires the word after this thread's swap sees
        // it too (a location is never seen to go back).
        if applied.load(Ordering::Relaxed) < tag.seq() {
            // Release: to readers of the sums, whose writer this thread acquired with the tag.
            applied.fetch_max(tag.seq(), Ordering::Release);
        }
    }

    /// Gives back whatever the cells of `slot`, whose process is gone, stand for; gives how much
    /// that was. May be killed and begun again. The caller sees to it that nobody else works on the
    /// slot.
    pub(crate) fn recover(&self, slot: u32) -> u64 {
        self.settle(self.word.load().tag);
        failpoint!("ledger.recover.settled");
        let sum = slot_sum(self.cells, slot);
        if sum == 0 {
            return 0;
        }
        let result: Result<u64, std::convert::Infallible> =
            self.apply(CellId { slot, cell: 0 }, sum.wrapping_neg(), |used| {
                // Never below nothing: a process that gave back more than it had must not make
                // everybody else's memory look taken.
                Ok(used.saturating_add_signed((sum as i64).wrapping_neg()))
            });
        let Ok(_used) = result;
        failpoint!("ledger.recover.given_back");
        sum
    }
}

/// Step 5. A plain store, for nobody raises `applied` beyond `seq`, whose successor only this thread
/// can make happen.
#[cfg(not(loom))]
#[inline]
fn finish(cell: &Cell, seq: u64) {
    // Release: publishes the sum to readers that do not look at the word.
    cell.applied.store(seq, Ordering::Release);
}

/// Step 5. Loom does not know that no store comes between a read-modify-write and what it read, and
/// would see a number fall that cannot; so here it is a swap, which can prove the claim besides.
#[cfg(loom)]
fn finish(cell: &Cell, seq: u64) {
    let before = cell.applied.swap(seq, Ordering::Release);
    assert!(before == seq - 1 || before == seq);
}

/// Bytes that `slot` is answerable for, two's complement: exact while its process does nothing, at
/// most one operation per cell behind or ahead while it works.
pub(crate) fn slot_sum<C: Cells>(cells: &C, slot: u32) -> u64 {
    (0..C::PER_SLOT)
        .map(|cell| cell_sum(cells.cell(CellId { slot, cell })))
        .fold(0, u64::wrapping_add)
}

fn cell_sum(cell: &Cell) -> u64 {
    // Acquire: pairs with the releases of `applied`; the sum of that number is there.
    let mut applied = cell.applied.load(Ordering::Acquire);
    loop {
        // Acquire: if this is already a later operation's sum, the next load sees that the number
        // has moved on.
        let sum = cell.sums[(applied % 2) as usize].load(Ordering::Acquire);
        let again = cell.applied.load(Ordering::Acquire);
        if again == applied {
            return sum;
        }
        applied = again;
    }
}
