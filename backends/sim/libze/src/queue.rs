//! Command queues: a stream of the model each, to which lists are submitted.

use crate::border::{Outcome, put, rc, read, require};
use crate::command::Command;
use crate::context::Context;
use crate::device;
use crate::driver::Gpu;
use crate::event::wait_until;
use crate::handles::{CONTEXTS, FENCES, LISTS, QUEUES, get, take};
use fcsp_sim::{Op, Queues, StreamId, StreamKind};
use level_zero_sys::*;
use std::sync::Arc;

/// A queue.
pub struct Queue {
    /// Its device.
    pub gpu: &'static Gpu,
    /// The device's queues.
    pub queues: &'static Queues,
    stream: StreamId,
    ordinal: u32,
    index: u32,
    synchronous: bool,
}

impl Queue {
    /// Makes a queue.
    pub fn create(
        context: &Context,
        gpu: &'static Gpu,
        desc: &ze_command_queue_desc_t,
    ) -> Result<Self, ze_result_t> {
        let queues_in_group = device::queues_of(gpu, desc.ordinal).ok_or(rc::INVALID_ARGUMENT)?;
        require(desc.index < queues_in_group, rc::INVALID_ARGUMENT)?;
        let queues = gpu.queues()?;
        Ok(Self {
            gpu,
            queues,
            stream: queues.create_stream(context.group, StreamKind::NonBlocking),
            ordinal: desc.ordinal,
            index: desc.index,
            synchronous: desc.mode == ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS,
        })
    }

    /// Number of its group.
    pub fn ordinal(&self) -> u32 {
        self.ordinal
    }

    /// Number within its group.
    pub fn index(&self) -> u32 {
        self.index
    }

    /// Submits commands, in their order.
    pub fn run<'a>(&self, commands: impl IntoIterator<Item = &'a Command>) -> Outcome {
        let mut ops = Vec::new();
        for command in commands {
            ops.extend(command.waits.iter().map(|event| event.wait()));
            let signal = command.signal.as_ref();
            let marks = signal.and_then(|event| event.marks(self.queues));
            if let Some((begin, _)) = marks {
                // A device takes the time only once it has come to the process.
                ops.push(Op::Arrive);
                self.submit(&mut ops)?;
                self.queues
                    .record(begin, self.stream)
                    .map_err(|_| rc::UNKNOWN)?;
            }
            command.action.ops(&mut ops);
            if let Some((_, end)) = marks {
                self.submit(&mut ops)?;
                self.queues
                    .record(end, self.stream)
                    .map_err(|_| rc::UNKNOWN)?;
            }
            ops.extend(signal.map(|event| event.write(1)));
        }
        self.submit(&mut ops)
    }

    fn submit(&self, ops: &mut Vec<Op>) -> Outcome {
        if ops.is_empty() {
            return Ok(());
        }
        self.queues
            .submit(self.stream, ops.drain(..))
            .map_err(|_| rc::UNKNOWN)
    }

    /// Waits, if this queue's calls are to wait.
    pub fn wait_if_synchronous(&self) -> Outcome {
        match self.synchronous {
            true => self.synchronize(u64::MAX),
            false => Ok(()),
        }
    }

    /// Waits for everything submitted so far.
    pub fn synchronize(&self, timeout_ns: u64) -> Outcome {
        if timeout_ns == u64::MAX {
            return self
                .queues
                .wait_stream(self.stream)
                .map_err(|_| rc::UNKNOWN);
        }
        wait_until(timeout_ns, || {
            self.queues.stream_done(self.stream).unwrap_or(true)
        })
    }

    /// Records an event of the model behind everything submitted so far.
    pub fn record(&self, mark: fcsp_sim::EventId) -> Outcome {
        self.queues
            .record(mark, self.stream)
            .map_err(|_| rc::UNKNOWN)
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // Nobody else closes it; what stands in it still runs.
        let _ = self.queues.close_stream(self.stream);
    }
}

/// `zeCommandQueueCreate`.
pub unsafe fn create(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_command_queue_desc_t,
    place: *mut ze_command_queue_handle_t,
) -> Outcome {
    let context = get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let queue = Queue::create(&context, gpu, unsafe { read(desc) }?)?;
    // SAFETY: checked above.
    unsafe { put(place, QUEUES.insert(queue) as ze_command_queue_handle_t) }
}

/// `zeCommandQueueDestroy`.
pub unsafe fn destroy(queue: ze_command_queue_handle_t) -> Outcome {
    take(&QUEUES, queue).map(drop)
}

/// `zeCommandQueueExecuteCommandLists`.
pub unsafe fn execute(
    queue: ze_command_queue_handle_t,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    fence: ze_fence_handle_t,
) -> Outcome {
    let queue = get(&QUEUES, queue)?;
    require(!lists.is_null(), rc::NULL_POINTER)?;
    require(count > 0, rc::INVALID_SIZE)?;
    let fence = match fence.is_null() {
        true => None,
        false => Some(get(&FENCES, fence)?),
    };
    let lists = (0..count as usize)
        // SAFETY: within the array, by the caller's contract.
        .map(|index| get(&LISTS, unsafe { *lists.add(index) }))
        .collect::<Result<Vec<_>, _>>()?;
    for list in &lists {
        list.check_closed()?;
    }
    for list in &lists {
        list.run_on(&queue)?;
    }
    if let Some(fence) = fence {
        fence.arm(&queue)?;
    }
    queue.wait_if_synchronous()
}

/// `zeCommandQueueSynchronize`.
pub unsafe fn synchronize(queue: ze_command_queue_handle_t, timeout_ns: u64) -> Outcome {
    get(&QUEUES, queue)?.synchronize(timeout_ns)
}

/// `zeCommandQueueGetOrdinal`.
pub unsafe fn get_ordinal(queue: ze_command_queue_handle_t, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, get(&QUEUES, queue)?.ordinal) }
}

/// `zeCommandQueueGetIndex`.
pub unsafe fn get_index(queue: ze_command_queue_handle_t, place: *mut u32) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, get(&QUEUES, queue)?.index) }
}

/// A queue of its own for an immediate list.
pub fn immediate(
    context: &Context,
    gpu: &'static Gpu,
    desc: &ze_command_queue_desc_t,
) -> Result<Arc<Queue>, ze_result_t> {
    Queue::create(context, gpu, desc).map(Arc::new)
}
