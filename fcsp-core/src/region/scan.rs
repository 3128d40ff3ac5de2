//! Walking over what is in use, without touching the pages of what is not.

use super::layout::{GatePage, RegionLayout, Slot, SlotState, Tenant, TenantState};
use super::{SlotIndex, TenantIndex};
use crate::sync::{AtomicU64, Ordering};

/// A slot in use, as a scan meets it.
#[derive(Clone, Copy, Debug)]
pub struct SlotRef<'a> {
    /// Which one.
    pub index: SlotIndex,
    /// Control page.
    pub slot: &'a Slot,
    /// Device page.
    pub page: &'a GatePage,
    /// State when the scan came by.
    pub state: SlotState,
}

impl SlotRef<'_> {
    /// Tenant of the process.
    pub fn tenant(&self) -> TenantIndex {
        tenant_of(self.slot)
    }
}

/// Tenant of the process in `slot`; always a valid index.
pub fn tenant_of(slot: &Slot) -> TenantIndex {
    let index = slot.tenant.load(Ordering::Relaxed) as usize;
    // A slot's tenant is written by programs FCSP does not control; an index from it must not
    // reach past the table.
    TenantIndex((index % super::layout::TENANTS_MAX) as u32)
}

/// Slots whose process is attached. (It may have died since it attached: see
/// [`super::liveness`].) Does not allocate or make system calls.
pub fn live_slots(layout: &RegionLayout) -> impl Iterator<Item = SlotRef<'_>> {
    slots(layout).filter(|found| found.state == SlotState::Live)
}

/// Slots that are not free, in any state.
pub fn slots(layout: &RegionLayout) -> impl Iterator<Item = SlotRef<'_>> {
    marked_slots(layout).filter(|found| found.state != SlotState::Free)
}

/// Slots marked as in use, among them those that somebody marked and did not take.
pub(super) fn marked_slots(layout: &RegionLayout) -> impl Iterator<Item = SlotRef<'_>> {
    set_bits(&layout.header.slots_used.0).map(|index| {
        let pages = &layout.slots[index];
        SlotRef {
            index: SlotIndex(index as u32),
            slot: &pages.slot,
            page: &pages.page,
            // Acquire: pairs with the release that made the slot live, so that the rest of the page
            // is what its owner wrote.
            state: SlotState::from_number(pages.slot.state.load(Ordering::Acquire)),
        }
    })
}

/// Tenants in use. Does not allocate or make system calls.
pub fn live_tenants(layout: &RegionLayout) -> impl Iterator<Item = (TenantIndex, &Tenant)> {
    marked_tenants(layout)
        // Acquire: pairs with the release that made the tenant live: its name and limits are there.
        .filter(|(_, tenant)| tenant.state.load(Ordering::Acquire) == TenantState::Live as u32)
}

/// Tenant pages marked as in use, in any state.
pub(super) fn marked_tenants(
    layout: &RegionLayout,
) -> impl Iterator<Item = (TenantIndex, &Tenant)> {
    set_bits(&layout.header.tenants_used.0)
        .map(|index| (TenantIndex(index as u32), &layout.tenants[index]))
}

fn set_bits(words: &[AtomicU64]) -> impl Iterator<Item = usize> {
    words.iter().enumerate().flat_map(|(word_index, word)| {
        // Relaxed: a hint; the state of what it points to decides.
        let mut bits = word.load(Ordering::Relaxed);
        std::iter::from_fn(move || {
            (bits != 0).then(|| {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                word_index * 64 + bit
            })
        })
    })
}

/// Sets or clears the mark of entry `index`.
pub(super) fn mark(words: &[AtomicU64], index: u32, in_use: bool) {
    let (word, bit) = (&words[index as usize / 64], 1 << (index % 64));
    // Relaxed: a hint, as above.
    if in_use {
        word.fetch_or(bit, Ordering::Relaxed);
    } else {
        word.fetch_and(!bit, Ordering::Relaxed);
    }
}

/// The first entry at or after `start`, going round, whose mark is clear.
pub(super) fn first_clear(words: &[AtomicU64], start: u32) -> Option<u32> {
    let count = words.len() * 64;
    let (first_word, first_bit) = (start as usize % count / 64, start % 64);
    (0..=words.len()).find_map(|step| {
        let word_index = (first_word + step) % words.len();
        let mut clear = !words[word_index].load(Ordering::Relaxed);
        if step == 0 {
            clear &= u64::MAX << first_bit;
        }
        (clear != 0).then(|| word_index as u32 * 64 + clear.trailing_zeros())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_found_where_they_were_set() {
        let words: [AtomicU64; 2] = Default::default();
        for index in [0, 63, 64, 127] {
            mark(&words, index, true);
        }
        assert_eq!(set_bits(&words).collect::<Vec<_>>(), [0, 63, 64, 127]);
        mark(&words, 64, false);
        assert_eq!(set_bits(&words).collect::<Vec<_>>(), [0, 63, 127]);
        assert_eq!(first_clear(&words, 0), Some(1));
        assert_eq!(first_clear(&words, 63), Some(64));
        assert_eq!(first_clear(&words, 127), Some(1));
    }

    #[test]
    fn a_full_table_has_no_clear_mark() {
        let words = [AtomicU64::new(u64::MAX), AtomicU64::new(u64::MAX)];
        assert_eq!(first_clear(&words, 77), None);
        mark(&words, 10, false);
        assert_eq!(first_clear(&words, 77), Some(10));
        assert_eq!(first_clear(&words, 11), Some(10));
    }
}
