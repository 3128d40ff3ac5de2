//! Command lists: recorded once and executed many times, or immediate.

use crate::border::{Outcome, put, rc, read, require};
use crate::command::{Action, Command};
use crate::device::{self, GROUPS};
use crate::driver::Gpu;
use crate::event::events;
use crate::handles::{CONTEXTS, EVENTS, LISTS, get, take};
use crate::queue::{Queue, immediate};
use level_zero_sys::*;
use std::sync::{Arc, Mutex};

/// A command list.
pub struct List {
    gpu: &'static Gpu,
    context: usize,
    ordinal: u32,
    /// Of an immediate list: where its commands go.
    queue: Option<Arc<Queue>>,
    recorded: Mutex<Recorded>,
}

/// What was recorded so far.
#[derive(Default)]
struct Recorded {
    commands: Vec<Command>,
    closed: bool,
}

impl List {
    fn add(&self, command: Command) -> Outcome {
        if let Some(queue) = &self.queue {
            queue.run([&command])?;
            return queue.wait_if_synchronous();
        }
        let mut recorded = self.recorded.lock().unwrap_or_else(|e| e.into_inner());
        require(!recorded.closed, rc::INVALID_ARGUMENT)?;
        recorded.commands.push(command);
        Ok(())
    }

    /// Only what is closed can be executed, and an immediate list cannot.
    pub fn check_closed(&self) -> Outcome {
        let recorded = self.recorded.lock().unwrap_or_else(|e| e.into_inner());
        require(
            self.queue.is_none() && recorded.closed,
            rc::INVALID_ARGUMENT,
        )
    }

    /// Submits what was recorded.
    pub fn run_on(&self, queue: &Queue) -> Outcome {
        require(queue.gpu.ordinal == self.gpu.ordinal, rc::INVALID_ARGUMENT)?;
        let recorded = self.recorded.lock().unwrap_or_else(|e| e.into_inner());
        queue.run(&recorded.commands)
    }

    fn immediate_queue(&self) -> Result<&Arc<Queue>, ze_result_t> {
        self.queue.as_ref().ok_or(rc::INVALID_ARGUMENT)
    }
}

/// Adds a command to a list.
///
/// # Safety
/// `waits` is null or has `count` handles.
pub unsafe fn append(
    list: ze_command_list_handle_t,
    action: impl FnOnce(&List) -> Result<Action, ze_result_t>,
    signal: ze_event_handle_t,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    let list = get(&LISTS, list)?;
    // SAFETY: the same contract.
    let waits = unsafe { events(count, waits) }?;
    let signal = match signal.is_null() {
        true => None,
        false => Some(get(&EVENTS, signal)?),
    };
    let action = action(&list)?;
    list.add(Command {
        action,
        signal,
        waits,
    })
}

/// `zeCommandListCreate`.
pub unsafe fn create(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_command_list_desc_t,
    place: *mut ze_command_list_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let ordinal = unsafe { read(desc) }?.commandQueueGroupOrdinal;
    require(ordinal < GROUPS, rc::INVALID_ARGUMENT)?;
    let list = List {
        gpu,
        context: context.expose_provenance(),
        ordinal,
        queue: None,
        recorded: Mutex::default(),
    };
    // SAFETY: checked above.
    unsafe { put(place, LISTS.insert(list) as ze_command_list_handle_t) }
}

/// `zeCommandListCreateImmediate`.
pub unsafe fn create_immediate(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_command_queue_desc_t,
    place: *mut ze_command_list_handle_t,
) -> Outcome {
    let of = get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let queue = immediate(&of, gpu, unsafe { read(desc) }?)?;
    let list = List {
        gpu,
        context: context.expose_provenance(),
        ordinal: queue.ordinal(),
        queue: Some(queue),
        recorded: Mutex::default(),
    };
    // SAFETY: checked above.
    unsafe { put(place, LISTS.insert(list) as ze_command_list_handle_t) }
}

/// `zeCommandListDestroy`.
pub unsafe fn destroy(list: ze_command_list_handle_t) -> Outcome {
    take(&LISTS, list).map(drop)
}

/// `zeCommandListClose`. An immediate list is never open or closed.
pub unsafe fn close(list: ze_command_list_handle_t) -> Outcome {
    let list = get(&LISTS, list)?;
    let mut recorded = list.recorded.lock().unwrap_or_else(|e| e.into_inner());
    require(!recorded.closed, rc::INVALID_ARGUMENT)?;
    recorded.closed = list.queue.is_none();
    Ok(())
}

/// `zeCommandListReset`.
pub unsafe fn reset(list: ze_command_list_handle_t) -> Outcome {
    let list = get(&LISTS, list)?;
    *list.recorded.lock().unwrap_or_else(|e| e.into_inner()) = Recorded::default();
    Ok(())
}

/// `zeCommandListHostSynchronize`.
pub unsafe fn host_synchronize(list: ze_command_list_handle_t, timeout_ns: u64) -> Outcome {
    get(&LISTS, list)?
        .immediate_queue()?
        .synchronize(timeout_ns)
}

/// `zeCommandListImmediateAppendCommandListsExp`.
pub unsafe fn append_lists(
    list: ze_command_list_handle_t,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> Outcome {
    require(!lists.is_null(), rc::NULL_POINTER)?;
    let queue = Arc::clone(get(&LISTS, list)?.immediate_queue()?);
    // SAFETY: the same contract; a command that only waits, and one that only signals, around the lists.
    unsafe {
        let nothing = |_: &List| Ok(Action::Nothing);
        append(list, nothing, std::ptr::null_mut(), wait_count, waits)?;
        for index in 0..count as usize {
            let inner = get(&LISTS, *lists.add(index))?;
            inner.check_closed()?;
            inner.run_on(&queue)?;
        }
        append(list, nothing, signal, 0, std::ptr::null_mut())
    }
}

/// `zeCommandListGetDeviceHandle`.
pub unsafe fn get_device(
    list: ze_command_list_handle_t,
    place: *mut ze_device_handle_t,
) -> Outcome {
    let list = get(&LISTS, list)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, device::handle(list.gpu)) }
}

/// `zeCommandListGetContextHandle`.
pub unsafe fn get_context(
    list: ze_command_list_handle_t,
    place: *mut ze_context_handle_t,
) -> Outcome {
    let list = get(&LISTS, list)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, std::ptr::with_exposed_provenance_mut(list.context)) }
}

/// `zeCommandListGetOrdinal`.
pub unsafe fn get_ordinal(list: ze_command_list_handle_t, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, get(&LISTS, list)?.ordinal) }
}

/// `zeCommandListImmediateGetIndex`.
pub unsafe fn get_index(list: ze_command_list_handle_t, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, get(&LISTS, list)?.immediate_queue()?.index()) }
}

/// `zeCommandListIsImmediate`.
pub unsafe fn is_immediate(list: ze_command_list_handle_t, place: *mut ze_bool_t) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, get(&LISTS, list)?.queue.is_some().into()) }
}
