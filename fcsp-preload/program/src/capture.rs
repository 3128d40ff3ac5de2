//! Which streams are being captured: what goes into a graph is not gated, its launch is.

use core::sync::atomic::Ordering;

use crate::driver::{CodeOf, Driver, StreamOf};
use crate::line::LINE;

/// True while any stream of the process is being captured.
#[inline]
pub fn any() -> bool {
    // While it is 0 nobody asks the driver about any stream.
    // Relaxed: a program that launches in one thread what it captures in another orders the two.
    LINE.captures.load(Ordering::Relaxed) != 0
}

/// True if work submitted to `stream` now goes into a graph.
#[inline]
pub fn captures<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) -> bool {
    any() && asked::<D, PER_THREAD>(stream)
}

#[inline(never)]
fn asked<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) -> bool {
    D::is_capturing::<PER_THREAD>(stream)
}

/// While this lives, the calling thread's own driver calls do not disturb a capture elsewhere.
pub struct Undisturbed<D: Driver>(Option<D::CaptureMode>);

impl<D: Driver> Undisturbed<D> {
    /// Relaxes the calling thread's capture mode, if there is a capture to disturb.
    pub fn enter() -> Self {
        Self(any().then(D::relax_captures).flatten())
    }
}

impl<D: Driver> Drop for Undisturbed<D> {
    fn drop(&mut self) {
        if let Some(mode) = self.0 {
            D::restore_captures(mode);
        }
    }
}

/// A call that begins a capture has given `result`.
pub fn begun<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    if result == D::SUCCESS {
        LINE.captures.fetch_add(1, Ordering::Relaxed);
    }
    result
}

/// Makes a call that ends the capture of `stream`.
pub fn end<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    call: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let before = captures::<D, PER_THREAD>(stream);
    let result = call();
    // A capture that was spoilt ends with an error; a call that the driver refuses ends none.
    let ended = result == D::SUCCESS || before && !captures::<D, PER_THREAD>(stream);
    if ended {
        let _never_below_zero =
            LINE.captures
                .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |count| {
                    count.checked_sub(1)
                });
    }
    result
}
