//! Markers: events that note the time, put into queues by a barrier.
//!
//! An event belongs to a context, and so does what puts it into a queue, so a marker has both made for the context of the
//! queue it goes to, and made anew where it goes to another. A command queue takes whole lists only: a marker has one with
//! nothing but the barrier in it, which is executed again and again.
//!
//! A marker has one owner, the scheduler of one device, which calls under its lock. Only the end of a context comes from
//! elsewhere, when the program says that nothing of it is in use.

use core::ptr;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use fcsp_core::backend::{Elapsed, Marker};
use fcsp_gate::Handle;
use level_zero_sys::{
    ze_command_list_handle_t, ze_command_queue_handle_t, ze_context_handle_t, ze_event_handle_t,
    ze_kernel_timestamp_result_t,
};

use crate::bracket;
use crate::functions::{Functions, Queue};
use crate::parts::{Parts, succeeded};
use crate::target::Target;

/// Markers of all devices. One scheduler has some dozens.
const MARKERS_MAX: usize = 512;

/// What a marker is made of.
pub(crate) struct Made {
    parts: Parts,
    recorded: bool,
    /// It stands for the beginning of the kernel that signals this event, which is another's.
    begins_with: Option<(u64, u64)>,
    /// Which recording it is.
    generation: u64,
}

impl Made {
    /// The event.
    pub(crate) fn event(&self) -> ze_event_handle_t {
        self.parts.event
    }

    /// The list with its barrier.
    pub(crate) fn list(&self) -> ze_command_list_handle_t {
        self.parts.list
    }
}

/// Recordings so far.
static GENERATIONS: AtomicU64 = AtomicU64::new(1);
/// What no marker has: to stand at the end of a submission, for a marker to take it.
static SPARES: Mutex<Vec<Made>> = Mutex::new(Vec::new());
/// Spares that are looked at before another is made.
const LOOKS: usize = 4;

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

/// Appends a barrier that signals an event, if there is one.
pub fn append_barrier(
    functions: &impl Functions,
    list: ze_command_list_handle_t,
    event: ze_event_handle_t,
) -> Option<()> {
    let append = functions.zeCommandListAppendBarrier()?;
    // SAFETY: a list of ours, or the program's, which it appends to in this call; our event, of its context.
    succeeded(unsafe { append(list, event, 0, ptr::null_mut()) })
}

fn spares() -> MutexGuard<'static, Vec<Made>> {
    SPARES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One that nobody needs.
pub(crate) fn spare(made: Made) {
    spares().push(made);
}

/// One for a queue, ready to be signalled.
pub(crate) fn take_spare(functions: &impl Functions, target: Target) -> Option<Made> {
    let mut spares = spares();
    let is_free = |it: &Made| {
        it.parts.target.takes_those_of(&target) && !(it.recorded && it.parts.is_pending(functions))
    };
    let found = spares.iter().rev().take(LOOKS).position(is_free);
    let mut made = match found {
        Some(at) => {
            let at = spares.len() - 1 - at;
            spares.remove(at)
        }
        None => Made::new(functions, target)?,
    };
    made.parts.reset(functions)?;
    made.recorded = true;
    made.begins_with = None;
    made.generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
    Some(made)
}

/// The list of a marker that is parked.
pub(crate) fn list_of(marker: Marker) -> Option<ze_command_list_handle_t> {
    Some(place(marker)?.as_ref()?.parts.list)
}

/// A marker that was parked is in its queue.
pub(crate) fn was_put(marker: Marker) {
    if let Some(made) = place(marker).as_mut().and_then(|it| it.as_mut()) {
        made.recorded = true;
    }
}

/// A marker that was parked stands for the beginning of the kernel that `end` is signalled by.
pub(crate) fn begins_with(marker: Marker, end: &Made) {
    if let Some(made) = place(marker).as_mut().and_then(|it| it.as_mut()) {
        made.begins_with = Some((end.parts.event.number(), end.generation));
        made.recorded = true;
    }
}

/// Puts a marker into its queue that was parked.
pub(crate) fn put_parked(functions: &impl Functions, marker: Marker, queue: u64) {
    if let Some(made) = place(marker).as_mut().and_then(|it| it.as_mut()) {
        made.recorded = made.put(functions, Handle::from_number(queue)).is_some();
    }
}

/// Puts a marker into a queue, together with what is submitted there next if the thread has said that it can wait for that.
pub fn record_before(functions: &impl Functions, marker: Marker, queue: Queue) -> Option<()> {
    let mut made = ready(functions, marker, queue)?;
    if bracket::park(marker, queue.number()) {
        return Some(());
    }
    let made = made.as_mut()?;
    made.put(functions, queue)?;
    made.recorded = true;
    Some(())
}

/// Puts a marker into a queue.
pub fn record(functions: &impl Functions, marker: Marker, queue: Queue) -> Option<()> {
    if let Some(end) = bracket::take_end(queue.number()) {
        // It stands where this one would.
        if let Some(old) = place(marker)?.replace(end) {
            spare(old);
        }
        return Some(());
    }
    let mut made = ready(functions, marker, queue)?;
    let made = made.as_mut()?;
    made.put(functions, queue)?;
    made.recorded = true;
    Some(())
}

/// A marker that can be put into that queue.
fn ready(
    functions: &impl Functions,
    marker: Marker,
    queue: Queue,
) -> Option<MutexGuard<'static, Option<Made>>> {
    let target = functions.target(queue.number())?;
    let mut guard = place(marker)?;
    let made = &mut *guard;
    let suits = |it: &Made| it.parts.target.takes_those_of(&target);
    if made.as_ref().is_some_and(|it| !suits(it))
        && let Some(old) = made.take()
    {
        old.parts.destroy(functions);
    }
    let made = match made {
        Some(made) => made,
        none => none.insert(Made::new(functions, target)?),
    };
    // One that is still on its way would be taken for this one.
    if made.recorded && made.begins_with.is_none() && made.parts.is_pending(functions) {
        return None;
    }
    made.parts.reset(functions)?;
    made.recorded = false;
    made.begins_with = None;
    made.generation = GENERATIONS.fetch_add(1, Ordering::Relaxed);
    Some(guard)
}

impl Made {
    fn new(functions: &impl Functions, target: Target) -> Option<Self> {
        let parts = Parts::new(functions, target)?;
        let made = Self {
            parts,
            recorded: false,
            begins_with: None,
            generation: 0,
        };
        if !target.is_immediate && made.close(functions).is_none() {
            made.parts.destroy(functions);
            return None;
        }
        Some(made)
    }

    /// Records the list, once.
    fn close(&self, functions: &impl Functions) -> Option<()> {
        append_barrier(functions, self.parts.list, self.parts.event)?;
        // SAFETY: a list of ours.
        succeeded(unsafe { functions.zeCommandListClose()?(self.parts.list) })
    }

    /// Puts it into a queue.
    fn put(&mut self, functions: &impl Functions, queue: Queue) -> Option<()> {
        if self.parts.target.is_immediate {
            let list = Handle::from_number(queue.number());
            return append_barrier(functions, list, self.parts.event);
        }
        let queue = ze_command_queue_handle_t::from_number(queue.number());
        let execute = functions.zeCommandQueueExecuteCommandLists()?;
        // SAFETY: the program's queue, and a closed list of ours.
        succeeded(unsafe { execute(queue, 1, &mut self.parts.list, ptr::null_mut()) })
    }

    /// The clock's ticks when what signals its event began and ended, if it has.
    fn ticks(&self, functions: &impl Functions) -> Option<(u64, u64)> {
        let mut times = ze_kernel_timestamp_result_t::default();
        let ask = functions.zeEventQueryKernelTimestamp()?;
        // SAFETY: an event of ours, in a pool for times; the driver writes them, or fails.
        succeeded(unsafe { ask(self.parts.event, &mut times) })?;
        Some((times.global.kernelStart, times.global.kernelEnd))
    }
}

/// Device time between two markers that were put into queues of one device.
pub fn elapsed(functions: &impl Functions, begin: Marker, end: Marker) -> Elapsed {
    let Some(last) = place(end) else {
        return Elapsed::Lost;
    };
    let Some(last) = last.as_ref().filter(|it| it.recorded) else {
        return Elapsed::Lost;
    };
    if last.parts.is_pending(functions) {
        return Elapsed::Pending;
    }
    if begin == end {
        return Elapsed::Ns(0);
    }
    let Some(first) = place(begin) else {
        return Elapsed::Lost;
    };
    let Some(first) = first.as_ref().filter(|it| it.recorded) else {
        return Elapsed::Lost;
    };
    let from = match first.begins_with {
        // As long as the event has not been signalled by anything else.
        Some(it) if it == (last.parts.event.number(), last.generation) => {
            last.ticks(functions).map(|(begin, _)| begin)
        }
        Some(_) => None,
        None if first.parts.is_pending(functions) => return Elapsed::Pending,
        None => first.ticks(functions).map(|(_, end)| end),
    };
    let to = last.ticks(functions).map(|(_, end)| end);
    from.zip(to).map_or(Elapsed::Lost, |(from, to)| {
        Elapsed::Ns(last.parts.target.clock.ns_between(from, to))
    })
}

/// A context is about to end: what markers have in it ends before.
pub fn forget(functions: &impl Functions, context: ze_context_handle_t) {
    let is_of_it = |it: &mut Made| it.parts.target.context() == context;
    for made in spares().extract_if(.., is_of_it) {
        made.parts.destroy(functions);
    }
    let used = USED.load(Ordering::Relaxed).min(MARKERS_MAX);
    for place in &MARKERS[..used] {
        let mut made = place.lock().unwrap_or_else(PoisonError::into_inner);
        if made
            .as_ref()
            .is_some_and(|it| it.parts.target.context() == context)
            && let Some(made) = made.take()
        {
            made.parts.destroy(functions);
        }
    }
}
