//! Handlers of virtual memory management: physical memory lives while a handle or a mapping of it does.
//!
//! `cuMemCreate` is charged. The charge ends when the driver has dropped the last handle
//! (`cuMemRelease`, as often as it was created and retained) and the last mapping (`cuMemUnmap`),
//! whichever comes last. Memory of another process (`cuMemImportFromShareableHandle`) and multicast
//! objects take nothing of their own: their handles are not in the book, and pass through. Memory of
//! our own that comes back by an import is in the book under its first handle only; should the import
//! outlive that, it is reconciled.
//!
//! The book is behind a lock: these calls are as rare as growing a heap, and change address spaces.

use core::ffi::{c_ulonglong, c_void};
use core::sync::atomic::{AtomicU32, Ordering};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use cuda_sys::{
    CUdeviceptr, CUmemAllocationProp, CUmemGenericAllocationHandle, CUmemLocationType, CUresult,
    fn_types,
};
use fcsp_preload::fork;

use crate::activity::AtWork;
use crate::device::{self, Device};
use crate::memory::charge::reserve;

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
    handles: BTreeMap<CUmemGenericAllocationHandle, (Number, u64)>,
    /// By address: whose it is, and its length.
    mappings: BTreeMap<CUdeviceptr, (Number, u64)>,
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

    fn add_handle(&mut self, handle: CUmemGenericAllocationHandle, number: Number) {
        let entry = self.handles.entry(handle).or_insert((number, 0));
        entry.1 += 1;
    }

    /// Takes one release's worth of a handle out.
    fn take_handle(&mut self, handle: CUmemGenericAllocationHandle) -> Option<Number> {
        let (number, count) = self.handles.get_mut(&handle)?;
        let number = *number;
        *count -= 1;
        if *count == 0 {
            self.handles.remove(&handle);
        }
        Some(number)
    }

    /// The memory mapped at `address`.
    fn mapped_at(&self, address: CUdeviceptr) -> Option<Number> {
        let (start, (number, bytes)) = self.mappings.range(..=address).next_back()?;
        (address - start < *bytes).then_some(*number)
    }

    /// Takes the mappings that begin in a range out.
    fn take_mappings(&mut self, start: CUdeviceptr, bytes: u64) -> BTreeMap<u64, (Number, u64)> {
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

/// # Safety
///
/// As `cuMemCreate`.
pub unsafe fn create(
    real: fn_types::cuMemCreate,
    handle: *mut CUmemGenericAllocationHandle,
    size: usize,
    prop: *const CUmemAllocationProp,
    flags: c_ulonglong,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let allocate = || unsafe { real(handle, size, prop, flags) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let location = unsafe { prop.as_ref() }.map(|prop| prop.location);
    let device = location
        .filter(|location| location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE)
        .and_then(|location| device::at(location.id));
    // Physical memory on the host, or a device the driver will refuse, is not ours to charge.
    let Some(device) = device else {
        return allocate();
    };
    let bytes = size as u64;
    let _at_work = device.activity.begin();
    if let Err(refusal) = reserve(device, bytes) {
        return refusal;
    }
    let result = allocate();
    if result != CUresult::CUDA_SUCCESS {
        device.ledger().release(bytes);
        return result;
    }
    // SAFETY: the driver accepted and filled the pointer.
    let handle = unsafe { *handle };
    with_book(|book| {
        book.next += 1;
        let number = book.next;
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

/// # Safety
///
/// As `cuMemRelease`.
pub unsafe fn release(
    real: fn_types::cuMemRelease,
    handle: CUmemGenericAllocationHandle,
) -> CUresult {
    // Taken out first: once the driver has dropped it, another thread may be given the same handle.
    let number = with_book(|book| book.take_handle(handle)).flatten();
    let _at_work = at_work(number);
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle) };
    if let Some(number) = number {
        with_book(|book| match result {
            CUresult::CUDA_SUCCESS => book.drop_reference(number),
            _ => book.add_handle(handle, number),
        });
    }
    result
}

/// # Safety
///
/// As `cuMemRetainAllocationHandle`.
pub unsafe fn retain(
    real: fn_types::cuMemRetainAllocationHandle,
    handle: *mut CUmemGenericAllocationHandle,
    addr: *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, addr) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver accepted and filled the pointer.
        let handle = unsafe { *handle };
        with_book(|book| {
            if let Some(number) = book.mapped_at(addr as u64) {
                book.refer(number);
                book.add_handle(handle, number);
            }
        });
    }
    result
}

/// # Safety
///
/// As `cuMemMap`.
pub unsafe fn map(
    real: fn_types::cuMemMap,
    ptr: CUdeviceptr,
    size: usize,
    offset: usize,
    handle: CUmemGenericAllocationHandle,
    flags: c_ulonglong,
) -> CUresult {
    // Referred to first: another thread may release the handle as soon as the mapping is there.
    let number = with_book(|book| {
        let (number, _) = *book.handles.get(&handle)?;
        book.refer(number);
        Some(number)
    })
    .flatten();
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(ptr, size, offset, handle, flags) };
    if let Some(number) = number {
        with_book(|book| match result {
            CUresult::CUDA_SUCCESS => {
                let entry = (number, size as u64);
                if let Some((lost, _)) = book.mappings.insert(ptr, entry) {
                    book.drop_reference(lost);
                }
            }
            _ => book.drop_reference(number),
        });
    }
    result
}

/// # Safety
///
/// As `cuMemUnmap`.
pub unsafe fn unmap(real: fn_types::cuMemUnmap, ptr: CUdeviceptr, size: usize) -> CUresult {
    // Taken out first: once the driver has unmapped them, another thread may map there again.
    let taken = with_book(|book| book.take_mappings(ptr, size as u64));
    let first = taken.as_ref().and_then(|taken| taken.values().next());
    let _at_work = at_work(first.map(|(number, _)| *number));
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(ptr, size) };
    if let Some(mut taken) = taken.filter(|taken| !taken.is_empty()) {
        with_book(|book| match result {
            CUresult::CUDA_SUCCESS => {
                for (number, _) in taken.into_values() {
                    book.drop_reference(number);
                }
            }
            _ => book.mappings.append(&mut taken),
        });
    }
    result
}
