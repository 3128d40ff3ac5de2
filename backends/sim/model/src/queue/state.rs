//! Streams, events and unfinished work of one process on one device.
//!
//! Owns: what exists, and submission. An operation is *submitted*, then *issued* once what holds it
//! back is settled ([`super::issue`]: its place on the device's timeline is then fixed), then
//! *completed* when device time passes its end ([`super::retire`]). Does not own: threads and
//! sleeping ([`super`], [`super::worker`], [`super::wake`]).

use super::op::{Effect, Gate, Op, Watched};
use super::retire::{Follow, Node};
use super::slab::{Key, Slab};
use crate::calibration::JITTER_PERMILLE;
use crate::device::Device;
use crate::rng::Rng;
use std::collections::{BTreeSet, VecDeque};

/// Names a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamId(pub(super) Key);

/// Names an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EventId(pub(super) Key);

/// How a stream relates to its context's default stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamKind {
    /// The default stream: takes turns with all blocking streams of its group.
    Default,
    /// Takes turns with the default stream.
    Blocking,
    /// Independent.
    NonBlocking,
}

pub(super) enum Entry {
    Op(Op),
    Record {
        event: EventId,
        record: u64,
    },
    /// Held back until `stream` has issued operation number `seq`.
    Join {
        stream: StreamId,
        seq: u64,
        event: Option<(EventId, u64)>,
    },
    /// Held back until a word in memory satisfies a condition.
    Gate(Watched),
    /// A host function is running.
    Calling,
}

pub(super) struct Queued {
    pub(super) entry: Entry,
    pub(super) submit_ns: u64,
}

pub(super) struct Stream {
    pub(super) group: u64,
    pub(super) kind: StreamKind,
    pub(super) submitted: u64,
    pub(super) issued: u64,
    pub(super) completed: u64,
    /// The newest work this stream's next operation has to follow; 0 for none.
    pub(super) last_ticket: u64,
    /// The latest known end or resumption.
    pub(super) settled_ns: u64,
    pub(super) queue: VecDeque<Queued>,
    /// Since when the gate at the front holds an otherwise idle stream.
    pub(super) held_since_ns: Option<u64>,
    pub(super) closing: bool,
}

impl Stream {
    pub(super) fn idle(&self) -> bool {
        self.submitted == self.completed
    }

    pub(super) fn drained(&self) -> bool {
        self.issued == self.completed
    }
}

pub(super) struct Event {
    pub(super) record: u64,
    pub(super) done: bool,
    pub(super) time_ns: u64,
    pub(super) ticket: u64,
    pub(super) stream: Option<StreamId>,
    pub(super) seq: u64,
}

/// Everything the lock of [`super::Queues`] protects.
pub(super) struct State {
    pub(super) streams: Slab<Stream>,
    pub(super) events: Slab<Event>,
    /// Issued work that has not ended, in the order of its tickets.
    pub(super) nodes: VecDeque<Node>,
    /// Ticket of the newest ended work.
    pub(super) retired: u64,
    /// Tickets whose end somebody is to notice at once.
    pub(super) urgent: BTreeSet<u64>,
    /// Streams with operations that are not issued.
    pub(super) blocked: Vec<StreamId>,
    /// Host functions whose turn has come.
    pub(super) calls: VecDeque<(StreamId, Box<dyn FnOnce() + Send>)>,
    pub(super) ends_ns: Vec<u64>,
    pub(super) slot: usize,
    pub(super) rng: Rng,
    pub(super) active_ns: u64,
    /// Until when the worker sleeps.
    pub(super) worker_wake_ns: u64,
    /// Threads that wait for something that is not issued.
    pub(super) blocked_waiters: u32,
    /// A gate, call or condition came to the front since the worker last looked.
    pub(super) newly_held: bool,
    pub(super) stop: bool,
}

impl State {
    pub(super) fn new(slot: usize, seed: u64) -> Self {
        Self {
            streams: Slab::default(),
            events: Slab::default(),
            nodes: VecDeque::new(),
            retired: 0,
            urgent: BTreeSet::new(),
            blocked: Vec::new(),
            calls: VecDeque::new(),
            ends_ns: Vec::new(),
            slot,
            rng: Rng::new(seed),
            active_ns: 0,
            worker_wake_ns: 0,
            blocked_waiters: 0,
            newly_held: false,
            stop: false,
        }
    }

    pub(super) fn create_stream(&mut self, group: u64, kind: StreamKind) -> StreamId {
        StreamId(self.streams.insert(Stream {
            group,
            kind,
            submitted: 0,
            issued: 0,
            completed: 0,
            last_ticket: 0,
            settled_ns: 0,
            queue: VecDeque::new(),
            held_since_ns: None,
            closing: false,
        }))
    }

    /// The stream disappears once it has run dry.
    pub(super) fn close_stream(&mut self, id: StreamId) -> bool {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return false;
        };
        stream.closing = true;
        if stream.idle() {
            self.streams.remove(id.0);
        }
        true
    }

    pub(super) fn create_event(&mut self) -> EventId {
        EventId(self.events.insert(Event {
            record: 0,
            done: true,
            time_ns: 0,
            ticket: 0,
            stream: None,
            seq: 0,
        }))
    }

    pub(super) fn group(&self, group: u64) -> impl Iterator<Item = (StreamId, &Stream)> {
        self.streams
            .iter()
            .filter(move |(_, stream)| stream.group == group)
            .map(|(key, stream)| (StreamId(key), stream))
    }

    /// What has to end before a stream counts as done: its own operations, and for a default stream
    /// those of the blocking streams too. Nothing if there is no such stream.
    pub(super) fn with_implicit(&self, id: StreamId) -> Option<Vec<(StreamId, u64)>> {
        let stream = self.streams.get(id.0)?;
        let (group, kind) = (stream.group, stream.kind);
        let counts = |other: StreamId, stream: &Stream| {
            other == id || (kind == StreamKind::Default && stream.kind == StreamKind::Blocking)
        };
        let unfinished = self
            .group(group)
            .filter(|(other, stream)| counts(*other, stream) && !stream.idle())
            .map(|(other, stream)| (other, stream.submitted));
        Some(unfinished.collect())
    }

    /// Adds an operation to a stream. False if there is no such stream.
    pub(super) fn submit(&mut self, device: &Device, id: StreamId, op: Op, now_ns: u64) -> bool {
        let Some(stream) = self.streams.get(id.0) else {
            return false;
        };
        let (group, kind) = (stream.group, stream.kind);
        if kind != StreamKind::NonBlocking {
            self.join_default(device, id, group, kind, now_ns);
        }
        let op = match op {
            Op::Work {
                duration_ns,
                effect,
            } => Op::Work {
                duration_ns: self.rng.jitter(duration_ns, JITTER_PERMILLE),
                effect,
            },
            other => other,
        };
        let entry = match op {
            Op::Wait(gate) => Entry::Gate(Watched::new(gate, now_ns)),
            op => Entry::Op(op),
        };
        self.enqueue(device, id, entry, now_ns);
        true
    }

    /// The default stream follows every blocking stream of its group, and they follow it.
    fn join_default(
        &mut self,
        device: &Device,
        id: StreamId,
        group: u64,
        kind: StreamKind,
        now_ns: u64,
    ) {
        let mut first = None;
        let mut more = Vec::new();
        for (other, stream) in self.group(group) {
            let related = match kind {
                StreamKind::Default => stream.kind == StreamKind::Blocking,
                _ => stream.kind == StreamKind::Default,
            };
            if other == id || !related || stream.idle() {
                continue;
            }
            let join = (other, stream.submitted);
            if first.is_none() {
                first = Some(join)
            } else {
                more.push(join)
            }
        }
        for (stream, seq) in first.into_iter().chain(more) {
            self.enqueue(
                device,
                id,
                Entry::Join {
                    stream,
                    seq,
                    event: None,
                },
                now_ns,
            );
        }
    }

    pub(super) fn record(
        &mut self,
        device: &Device,
        event: EventId,
        id: StreamId,
        now_ns: u64,
    ) -> bool {
        let Some(stream) = self.streams.get(id.0) else {
            return false;
        };
        let (group, kind) = (stream.group, stream.kind);
        if self.events.get(event.0).is_none() {
            return false;
        }
        if kind != StreamKind::NonBlocking {
            self.join_default(device, id, group, kind, now_ns);
        }
        let seq = self
            .streams
            .get(id.0)
            .map_or(0, |stream| stream.submitted + 1);
        let Some(state) = self.events.get_mut(event.0) else {
            return false;
        };
        state.record += 1;
        state.done = false;
        state.ticket = 0;
        state.stream = Some(id);
        state.seq = seq;
        let record = state.record;
        self.enqueue(device, id, Entry::Record { event, record }, now_ns);
        true
    }

    pub(super) fn wait_event(
        &mut self,
        device: &Device,
        id: StreamId,
        event: EventId,
        now_ns: u64,
    ) -> bool {
        let Some(state) = self.events.get(event.0) else {
            return false;
        };
        if self.streams.get(id.0).is_none() {
            return false;
        }
        if let (false, Some(stream)) = (state.done, state.stream) {
            let join = Entry::Join {
                stream,
                seq: state.seq,
                event: Some((event, state.record)),
            };
            self.enqueue(device, id, join, now_ns);
        }
        true
    }

    fn enqueue(&mut self, device: &Device, id: StreamId, entry: Entry, now_ns: u64) {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return;
        };
        stream.submitted += 1;
        stream.queue.push_back(Queued {
            entry,
            submit_ns: now_ns,
        });
        if stream.queue.len() == 1 {
            self.issue(device, id, now_ns);
            if self
                .streams
                .get(id.0)
                .is_some_and(|stream| !stream.queue.is_empty())
            {
                self.blocked.push(id);
            }
        }
    }

    /// Lets go of every gate, write and count on memory that is about to disappear.
    pub(super) fn forget_memory(&mut self, range: std::ops::Range<u64>) {
        let drop_count = |effect: &mut Effect| {
            if matches!(effect, Effect::AddU64 { address, .. } | Effect::Stamp { address } if range.contains(address))
            {
                *effect = Effect::None;
            }
        };
        for id in &self.blocked {
            let Some(stream) = self.streams.get_mut(id.0) else {
                continue;
            };
            stream.held_since_ns = None;
            for queued in &mut stream.queue {
                match &mut queued.entry {
                    Entry::Gate(Watched {
                        gate: Gate { address, .. },
                        ..
                    })
                    | Entry::Op(Op::Write { address, .. })
                        if range.contains(address) =>
                    {
                        queued.entry = Entry::Op(Op::Instant(Effect::None));
                    }
                    Entry::Op(Op::Work { effect, .. }) => drop_count(effect),
                    _ => {}
                }
            }
        }
        for node in &mut self.nodes {
            drop_count(&mut node.effect);
            for follower in &mut node.followers {
                if matches!(&follower.follow, Follow::Write { address, .. } if range.contains(address))
                {
                    follower.follow = Follow::Nothing;
                }
            }
        }
    }
}
