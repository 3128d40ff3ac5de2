//! Marks in a stream, and what keeps a load from running arbitrarily far ahead of the device.

use super::gpu::Gpu;
use crate::driver::{Trouble, call};
use cuda_sys::{CUevent, CUevent_flags, CUstream};
use std::collections::VecDeque;

/// An event without timing. The wait for it sleeps, so that many tenants fit on few processors.
pub(crate) fn create(gpu: &Gpu) -> Result<CUevent, Trouble> {
    let mut event = std::ptr::null_mut();
    let flags = CUevent_flags::CU_EVENT_DISABLE_TIMING.0 | CUevent_flags::CU_EVENT_BLOCKING_SYNC.0;
    // SAFETY: a live out-parameter, a current context.
    unsafe { call!(gpu.api, event_create(&mut event, flags)) }?;
    Ok(event)
}

/// Marks what was submitted so far.
pub(crate) fn record(gpu: &Gpu, event: CUevent, stream: CUstream) -> Result<(), Trouble> {
    // SAFETY: a live event and a live stream of one context.
    unsafe { call!(gpu.api, event_record(event, stream)) }
}

/// Waits until what was marked is done.
pub(crate) fn wait(gpu: &Gpu, event: CUevent) -> Result<(), Trouble> {
    // SAFETY: events here are never destroyed.
    unsafe { call!(gpu.api, event_synchronize(event)) }
}

/// Keeps submissions at most so far ahead: without it a saturating load would fill the driver's queue, about a thousand
/// kernels, which still had to be waited for at its end.
pub(crate) struct Throttle<'a> {
    gpu: &'a Gpu,
    stream: CUstream,
    most: u64,
    submitted: u64,
    marked: u64,
    done: u64,
    pending: VecDeque<(CUevent, u64)>,
    spare: Vec<CUevent>,
}

impl<'a> Throttle<'a> {
    /// At most `most` submissions that are not known to be done.
    pub(crate) fn new(gpu: &'a Gpu, stream: CUstream, most: u64) -> Self {
        Self {
            gpu,
            stream,
            most: most.max(2),
            submitted: 0,
            marked: 0,
            done: 0,
            pending: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Counts one, and waits if that is too far ahead.
    #[inline]
    pub(crate) fn submitted(&mut self) -> Result<(), Trouble> {
        self.submitted += 1;
        if self.submitted - self.marked >= (self.most / 4).max(1) {
            let event = match self.spare.pop() {
                Some(event) => event,
                None => create(self.gpu)?,
            };
            record(self.gpu, event, self.stream)?;
            self.marked = self.submitted;
            self.pending.push_back((event, self.submitted));
        }
        while self.submitted - self.done > self.most {
            let Some((event, at)) = self.pending.pop_front() else {
                break;
            };
            wait(self.gpu, event)?;
            self.done = at;
            self.spare.push(event);
        }
        Ok(())
    }
}
