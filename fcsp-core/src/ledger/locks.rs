//! Which thread of this process has which cell.
//!
//! Lives in the process, not in the region: when the process dies, so does the question. Cells are
//! tried, not waited for; a thread comes back to the cell it had last, which nobody else wants as
//! long as there are no more threads at work than cells.

use crate::region::layout::{CELLS_PER_SLOT, Line};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// The cells of this process that a thread has now.
#[derive(Debug, Default)]
pub(crate) struct CellLocks([Line<AtomicBool>; CELLS_PER_SLOT]);

/// A cell that this thread has to itself until this is dropped.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    pub(crate) cell: u32,
    flag: &'a AtomicBool,
}

/// Tries before a thread lets others run: with a cell for each thread at work there is no second.
const ROUNDS_BEFORE_YIELD: u32 = 64;

impl CellLocks {
    /// Takes a cell.
    #[inline]
    pub(crate) fn take(&self) -> Held<'_> {
        let preferred = preferred();
        match self.try_take(preferred) {
            Some(held) => held,
            None => self.take_other(preferred),
        }
    }

    #[inline]
    fn try_take(&self, cell: u32) -> Option<Held<'_>> {
        let flag = &*self.0[cell as usize % CELLS_PER_SLOT];
        // Acquire: pairs with the release of its last owner: its operation is complete.
        // (Lazily: a `Held` that is made and dropped gives somebody else's cell back.)
        (!flag.swap(true, Ordering::Acquire)).then(|| Held { cell, flag })
    }

    #[cold]
    fn take_other(&self, preferred: u32) -> Held<'_> {
        let mut rounds = 0;
        loop {
            for step in 1..=CELLS_PER_SLOT as u32 {
                let cell = (preferred + step) % CELLS_PER_SLOT as u32;
                if !self.0[cell as usize].load(Ordering::Relaxed)
                    && let Some(held) = self.try_take(cell)
                {
                    PREFERRED.set(cell);
                    return held;
                }
            }
            rounds += 1;
            if rounds % ROUNDS_BEFORE_YIELD == 0 {
                // All owners are threads of this process that were put aside in the middle of a
                // few instructions: let them finish.
                std::thread::yield_now();
            } else {
                std::hint::spin_loop();
            }
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        // Release: the next owner sees this one's operation complete.
        self.flag.store(false, Ordering::Release);
    }
}

const UNDECIDED: u32 = u32::MAX;

thread_local! {
    static PREFERRED: Cell<u32> = const { Cell::new(UNDECIDED) };
}

#[inline]
fn preferred() -> u32 {
    let preferred = PREFERRED.get();
    if preferred == UNDECIDED {
        assign()
    } else {
        preferred
    }
}

#[cold]
fn assign() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let cell = NEXT.fetch_add(1, Ordering::Relaxed) % CELLS_PER_SLOT as u32;
    PREFERRED.set(cell);
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_one_owner_at_a_time() {
        let locks = CellLocks::default();
        let mut held: Vec<_> = (0..CELLS_PER_SLOT).map(|_| locks.take()).collect();
        let mut cells: Vec<_> = held.iter().map(|held| held.cell).collect();
        cells.sort_unstable();
        assert_eq!(cells, (0..CELLS_PER_SLOT as u32).collect::<Vec<_>>());
        let freed = held.swap_remove(5).cell;
        assert_eq!(locks.take().cell, freed);
    }
}
