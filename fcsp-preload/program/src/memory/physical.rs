//! Physical memory that is mapped apart from its allocation: it lives while a handle or a mapping of it does.
//!
//! What is created is charged. The charge ends when the driver has dropped the last handle
//! (released as often as it was created and retained) and the last mapping,
//! whichever comes last. Memory of another process and multicast
//! objects take nothing of their own: their handles are not in the book, and pass through. Memory of
//! our own that comes back by an import is in the book under its first handle only; should the import
//! outlive that, it is reconciled.
//!
//! The book is behind a lock: these calls are as rare as growing a heap, and change address spaces.

use core::sync::atomic::{AtomicU32, Ordering};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use fcsp_preload::fork;

use crate::activity::AtWork;
use crate::device::Device;
use crate::driver::{CodeOf, Driver};
use crate::memory::charge::reserve;
use crate::memory::pool::Address;

/// Physical memory that was charged.
struct Physical {
    device: &'static Device,
    bytes: u64,
    /// Handles and mappings.
    references: u64,
}

/// A handle's or mapping's memory: a number of [`Book::physical`].
type Number = u64;

#[derive(Default)]
struct Book {
    next: Number,
    physical: BTreeMap<Number, Physical>,
    /// By handle: whose it is, and how often it must be released.
    handles: BTreeMap<u64, (Number, u64)>,
    /// By address: whose it is, and its length.
    mappings: BTreeMap<u64, (Number, u64)>,
}

static BOOK: Mutex<Book> = Mutex::new(Book {
    next: 0,
    physical: BTreeMap::new(),
    handles: BTreeMap::new(),
    mappings: BTreeMap::new(),
});
/// Fork generation of the book, plus one; 0 while there is nothing in it.
static GENERATION: AtomicU32 = AtomicU32::new(0);

impl Book {
    fn refer(&mut self, number: Number) {
        if let Some(physical) = self.physical.get_mut(&number) {
            physical.references += 1;
        }
    }

    /// Drops a reference; gives the memory back with the last.
    fn drop_reference(&mut self, number: Number) {
        let Some(physical) = self.physical.get_mut(&number) else {
            return;
        };
        physical.references -= 1;
        if physical.references == 0 {
            physical.device.ledger().release(physical.bytes);
            self.physical.remove(&number);
        }
    }

    fn add_handle(&mut self, handle: u64, number: Number) {
        let entry = self.handles.entry(handle).or_insert((number, 0));
        entry.1 += 1;
    }

    /// Takes one release's worth of a handle out.
    fn take_handle(&mut self, handle: u64) -> Option<Number> {
        let (number, count) = self.handles.get_mut(&handle)?;
        let number = *number;
        *count -= 1;
        if *count == 0 {
            self.handles.remove(&handle);
        }
        Some(number)
    }

    /// The memory mapped at `address`.
    fn mapped_at(&self, address: u64) -> Option<Number> {
        let (start, (number, bytes)) = self.mappings.range(..=address).next_back()?;
        (address - start < *bytes).then_some(*number)
    }

    /// Takes the mappings that begin in a range out.
    fn take_mappings(&mut self, start: u64, bytes: u64) -> BTreeMap<u64, (Number, u64)> {
        let mut taken = self.mappings.split_off(&start);
        let mut after = taken.split_off(&start.saturating_add(bytes));
        self.mappings.append(&mut after);
        taken
    }
}

/// Reads and writes the book; `None` in a fork child, whose parent's book it is and whose threads may
/// have held the lock.
fn with_book<R>(change: impl FnOnce(&mut Book) -> R) -> Option<R> {
    let ours = fork::generation().wrapping_add(1);
    // Relaxed: a child is one thread when it begins.
    match GENERATION.compare_exchange(0, ours, Ordering::Relaxed, Ordering::Relaxed) {
        Err(generation) if generation != ours => return None,
        _ => {}
    }
    let mut book = BOOK.lock().unwrap_or_else(PoisonError::into_inner);
    Some(change(&mut book))
}

/// A call is under way that may give back the memory with that number.
fn at_work(number: Option<Number>) -> Option<AtWork<'static>> {
    let device = with_book(|book| Some(book.physical.get(&number?)?.device)).flatten()?;
    Some(device.activity.begin())
}

/// Makes a call that creates `bytes` of physical memory on `device`, whose handle the driver writes to `place`.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
pub unsafe fn create<D: Driver, H: Address>(
    place: *mut H,
    bytes: u64,
    device: &'static Device,
    allocate: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let _at_work = device.activity.begin();
    if let Err(refusal) = reserve::<D>(device, bytes) {
        return refusal;
    }
    let result = allocate();
    if result != D::SUCCESS {
        device.ledger().release(bytes);
        return result;
    }
    // SAFETY: the driver accepted and filled the pointer.
    let handle = unsafe { *place }.number();
    with_book(|book| {
        let number = book.next;
        book.next += 1;
        let physical = Physical {
            device,
            bytes,
            references: 1,
        };
        book.physical.insert(number, physical);
        book.add_handle(handle, number);
    });
    result
}

/// Makes a call that releases a handle.
pub fn release<D: Driver>(handle: u64, call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    // Taken out first: once the driver has dropped it, another thread may be given the same handle.
    let number = with_book(|book| book.take_handle(handle)).flatten();
    let _at_work = at_work(number);
    let result = call();
    if let Some(number) = number {
        with_book(|book| {
            if result == D::SUCCESS {
                book.drop_reference(number);
            } else {
                book.add_handle(handle, number);
            }
        });
    }
    result
}

/// The driver gave the program one more handle of what is mapped at `address`.
pub fn retained(handle: u64, address: u64) {
    with_book(|book| {
        if let Some(number) = book.mapped_at(address) {
            book.refer(number);
            book.add_handle(handle, number);
        }
    });
}

/// Makes a call that maps `bytes` of what `handle` stands for at `address`.
pub fn map<D: Driver>(
    handle: u64,
    address: u64,
    bytes: u64,
    call: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    // Referred to first: another thread may release the handle as soon as the mapping is there.
    let number = with_book(|book| {
        let (number, _) = *book.handles.get(&handle)?;
        book.refer(number);
        Some(number)
    })
    .flatten();
    let result = call();
    if let Some(number) = number {
        with_book(|book| {
            if result != D::SUCCESS {
                book.drop_reference(number);
            } else if let Some((lost, _)) = book.mappings.insert(address, (number, bytes)) {
                book.drop_reference(lost);
            }
        });
    }
    result
}

/// Makes a call that unmaps what is mapped in `bytes` from `address` on.
pub fn unmap<D: Driver>(address: u64, bytes: u64, call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    // Taken out first: once the driver has unmapped them, another thread may map there again.
    let taken = with_book(|book| book.take_mappings(address, bytes));
    let first = taken.as_ref().and_then(|taken| taken.values().next());
    let _at_work = at_work(first.map(|(number, _)| *number));
    let result = call();
    if let Some(mut taken) = taken.filter(|taken| !taken.is_empty()) {
        with_book(|book| {
            if result == D::SUCCESS {
                for (number, _) in taken.into_values() {
                    book.drop_reference(number);
                }
            } else {
                book.mappings.append(&mut taken);
            }
        });
    }
    result
}
