//! Keeps a program from running arbitrarily far ahead of the device.
//!
//! A saturating program would otherwise fill the driver's launch queue, about a thousand kernels:
//! with 5 ms kernels, five seconds that must still be waited for at the end. So markers are
//! recorded now and then, and once too much lies behind the oldest one that has not passed, the
//! thread waits for it, as a training loop that reads its loss does.

use anyhow::Result;
use cuda_sys::{CUevent, CUstream};
use std::collections::VecDeque;

use crate::event;
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
            event::synchronize(self.gpu, event)?;
            self.finished = at;
            self.spare.push(event);
        }
        Ok(())
    }

    fn mark(&mut self) -> Result<()> {
        let event = match self.spare.pop() {
            Some(event) => event,
            None => event::sleeping(self.gpu)?,
        };
        event::record(self.gpu, event, self.stream)?;
        self.marked = self.submitted;
        self.pending.push_back((event, self.submitted));
        Ok(())
    }
}
