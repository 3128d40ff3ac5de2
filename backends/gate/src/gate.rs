//! [`Gate`], and what it asks of the program it runs in ([`Surroundings`]).

use core::sync::atomic::{AtomicU32, Ordering};

use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};

use crate::driver::{Handle, StreamDriver};
use crate::pages::Pages;

/// What a gate asks of the program it runs in: how queues are streams there. Nothing may wait for
/// the device.
pub trait Surroundings<D: StreamDriver> {
    /// What is kept while the gate calls the driver.
    type Held;

    /// Called before the gate calls the driver; what it returns is dropped afterwards.
    fn hold(&self) -> Self::Held;

    /// Runs `call` with the stream behind `queue`, as the calling thread must name it, in a context
    /// in which that is possible. False if there is none, else what `call` says.
    fn within(&self, queue: QueueId, call: impl FnOnce(D::Stream) -> bool) -> bool;

    /// As [`within`](Self::within), with any stream in which what is put comes after everything in
    /// `queue`.
    fn behind(&self, queue: QueueId, call: impl FnOnce(D::Stream) -> bool) -> bool;

    /// The driver does not map the gate page, and said why.
    fn not_mapped(&self, code: D::Code);
}

/// A program of our own: one context per device, current in the calling thread; a queue's number is
/// its stream's handle; nothing is captured.
#[derive(Clone, Copy, Debug)]
pub struct Handles;

impl Handles {
    /// The queue that `stream` is: a created stream, or a default stream by its name.
    pub fn queue(stream: impl Handle) -> QueueId {
        QueueId(stream.number())
    }

    /// The stream that `queue` is.
    pub fn stream<S: Handle>(queue: QueueId) -> S {
        S::from_number(queue.0)
    }
}

impl<D: StreamDriver> Surroundings<D> for Handles {
    type Held = ();

    fn hold(&self) {}

    fn within(&self, queue: QueueId, call: impl FnOnce(D::Stream) -> bool) -> bool {
        call(Self::stream(queue))
    }

    fn behind(&self, queue: QueueId, call: impl FnOnce(D::Stream) -> bool) -> bool {
        call(Self::stream(queue))
    }

    /// The refused wait or write says it.
    fn not_mapped(&self, _: D::Code) {}
}

/// The gate of one device of this process.
#[derive(Clone, Copy, Debug)]
pub struct Gate<'a, D, S> {
    pages: &'a Pages,
    driver: D,
    surroundings: S,
}

impl<'a, D: StreamDriver, S: Surroundings<D>> Gate<'a, D, S> {
    /// A gate whose words lie in `pages`.
    #[inline]
    pub const fn new(pages: &'a Pages, driver: D, surroundings: S) -> Self {
        Self {
            pages,
            driver,
            surroundings,
        }
    }

    #[inline]
    fn device_address(&self, word: &AtomicU32) -> Option<u64> {
        let not_mapped = |code| self.surroundings.not_mapped(code);
        self.pages.device_address(word, &self.driver, not_mapped)
    }
}

impl<D: StreamDriver, S: Surroundings<D>> StreamGate for Gate<'_, D, S> {
    fn wait(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        // Relaxed: how far the word is, about.
        if !D::can_wait(word.load(Ordering::Relaxed), value) {
            return false;
        }
        let _held = self.surroundings.hold();
        let Some(address) = self.device_address(word) else {
            return false;
        };
        self.surroundings.within(queue, |stream| {
            self.driver.wait_value(stream, address, value)
        })
    }

    fn write(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let _held = self.surroundings.hold();
        let Some(address) = self.device_address(word) else {
            return false;
        };
        self.surroundings.behind(queue, |stream| {
            self.driver.write_value(stream, address, value)
        })
    }

    fn marker(&self) -> Option<Marker> {
        let _held = self.surroundings.hold();
        self.driver.marker()
    }

    fn record(&self, marker: Marker, queue: QueueId) -> bool {
        let _held = self.surroundings.hold();
        self.surroundings
            .within(queue, |stream| self.driver.record(marker, stream))
    }

    fn record_before(&self, marker: Marker, queue: QueueId) -> bool {
        let _held = self.surroundings.hold();
        self.surroundings
            .within(queue, |stream| self.driver.record_before(marker, stream))
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let _held = self.surroundings.hold();
        self.driver.elapsed(begin, end)
    }
}
