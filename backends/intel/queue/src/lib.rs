//! The gate in a Level Zero queue: what `fcsp-gate` asks of a driver ([`Streams`]), by functions that whoever makes the
//! gate has found ([`Functions`]).
//!
//! A queue is a command queue or an immediate list. The specification lets neither wait for a word in memory nor write one;
//! Intel's driver does ([`level_zero_sys::intel`]), and takes pages of the host for it once they are imported. Memory that
//! it does not know it copies aside without a word, and a wait for the copy never ends. So nothing is waited for or written
//! before the driver has shown that it writes to imported pages ([`Words`]); a driver that does not is judged by markers.
//!
//! Immediate lists take a wait or a write as they are. Command queues take whole lists: of these there are some that are
//! recorded anew for each (`slips.rs`). Calls on a queue whose mode is synchronous come back when all is done, so such a queue never waits
//! for a grant: its thread does.
//!
//! **Whether queues wait at all** says [`Functions::queues_wait`]. On Intel's hardware every wait in a queue, for a word as
//! for an event or a semaphore, is a command that polls (`MI_SEMAPHORE_WAIT`), and Linux's drivers forbid a context to
//! give way at it (`CTX_CTRL_INHIBIT_SYN_CTX_SWITCH` in xe and i915). So a queue that waits for its turn would
//! have the engine for its time slices, a millisecond each, in the turn of whom it waits for. Words that the device
//! writes cost nobody anything.
//!
//! None of it has run on hardware.

pub mod bracket;
mod driver;
mod functions;
mod markers;
mod parts;
mod slips;
mod target;
#[cfg(test)]
mod tests;
mod words;

use fcsp_gate::Gate;

pub use driver::Streams;
pub use fcsp_gate::{Handles, Pages, Surroundings};
pub use functions::{Driver, Functions, Queue};
pub use markers::forget as forget_markers;
pub use slips::forget as forget_slips;
pub use target::{Clock, Target};
pub use words::Words;

/// The gate of one device of a program of our own.
pub type ZeGate<'a, F, S> = Gate<'a, Streams<F>, S>;

/// A context is about to end: what the gate has in it ends before. Call it with nothing of the context in use.
pub fn forget_context<F: Functions>(functions: &F, context: level_zero_sys::ze_context_handle_t) {
    markers::forget(functions, context);
    slips::forget(functions, context);
}
