//! What a gate asks of a vendor's driver: [`StreamDriver`].

use core::fmt::Debug;
use core::ptr;

use fcsp_core::backend::{Elapsed, Marker};
use fcsp_core::region::layout::GatePage;

/// A vendor's handle, which is an address that nobody here looks behind.
pub trait Handle: Copy + PartialEq {
    /// No object.
    const NULL: Self;

    /// The handle as a number.
    fn number(self) -> u64;

    /// The handle that is that number.
    fn from_number(number: u64) -> Self;

    /// Whether it is the handle of no object.
    #[inline(always)]
    fn is_null(self) -> bool {
        self.number() == 0
    }
}

impl<T> Handle for *mut T {
    const NULL: Self = ptr::null_mut();

    #[inline(always)]
    fn number(self) -> u64 {
        self.expose_provenance() as u64
    }

    #[inline(always)]
    fn from_number(number: u64) -> Self {
        ptr::with_exposed_provenance_mut(number as usize)
    }
}

/// Why a page is not mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMapped<C> {
    /// The driver's answer.
    pub code: C,
    /// Whether it may do so later: there is no context yet, say.
    pub for_now: bool,
}

/// The driver's functions that a gate calls. None of them waits for the device. Any thread may call them.
pub trait StreamDriver: Copy {
    /// A stream.
    type Stream: Handle;
    /// What the driver's functions return.
    type Code: Copy + Debug + PartialEq;

    /// Pins the gate page of this process, [`PAGE_BYTES`](fcsp_core::region::layout::PAGE_BYTES) long; gives the address by which streams wait
    /// on it and write to it. `None` in the driver's place if it lacks the function. A page that is pinned already is
    /// no error.
    ///
    /// # Errors
    /// If the driver does not pin it.
    fn map_page(&self, page: &'static GatePage) -> Option<Result<u64, NotMapped<Self::Code>>>;

    /// Whether the device can tell when a word that is `word` now reaches `value`. Both are numbers that wrap, and no
    /// more than the segments that a process may have open lie between them. True unless the driver compares in another
    /// way than [`wait_value`](Self::wait_value) says.
    #[inline]
    fn can_wait(_word: u32, _value: u32) -> bool {
        true
    }

    /// Makes `stream` wait until the word at `address`, less `value`, is at least 0 as a signed number of 32 bits.
    /// False if the driver refuses.
    fn wait_value(&self, stream: Self::Stream, address: u64, value: u32) -> bool;

    /// Makes `stream` write `value` to the word at `address` after everything before it. False if the driver refuses.
    fn write_value(&self, stream: Self::Stream, address: u64, value: u32) -> bool;

    /// A new event that notes the time, in the current context.
    fn marker(&self) -> Option<Marker>;

    /// Lets an event of [`marker`](Self::marker) note the time in `stream`. False if the driver refuses.
    fn record(&self, marker: Marker, stream: Self::Stream) -> bool;

    /// As [`record`](Self::record), where what is to be measured goes into `stream` next, from the same thread.
    #[inline]
    fn record_before(&self, marker: Marker, stream: Self::Stream) -> bool {
        self.record(marker, stream)
    }

    /// Device time between two recorded events.
    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed;
}
