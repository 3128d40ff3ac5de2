//! The gate in the stream, for CUDA: what `fcsp-gate` asks of a driver ([`Streams`]), by functions that whoever
//! makes the gate has found: a table of pointers ([`Driver`]) in programs of our own, the hook table's in the
//! preload library, which must not call its own exports of the same names ([`Functions`]).
//!
//! It is a crate of its own and not a feature of `fcsp-backend-nvidia`, because cargo unites the
//! features of all packages of a build: built together with the tools, the preload library would get
//! NVML, the loader of libraries and the tools' registration into every program it is loaded into.

mod driver;
#[cfg(test)]
mod tests;

use fcsp_gate::Gate;

pub use driver::{Driver, Functions, Streams, new_event};
pub use fcsp_gate::{Handles, Pages, Surroundings};

/// The gate of one device of a program of our own.
pub type CudaGate<'a, S> = Gate<'a, Streams<Driver>, S>;
