//! The gate in the stream, for CUDA: [`StreamGate`](fcsp_core::backend::StreamGate) by waits and
//! writes on memory, and by events as markers.
//!
//! On the path of a launch under contention: the scheduler (`fcsp_core::sched::producer`) asks for a
//! wait, a write or a marker in a queue; [`CudaGate`] turns the queue into a stream with the help of
//! its [`Surroundings`], the word into a device address ([`Pages`]), and calls the driver through the
//! pointers of a [`Driver`] table. Nothing here allocates, locks or makes a system call of its own.
//!
//! What is not here: which streams a program has, which context is current, what is being captured.
//! That is the preload library's in a program that knows nothing of us (`fcsp-preload/cuda`), and
//! simple in a program of our own ([`Handles`]). Nor does this crate find the driver's functions: the
//! preload library has them already, and must not call its own exports of the same names.
//!
//! It is a crate of its own and not a feature of `fcsp-backend-nvidia`, because cargo unites the
//! features of all packages of a build: built together with the tools, the preload library would get
//! NVML, the loader of libraries and the tools' registration into every program it is loaded into.

mod driver;
mod gate;
mod pages;
#[cfg(test)]
mod tests;

pub use driver::Driver;
pub use gate::{CudaGate, Handles, Surroundings};
pub use pages::Pages;
