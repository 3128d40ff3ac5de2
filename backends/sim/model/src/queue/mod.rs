//! Streams and events of one process on one device, in real time.
//!
//! Owns: the lock, the worker thread, blocking waits and backpressure. Sits between the fake vendor
//! libraries, which translate their ABI into [`Op`]s, and [`crate::engine`], which says when work
//! ends. Kernels and copies of a process share one engine and run in the order in which they become
//! ready.

mod clock;
mod issue;
mod op;
mod retire;
mod slab;
mod state;
#[cfg(test)]
mod tests;
mod wake;
mod worker;

pub use clock::PreciseWait;
pub use op::{Comparison, Effect, Gate, Op, Width};
pub use slab::{Key, Slab};
pub use state::{EventId, StreamId, StreamKind};

use crate::calibration::STREAM_DEPTH;
use crate::device::{Device, now_ns};
use state::State;
use std::io;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::AcqRel;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

/// The stream or event does not exist (any more).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// How an event stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventStatus {
    /// Never recorded.
    Unrecorded,
    /// Recorded; what it follows has not ended.
    Pending,
    /// Reached, at this time of `CLOCK_MONOTONIC`.
    Reached {
        /// Nanoseconds.
        time_ns: u64,
    },
}

/// What a thread that waits has to wait for.
enum Outlook {
    Done,
    /// Work that is on the device's timeline.
    Ticket(u64),
    /// Something that is held back.
    Blocked,
}

struct Inner {
    device: Arc<Device>,
    state: Mutex<State>,
    /// Woken when something held back went on, if threads wait for that.
    progress: Condvar,
    /// Wakes the worker early.
    worker: Condvar,
    started: AtomicBool,
}

/// The streams of this process on a device.
pub struct Queues {
    inner: Arc<Inner>,
}

/// A thread that waits for held-back work looks again after this time in any case.
const BLOCKED_WAIT_NS: u64 = 5_000_000;
/// A wait shorter than this is not worth a sleep of its own.
const WAIT_NS_MIN: u64 = 2_000;

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn pump(&self, state: &mut State, now_ns: u64) {
        state.pump(&self.device, now_ns);
        if state.blocked_waiters > 0 {
            self.progress.notify_all();
        }
    }

    /// Starts the worker, or wakes it if it would sleep past something new.
    fn nudge(self: &Arc<Self>, state: &mut State, urgent_before: Option<u64>) {
        if !self.started.swap(true, AcqRel) {
            // Without a thread nothing would ever happen; `submit` cannot report it, so say it.
            if let Err(error) = worker::start(Arc::clone(self)) {
                eprintln!("fcsp-sim: the worker thread could not be started: {error}");
            }
            return;
        }
        let urgent = state.urgent_ticket();
        let asleep = state.worker_wake_ns == u64::MAX;
        let newly_held = std::mem::take(&mut state.newly_held);
        if asleep || newly_held || (urgent.is_some() && urgent != urgent_before) {
            state.worker_wake_ns = 0;
            self.worker.notify_one();
        }
    }

    fn wait(self: &Arc<Self>, mut outlook: impl FnMut(&State) -> Outlook) {
        let mut state = self.lock();
        let mut precise = None;
        loop {
            let now = now_ns();
            self.pump(&mut state, now);
            let (until_ns, blocked) = match outlook(&state) {
                Outlook::Done => return,
                Outlook::Ticket(ticket) => (state.predict_ns(&self.device, ticket, now), false),
                Outlook::Blocked => (now + BLOCKED_WAIT_NS, true),
            };
            precise.get_or_insert_with(clock::PreciseWait::begin);
            let sleep_ns = until_ns
                .saturating_sub(now)
                .clamp(WAIT_NS_MIN, BLOCKED_WAIT_NS);
            if blocked {
                state.blocked_waiters += 1;
            }
            state = self
                .progress
                .wait_timeout(state, Duration::from_nanos(sleep_ns))
                .unwrap_or_else(|e| e.into_inner())
                .0;
            if blocked {
                state.blocked_waiters -= 1;
            }
        }
    }
}

impl Queues {
    /// Takes a place on the device for this process and makes its queues.
    ///
    /// # Errors
    /// The device has no place left.
    pub fn new(device: Arc<Device>) -> io::Result<Self> {
        let slot = device.attach()?;
        let state = State::new(slot, device.process_seed());
        Ok(Self {
            inner: Arc::new(Inner {
                device,
                state: Mutex::new(state),
                progress: Condvar::new(),
                worker: Condvar::new(),
                started: AtomicBool::new(false),
            }),
        })
    }

    /// Makes a stream of a group (a context).
    pub fn create_stream(&self, group: u64, kind: StreamKind) -> StreamId {
        self.inner.lock().create_stream(group, kind)
    }

    /// Closes a stream; what stands in it still runs.
    ///
    /// # Errors
    /// No such stream.
    pub fn close_stream(&self, id: StreamId) -> Result<(), Gone> {
        self.inner.lock().close_stream(id).then_some(()).ok_or(Gone)
    }

    /// Adds operations to a stream, waiting while too many stand in it.
    ///
    /// # Errors
    /// No such stream.
    pub fn submit(&self, id: StreamId, ops: impl IntoIterator<Item = Op>) -> Result<(), Gone> {
        self.wait_for_room(id)?;
        let mut state = self.inner.lock();
        let urgent = state.urgent_ticket();
        let now = now_ns();
        for op in ops {
            if !state.submit(&self.inner.device, id, op, now) {
                return Err(Gone);
            }
        }
        self.inner.nudge(&mut state, urgent);
        Ok(())
    }

    fn wait_for_room(&self, id: StreamId) -> Result<(), Gone> {
        let deep = |state: &State| {
            let stream = state.streams.get(id.0).ok_or(Gone)?;
            Ok(stream.submitted - stream.completed >= STREAM_DEPTH)
        };
        if !deep(&self.inner.lock())? {
            return Ok(());
        }
        // Some room at once: a thread that wakes for every kernel would cost more than it does.
        self.inner.wait(|state| match state.streams.get(id.0) {
            Some(stream) if stream.submitted - stream.completed > STREAM_DEPTH * 3 / 4 => {
                if stream.issued == stream.completed {
                    return Outlook::Blocked;
                }
                let some = state.first_ticket() + STREAM_DEPTH / 8;
                Outlook::Ticket(some.min(stream.last_ticket))
            }
            _ => Outlook::Done,
        });
        Ok(())
    }

    /// Whether everything in a stream has ended.
    ///
    /// # Errors
    /// No such stream.
    pub fn stream_done(&self, id: StreamId) -> Result<bool, Gone> {
        let mut state = self.inner.lock();
        self.inner.pump(&mut state, now_ns());
        Ok(state.with_implicit(id).ok_or(Gone)?.is_empty())
    }

    /// Waits until everything submitted to a stream so far has ended; for the default stream, also
    /// what stands in the blocking streams of its group.
    ///
    /// # Errors
    /// No such stream.
    pub fn wait_stream(&self, id: StreamId) -> Result<(), Gone> {
        let targets = self.inner.lock().with_implicit(id).ok_or(Gone)?;
        for (id, target) in targets {
            self.wait_seq(id, target);
        }
        Ok(())
    }

    fn wait_seq(&self, id: StreamId, target: u64) {
        let mut ticket = None;
        self.inner.wait(|state| match state.streams.get(id.0) {
            None => Outlook::Done,
            Some(stream) if stream.completed >= target => Outlook::Done,
            Some(stream) if stream.issued >= target => {
                Outlook::Ticket(*ticket.get_or_insert(stream.last_ticket))
            }
            Some(_) => Outlook::Blocked,
        });
    }

    /// Lets everything that has ended have its effect.
    pub fn notice(&self) {
        let mut state = self.inner.lock();
        self.inner.pump(&mut state, now_ns());
    }

    /// Whether everything in all streams of a group has ended.
    pub fn group_done(&self, group: u64) -> bool {
        let mut state = self.inner.lock();
        self.inner.pump(&mut state, now_ns());
        state
            .group(group)
            .all(|(_, stream)| stream.submitted == stream.completed)
    }

    /// Waits until everything submitted so far to all streams of a group has ended.
    pub fn wait_group(&self, group: u64) {
        let targets: Vec<_> = {
            let state = self.inner.lock();
            let busy = state
                .group(group)
                .filter(|(_, stream)| stream.submitted > stream.completed);
            busy.map(|(id, stream)| (id, stream.submitted)).collect()
        };
        for (id, target) in targets {
            self.wait_seq(id, target);
        }
    }

    /// Makes an event.
    pub fn create_event(&self) -> EventId {
        self.inner.lock().create_event()
    }

    /// Removes an event.
    ///
    /// # Errors
    /// No such event.
    pub fn close_event(&self, id: EventId) -> Result<(), Gone> {
        self.inner.lock().events.remove(id.0).map(drop).ok_or(Gone)
    }

    /// Records an event behind what stands in a stream.
    ///
    /// # Errors
    /// No such event or stream.
    pub fn record(&self, event: EventId, stream: StreamId) -> Result<(), Gone> {
        self.wait_for_room(stream)?;
        let mut state = self.inner.lock();
        let urgent = state.urgent_ticket();
        if !state.record(&self.inner.device, event, stream, now_ns()) {
            return Err(Gone);
        }
        self.inner.nudge(&mut state, urgent);
        Ok(())
    }

    /// Holds a stream back until the latest record of an event is reached.
    ///
    /// # Errors
    /// No such event or stream.
    pub fn wait_event_in_stream(&self, stream: StreamId, event: EventId) -> Result<(), Gone> {
        let mut state = self.inner.lock();
        let urgent = state.urgent_ticket();
        if !state.wait_event(&self.inner.device, stream, event, now_ns()) {
            return Err(Gone);
        }
        self.inner.nudge(&mut state, urgent);
        Ok(())
    }

    /// How an event stands.
    ///
    /// # Errors
    /// No such event.
    pub fn event_status(&self, id: EventId) -> Result<EventStatus, Gone> {
        let mut state = self.inner.lock();
        let event = state.events.get(id.0).ok_or(Gone)?;
        if !event.done {
            self.inner.pump(&mut state, now_ns());
        }
        let event = state.events.get(id.0).ok_or(Gone)?;
        Ok(match event.record {
            0 => EventStatus::Unrecorded,
            _ if event.done => EventStatus::Reached {
                time_ns: event.time_ns,
            },
            _ => EventStatus::Pending,
        })
    }

    /// A condition for [`Op::Until`] on another device's queues: this event's latest record.
    ///
    /// # Errors
    /// No such event.
    pub fn event_condition(&self, id: EventId) -> Result<Box<dyn Fn() -> bool + Send>, Gone> {
        let record = self.inner.lock().events.get(id.0).ok_or(Gone)?.record;
        let inner = Arc::clone(&self.inner);
        Ok(Box::new(move || {
            // Never waits: the other device may be asking about us at this moment.
            let Ok(mut state) = inner.state.try_lock() else {
                return false;
            };
            inner.pump(&mut state, now_ns());
            state
                .events
                .get(id.0)
                .is_none_or(|event| event.done || event.record != record)
        }))
    }

    /// Waits until the latest record of an event is reached.
    ///
    /// # Errors
    /// No such event.
    pub fn wait_event(&self, id: EventId) -> Result<(), Gone> {
        let record = self.inner.lock().events.get(id.0).ok_or(Gone)?.record;
        self.inner.wait(|state| match state.events.get(id.0) {
            Some(event) if !event.done && event.record == record => match event.ticket {
                0 => Outlook::Blocked,
                ticket => Outlook::Ticket(ticket),
            },
            _ => Outlook::Done,
        });
        Ok(())
    }

    /// Lets go of gates, pending writes and counts on memory that is about to disappear; on hardware
    /// they would fault.
    pub fn forget_memory(&self, range: std::ops::Range<u64>) {
        let mut state = self.inner.lock();
        state.forget_memory(range);
        self.inner.pump(&mut state, now_ns());
    }
}

impl Drop for Queues {
    fn drop(&mut self) {
        self.inner.lock().stop = true;
        self.inner.worker.notify_all();
    }
}
