//! What stands in a command list.

use crate::event::{Event, timestamps};
use crate::launch::Launch;
use fcsp_sim::{Effect, Gate, Op, Width, now_ns};
use fcsp_sim_driver::transfer::Transfer;
use level_zero_sys::ze_kernel_timestamp_result_t;
use std::sync::Arc;

/// A command, recorded once and executed any number of times.
pub struct Command {
    /// What it does.
    pub action: Action,
    /// What it signals when done.
    pub signal: Option<Arc<Event>>,
    /// What it waits for.
    pub waits: Vec<Arc<Event>>,
}

/// What a command does.
pub enum Action {
    /// Nothing: barriers, hints, waits and signals alone.
    Nothing,
    /// Kernels.
    Launch(Launch),
    /// A copy, or a fill with a short pattern.
    Transfer(Transfer),
    /// A fill with a long pattern.
    Fill {
        /// Where to.
        target: u64,
        /// What with.
        pattern: Arc<[u8]>,
        /// How much.
        bytes: u64,
    },
    /// Resets an event.
    Reset(Arc<Event>),
    /// Waits for a word in memory.
    Wait(Gate),
    /// Writes a word of 64 bits.
    Write {
        /// Where to.
        address: u64,
        /// What.
        value: u64,
    },
    /// Writes the device's time.
    Timestamp {
        /// Where to.
        target: u64,
    },
    /// Writes the times of events.
    Times {
        /// Whose.
        events: Arc<[Arc<Event>]>,
        /// Where to, each.
        targets: Arc<[u64]>,
    },
    /// Calls the program.
    Host(Arc<dyn Fn() + Send + Sync>),
}

impl Action {
    /// The operations for a queue.
    pub fn ops(&self, ops: &mut Vec<Op>) {
        match self {
            Self::Nothing => {}
            Self::Launch(launch) => launch.ops(ops),
            Self::Transfer(transfer) => ops.push(transfer.op()),
            Self::Fill {
                target,
                pattern,
                bytes,
            } => {
                let (target, pattern, bytes) = (*target, Arc::clone(pattern), *bytes);
                ops.push(Op::Work {
                    duration_ns: Transfer::fill(target, bytes, 0, 1, bytes, 1).duration_ns(),
                    effect: Effect::Run(Box::new(move || fill(target, &pattern, bytes))),
                });
            }
            Self::Reset(event) => ops.push(event.write(0)),
            Self::Wait(gate) => ops.push(Op::Wait(*gate)),
            Self::Write { address, value } => ops.push(Op::Write {
                address: *address,
                width: Width::Bits64,
                value: *value,
            }),
            Self::Timestamp { target } => {
                let target = *target as *mut u64;
                let address = target.expose_provenance();
                ops.push(Op::Call(Box::new(move || {
                    let place = std::ptr::with_exposed_provenance_mut::<u64>(address);
                    // SAFETY: the program vouched for the address until the command is done.
                    unsafe { place.write_unaligned(now_ns()) };
                })));
            }
            Self::Times { events, targets } => {
                let (events, targets) = (Arc::clone(events), Arc::clone(targets));
                ops.push(Op::Call(Box::new(move || {
                    for (event, target) in events.iter().zip(targets.iter()) {
                        let (begin_ns, end_ns) = event.times_ns().unwrap_or_default();
                        let place = *target as *mut ze_kernel_timestamp_result_t;
                        // SAFETY: the program vouched for the address until the command is done.
                        unsafe { place.write_unaligned(timestamps(begin_ns, end_ns)) };
                    }
                })));
            }
            Self::Host(call) => {
                let call = Arc::clone(call);
                ops.push(Op::Call(Box::new(move || call())));
            }
        }
    }
}

fn fill(target: u64, pattern: &[u8], bytes: u64) {
    if let [value] = *pattern {
        // SAFETY: a range of device memory that was checked when the command was recorded.
        unsafe { std::ptr::write_bytes(target as *mut u8, value, bytes as usize) };
        return;
    }
    for at in (0..bytes).step_by(pattern.len()) {
        let length = pattern.len().min((bytes - at) as usize);
        // SAFETY: a range of device memory that was checked when the command was recorded.
        unsafe {
            std::ptr::copy_nonoverlapping(pattern.as_ptr(), (target + at) as *mut u8, length);
        }
    }
}
