//! Which queues there are: command queues and immediate lists, by their handles, with what is known of each.

use core::sync::atomic::{AtomicBool, Ordering};

use fcsp_core::backend::QueueId;
use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_gate::Handle;
use fcsp_intel_queue::{Clock, Target};
use fcsp_program::device::Device;
use fcsp_program::queue::gate;
use fcsp_program::turn;
use level_zero_sys::{
    fn_types, ze_command_queue_desc_t, ze_command_queue_handle_t, ze_context_handle_t,
    ze_device_handle_t, ze_result_t,
};

use crate::devices;
use crate::driver::Ze;

/// Things of the library's own by the handle of the driver's they belong to. Lock-free. A program says of itself that it
/// uses no handle that it destroys, and so no thing that is taken out.
pub struct Book<T>(LiveMap, core::marker::PhantomData<T>);

impl<T> Book<T> {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(LiveMap::new(), core::marker::PhantomData)
    }

    /// What belongs to a handle.
    #[inline]
    pub fn get(&self, handle: u64) -> Option<&T> {
        let address = self.0.get(handle)?.bytes;
        // SAFETY: put there below, and alive until the handle's object is destroyed, which no other call uses then.
        Some(unsafe { &*core::ptr::with_exposed_provenance::<T>(address as usize) })
    }

    /// Enters a thing.
    pub fn insert(&self, handle: u64, thing: T) {
        let bytes = Box::into_raw(Box::new(thing)).expose_provenance() as u64;
        // What stood there belonged to an object whose end nobody saw; what cannot be entered is unknown.
        let entered = self.0.insert(handle, Live { bytes, kind: 0 });
        match entered {
            Ok(None) => {}
            Ok(Some(lost)) => Self::free(lost),
            Err(_) => Self::free(Live { bytes, kind: 0 }),
        }
    }

    /// Takes a thing out.
    pub fn remove(&self, handle: u64) {
        if let Some(gone) = self.0.remove(handle) {
            Self::free(gone);
        }
    }

    fn free(gone: Live) {
        // SAFETY: came from a box in `insert`, and is in the map no more.
        drop(unsafe {
            Box::from_raw(core::ptr::with_exposed_provenance_mut::<T>(
                gone.bytes as usize,
            ))
        });
    }
}

/// A command queue or an immediate list.
pub struct Queue {
    /// Its device.
    pub device: &'static Device,
    /// What is known of it.
    target: Target,
    /// What is appended to it goes into a graph.
    captures: AtomicBool,
}

static QUEUES: Book<Queue> = Book::new();

/// The queue with that handle, if it is on a device with limits.
#[inline]
pub fn get(handle: u64) -> Option<&'static Queue> {
    QUEUES.get(handle)
}

/// What is known of the queue with that handle, if what is put into it is submitted.
pub fn target(handle: u64) -> Option<Target> {
    let queue = get(handle)?;
    (!queue.captures()).then_some(queue.target)
}

impl Queue {
    /// Enters a queue.
    ///
    /// # Safety
    ///
    /// `desc` is what the driver made it by.
    pub unsafe fn enter(
        handle: u64,
        context: ze_context_handle_t,
        device: ze_device_handle_t,
        desc: *const ze_command_queue_desc_t,
        is_immediate: bool,
    ) {
        // SAFETY: by the caller's contract.
        let desc = unsafe { &*desc };
        if let Some(on) = devices::limited(device) {
            let clock = Clock::of(devices::properties(device).ok().as_ref());
            let words = devices::words_of(device);
            let queue = Self {
                device: on,
                target: Target::new(context, device, desc, is_immediate, clock, words),
                captures: AtomicBool::new(false),
            };
            QUEUES.insert(handle, queue);
        }
    }

    /// Whether what is submitted to it now forms segments.
    #[inline]
    pub fn is_gated(&self) -> bool {
        self.device.producer.gated() && !self.captures()
    }

    // Relaxed: who appends to a list orders that after what was appended before.

    fn captures(&self) -> bool {
        self.captures.load(Ordering::Relaxed)
    }

    /// What is appended to it goes into a graph from now on, or no longer.
    pub fn set_captures(&self, captures: bool) {
        self.captures.store(captures, Ordering::Relaxed);
    }

    /// Its context, as a number.
    pub fn context(&self) -> u64 {
        self.target.context().number()
    }

    /// After a submission: where it has waited, the scheduler is told.
    pub fn submitted(&self, result: ze_result_t) -> ze_result_t {
        if self.target.is_synchronous && self.device.producer.gated() {
            turn::about_to_wait::<Ze>();
            return turn::waited::<Ze>(result);
        }
        result
    }
}

/// A queue is about to be destroyed.
pub fn end(handle: u64) {
    if let Some(queue) = get(handle) {
        let device = queue.device;
        device.producer.forget(&gate::<Ze>(device), QueueId(handle));
    }
}

/// A queue is gone.
pub fn gone(handle: u64) {
    QUEUES.remove(handle);
}

/// # Safety
///
/// As `zeCommandQueueCreate`.
pub unsafe fn create(
    real: fn_types::zeCommandQueueCreate,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_command_queue_desc_t,
    queue: *mut ze_command_queue_handle_t,
) -> ze_result_t {
    if let Err(refusal) = devices::taken(device) {
        return refusal;
    }
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(context, device, desc, queue) };
    if result == ze_result_t::ZE_RESULT_SUCCESS {
        // SAFETY: the driver accepted the descriptor and wrote the handle.
        unsafe { Queue::enter((*queue).number(), context, device, desc, false) };
    }
    result
}

/// # Safety
///
/// As `zeCommandQueueDestroy`.
pub unsafe fn destroy(
    real: fn_types::zeCommandQueueDestroy,
    queue: ze_command_queue_handle_t,
) -> ze_result_t {
    end(queue.number());
    // Taken out first: once it is gone, another thread may be given the same handle.
    gone(queue.number());
    // SAFETY: the program's own call, passed on.
    unsafe { real(queue) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_book_gives_what_was_entered_last() {
        let book = Book::new();
        assert!(book.get(16).is_none());
        book.insert(16, String::from("one"));
        book.insert(16, String::from("two"));
        assert_eq!(book.get(16).map(String::as_str), Some("two"));
        book.remove(16);
        assert!(book.get(16).is_none());
    }
}
