//! Recorded lists, which take the place of graphs: a command queue executes them, and events put them into the order of an
//! immediate list.

use super::super::api::call;
use super::super::{Done, Graph, Queue, Trouble};
use super::Ze;
use level_zero_sys::*;
use std::ptr::null_mut;

/// A recorded list with the events that put it into the order of a queue.
pub(super) struct Recorded {
    list: ze_command_list_handle_t,
    events: ze_event_pool_handle_t,
    may_begin: ze_event_handle_t,
    done: ze_event_handle_t,
}

impl Ze {
    /// What executes recorded lists; made with the first.
    pub(super) fn executing(&self) -> Done<ze_command_queue_handle_t> {
        if let Some(executing) = self.executing.get() {
            return Ok(*executing);
        }
        let desc = ze_command_queue_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
            mode: ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS,
            ..Default::default()
        };
        let mut made = null_mut();
        // SAFETY: a live out-parameter and description.
        unsafe {
            call!(
                self.api,
                queue_create(self.context, self.device, &desc, &mut made)
            )
        }?;
        Ok(*self.executing.get_or_init(|| made))
    }

    /// Begins a list that waits for its turn in the queue that executes it.
    pub(super) fn begin_recording(&self) -> Done<Queue> {
        let in_order = match self.in_order {
            true => ze_command_list_flag_t::ZE_COMMAND_LIST_FLAG_IN_ORDER.0,
            false => 0,
        };
        let desc = ze_command_list_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC,
            flags: in_order,
            ..Default::default()
        };
        let mut list = null_mut();
        // SAFETY: a live out-parameter and description.
        unsafe {
            call!(
                self.api,
                list_create(self.context, self.device, &desc, &mut list)
            )
        }?;
        let events = self.pool(2, false)?;
        let recorded = Recorded {
            list,
            events,
            may_begin: self.event_of(events, 0)?,
            done: self.event_of(events, 1)?,
        };
        let mut first = recorded.may_begin;
        // SAFETY: a live list that records, a live event.
        unsafe {
            call!(self.api, append_wait(list, 1, &mut first))?;
            call!(self.api, append_reset(list, first))?;
        }
        self.then(list)?;
        self.recording.replace(Some(recorded));
        Ok(Queue(list.cast()))
    }

    /// Ends it.
    pub(super) fn end_recording(&self, recording: Queue) -> Done<Graph> {
        let Some(recorded) = self.recording.take() else {
            return Err(Trouble::new("nothing is being recorded"));
        };
        let list: ze_command_list_handle_t = recording.0.cast();
        // SAFETY: a live list that records, a live event.
        unsafe {
            call!(self.api, append_signal(list, recorded.done))?;
            call!(self.api, list_close(list))?;
        }
        Ok(Graph(Box::into_raw(Box::new(recorded)).cast()))
    }

    /// Executes it, in the order of an immediate list.
    pub(super) fn execute(&self, graph: Graph, queue: Queue) -> Done<()> {
        // SAFETY: made by `end_recording`, and `forget` was not called.
        let recorded = unsafe { &*graph.0.cast::<Recorded>() };
        let executing = self.executing()?;
        let now: ze_command_list_handle_t = queue.0.cast();
        let (mut list, mut done) = (recorded.list, recorded.done);
        // SAFETY: live lists, a live queue and events: what comes next in the queue waits until the recorded list has
        // signalled, and lets go of the event for the next time.
        unsafe {
            call!(self.api, append_signal(now, recorded.may_begin))?;
            call!(self.api, queue_execute(executing, 1, &mut list, null_mut()))?;
            call!(self.api, append_wait(now, 1, &mut done))?;
            call!(self.api, append_reset(now, done))?;
        }
        self.then(now)
    }

    /// Gives it back.
    pub(super) fn forget(&self, graph: Graph) -> Done<()> {
        // SAFETY: made by `end_recording`, given back once; nothing of it is under way.
        let recorded = unsafe { Box::from_raw(graph.0.cast::<Recorded>()) };
        // SAFETY: as above.
        unsafe {
            call!(self.api, list_destroy(recorded.list))?;
            call!(self.api, event_destroy(recorded.may_begin))?;
            call!(self.api, event_destroy(recorded.done))?;
            call!(self.api, event_pool_destroy(recorded.events))
        }
    }
}
