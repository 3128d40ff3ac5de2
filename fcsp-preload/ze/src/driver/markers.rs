//! Markers: events that note the time, put into queues by a barrier.
//!
//! An event belongs to a context, and so does what puts it into a queue, so a marker has both made for the context of the
//! queue it goes to, and made anew where it goes to another. A command queue takes whole lists only: a marker has one with
//! nothing but the barrier in it, which is executed again and again.
//!
//! A marker has one owner, the scheduler of one device, which calls under its lock. Only the end of a context comes from
//! elsewhere, when the program says that nothing of it is in use.

use core::ptr;
use core::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fcsp_core::backend::{Elapsed, Marker};
use fcsp_gate::Handle;
use level_zero_sys::{
    ze_command_list_desc_t, ze_command_list_handle_t, ze_command_queue_handle_t,
    ze_context_handle_t, ze_event_desc_t, ze_event_handle_t, ze_event_pool_desc_t,
    ze_event_pool_flag_t, ze_event_pool_handle_t, ze_event_scope_flag_t,
    ze_kernel_timestamp_result_t, ze_result_t, ze_structure_type_t,
};

use crate::hooks::ze;
use crate::queues::{self, Target};

/// Markers of all devices. One scheduler has some dozens.
const MARKERS_MAX: usize = 512;

/// What a marker has made of the driver's.
struct Made {
    target: Target,
    pool: ze_event_pool_handle_t,
    event: ze_event_handle_t,
    /// Null for an immediate list's.
    list: ze_command_list_handle_t,
    recorded: bool,
}

// SAFETY: handles belong to the process; the lock of its place keeps threads apart.
unsafe impl Send for Made {}

static MARKERS: [Mutex<Option<Made>>; MARKERS_MAX] = [const { Mutex::new(None) }; MARKERS_MAX];
static USED: AtomicUsize = AtomicUsize::new(0);

/// A marker that is nowhere yet.
pub fn new() -> Option<Marker> {
    let index = USED.fetch_add(1, Ordering::Relaxed);
    (index < MARKERS_MAX).then_some(Marker(index as u64))
}

fn place(marker: Marker) -> Option<MutexGuard<'static, Option<Made>>> {
    let place = MARKERS.get(marker.0 as usize)?;
    Some(place.lock().unwrap_or_else(PoisonError::into_inner))
}

fn succeeded(result: ze_result_t) -> Option<()> {
    (result == ze_result_t::ZE_RESULT_SUCCESS).then_some(())
}

/// Puts a marker into the queue with that handle.
pub fn record(marker: Marker, queue: u64) -> Option<()> {
    let target = queues::target(queue)?;
    let mut made = place(marker)?;
    if made
        .as_ref()
        .is_some_and(|it| !it.target.takes_those_of(&target))
        && let Some(old) = made.take()
    {
        old.destroy();
    }
    let made = match &mut *made {
        Some(made) => made,
        none => none.insert(Made::new(target)?),
    };
    // One that is still on its way would be taken for this one.
    if made.recorded && made.is_pending() {
        return None;
    }
    // SAFETY: an event of ours that nothing in a queue will signal any more.
    succeeded(unsafe { ze!(zeEventHostReset)?(made.event) })?;
    made.recorded = false;
    let put = if target.is_immediate {
        let list = ze_command_list_handle_t::from_number(queue);
        // SAFETY: the program's list, which it appends to in this call; our event, of its context.
        unsafe { ze!(zeCommandListAppendBarrier)?(list, made.event, 0, ptr::null_mut()) }
    } else {
        let queue = ze_command_queue_handle_t::from_number(queue);
        // SAFETY: the program's queue, and a closed list of ours.
        unsafe {
            ze!(zeCommandQueueExecuteCommandLists)?(queue, 1, &mut made.list, ptr::null_mut())
        }
    };
    succeeded(put)?;
    made.recorded = true;
    Some(())
}

impl Made {
    fn new(target: Target) -> Option<Self> {
        let mut made = Self {
            target,
            pool: ptr::null_mut(),
            event: ptr::null_mut(),
            list: ptr::null_mut(),
            recorded: false,
        };
        if made.fill().is_none() {
            made.destroy();
            return None;
        }
        Some(made)
    }

    fn fill(&mut self) -> Option<()> {
        let pool = ze_event_pool_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_EVENT_POOL_DESC,
            flags: ze_event_pool_flag_t::ZE_EVENT_POOL_FLAG_HOST_VISIBLE.0
                | ze_event_pool_flag_t::ZE_EVENT_POOL_FLAG_KERNEL_TIMESTAMP.0,
            count: 1,
            ..Default::default()
        };
        let event = ze_event_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_EVENT_DESC,
            signal: ze_event_scope_flag_t::ZE_EVENT_SCOPE_FLAG_HOST.0,
            ..Default::default()
        };
        let context: ze_context_handle_t = self.target.context();
        let mut device = self.target.device();
        // SAFETY: the program's context and device; descriptors as the driver wants them; it writes handles.
        unsafe {
            succeeded(ze!(zeEventPoolCreate)?(
                context,
                &pool,
                1,
                &mut device,
                &mut self.pool,
            ))?;
            succeeded(ze!(zeEventCreate)?(self.pool, &event, &mut self.event))?;
        }
        if self.target.is_immediate {
            return Some(());
        }
        let list = ze_command_list_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC,
            commandQueueGroupOrdinal: self.target.group,
            ..Default::default()
        };
        // SAFETY: as above; a list that is recorded once, by us.
        unsafe {
            succeeded(ze!(zeCommandListCreate)?(
                context,
                device,
                &list,
                &mut self.list,
            ))?;
            let barrier = ze!(zeCommandListAppendBarrier)?;
            succeeded(barrier(self.list, self.event, 0, ptr::null_mut()))?;
            succeeded(ze!(zeCommandListClose)?(self.list))
        }
    }

    fn destroy(self) {
        // SAFETY: handles of ours that nobody else knows; what is still under way with them keeps them by itself, and what
        // a driver refuses to destroy is left to the context's end.
        let _left_to_the_context = unsafe {
            [
                (!self.list.is_null())
                    .then(|| ze!(zeCommandListDestroy).map(|destroy| destroy(self.list))),
                (!self.event.is_null())
                    .then(|| ze!(zeEventDestroy).map(|destroy| destroy(self.event))),
                (!self.pool.is_null())
                    .then(|| ze!(zeEventPoolDestroy).map(|destroy| destroy(self.pool))),
            ]
        };
    }

    fn is_pending(&self) -> bool {
        let ask = ze!(zeEventQueryStatus);
        // SAFETY: an event of ours.
        ask.map(|ask| unsafe { ask(self.event) }) == Some(ze_result_t::ZE_RESULT_NOT_READY)
    }

    /// The clock's ticks when it was reached, if it was.
    fn ticks(&self) -> Option<u64> {
        let mut times = ze_kernel_timestamp_result_t::default();
        // SAFETY: an event of ours, in a pool for times; the driver writes them, or fails.
        succeeded(unsafe { ze!(zeEventQueryKernelTimestamp)?(self.event, &mut times) })?;
        Some(times.global.kernelEnd)
    }
}

/// Device time between two markers that were put into queues of one device.
pub fn elapsed(begin: Marker, end: Marker) -> Elapsed {
    let (Some(last), same) = (place(end), begin == end) else {
        return Elapsed::Lost;
    };
    let Some(last) = last.as_ref().filter(|it| it.recorded) else {
        return Elapsed::Lost;
    };
    if last.is_pending() {
        return Elapsed::Pending;
    }
    if same {
        return Elapsed::Ns(0);
    }
    let Some(first) = place(begin) else {
        return Elapsed::Lost;
    };
    let Some(first) = first.as_ref().filter(|it| it.recorded) else {
        return Elapsed::Lost;
    };
    if first.is_pending() {
        return Elapsed::Pending;
    }
    let ticks = first.ticks().zip(last.ticks());
    ticks.map_or(Elapsed::Lost, |(from, to)| {
        Elapsed::Ns(last.target.clock.ns_between(from, to))
    })
}

/// A context is about to end: what markers have in it ends before.
pub fn forget(context: ze_context_handle_t) {
    let used = USED.load(Ordering::Relaxed).min(MARKERS_MAX);
    for place in &MARKERS[..used] {
        let mut made = place.lock().unwrap_or_else(PoisonError::into_inner);
        if made
            .as_ref()
            .is_some_and(|it| it.target.context() == context)
            && let Some(made) = made.take()
        {
            made.destroy();
        }
    }
}
