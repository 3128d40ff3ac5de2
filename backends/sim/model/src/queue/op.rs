//! What can stand in a stream.

use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};

/// What a finished operation does to memory.
pub enum Effect {
    /// Nothing.
    None,
    /// Adds to a 64-bit counter, as a system-scope atomic.
    AddU64 {
        /// Address of the counter, a multiple of 8.
        address: u64,
        /// What to add.
        add: u64,
    },
    /// Writes when it was done into a 64-bit word: the device's clock, which is `CLOCK_MONOTONIC` in nanoseconds.
    Stamp {
        /// Address of the word, a multiple of 8.
        address: u64,
    },
    /// Anything else. Runs on whichever thread notices; must not call into the queues.
    Run(Box<dyn FnOnce() + Send>),
}

impl Effect {
    /// Does it. `done_ns` is when the operation was done.
    pub(super) fn apply(self, done_ns: u64) {
        match self {
            Self::None => {}
            Self::AddU64 { address, add } => {
                // SAFETY: whoever submitted the operation vouched for the address until it is done.
                let counter = unsafe { AtomicU64::from_ptr(address as *mut u64) };
                // Release: results written before by this process are visible with the count.
                counter.fetch_add(add, Release);
            }
            Self::Stamp { address } => write_word(address, Width::Bits64, done_ns),
            Self::Run(run) => run(),
        }
    }
}

/// Width of a word in memory that a stream waits for or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Width {
    /// 4 bytes.
    Bits32,
    /// 8 bytes.
    Bits64,
}

impl Width {
    /// Bytes, which is also the alignment.
    pub fn bytes(self) -> u64 {
        match self {
            Self::Bits32 => 4,
            Self::Bits64 => 8,
        }
    }
}

/// How a word is compared with the value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `word - value >= 0` as a signed number: counters may wrap.
    AtLeast,
    /// `word >= value` as numbers without a sign.
    NotLess,
    /// `word == value`.
    Equal,
    /// `word & value != 0`.
    And,
    /// `!(word | value) != 0`, among the bits that count.
    Nor,
}

/// A stream goes on once a word in memory satisfies a condition.
#[derive(Clone, Copy, Debug)]
pub struct Gate {
    /// Address of the word.
    pub address: u64,
    /// Its width.
    pub width: Width,
    /// The condition.
    pub comparison: Comparison,
    /// What to compare with.
    pub value: u64,
    /// Bits of the word that count.
    pub mask: u64,
}

impl Gate {
    /// Looks at the word.
    fn open(&self) -> bool {
        match self.width {
            Width::Bits32 => {
                // SAFETY: the submitter checked alignment and vouched for the address.
                let word = unsafe { AtomicU32::from_ptr(self.address as *mut u32) }.load(Acquire);
                let (value, mask) = (self.value as u32, self.mask as u32);
                let word = word & mask;
                match self.comparison {
                    Comparison::AtLeast => word.wrapping_sub(value) as i32 >= 0,
                    Comparison::NotLess => word >= value,
                    Comparison::Equal => word == value,
                    Comparison::And => word & value != 0,
                    Comparison::Nor => !(word | value) & mask != 0,
                }
            }
            Width::Bits64 => {
                // SAFETY: as above.
                let word = unsafe { AtomicU64::from_ptr(self.address as *mut u64) }.load(Acquire);
                let (value, mask) = (self.value, self.mask);
                let word = word & mask;
                match self.comparison {
                    Comparison::AtLeast => word.wrapping_sub(value) as i64 >= 0,
                    Comparison::NotLess => word >= value,
                    Comparison::Equal => word == value,
                    Comparison::And => word & value != 0,
                    Comparison::Nor => !(word | value) & mask != 0,
                }
            }
        }
    }
}

/// A gate in a stream, and what was seen of it.
pub(super) struct Watched {
    pub(super) gate: Gate,
    /// When it opened, as far as can be told, if it was open at the last look.
    pub(super) open_ns: Option<u64>,
    closed_ns: Option<u64>,
}

impl Watched {
    /// A gate that enters its stream now.
    pub(super) fn new(gate: Gate, now_ns: u64) -> Self {
        let mut watched = Self {
            gate,
            open_ns: None,
            closed_ns: None,
        };
        watched.look(now_ns);
        watched
    }

    /// Looks at the word. A gate seen open before its turn costs nothing when the turn comes, as on
    /// hardware. One that opened since the last look most likely did so in the middle.
    pub(super) fn look(&mut self, now_ns: u64) {
        if self.gate.open() {
            let likely_ns = self.closed_ns.map_or(now_ns, |ns| ns.midpoint(now_ns));
            self.open_ns.get_or_insert(likely_ns);
        } else {
            self.open_ns = None;
            self.closed_ns = Some(now_ns);
        }
    }
}

/// Writes a word as the device does: after everything before it in the stream.
pub(super) fn write_word(address: u64, width: Width, value: u64) {
    match width {
        Width::Bits32 => {
            // SAFETY: the submitter checked alignment and vouched for the address.
            unsafe { AtomicU32::from_ptr(address as *mut u32) }.store(value as u32, Release);
        }
        Width::Bits64 => {
            // SAFETY: as above.
            unsafe { AtomicU64::from_ptr(address as *mut u64) }.store(value, Release);
        }
    }
}

/// One operation of a stream.
pub enum Op {
    /// Takes device time, then has an effect.
    Work {
        /// Device time before jitter.
        duration_ns: u64,
        /// What it does when done.
        effect: Effect,
    },
    /// Holds the stream back, at no cost of device time of its own, until the device has come to this
    /// process; what stands before a time stamp, which a device takes only then.
    Arrive,
    /// Has an effect once everything before it is done, at no cost of device time. Nobody is in a
    /// hurry to see it.
    Instant(Effect),
    /// Writes a word that the host or another stream may wait for.
    Write {
        /// Address, aligned to the width.
        address: u64,
        /// Width of the word.
        width: Width,
        /// The value.
        value: u64,
    },
    /// Holds the stream back until a word satisfies a condition.
    Wait(Gate),
    /// Runs on the worker thread with nothing locked; holds the stream back meanwhile.
    Call(Box<dyn FnOnce() + Send>),
    /// Holds the stream back until the function says so; for what this process cannot predict.
    Until(Box<dyn Fn() -> bool + Send>),
}

impl Op {
    /// Whether it can only be judged once everything before it in the stream is done.
    pub(super) fn needs_drained_stream(&self) -> bool {
        matches!(self, Self::Call(_) | Self::Until(_))
    }
}
