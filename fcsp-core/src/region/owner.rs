//! Telling a process from its fork children without asking the kernel.
//!
//! `fork` handlers of the C library miss children made by a raw system call. A page that the kernel
//! empties in every child (`MADV_WIPEONFORK`, Linux 4.14) misses none, and costs one load to ask.

use crate::sync::{AtomicU32, Ordering};
use std::ptr::{self, NonNull};

/// A mark that fork children do not inherit.
#[derive(Debug)]
pub(super) struct OwnerMark(Option<NonNull<AtomicU32>>);

// SAFETY: the mark is a private page with one atomic, valid until it is dropped.
unsafe impl Send for OwnerMark {}
// SAFETY: as above.
unsafe impl Sync for OwnerMark {}

impl OwnerMark {
    /// Marks this process.
    pub(super) fn new() -> Self {
        let bytes = super::layout::PAGE_BYTES;
        // SAFETY: asks for new private memory; touches none that exists.
        let page = unsafe {
            libc::mmap(
                ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if page == libc::MAP_FAILED {
            return Self(None);
        }
        let mark = Self(NonNull::new(page.cast()));
        // SAFETY: advises on the page just mapped.
        if unsafe { libc::madvise(page, bytes, libc::MADV_WIPEONFORK) } != 0 {
            // Dropping it unmaps the page.
            return Self(None);
        }
        if let Some(word) = mark.word() {
            word.store(1, Ordering::Relaxed);
        }
        mark
    }

    /// False in a fork child; true if the system could not make a mark.
    #[inline]
    pub(super) fn is_here(&self) -> bool {
        // Relaxed: written once, before the mark is shared.
        self.word()
            .is_none_or(|word| word.load(Ordering::Relaxed) == 1)
    }

    #[inline]
    fn word(&self) -> Option<&AtomicU32> {
        // SAFETY: the page is mapped, zeroed at first, for as long as the mark lives.
        self.0.map(|word| unsafe { word.as_ref() })
    }
}

impl Drop for OwnerMark {
    fn drop(&mut self) {
        if let Some(page) = self.0 {
            // SAFETY: the mapping is the mark's own, and nobody borrows from it any more.
            unsafe { libc::munmap(page.as_ptr().cast(), super::layout::PAGE_BYTES) };
        }
    }
}
