//! What the gate asks of any driver, by Level Zero's functions: [`Streams`].

use core::ffi::c_void;
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use fcsp_core::backend::{Elapsed, Marker};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};
use fcsp_gate::{Handle, NotMapped, StreamDriver};
use level_zero_sys::{ze_command_list_handle_t, ze_result_t};

use crate::functions::{Functions, Queue};
use crate::target::Target;
use crate::{markers, slips};

/// This near to where numbers begin anew a queue does not wait, and its thread does: more than a process can be ahead.
const WRAP: u32 = 1 << 10;

/// Whether a device, which compares without a sign, would come to another end than the arbiter, which counts past the
/// last number.
fn is_misread(word: u32, value: u32) -> bool {
    let is_reached = word.wrapping_sub(value) as i32 >= 0;
    value > u32::MAX - WRAP || (word >= value) != is_reached
}

/// Level Zero's queues, by functions of that origin.
#[derive(Clone, Copy, Debug)]
pub struct Streams<F>(pub F);

impl<F: Functions> Streams<F> {
    /// Puts what `put` appends into a queue.
    fn put(
        &self,
        queue: Queue,
        target: &Target,
        put: impl FnOnce(ze_command_list_handle_t) -> Option<()>,
    ) -> Option<()> {
        if target.is_immediate {
            return put(Handle::from_number(queue.number()));
        }
        slips::execute(&self.0, queue, target, put)
    }
}

impl<F: Functions> StreamDriver for Streams<F> {
    type Stream = Queue;
    type Code = ze_result_t;

    fn map_page(&self, page: &'static GatePage) -> Option<Result<u64, NotMapped<ze_result_t>>> {
        let address = ptr::from_ref(page).cast_mut().cast::<c_void>();
        let mut answer = None;
        for words in self.0.words() {
            // SAFETY: the page is mapped for the life of the process; nobody holds a Rust reference to its contents other
            // than through atomics.
            let code = unsafe { words.import(address, PAGE_BYTES) };
            if code != ze_result_t::ZE_RESULT_SUCCESS {
                let for_now = false;
                return Some(Err(NotMapped { code, for_now }));
            }
            answer = Some(Ok(address.number()));
        }
        answer
    }

    fn wait_value(&self, queue: Queue, address: u64, value: u32) -> bool {
        let Some(target) = self.0.target(queue.number()) else {
            return false;
        };
        if target.is_synchronous || !self.0.queues_wait() {
            return false;
        }
        // SAFETY: a word of the gate page, which is mapped for the life of the process, and has the address on the device
        // that it has here.
        let word = unsafe { AtomicU32::from_ptr(Handle::from_number(address)) };
        if is_misread(word.load(Ordering::Relaxed), value) {
            return false;
        }
        let words = target.words.filter(|words| words.work(&self.0, &target));
        words.is_some_and(|words| {
            // SAFETY: a word of a page that was imported for the life of the process.
            self.put(queue, &target, |list| unsafe {
                words.append_wait(list, address, value)
            })
            .is_some()
        })
    }

    fn write_value(&self, queue: Queue, address: u64, value: u32) -> bool {
        let Some(target) = self.0.target(queue.number()) else {
            return false;
        };
        let words = target.words.filter(|words| words.work(&self.0, &target));
        words.is_some_and(|words| {
            self.put(queue, &target, |list| {
                markers::append_barrier(&self.0, list, ptr::null_mut())?;
                // SAFETY: as above; what lies behind the word is its own.
                unsafe { words.append_write(list, address, value) }
            })
            .is_some()
        })
    }

    fn marker(&self) -> Option<Marker> {
        markers::new()
    }

    fn record(&self, marker: Marker, queue: Queue) -> bool {
        markers::record(&self.0, marker, queue).is_some()
    }

    fn record_before(&self, marker: Marker, queue: Queue) -> bool {
        markers::record_before(&self.0, marker, queue).is_some()
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        markers::elapsed(&self.0, begin, end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_waits_only_for_what_its_device_compares_as_the_arbiter_does() {
        assert!(!is_misread(0, 1) && !is_misread(1, 1) && !is_misread(7, 3));
        assert!(!is_misread(1 << 20, 1 << 31) && !is_misread(u32::MAX - 5000, u32::MAX - 4000));
        assert!(is_misread(u32::MAX - 3, u32::MAX - 1), "it may be skipped");
        assert!(is_misread(u32::MAX - 3, 2), "it would pass at once");
        assert!(!is_misread(1, 2));
    }
}
