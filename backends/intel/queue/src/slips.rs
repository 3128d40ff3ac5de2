//! Slips: lists of ours that take one wait or one write into a command queue, and are recorded anew for the next.
//!
//! A list may be recorded anew once it was executed, which its event says. The oldest is looked at first, so where one queue is
//! in use the first look finds one.

use core::ptr;
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use fcsp_gate::Handle;
use level_zero_sys::{ze_command_list_handle_t, ze_command_queue_handle_t, ze_context_handle_t};

use crate::functions::{Functions, Queue};
use crate::markers::append_barrier;
use crate::parts::{Parts, succeeded};
use crate::target::Target;

/// Slips of all devices: a wait and a write for each segment that a process can be ahead, in some queues.
const SLIPS_MAX: usize = 256;
/// Slips that are looked at before another is made.
const LOOKS: usize = 8;

static SLIPS: Mutex<VecDeque<Parts>> = Mutex::new(VecDeque::new());

fn slips() -> MutexGuard<'static, VecDeque<Parts>> {
    // Called under the lock of a device's scheduler; another device's waits for one call of the driver.
    SLIPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Puts what `put` appends to a list into a command queue. `None`, and nothing is there, if the driver refuses.
pub fn execute(
    functions: &impl Functions,
    queue: Queue,
    target: &Target,
    put: impl FnOnce(ze_command_list_handle_t) -> Option<()>,
) -> Option<()> {
    let mut slips = slips();
    let slip = take(functions, &mut slips, target)?;
    let put = fill_and_execute(functions, queue, &slip, put);
    match put {
        Some(()) => slips.push_back(slip),
        // Half recorded, perhaps: of no more use.
        None => slip.destroy(functions),
    }
    put
}

fn take(functions: &impl Functions, slips: &mut VecDeque<Parts>, target: &Target) -> Option<Parts> {
    for _ in 0..LOOKS.min(slips.len()) {
        let slip = slips.pop_front()?;
        if slip.target.takes_those_of(target) && !slip.is_pending(functions) {
            // SAFETY: a list of ours that was executed, and is over.
            succeeded(unsafe { functions.zeCommandListReset()?(slip.list) })?;
            slip.reset(functions)?;
            return Some(slip);
        }
        slips.push_back(slip);
    }
    if slips.len() >= SLIPS_MAX {
        return None;
    }
    Parts::new(functions, *target)
}

fn fill_and_execute(
    functions: &impl Functions,
    queue: Queue,
    slip: &Parts,
    put: impl FnOnce(ze_command_list_handle_t) -> Option<()>,
) -> Option<()> {
    put(slip.list)?;
    append_barrier(functions, slip.list, slip.event)?;
    let queue = ze_command_queue_handle_t::from_number(queue.number());
    let mut list = slip.list;
    // SAFETY: a list of ours; the program's queue.
    unsafe {
        succeeded(functions.zeCommandListClose()?(list))?;
        let execute = functions.zeCommandQueueExecuteCommandLists()?;
        succeeded(execute(queue, 1, &mut list, ptr::null_mut()))
    }
}

/// A context is about to end: slips in it end before.
pub fn forget(functions: &impl Functions, context: ze_context_handle_t) {
    let mut slips = slips();
    for _ in 0..slips.len() {
        let Some(slip) = slips.pop_front() else { break };
        if slip.target.context() == context {
            slip.destroy(functions);
        } else {
            slips.push_back(slip);
        }
    }
}
