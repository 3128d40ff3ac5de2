//! Fences: whether what was submitted with them is done.

use crate::border::{Outcome, put, rc, read, require};
use crate::event::wait_until;
use crate::handles::{FENCES, QUEUES, get, take};
use crate::queue::Queue;
use fcsp_sim::{EventId, EventStatus, Queues};
use level_zero_sys::*;
use std::sync::atomic::AtomicU8;
use std::sync::atomic::Ordering::{Acquire, Release};

/// A fence.
pub struct Fence {
    queues: &'static Queues,
    mark: EventId,
    state: AtomicU8,
}

const RESET: u8 = 0;
const ARMED: u8 = 1;
const SIGNALLED: u8 = 2;

impl Fence {
    /// Signals it once everything submitted to the queue so far is done.
    pub fn arm(&self, queue: &Queue) -> Outcome {
        require(
            std::ptr::eq(self.queues, queue.queues),
            rc::INVALID_ARGUMENT,
        )?;
        queue.record(self.mark)?;
        self.state.store(ARMED, Release);
        Ok(())
    }

    fn signalled(&self) -> bool {
        match self.state.load(Acquire) {
            ARMED => matches!(
                self.queues.event_status(self.mark),
                Ok(EventStatus::Reached { .. })
            ),
            state => state == SIGNALLED,
        }
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        // Nobody else closes it.
        let _ = self.queues.close_event(self.mark);
    }
}

/// `zeFenceCreate`.
pub unsafe fn create(
    queue: ze_command_queue_handle_t,
    desc: *const ze_fence_desc_t,
    place: *mut ze_fence_handle_t,
) -> Outcome {
    let queue = get(&QUEUES, queue)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let flags = unsafe { read(desc) }?.flags;
    let signalled = flags & ze_fence_flag_t::ZE_FENCE_FLAG_SIGNALED.0 != 0;
    let fence = Fence {
        queues: queue.queues,
        mark: queue.queues.create_event(),
        state: AtomicU8::new(if signalled { SIGNALLED } else { RESET }),
    };
    // SAFETY: checked above.
    unsafe { put(place, FENCES.insert(fence) as ze_fence_handle_t) }
}

/// `zeFenceDestroy`.
pub unsafe fn destroy(fence: ze_fence_handle_t) -> Outcome {
    take(&FENCES, fence).map(drop)
}

/// `zeFenceHostSynchronize`.
pub unsafe fn host_synchronize(fence: ze_fence_handle_t, timeout_ns: u64) -> Outcome {
    let fence = get(&FENCES, fence)?;
    if timeout_ns == u64::MAX && fence.state.load(Acquire) == ARMED {
        return fence.queues.wait_event(fence.mark).map_err(|_| rc::UNKNOWN);
    }
    wait_until(timeout_ns, || fence.signalled())
}

/// `zeFenceQueryStatus`.
pub unsafe fn query_status(fence: ze_fence_handle_t) -> Outcome {
    let fence = get(&FENCES, fence)?;
    require(fence.signalled(), rc::NOT_READY)
}

/// `zeFenceReset`.
pub unsafe fn reset(fence: ze_fence_handle_t) -> Outcome {
    get(&FENCES, fence)?.state.store(RESET, Release);
    Ok(())
}
