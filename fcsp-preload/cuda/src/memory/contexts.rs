//! Which contexts the process has, so that what a context leaves behind is given back when it ends.
//!
//! The driver frees a context's memory without a call for each allocation. So every allocation is
//! remembered with a tag that stands for the context it was made in ([`tag_of_current`]), and the
//! handlers of [`crate::context`] sweep a tag when its context is gone. A context that was made out of
//! our sight has no tag; what is allocated in it is swept with the device's last context.

use core::ffi::c_int;
use core::ptr;
use core::sync::atomic::{
    AtomicBool, AtomicI32, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering,
};

use cuda_sys::{CUcontext, CUctx_st, CUdevice};
use fcsp_program::device::{self, Device, attached_at};
use fcsp_program::memory::{NO_CONTEXT, TAGS_MAX, charge};

use crate::driver::current_context;

/// No context has these handles.
const FREE: u64 = 0;
const CHANGING: u64 = u64::MAX;

/// A context; `NO_CONTEXT` plus one plus its place is its tag.
struct Entry {
    handle: AtomicU64,
    ordinal: AtomicI32,
    /// 1 for a device's primary context.
    primary: AtomicU32,
    /// What `cuCtxAttach` and `cuCtxDetach` count; 1 when made.
    references: AtomicU32,
}

static CONTEXTS: [Entry; TAGS_MAX as usize] = [const {
    Entry {
        handle: AtomicU64::new(FREE),
        ordinal: AtomicI32::new(-1),
        primary: AtomicU32::new(0),
        references: AtomicU32::new(0),
    }
}; TAGS_MAX as usize];

fn find(handle: u64) -> Option<(u8, &'static Entry)> {
    if handle == FREE || handle == CHANGING {
        return None;
    }
    // Acquire pairs with the release in `made`: the entry is filled in.
    (1..)
        .zip(&CONTEXTS)
        .find(|(_, entry)| entry.handle.load(Ordering::Acquire) == handle)
}

/// Notes a context that the driver made, or gave out again.
pub fn made(context: CUcontext, ordinal: CUdevice, primary: bool) {
    let handle = context as u64;
    if handle == FREE {
        return;
    }
    if let Some((_, entry)) = find(handle) {
        // Retained again; or its predecessor ended out of our sight, perhaps on another device.
        entry.ordinal.store(ordinal, Ordering::Relaxed);
        entry.primary.store(u32::from(primary), Ordering::Relaxed);
        return;
    }
    let room = CONTEXTS.iter().find(|entry| {
        // Acquire pairs with the release of whoever left the entry.
        entry
            .handle
            .compare_exchange(FREE, CHANGING, Ordering::Acquire, Ordering::Relaxed)
            .is_ok()
    });
    let Some(entry) = room else { return };
    entry.ordinal.store(ordinal, Ordering::Relaxed);
    entry.primary.store(u32::from(primary), Ordering::Relaxed);
    entry.references.store(1, Ordering::Relaxed);
    entry.handle.store(handle, Ordering::Release);
    count();
}

/// The tag of the only context there is; `NO_CONTEXT` while there are none or several. Most programs
/// have one, and asking the driver which costs more than the rest of an allocation's account.
static ONLY: AtomicU8 = AtomicU8::new(NO_CONTEXT);
/// The handle of that context, null while `ONLY` says that there is none. Null for good once there was a
/// green context: what is current may then be another handle of the same context, with a default stream of
/// its own.
static ONLY_HANDLE: AtomicPtr<CUctx_st> = AtomicPtr::new(ptr::null_mut());
static ANY_GREEN: AtomicBool = AtomicBool::new(false);

/// Looks whether there is only one context now.
fn count() {
    let mut found = (1..)
        .zip(&CONTEXTS)
        .map(|(tag, entry)| (tag, entry.handle.load(Ordering::Acquire)))
        .filter(|(_, handle)| *handle != FREE);
    let (tag, handle) = match (found.next(), found.next()) {
        (Some(only), None) => only,
        _ => (NO_CONTEXT, FREE),
    };
    ONLY.store(tag, Ordering::Release);
    let known = if handle == CHANGING { FREE } else { handle };
    // SeqCst, and looked at afterwards: either this sees the green context, or that wipes this out.
    ONLY_HANDLE.store(
        ptr::with_exposed_provenance_mut(known as usize),
        Ordering::SeqCst,
    );
    if ANY_GREEN.load(Ordering::SeqCst) {
        ONLY_HANDLE.store(ptr::null_mut(), Ordering::SeqCst);
    }
}

/// A green context was made.
pub fn made_green() {
    ANY_GREEN.store(true, Ordering::SeqCst);
    ONLY_HANDLE.store(ptr::null_mut(), Ordering::SeqCst);
}

/// The only context the process has: the calling thread's, if it has one. `None` while there are several, or
/// may be. To ask the driver costs as much as half of a gated submission.
#[inline]
pub fn only() -> Option<CUcontext> {
    let context = ONLY_HANDLE.load(Ordering::Acquire);
    (!context.is_null()).then_some(context)
}

/// The tag of the calling thread's context. (A thread without one gets some tag; the driver refuses
/// its allocation.)
#[inline]
pub fn tag_of_current() -> u8 {
    match ONLY.load(Ordering::Acquire) {
        NO_CONTEXT => ask(),
        only => only,
    }
}

/// True if the process has one context, as far as is known.
pub fn is_only() -> bool {
    ONLY.load(Ordering::Acquire) != NO_CONTEXT
}

fn ask() -> u8 {
    find(current_context() as u64).map_or(NO_CONTEXT, |(tag, _)| tag)
}

/// True while we know of a context on that device.
pub fn any_on(ordinal: CUdevice) -> bool {
    CONTEXTS.iter().any(|entry| {
        entry.handle.load(Ordering::Acquire) != FREE
            && entry.ordinal.load(Ordering::Relaxed) == ordinal
    })
}

/// Ordinal of the device of a context we know.
pub fn ordinal_of(context: CUcontext) -> Option<CUdevice> {
    find(context as u64).map(|(_, entry)| entry.ordinal.load(Ordering::Relaxed))
}

/// A context that is about to end. Nothing allocated from now on gets its tag, not even if the driver
/// gives its handle to another context before the sweep is over.
pub struct Ending {
    tag: u8,
    entry: &'static Entry,
    handle: u64,
}

impl Ending {
    /// The context with that handle, if we know it.
    pub fn of(context: CUcontext) -> Option<Self> {
        let (tag, entry) = find(context as u64)?;
        Self::take(tag, entry, context as u64)
    }

    /// The primary context of that device, if we know it.
    pub fn of_primary(ordinal: CUdevice) -> Option<Self> {
        (1..).zip(&CONTEXTS).find_map(|(tag, entry)| {
            let handle = entry.handle.load(Ordering::Acquire);
            let wanted = handle != FREE
                && handle != CHANGING
                && entry.primary.load(Ordering::Relaxed) != 0
                && entry.ordinal.load(Ordering::Relaxed) == ordinal;
            wanted.then(|| Self::take(tag, entry, handle)).flatten()
        })
    }

    fn take(tag: u8, entry: &'static Entry, handle: u64) -> Option<Self> {
        // One of two threads that end the same context gets it.
        entry
            .handle
            .compare_exchange(handle, CHANGING, Ordering::Acquire, Ordering::Relaxed)
            .ok()?;
        ONLY.store(NO_CONTEXT, Ordering::Release);
        ONLY_HANDLE.store(ptr::null_mut(), Ordering::Release);
        Some(Self { tag, entry, handle })
    }

    /// Device of the context.
    pub fn device(&self) -> Option<&'static Device> {
        let ordinal: c_int = self.entry.ordinal.load(Ordering::Relaxed);
        attached_at(ordinal)
    }

    /// The driver refused: the context goes on.
    pub fn refused(self) {
        self.entry.handle.store(self.handle, Ordering::Release);
        count();
    }

    /// The context is gone: gives back what it left behind.
    pub fn over(self) {
        for device in device::attached() {
            charge::sweep(device, |tag| tag == self.tag);
        }
        // Release: whoever takes the entry next finds nothing with its tag.
        self.entry.handle.store(FREE, Ordering::Release);
        count();
    }
}

/// One more reference of a context, by `cuCtxAttach`.
pub fn attached_again(context: CUcontext) {
    if let Some((_, entry)) = find(context as u64) {
        entry.references.fetch_add(1, Ordering::Relaxed);
    }
}

/// One reference less, by `cuCtxDetach`; true if it was the last.
pub fn detached(context: CUcontext) -> bool {
    find(context as u64)
        .is_some_and(|(_, entry)| entry.references.fetch_sub(1, Ordering::AcqRel) == 1)
}
