//! What simulated kernels do, whatever the vendor: known by their names.
//!
//! `fcsp_work(u32 iters, u64 counter, u64 add)` takes `iters` times [`SIM_NS_PER_ITER`] and then adds `add` to the
//! counter, unless its address is 0. So does `fcsp_read`, whose first parameters are the same; it takes `add`
//! nanoseconds.
//!
//! `fcsp_stamped(u32 iters, u64 words)` takes as long as `fcsp_work`, and writes when it began and when it ended to two
//! words. `fcsp_chase(u64 set, u32 hops, u32 hit_cycles, u64 words)` takes as long as [`Reads`] says, and writes for each
//! block how many cycles its reads took together, how many there were, and how many of them took `hit_cycles` or less.
//!
//! Any other kernel takes `FCSP_SIM_KERNEL_NS`, else 2 µs plus 5 µs for every wave of threads that the
//! device holds at once, and computes nothing.

use crate::calibration::{CYCLES_PER_US, READ_CYCLES, SIM_NS_PER_ITER};
use crate::config::Config;

const KERNEL_NS_BASE: u64 = 2_000;
const KERNEL_NS_PER_WAVE: u64 = 5_000;

/// A kernel whose arguments say how long it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// `fcsp_work`.
    Work,
    /// `fcsp_read`.
    Read,
}

impl Counted {
    /// The kernel of that name, if it is one of these.
    pub fn of(name: &[u8]) -> Option<Self> {
        match name {
            b"fcsp_work" => Some(Self::Work),
            b"fcsp_read" => Some(Self::Read),
            _ => None,
        }
    }

    /// Device time for the arguments `iters` and `add`.
    pub fn duration_ns(self, iters: u32, add: u64) -> u64 {
        match self {
            Self::Work => u64::from(iters) * SIM_NS_PER_ITER,
            Self::Read => add,
        }
    }
}

/// The reads of a block of `fcsp_chase`: from memory where the program read another set before, else from the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reads {
    /// How many.
    pub count: u64,
    /// Cycles of each.
    pub cycles: u64,
    /// How many count as hits.
    pub hits: u64,
}

impl Reads {
    /// So many of a set, where the set of `before` was read last.
    pub fn of(set: u64, before: u64, hops: u32, hit_cycles: u32) -> Self {
        let cycles = READ_CYCLES[usize::from(set != before)];
        let count = u64::from(hops);
        let hits = if cycles <= u64::from(hit_cycles) {
            count
        } else {
            0
        };
        Self {
            count,
            cycles,
            hits,
        }
    }

    /// Device time.
    pub fn duration_ns(self) -> u64 {
        self.count * self.cycles * 1_000 / CYCLES_PER_US
    }
}

/// Device time of any other kernel of so many threads, on a device that holds `threads_per_wave` at once.
pub fn modelled_ns(config: &Config, threads: u64, threads_per_wave: u64) -> u64 {
    config.kernel_ns.unwrap_or_else(|| {
        KERNEL_NS_BASE
            + threads
                .div_ceil(threads_per_wave)
                .saturating_mul(KERNEL_NS_PER_WAVE)
    })
}
