//! An event with a list to put it into a command queue: what markers and slips are made of ([`Parts`]).

use core::ptr;

use level_zero_sys::{
    ze_command_list_desc_t, ze_command_list_handle_t, ze_event_desc_t, ze_event_handle_t,
    ze_event_pool_desc_t, ze_event_pool_flag_t, ze_event_pool_handle_t, ze_event_scope_flag_t,
    ze_result_t, ze_structure_type_t,
};

use crate::functions::Functions;
use crate::target::Target;

/// `None` for any code but success.
pub fn succeeded(result: ze_result_t) -> Option<()> {
    (result == ze_result_t::ZE_RESULT_SUCCESS).then_some(())
}

/// An event that notes the time, and a list for it.
pub struct Parts {
    /// What it was made for.
    pub target: Target,
    pool: ze_event_pool_handle_t,
    /// The event.
    pub event: ze_event_handle_t,
    /// Open, with nothing in it; null for an immediate list's.
    pub list: ze_command_list_handle_t,
}

// SAFETY: handles belong to the process; a lock keeps threads apart.
unsafe impl Send for Parts {}

impl Parts {
    /// Made for a queue, or nothing at all.
    pub fn new(functions: &impl Functions, target: Target) -> Option<Self> {
        let mut made = Self {
            target,
            pool: ptr::null_mut(),
            event: ptr::null_mut(),
            list: ptr::null_mut(),
        };
        if made.fill(functions).is_none() {
            made.destroy(functions);
            return None;
        }
        Some(made)
    }

    fn fill(&mut self, functions: &impl Functions) -> Option<()> {
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
        let (context, mut device) = (self.target.context(), self.target.device());
        // SAFETY: the program's context and device; descriptors as the driver wants them; it writes handles.
        unsafe {
            let create = functions.zeEventPoolCreate()?;
            succeeded(create(context, &pool, 1, &mut device, &mut self.pool))?;
            succeeded(functions.zeEventCreate()?(
                self.pool,
                &event,
                &mut self.event,
            ))?;
        }
        if self.target.is_immediate {
            return Some(());
        }
        let list = ze_command_list_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_LIST_DESC,
            commandQueueGroupOrdinal: self.target.group,
            ..Default::default()
        };
        let create = functions.zeCommandListCreate()?;
        // SAFETY: as above.
        succeeded(unsafe { create(context, device, &list, &mut self.list) })
    }

    /// Gives all of it back.
    pub fn destroy(self, functions: &impl Functions) {
        // SAFETY: handles of ours that nobody else knows; what is still under way with them keeps them by itself, and what
        // a driver refuses to destroy is left to the context's end.
        let _left_to_the_context = unsafe {
            [
                (!self.list.is_null())
                    .then(|| functions.zeCommandListDestroy().map(|it| it(self.list))),
                (!self.event.is_null())
                    .then(|| functions.zeEventDestroy().map(|it| it(self.event))),
                (!self.pool.is_null())
                    .then(|| functions.zeEventPoolDestroy().map(|it| it(self.pool))),
            ]
        };
    }

    /// Whether the event is not signalled.
    pub fn is_pending(&self, functions: &impl Functions) -> bool {
        let ask = functions.zeEventQueryStatus();
        // SAFETY: an event of ours.
        ask.map(|ask| unsafe { ask(self.event) }) == Some(ze_result_t::ZE_RESULT_NOT_READY)
    }

    /// Makes the event one that is not signalled, before it is used again.
    pub fn reset(&self, functions: &impl Functions) -> Option<()> {
        // SAFETY: an event of ours that nothing in a queue will signal any more.
        succeeded(unsafe { functions.zeEventHostReset()?(self.event) })
    }
}
