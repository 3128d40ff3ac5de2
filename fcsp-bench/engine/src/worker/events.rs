//! What keeps a load from running arbitrarily far ahead of the device.

use super::gpu::Gpu;
use crate::driver::{Done, Event, Queue};
use std::collections::VecDeque;

/// Keeps submissions at most so far ahead: without it a saturating load would fill the driver's queue, about a thousand
/// kernels, which still had to be waited for at its end.
pub(crate) struct Throttle<'a> {
    gpu: &'a Gpu,
    queue: Queue,
    most: u64,
    submitted: u64,
    marked: u64,
    done: u64,
    pending: VecDeque<(Event, u64)>,
    spare: Vec<Event>,
}

impl<'a> Throttle<'a> {
    /// At most `most` submissions that are not known to be done.
    pub(crate) fn new(gpu: &'a Gpu, queue: Queue, most: u64) -> Self {
        Self {
            gpu,
            queue,
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
    pub(crate) fn submitted(&mut self) -> Done<()> {
        self.submitted += 1;
        if self.submitted - self.marked >= (self.most / 4).max(1) {
            let event = match self.spare.pop() {
                Some(event) => event,
                None => self.gpu.driver.event()?,
            };
            self.gpu.driver.mark(event, self.queue)?;
            self.marked = self.submitted;
            self.pending.push_back((event, self.submitted));
        }
        while self.submitted - self.done > self.most {
            let Some((event, at)) = self.pending.pop_front() else {
                break;
            };
            self.gpu.driver.wait_event(event)?;
            self.done = at;
            self.spare.push(event);
        }
        Ok(())
    }
}
