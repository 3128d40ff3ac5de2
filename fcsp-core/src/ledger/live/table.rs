//! One table of the chain: buckets in memory of their own, found by a key's hash.

use super::bucket::Bucket;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicPtr, Ordering};

/// Buckets of the first table: 7168 entries in 128 KiB, of which only the pages in use are real.
const FIRST_BUCKETS_LOG2: u32 = 10;
/// Each table has four times the buckets of the one before: ten million entries are in the sixth.
const GROWTH_LOG2: u32 = 2;
/// 2⁶⁴ divided by the golden ratio, odd: its multiples fill the range evenly, whatever power of two
/// addresses are multiples of (Knuth, The Art of Computer Programming, volume 3, section 6.4).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// A table, at the start of a mapping that its buckets follow.
#[repr(C, align(64))]
#[derive(Debug)]
pub(super) struct Table {
    buckets_log2: u32,
    /// Right behind this header; its own address, because a reference to the header may not reach
    /// beyond it.
    buckets: NonNull<Bucket>,
    next: AtomicPtr<Table>,
}

impl Table {
    /// The table at `link`, if there is one.
    #[inline]
    pub(super) fn at(link: &AtomicPtr<Table>) -> Option<&Table> {
        // Acquire: pairs with the release in `make`; the size is there.
        // SAFETY: a table, once linked, stays until the map is dropped, which borrows nothing.
        unsafe { link.load(Ordering::Acquire).as_ref() }
    }

    /// The bucket that `key` belongs to in the first table of the chain that begins at `link`, if there is one. Its size
    /// is known, so the table's head need not be read.
    #[inline]
    pub(super) fn first_bucket(link: &AtomicPtr<Table>, key: u64) -> Option<&Bucket> {
        // Acquire: as in `at`.
        let table = link.load(Ordering::Acquire);
        let at = Self::place(key, FIRST_BUCKETS_LOG2);
        // SAFETY: the mapping holds that many buckets behind the head, and lives as in `at`.
        (!table.is_null()).then(|| unsafe { &*table.add(1).cast::<Bucket>().add(at) })
    }

    /// The table at `link`, made if there is none; nothing if the system has no memory.
    pub(super) fn at_or_make(link: &AtomicPtr<Table>, buckets_log2: u32) -> Option<&Table> {
        if let Some(table) = Self::at(link) {
            return Some(table);
        }
        let made = Self::map(buckets_log2)?;
        // Release: publishes the size. Acquire: sees another thread's.
        match link.compare_exchange(
            ptr::null_mut(),
            made.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        ) {
            // SAFETY: the mapping is a table, and is linked for as long as the map lives.
            Ok(_) => Some(unsafe { made.as_ref() }),
            Err(others) => {
                // SAFETY: nobody else has seen the mapping; the other is linked as above.
                unsafe {
                    Self::unmap(made.as_ptr());
                    others.as_ref()
                }
            }
        }
    }

    /// The first table of a chain.
    pub(super) fn first(link: &AtomicPtr<Table>) -> Option<&Table> {
        Self::at_or_make(link, FIRST_BUCKETS_LOG2)
    }

    /// The table after this one, if there is one.
    #[inline]
    pub(super) fn next(&self) -> Option<&Table> {
        Self::at(&self.next)
    }

    /// The table after this one, made if there is none; nothing if the system has no memory.
    pub(super) fn next_or_make(&self) -> Option<&Table> {
        Self::at_or_make(&self.next, self.buckets_log2 + GROWTH_LOG2)
    }

    /// Every bucket.
    #[inline]
    pub(super) fn buckets(&self) -> &[Bucket] {
        // SAFETY: the mapping holds that many buckets there, zeroed, which is an empty bucket, and
        // lives as long as the table.
        unsafe { std::slice::from_raw_parts(self.buckets.as_ptr(), 1 << self.buckets_log2) }
    }

    /// The bucket that `key` belongs to.
    #[inline]
    pub(super) fn bucket(&self, key: u64) -> &Bucket {
        &self.buckets()[Self::place(key, self.buckets_log2)]
    }

    /// Which of that many buckets `key` belongs to.
    #[inline]
    fn place(key: u64, buckets_log2: u32) -> usize {
        (key.wrapping_mul(SPREAD) >> (u64::BITS - buckets_log2)) as usize
    }

    fn bytes(buckets_log2: u32) -> usize {
        size_of::<Table>() + (size_of::<Bucket>() << buckets_log2)
    }

    fn map(buckets_log2: u32) -> Option<NonNull<Table>> {
        // SAFETY: asks for new private memory; touches none that exists. No swap space is reserved,
        // because most of a table is usually never touched.
        let address = unsafe {
            libc::mmap(
                ptr::null_mut(),
                Self::bytes(buckets_log2),
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        let table = NonNull::new(address.cast::<Table>())?;
        // SAFETY: the mapping is page-aligned, large enough for the header and the buckets behind
        // it, and not shared yet.
        unsafe {
            table.write(Table {
                buckets_log2,
                buckets: table.add(1).cast(),
                next: AtomicPtr::new(ptr::null_mut()),
            });
        }
        Some(table)
    }

    /// Gives a table's memory back.
    ///
    /// # Safety
    /// `table` came from [`Table::map`] and nobody uses it any more.
    unsafe fn unmap(table: *mut Table) {
        // SAFETY: the caller vouches for it; the size is the one it was mapped with.
        unsafe {
            let bytes = Self::bytes((*table).buckets_log2);
            libc::munmap(table.cast(), bytes);
        }
    }

    /// Gives the memory of a whole chain back.
    pub(super) fn unmap_chain(first: &mut AtomicPtr<Table>) {
        let mut table = std::mem::replace(first.get_mut(), ptr::null_mut());
        while !table.is_null() {
            // SAFETY: the chain is owned by the caller, who has the only reference to its first
            // link; each table is unlinked before it is unmapped.
            unsafe {
                let next = *(*table).next.get_mut();
                Self::unmap(table);
                table = next;
            }
        }
    }
}
