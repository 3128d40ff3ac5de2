//! The gate in the stream, for HIP: what `fcsp-gate` asks of a driver ([`Streams`]), by functions that whoever
//! makes the gate has found: a table of pointers ([`Driver`]) in programs of our own, the hook table's in the
//! preload library, which must not call its own exports of the same names ([`Functions`]).
//!
//! The words are in memory of the host that every process of the node maps, registered with the driver. The vendor's
//! documentation asks for signal memory (`hipMallocSignalMemory`) to wait on, which belongs to one process; for other
//! memory the runtime waits by a small kernel that looks at the word. Where the driver refuses, the thread waits in
//! place of the stream. None of it has run on hardware.
//!
//! The runtime compares words without regard to the sign (`hipStreamWaitValueGte`; the kernel `__amd_streamOpsWait` of
//! ROCm's device libraries 5.2.3 compares so). Segments are numbered in 32 bits, so once in 2³² segments it cannot tell
//! which of two numbers comes first: there the thread waits in place of the stream.

mod driver;
#[cfg(test)]
mod tests;

use fcsp_gate::Gate;

pub use driver::{Driver, Functions, Streams, new_event};
pub use fcsp_gate::{Handles, Pages, Surroundings};

/// The gate of one device of a program of our own.
pub type HipGate<'a, S> = Gate<'a, Streams<Driver>, S>;
