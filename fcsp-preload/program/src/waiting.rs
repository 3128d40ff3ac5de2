//! Calls that wait for the device, or ask whether it is done.
//!
//! A thread that is about to wait ends the open segment, so that what it waits for can be granted
//! and its end seen. A thread that would not have to wait ends nothing. After a wait memory pools may have given
//! memory back. While nobody is gated and no pool is in use these are not reached.

use crate::driver::{CodeOf, Driver};
use crate::memory::pool::settle::{self, Leaving};
use crate::queue::gate;
use crate::turn::{about_to_wait, for_each_gated, waited, waited_for_event};
use crate::{capture, device, usage_rhythm};

/// True if nobody but pools is concerned by a wait, or by a question that stands for one: nobody is gated, and
/// nobody wants to know that the program is at work. As for a launch, a process of several devices looks for each of them
/// behind the wrapper.
#[inline(always)]
pub fn unnoticed() -> bool {
    device::passes() && !usage_rhythm::is_listening()
}

/// True if a wait concerns neither the scheduler nor the account of any pool.
#[inline(always)]
pub fn nothing_to_do() -> bool {
    unnoticed() && !settle::in_use()
}

/// Makes a call that asks; the scheduler is told if the answer is no.
pub fn ask<D: Driver>(call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    told_no::<D>(call())
}

/// Tells the scheduler that this thread asked and was told no.
fn told_no<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    usage_rhythm::stirred();
    if result == D::NOT_READY {
        for_each_gated(|device| device.producer.unanswered(&gate::<D>(device)));
    }
    result
}

/// Makes a call that waits for everything of the calling thread's context.
pub fn for_all<D: Driver>(call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    about_to_wait::<D>();
    settle::about_to_wait();
    let leaving = Leaving::take::<D>();
    let result = waited::<D>(call());
    leaving.waited::<D>(result);
    settle::waited::<D>(result)
}

/// Makes a call that waits for a stream, or for all of another context.
pub fn for_some<D: Driver>(call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    about_to_wait::<D>();
    settle::about_to_wait();
    settle::waited::<D>(waited::<D>(call()))
}

/// Makes a call that waits for an event; `has_happened` asks the driver whether it is over.
pub fn for_event<D: Driver>(
    has_happened: impl FnOnce() -> bool,
    call: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    if !device::all_pass() && (capture::any() || !has_happened()) {
        about_to_wait::<D>();
    }
    usage_rhythm::stirred();
    settle::about_to_wait();
    settle::waited::<D>(waited_for_event::<D>(call()))
}
