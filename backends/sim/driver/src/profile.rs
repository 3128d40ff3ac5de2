//! What the vendors' devices differ in, as far as launches and contexts are concerned.

use fcsp_sim::Comparison;

/// A vendor's device.
#[derive(Debug)]
pub struct Profile {
    /// Name of the library, for messages.
    pub library: &'static str,
    /// Device memory a context takes before anything is allocated.
    pub context_bytes: u64,
    /// Small allocations take multiples of this, larger ones of 2 MiB.
    pub page_bytes: u64,
    /// Rows of pitched memory begin at multiples of this.
    pub pitch_bytes: u64,
    /// Multiprocessors or compute units.
    pub multiprocessors: u32,
    /// Threads each of them can hold.
    pub threads_per_multiprocessor: u32,
    /// Most dynamic shared memory of a block.
    pub shared_bytes_max: u32,
    /// Values of a fresh context's limits, by their number.
    pub limits: &'static [usize],
    /// The lowest and the highest priority of a stream; lower numbers are higher priorities.
    pub priorities: (i32, i32),
    /// How streams wait for a word that is to be at least a value.
    pub at_least: Comparison,
    /// Whether a process may open its own memory handles.
    pub opens_own_handles: bool,
}

impl Profile {
    /// Threads that run at once.
    pub fn threads_per_wave(&self) -> u64 {
        u64::from(self.multiprocessors) * u64::from(self.threads_per_multiprocessor)
    }
}
