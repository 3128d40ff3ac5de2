//! The gate in the stream, for vendors whose streams wait on memory:
//! [`StreamGate`](fcsp_core::backend::StreamGate) by waits and writes on memory, and by events as markers.
//!
//! On the path of a launch under contention: the scheduler (`fcsp_core::sched::producer`) asks for a
//! wait, a write or a marker in a queue; [`Gate`] turns the queue into a stream with the help of
//! its [`Surroundings`], the word into a device address ([`Pages`]), and calls the driver through a
//! [`StreamDriver`]. Nothing here allocates, locks or makes a system call of its own, and all of it is
//! dispatched statically.
//!
//! What is not here: which streams a program has, which context is current, what is being captured.
//! That is the preload library's in a program that knows nothing of us (`fcsp-preload/program`), and
//! simple in a program of our own ([`Handles`]). Nor does this crate know any vendor's functions:
//! those are in `backends/<vendor>/queue` for programs of our own, and in the preload library, which has
//! them already and must not call its own exports of the same names.

mod driver;
mod gate;
mod pages;

pub use driver::{Handle, NotMapped, StreamDriver};
pub use gate::{Gate, Handles, Surroundings};
pub use pages::Pages;
