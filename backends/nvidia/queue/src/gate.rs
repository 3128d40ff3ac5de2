//! [`CudaGate`], and what it asks of the program it runs in ([`Surroundings`]).

use core::ptr;
use core::sync::atomic::AtomicU32;

use cuda_sys::{CUevent, CUevent_flags, CUresult, CUstream, CUstreamWaitValue_flags};
use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};

use crate::driver::succeeded;
use crate::pages::Pages;

/// What a gate asks of the program it runs in: how queues are streams there. Nothing may wait for
/// the device.
pub trait Surroundings {
    /// What is kept while the gate calls the driver.
    type Held;

    /// Called before the gate calls the driver; what it returns is dropped afterwards.
    fn hold(&self) -> Self::Held;

    /// Runs `call` with the stream behind `queue`, as the calling thread must name it, in a context
    /// in which that is possible. False if there is none, else what `call` says.
    fn within(&self, queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool;

    /// As [`within`](Self::within), with any stream in which what is put comes after everything in
    /// `queue`.
    fn behind(&self, queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool;

    /// The driver does not map the gate page, and said why.
    fn not_mapped(&self, code: CUresult);
}

/// A program of our own: one context per device, current in the calling thread; a queue's number is
/// its stream's handle; nothing is captured.
#[derive(Clone, Copy, Debug)]
pub struct Handles;

impl Handles {
    /// The queue that `stream` is: a created stream, `CU_STREAM_LEGACY` or `CU_STREAM_PER_THREAD`.
    pub fn queue(stream: CUstream) -> QueueId {
        QueueId(stream.expose_provenance() as u64)
    }

    /// The stream that `queue` is.
    pub fn stream(queue: QueueId) -> CUstream {
        ptr::with_exposed_provenance_mut(queue.0 as usize)
    }
}

impl Surroundings for Handles {
    type Held = ();

    fn hold(&self) {}

    fn within(&self, queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
        call(Self::stream(queue))
    }

    fn behind(&self, queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
        call(Self::stream(queue))
    }

    /// The refused wait or write says it.
    fn not_mapped(&self, _: CUresult) {}
}

/// The gate of one device of this process.
#[derive(Clone, Copy, Debug)]
pub struct CudaGate<'a, S> {
    pages: &'a Pages,
    surroundings: S,
}

impl<'a, S: Surroundings> CudaGate<'a, S> {
    /// A gate whose words lie in `pages`.
    pub fn new(pages: &'a Pages, surroundings: S) -> Self {
        Self {
            pages,
            surroundings,
        }
    }

    fn device_address(&self, word: &AtomicU32) -> Option<u64> {
        let not_mapped = |code| self.surroundings.not_mapped(code);
        self.pages.device_address(word, not_mapped)
    }
}

impl<S: Surroundings> StreamGate for CudaGate<'_, S> {
    fn wait(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let _held = self.surroundings.hold();
        let Some(address) = self.device_address(word) else {
            return false;
        };
        let Some(wait) = self.pages.driver.wait_value else {
            return false;
        };
        let flags = CUstreamWaitValue_flags::CU_STREAM_WAIT_VALUE_GEQ.0;
        self.surroundings.within(queue, |stream| {
            // SAFETY: the word is pinned for the life of the process.
            succeeded(unsafe { wait(stream, address, value, flags) })
        })
    }

    fn write(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let _held = self.surroundings.hold();
        let Some(address) = self.device_address(word) else {
            return false;
        };
        let Some(write) = self.pages.driver.write_value else {
            return false;
        };
        self.surroundings.behind(queue, |stream| {
            // SAFETY: the word is pinned for the life of the process, and written by the device only.
            succeeded(unsafe { write(stream, address, value, 0) })
        })
    }

    fn marker(&self) -> Option<Marker> {
        let _held = self.surroundings.hold();
        let event = self.pages.driver.event(CUevent_flags::CU_EVENT_DEFAULT)?;
        Some(Marker(event.expose_provenance() as u64))
    }

    fn record(&self, marker: Marker, queue: QueueId) -> bool {
        let _held = self.surroundings.hold();
        let Some(record) = self.pages.driver.event_record else {
            return false;
        };
        self.surroundings.within(queue, |stream| {
            // SAFETY: an event of ours; the driver checks that it fits the stream's context.
            succeeded(unsafe { record(event_of(marker), stream) })
        })
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let _held = self.surroundings.hold();
        let Some(elapsed) = self.pages.driver.event_elapsed else {
            return Elapsed::Lost;
        };
        let mut milliseconds = 0.0_f32;
        // SAFETY: events of ours; the driver writes one number.
        match unsafe { elapsed(&mut milliseconds, event_of(begin), event_of(end)) } {
            CUresult::CUDA_SUCCESS => Elapsed::Ns((f64::from(milliseconds.max(0.0)) * 1e6) as u64),
            CUresult::CUDA_ERROR_NOT_READY => Elapsed::Pending,
            _ => Elapsed::Lost,
        }
    }
}

fn event_of(marker: Marker) -> CUevent {
    ptr::with_exposed_provenance_mut(marker.0 as usize)
}
