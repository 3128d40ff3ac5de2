//! Events.

use crate::border::{Outcome, put, rc, require};
use crate::capture::{self, Mark};
use crate::context::{cpu_cost, current};
use crate::driver::Gpu;
use crate::handles::Table;
use crate::stream::resolve;
use crate::types::*;
use fcsp_sim::{EventId, EventStatus, Op};
use std::ffi::c_uint;
use std::sync::{Arc, Mutex};

const DISABLE_TIMING: c_uint = 2;
const INTERPROCESS: c_uint = 4;

/// One event.
pub struct Event {
    /// Its device.
    pub gpu: &'static Gpu,
    /// Its name in the model.
    pub id: EventId,
    flags: c_uint,
    /// Where it was recorded, if that was in a capture.
    pub captured: Mutex<Option<Mark>>,
}

/// All events.
pub static EVENTS: Table<Event> = Table::new(3);

fn known(handle: EventHandle) -> Result<Arc<Event>, Failure> {
    EVENTS.get(handle).ok_or(rc::INVALID_HANDLE)
}

impl Event {
    fn status(&self) -> Result<EventStatus, Failure> {
        require(
            self.captured
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .is_none(),
            rc::CAPTURED_EVENT,
        )?;
        self.gpu
            .queues()?
            .event_status(self.id)
            .map_err(|_| rc::INVALID_HANDLE)
    }
}

/// `cuEventCreate`.
pub unsafe fn create(place: *mut EventHandle, flags: c_uint) -> Outcome {
    require(!place.is_null() && flags <= 7, rc::INVALID_VALUE)?;
    // Only an event without times can be shared, and sharing it is not simulated.
    require(
        flags & INTERPROCESS == 0 || flags & DISABLE_TIMING != 0,
        rc::INVALID_VALUE,
    )?;
    let context = current()?;
    let event = Event {
        gpu: context.gpu,
        id: context.gpu.queues()?.create_event(),
        flags,
        captured: Mutex::new(None),
    };
    // SAFETY: checked above.
    unsafe { put(place, Table::<Event>::pointer(EVENTS.insert(event))) }
}

/// `cuEventDestroy_v2`.
pub unsafe fn destroy(handle: EventHandle) -> Outcome {
    let event = EVENTS.remove(handle).ok_or(rc::INVALID_HANDLE)?;
    event
        .gpu
        .queues()?
        .close_event(event.id)
        .map_err(|_| rc::INVALID_HANDLE)
}

/// `cuEventRecord`.
pub unsafe fn record(handle: EventHandle, stream: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { record_with_flags(handle, stream, 0) }
}

/// `cuEventRecordWithFlags`.
pub unsafe fn record_with_flags(
    handle: EventHandle,
    stream: StreamHandle,
    flags: c_uint,
) -> Outcome {
    require(flags <= 1, rc::INVALID_VALUE)?;
    let event = known(handle)?;
    let stream = resolve(stream)?;
    require(std::ptr::eq(stream.gpu, event.gpu), rc::INVALID_HANDLE)?;
    if capture::mark(&stream, &event)? {
        return Ok(());
    }
    let timed = event.flags & DISABLE_TIMING == 0;
    cpu_cost(event.gpu, if timed { 1_000 } else { 200 });
    if timed {
        stream.submit([Op::Arrive])?;
    }
    event
        .gpu
        .queues()?
        .record(event.id, stream.id)
        .map_err(|_| rc::INVALID_HANDLE)
}

/// `cuEventQuery`. An event that was never recorded counts as reached.
pub unsafe fn query(handle: EventHandle) -> Outcome {
    match known(handle)?.status()? {
        EventStatus::Pending => Err(rc::NOT_READY),
        EventStatus::Unrecorded | EventStatus::Reached { .. } => Ok(()),
    }
}

/// `cuEventSynchronize`.
pub unsafe fn synchronize(handle: EventHandle) -> Outcome {
    let event = known(handle)?;
    event.status()?;
    event
        .gpu
        .queues()?
        .wait_event(event.id)
        .map_err(|_| rc::INVALID_HANDLE)?;
    crate::pool::synchronized();
    Ok(())
}

/// `cuEventElapsedTime` and `_v2`, in milliseconds of simulated device time.
pub unsafe fn elapsed(place: *mut f32, start: EventHandle, end: EventHandle) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let (start, end) = (known(start)?, known(end)?);
    require(
        (start.flags | end.flags) & DISABLE_TIMING == 0,
        rc::INVALID_HANDLE,
    )?;
    let time_ns = |event: &Event| match event.status()? {
        EventStatus::Unrecorded => Err(rc::INVALID_HANDLE),
        EventStatus::Pending => Err(rc::NOT_READY),
        EventStatus::Reached { time_ns } => Ok(time_ns),
    };
    let elapsed_ns = time_ns(&end)?.wrapping_sub(time_ns(&start)?) as i64;
    // SAFETY: checked above.
    unsafe { put(place, elapsed_ns as f32 / 1e6) }
}
