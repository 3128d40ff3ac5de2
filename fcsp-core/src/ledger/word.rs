//! The tenant's word: how many bytes are in use, and which operation made it so.
//!
//! Sixteen bytes that change as one. The number of the operation has 50 bits, so a value never
//! repeats: at ten million operations a second on one cell it would take three and a half years.
//! That is what makes the ledger's compare-and-swap detectable without bound on how long a thread
//! may sleep between reading and swapping; a tag squeezed into one 64-bit word beside the bytes
//! wraps within microseconds.
//!
//! This module owns the word's form and its one atomic step. What it means is in [`super::account`].

use crate::sync::{AtomicU64, Ordering};

/// Which thread's cell: slot of the process, and cell within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CellId {
    /// Index of the slot, below [`crate::region::layout::SLOTS_MAX`].
    pub slot: u32,
    /// Index of the cell, below [`crate::region::layout::CELLS_PER_SLOT`].
    pub cell: u32,
}

/// Who changed the word last: a cell, and the number of its operation. All zero in a fresh region,
/// which names operation 0 of a cell that begins at 0: one that is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag(u64);

#[cfg(not(loom))]
mod bits {
    /// Bits of an operation's number.
    pub(super) const SEQ: u32 = 50;
    /// Bits of a cell's index.
    pub(super) const CELL: u32 = 4;
}

/// Loom has no 16-byte atomic, so its word holds less.
#[cfg(loom)]
mod bits {
    pub(super) const SEQ: u32 = 26;
    pub(super) const CELL: u32 = 3;
}

impl Tag {
    /// The tag of operation `seq` of `id`.
    #[inline]
    pub const fn new(id: CellId, seq: u64) -> Self {
        Self(((id.slot as u64) << bits::CELL | id.cell as u64) << bits::SEQ | seq)
    }

    /// The cell.
    #[inline]
    pub const fn id(self) -> CellId {
        let id = self.0 >> bits::SEQ;
        CellId {
            slot: (id >> bits::CELL) as u32,
            cell: (id & ((1 << bits::CELL) - 1)) as u32,
        }
    }

    /// The number of the operation.
    #[inline]
    pub const fn seq(self) -> u64 {
        self.0 & ((1 << bits::SEQ) - 1)
    }
}

/// A value of the word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    /// Bytes in use.
    pub bytes: u64,
    /// Who made it so.
    pub tag: Tag,
}

/// The word itself. Zero is a valid empty one.
#[cfg(not(loom))]
#[repr(C, align(16))]
#[derive(Debug, Default)]
pub struct UsedWord {
    bytes: AtomicU64,
    tag: AtomicU64,
}

#[cfg(not(loom))]
impl UsedWord {
    /// Bytes in use at this instant.
    #[inline]
    pub fn bytes(&self) -> u64 {
        // Acquire: pairs with the swap that made it so, so that whoever sees the bytes also sees
        // what its maker wrote before.
        self.bytes.load(Ordering::Acquire)
    }

    /// Both halves. Each is one the word really held, the tag's no later than the bytes', but they
    /// may stem from different instants; a swap that expects such a pair fails.
    #[inline]
    pub(crate) fn load(&self) -> Used {
        // Acquire: pairs with the swap, which publishes its maker's cell.
        let tag = Tag(self.tag.load(Ordering::Acquire));
        let bytes = self.bytes();
        Used { bytes, tag }
    }

    /// Swaps `current` for `new` in one step, acquiring and releasing; gives the true value if it
    /// is another.
    #[inline]
    pub(crate) fn swap(&self, current: Used, new: Used) -> Result<(), Used> {
        // SAFETY: `self` is 16 bytes, aligned to 16, made of atomics only, and outlives the call.
        let (swapped, low, high) = unsafe {
            swap_pair(
                std::ptr::from_ref(self).cast_mut().cast(),
                (current.bytes, current.tag.0),
                (new.bytes, new.tag.0),
            )
        };
        if swapped {
            Ok(())
        } else {
            Err(Used {
                bytes: low,
                tag: Tag(high),
            })
        }
    }
}

/// Compares and swaps two words as one; gives whether it did, and what was there.
///
/// # Safety
/// `at` is 16 bytes of atomics, aligned to 16, readable and writable.
#[cfg(all(not(loom), target_arch = "x86_64"))]
#[inline]
unsafe fn swap_pair(at: *mut u64, current: (u64, u64), new: (u64, u64)) -> (bool, u64, u64) {
    let (low, high, swapped): (u64, u64, u64);
    // SAFETY: the caller vouches for `at`. `cmpxchg16b` (every x86-64 since 2006) wants the new low
    // word in `rbx`, which the compiler keeps for itself: it is put back before the block ends.
    // Locked, it is a full barrier.
    unsafe {
        std::arch::asm!(
            "xchg {spare}, rbx",
            "lock cmpxchg16b [rdi]",
            "sete cl",
            "mov rbx, {spare}",
            spare = inout(reg) new.0 => _,
            in("rdi") at,
            inout("rcx") new.1 => swapped,
            inout("rax") current.0 => low,
            inout("rdx") current.1 => high,
            options(nostack),
        );
    }
    (swapped & 0xff != 0, low, high)
}

/// Compares and swaps two words as one; gives whether it did, and what was there.
///
/// # Safety
/// `at` is 16 bytes of atomics, aligned to 16, readable and writable.
#[cfg(all(not(loom), target_arch = "aarch64"))]
#[inline]
unsafe fn swap_pair(at: *mut u64, current: (u64, u64), new: (u64, u64)) -> (bool, u64, u64) {
    let (mut low, mut high): (u64, u64);
    // SAFETY: the caller vouches for `at`. A pair that was read exclusively is one value only once
    // an exclusive store to it succeeds, so one that differs is stored back as it was.
    unsafe {
        std::arch::asm!(
            "2:",
            "ldaxp {low}, {high}, [{at}]",
            "cmp {low}, {old_low}",
            "ccmp {high}, {old_high}, #0, eq",
            "csel {put_low}, {new_low}, {low}, eq",
            "csel {put_high}, {new_high}, {high}, eq",
            "stlxp {failed:w}, {put_low}, {put_high}, [{at}]",
            "cbnz {failed:w}, 2b",
            at = in(reg) at,
            old_low = in(reg) current.0,
            old_high = in(reg) current.1,
            new_low = in(reg) new.0,
            new_high = in(reg) new.1,
            low = out(reg) low,
            high = out(reg) high,
            put_low = out(reg) _,
            put_high = out(reg) _,
            failed = out(reg) _,
            options(nostack),
        );
    }
    ((low, high) == current, low, high)
}

#[cfg(all(not(loom), not(any(target_arch = "x86_64", target_arch = "aarch64"))))]
compile_error!("the ledger needs a 16-byte compare-and-swap: add one for this processor");

/// The word as loom knows it: both halves in one atomic, read one after the other as on the machine.
#[cfg(loom)]
#[derive(Debug, Default)]
pub struct UsedWord(AtomicU64);

#[cfg(loom)]
impl UsedWord {
    const BYTES: u32 = 32;

    /// Bytes in use at this instant.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Acquire) & ((1 << Self::BYTES) - 1)
    }

    pub(crate) fn load(&self) -> Used {
        let tag = Tag(self.0.load(Ordering::Acquire) >> Self::BYTES);
        let bytes = self.bytes();
        Used { bytes, tag }
    }

    pub(crate) fn swap(&self, current: Used, new: Used) -> Result<(), Used> {
        let pack = |used: Used| used.tag.0 << Self::BYTES | used.bytes;
        self.0
            .compare_exchange(
                pack(current),
                pack(new),
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .map(drop)
            .map_err(|word| Used {
                bytes: word & ((1 << Self::BYTES) - 1),
                tag: Tag(word >> Self::BYTES),
            })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_tag_gives_back_what_it_was_made_of() {
        for (slot, cell, seq) in [(0, 0, 0), (1023, 15, (1 << 50) - 1), (512, 7, 1 << 33)] {
            let id = CellId { slot, cell };
            let tag = Tag::new(id, seq);
            assert_eq!((tag.id(), tag.seq()), (id, seq));
        }
    }

    #[test]
    fn a_swap_needs_both_halves_to_match() {
        let word = UsedWord::default();
        let id = CellId { slot: 3, cell: 4 };
        let empty = word.load();
        let first = Used {
            bytes: 100,
            tag: Tag::new(id, 1),
        };
        assert_eq!(word.swap(empty, first), Ok(()));
        for wrong in [
            Used { bytes: 99, ..first },
            Used {
                tag: Tag::new(id, 2),
                ..first
            },
        ] {
            assert_eq!(word.swap(wrong, empty), Err(first));
        }
        assert_eq!(word.load(), first);
    }

    #[test]
    fn swaps_of_many_threads_lose_none() {
        let word = UsedWord::default();
        std::thread::scope(|scope| {
            for cell in 0..4 {
                let word = &word;
                scope.spawn(move || {
                    for seq in 1..=20_000 {
                        let mut seen = word.load();
                        loop {
                            let new = Used {
                                bytes: seen.bytes + 3,
                                tag: Tag::new(CellId { slot: 9, cell }, seq),
                            };
                            match word.swap(seen, new) {
                                Ok(()) => break,
                                Err(actual) => seen = actual,
                            }
                        }
                    }
                });
            }
        });
        assert_eq!(word.bytes(), 4 * 20_000 * 3);
    }
}
