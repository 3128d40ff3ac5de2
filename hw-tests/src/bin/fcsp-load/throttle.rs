//! Keeps a program from running arbitrarily far ahead of the device.
//!
//! A saturating program would otherwise fill the driver's launch queue, about a thousand kernels:
//! with 5 ms kernels, five seconds that must still be waited for at the end. So markers are
//! recorded now and then, and once too much lies behind the oldest one that has not passed, the
//! thread waits for it, as a training loop that reads its loss does.

use anyhow::Result;
use cuda_sys::{CUevent, CUevent_flags, CUstream};
use std::collections::VecDeque;

use crate::api::call;
use crate::gpu::Gpu;

/// Markers between the newest submission and the oldest one waited for.
const MARKERS: u64 = 4;

/// How far ahead a stream may run, in whatever unit the submissions are counted in.
pub struct Throttle<'a> {
    gpu: &'a Gpu,
    stream: CUstream,
    limit: u64,
    submitted: u64,
    marked: u64,
    finished: u64,
    pending: VecDeque<(CUevent, u64)>,
    spare: Vec<CUevent>,
}

impl<'a> Throttle<'a> {
    /// Lets at most `limit` units be submitted to `stream` that are not known to be finished.
    pub fn new(gpu: &'a Gpu, stream: CUstream, limit: u64) -> Self {
        Self {
            gpu,
            stream,
            limit: limit.max(1),
            submitted: 0,
            marked: 0,
            finished: 0,
            pending: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Says that `units` were submitted, and waits if that is now too far ahead.
    pub fn submitted(&mut self, units: u64) -> Result<()> {
        self.submitted += units;
        if self.submitted - self.marked >= (self.limit / MARKERS).max(1) {
            self.mark()?;
        }
        while self.submitted - self.finished > self.limit {
            let Some((event, at)) = self.pending.pop_front() else {
                break;
            };
            // SAFETY: created by `mark`, recorded, never destroyed.
            unsafe { call!(self.gpu.api, event_synchronize(event)) }?;
            self.finished = at;
            self.spare.push(event);
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<()> {
        let event = match self.spare.pop() {
            Some(event) => event,
            None => create_event(self.gpu)?,
        };
        // SAFETY: a live event and a live stream of the same context.
        unsafe { call!(self.gpu.api, event_record(event, self.stream)) }?;
        self.marked = self.submitted;
        self.pending.push_back((event, self.submitted));
        Ok(())
    }
}

/// An event without timing whose wait sleeps rather than spins, so that many tenants fit on few
/// cores.
fn create_event(gpu: &Gpu) -> Result<CUevent> {
    let flags = CUevent_flags::CU_EVENT_DISABLE_TIMING.0 | CUevent_flags::CU_EVENT_BLOCKING_SYNC.0;
    let mut event = std::ptr::null_mut();
    // SAFETY: a live out-parameter, a current context.
    unsafe { call!(gpu.api, event_create(&mut event, flags)) }?;
    Ok(event)
}
