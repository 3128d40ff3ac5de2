//! A word that the kernel marks when a thread ends: the second proof of death.
//!
//! Every thread may register one list of futexes it holds (`set_robust_list(2)`). However the thread
//! ends, by itself, by `exec` or with its killed process, the kernel walks the list and sets
//! `FUTEX_OWNER_DIED` in each word. That works across PID namespaces and does not depend on any
//! descriptor. It proves the thread's end, not the process's, which is why it is one proof of two.
//!
//! The C library registers such a list for each of its threads, for robust mutexes. Replacing it
//! takes those from the thread, so this is only for a thread of our own that never takes one.

use super::layout::RobustWord;
use super::{Attachment, RegionError};
use crate::failpoint::failpoint;
use crate::sync::{AtomicU64, Ordering};
use std::cell::Cell;
use std::marker::PhantomData;
use std::mem::offset_of;
use std::ptr;
use std::sync::Arc;

/// The kernel's bit for "the holder died" (`linux/futex.h`).
const OWNER_DIED: u32 = 0x4000_0000;
/// The kernel's mask of the holder's thread id (`linux/futex.h`).
const TID_MASK: u32 = 0x3fff_ffff;

/// What a robust word says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RobustState {
    /// No thread ever held it, or it was given back.
    Unheld,
    /// A thread holds it.
    Held,
    /// The thread that held it ended.
    Died,
}

impl RobustWord {
    pub(super) fn state(&self) -> RobustState {
        // Acquire: pairs with the holder's release, and with the kernel's full barrier.
        let futex = self.futex.load(Ordering::Acquire);
        match futex {
            _ if futex & OWNER_DIED != 0 => RobustState::Died,
            _ if futex & TID_MASK != 0 => RobustState::Held,
            _ => RobustState::Unheld,
        }
    }
}

/// `struct robust_list_head` (`linux/futex.h`), as the kernel reads it when the thread ends.
#[repr(C)]
struct Head {
    /// First entry, or the head itself. An entry is the address of a [`RobustWord::next`].
    first: AtomicU64,
    futex_offset: libc::c_long,
    pending: AtomicU64,
}

const FUTEX_OFFSET: libc::c_long =
    offset_of!(RobustWord, futex) as libc::c_long - offset_of!(RobustWord, next) as libc::c_long;

thread_local! {
    /// The list the kernel knows of this thread, and the process it was registered in: a fork child
    /// inherits the variable and not the registration.
    static HEAD: Cell<Option<(u32, &'static Head)>> = const { Cell::new(None) };
}

fn registered() -> Option<&'static Head> {
    HEAD.get()
        .filter(|(pid, _)| *pid == std::process::id())
        .map(|(_, head)| head)
}

impl Head {
    fn address(&self) -> u64 {
        ptr::from_ref(self).addr() as u64
    }
}

/// Holds a slot's robust word for the thread that made it; keeps the attachment.
#[derive(Debug)]
pub struct RobustHold {
    attachment: Arc<Attachment>,
    /// The list is the thread's.
    not_send: PhantomData<*mut ()>,
}

impl RobustHold {
    /// Says in the slot of `attachment` when this process began, and lets the kernel mark the slot when the
    /// calling thread ends. Call it on a
    /// thread that FCSP started, that lives as long as the process, and that takes no robust mutex of
    /// the C library. The hold may be dropped on the same thread, which gives the word back; a
    /// thread that ends with its process never does.
    ///
    /// # Errors
    /// If the kernel refuses, or the thread already holds a robust mutex.
    pub fn new(attachment: &Arc<Attachment>) -> Result<Self, RegionError> {
        attachment.introduce();
        failpoint!("watch.introduced");
        let head = match registered() {
            Some(head) => head,
            None => register().map_err(RegionError::io("watch", attachment.region().path()))?,
        };
        let word = &attachment.slot().robust;
        let entry = ptr::from_ref(&word.next).addr() as u64;
        // In the kernel's order: what is pending is marked too, so that the thread may end anywhere
        // between here and the end. Relaxed: the kernel looks after the thread's last instruction.
        head.pending.store(entry, Ordering::Relaxed);
        failpoint!("watch.pending");
        // SAFETY: gettid always succeeds and touches no memory.
        let tid = unsafe { libc::syscall(libc::SYS_gettid) } as u32;
        word.next
            .store(head.first.load(Ordering::Relaxed), Ordering::Relaxed);
        // Release: for whoever asks for the state.
        word.futex.store(tid & TID_MASK, Ordering::Release);
        failpoint!("watch.held");
        head.first.store(entry, Ordering::Relaxed);
        failpoint!("watch.linked");
        head.pending.store(0, Ordering::Relaxed);
        Ok(Self {
            attachment: Arc::clone(attachment),
            not_send: PhantomData,
        })
    }
}

impl Drop for RobustHold {
    fn drop(&mut self) {
        let Some(head) = registered() else { return };
        let word = &self.attachment.slot().robust;
        let entry = ptr::from_ref(&word.next).addr() as u64;
        let next = word.next.load(Ordering::Relaxed);
        let mut link = &head.first;
        while link.load(Ordering::Relaxed) != entry {
            let address = link.load(Ordering::Relaxed);
            if address == head.address() {
                return;
            }
            // SAFETY: every entry of this thread's list is the `next` of a word whose hold is not
            // dropped yet, and a hold keeps its region mapped. Only this thread changes the list.
            link = unsafe { &*ptr::with_exposed_provenance::<AtomicU64>(address as usize) };
        }
        // Pending again, so that it is marked though it is not in the list any more.
        head.pending.store(entry, Ordering::Relaxed);
        link.store(next, Ordering::Relaxed);
        failpoint!("watch.unlinked");
        // Release: for whoever asks for the state.
        word.futex.store(0, Ordering::Release);
        head.pending.store(0, Ordering::Relaxed);
    }
}

/// Registers an empty list for this thread. The head stays for ever: the kernel reads it when the
/// thread ends, after everything the thread owned is gone.
fn register() -> std::io::Result<&'static Head> {
    let mut others: *const Head = ptr::null();
    let mut others_bytes: libc::size_t = 0;
    // SAFETY: the kernel writes an address and a size into the two variables.
    let result = unsafe {
        libc::syscall(
            libc::SYS_get_robust_list,
            0,
            &raw mut others,
            &raw mut others_bytes,
        )
    };
    if result != 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the list is the C library's head for this thread, valid as long as the thread; only
    // this thread changes it.
    let is_idle = others.is_null()
        || unsafe { (*others).first.load(Ordering::Relaxed) } == others.addr() as u64;
    if !is_idle {
        return Err(std::io::Error::other(
            "this thread holds a robust mutex; watch from another thread",
        ));
    }
    let head: &'static Head = Box::leak(Box::new(Head {
        first: AtomicU64::new(0),
        futex_offset: FUTEX_OFFSET,
        pending: AtomicU64::new(0),
    }));
    head.first.store(head.address(), Ordering::Relaxed);
    // SAFETY: the head is valid for ever and has the kernel's form and size.
    let result = unsafe {
        libc::syscall(
            libc::SYS_set_robust_list,
            ptr::from_ref(head),
            size_of::<Head>(),
        )
    };
    if result != 0 {
        return Err(std::io::Error::last_os_error());
    }
    HEAD.set(Some((std::process::id(), head)));
    Ok(head)
}
