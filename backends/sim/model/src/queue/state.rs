//! Streams, events and unfinished work of one process on one device.
//!
//! Owns: the order of operations. An operation is *submitted*, then *issued* once what holds it
//! back is settled (its place on the device's timeline is then fixed), then *completed* when
//! device time passes its end. Does not own: threads and sleeping ([`super`], [`super::worker`]).

use super::op::{Effect, Op, Width, write_word};
use super::slab::{Key, Slab};
use crate::calibration::JITTER_PERMILLE;
use crate::device::Device;
use crate::rng::Rng;
use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::Ordering::{Acquire, Release};

/// How long finished work may go unnoticed if nobody waits for it.
const LAZY_NS: u64 = 500_000;
/// How long the worker keeps its rhythm after the last work ended.
const LINGER_NS: u64 = 20_000_000;
/// Between two looks at a gate while the device is idle: at least, at most, and in between the
/// time it has been idle divided by [`POLL_BACKOFF`].
const POLL_NS_MIN: u64 = 20_000;
const POLL_NS_MAX: u64 = 1_000_000;
const POLL_BACKOFF: u64 = 400;
/// Between two looks at a gate while the device is busy with other processes anyway.
const POLL_BUSY_NS: u64 = 400_000;
/// How long before the device gets free the looks become frequent.
const POLL_EARLY_NS: u64 = 80_000;
/// Between two looks at a condition of another device.
const POLL_FOREIGN_NS: u64 = 100_000;

/// When the worker has to look again.
#[derive(Clone, Copy)]
pub(super) struct Wake {
    pub(super) at_ns: u64,
    /// Worth being there to the microsecond.
    pub(super) exact: bool,
}

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
    /// A host function is running.
    Calling,
}

struct Queued {
    entry: Entry,
    submit_ns: u64,
}

pub(super) struct Stream {
    group: u64,
    kind: StreamKind,
    pub(super) submitted: u64,
    pub(super) issued: u64,
    pub(super) completed: u64,
    /// The newest work this stream's next operation has to follow; 0 for none.
    pub(super) last_ticket: u64,
    /// The latest known end or resumption.
    settled_ns: u64,
    queue: VecDeque<Queued>,
    /// Since when the gate at the front was seen open while earlier work still ran.
    seen_open_ns: Option<u64>,
    /// When the gate at the front was last seen closed with nothing else holding the stream.
    seen_closed_ns: Option<u64>,
    /// Since when the gate at the front holds an otherwise idle stream.
    held_since_ns: Option<u64>,
    closing: bool,
}

impl Stream {
    fn idle(&self) -> bool {
        self.submitted == self.completed
    }

    fn drained(&self) -> bool {
        self.issued == self.completed
    }
}

pub(super) struct Event {
    pub(super) record: u64,
    pub(super) done: bool,
    pub(super) time_ns: u64,
    pub(super) ticket: u64,
    stream: Option<StreamId>,
    seq: u64,
}

/// What follows a piece of work at once when it ends.
enum Follow {
    Nothing,
    Record {
        event: EventId,
        record: u64,
    },
    Effect(Effect),
    Write {
        address: u64,
        width: Width,
        value: u64,
    },
}

struct Follower {
    stream: StreamId,
    follow: Follow,
    floor_ns: u64,
}

struct Node {
    stream: StreamId,
    effect: Effect,
    followers: Vec<Follower>,
}

/// Everything the lock of [`super::Queues`] protects.
pub(super) struct State {
    pub(super) streams: Slab<Stream>,
    pub(super) events: Slab<Event>,
    /// Issued work that has not ended, in the order of its tickets.
    nodes: VecDeque<Node>,
    /// Ticket of the newest ended work.
    retired: u64,
    /// Tickets whose end somebody is to notice at once.
    urgent: BTreeSet<u64>,
    /// Streams with operations that are not issued.
    blocked: Vec<StreamId>,
    /// Host functions whose turn has come.
    pub(super) calls: VecDeque<(StreamId, Box<dyn FnOnce() + Send>)>,
    ends_ns: Vec<u64>,
    slot: usize,
    rng: Rng,
    active_ns: u64,
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
            seen_open_ns: None,
            seen_closed_ns: None,
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
        self.enqueue(device, id, Entry::Op(op), now_ns);
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

    /// Brings everything up to `now_ns`.
    pub(super) fn pump(&mut self, device: &Device, now_ns: u64) {
        loop {
            self.retire(device, now_ns);
            if !self.issue_blocked(device, now_ns) {
                return;
            }
        }
    }

    fn retire(&mut self, device: &Device, now_ns: u64) {
        if self.nodes.is_empty() {
            return;
        }
        device.reap_if_due(now_ns);
        self.active_ns = now_ns;
        let mut ends_ns = std::mem::take(&mut self.ends_ns);
        {
            let locked = device.lock();
            locked.advance(now_ns);
            let slot = &locked.slots[self.slot];
            let executed = slot.executed.load(Acquire);
            ends_ns.extend(
                (self.retired + 1..=executed).map(|ticket| slot.item(ticket).end_ns.load(Acquire)),
            );
            slot.retired.store(executed, Release);
        }
        for end_ns in ends_ns.drain(..) {
            self.retired += 1;
            let Some(node) = self.nodes.pop_front() else {
                break;
            };
            node.effect.apply();
            self.complete(node.stream, end_ns);
            for follower in node.followers {
                self.follow(follower, end_ns);
            }
        }
        self.ends_ns = ends_ns;
        while self
            .urgent
            .first()
            .is_some_and(|ticket| *ticket <= self.retired)
        {
            self.urgent.pop_first();
        }
    }

    fn follow(&mut self, follower: Follower, end_ns: u64) {
        let time_ns = end_ns.max(follower.floor_ns);
        match follower.follow {
            Follow::Nothing => {}
            Follow::Record { event, record } => {
                if let Some(event) = self.events.get_mut(event.0).filter(|e| e.record == record) {
                    event.done = true;
                    event.time_ns = time_ns;
                }
            }
            Follow::Effect(effect) => effect.apply(),
            Follow::Write {
                address,
                width,
                value,
            } => write_word(address, width, value),
        }
        self.complete(follower.stream, time_ns);
    }

    fn complete(&mut self, id: StreamId, time_ns: u64) {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return;
        };
        stream.completed += 1;
        stream.settled_ns = stream.settled_ns.max(time_ns);
        if stream.closing && stream.idle() {
            self.streams.remove(id.0);
        }
    }

    /// Tries every stream that is held back. True if any went on.
    fn issue_blocked(&mut self, device: &Device, now_ns: u64) -> bool {
        let mut progress = false;
        let mut index = 0;
        while index < self.blocked.len() {
            let id = self.blocked[index];
            progress |= self.issue(device, id, now_ns);
            if self
                .streams
                .get(id.0)
                .is_some_and(|stream| !stream.queue.is_empty())
            {
                index += 1;
            } else {
                self.blocked.swap_remove(index);
            }
        }
        progress
    }

    /// Issues what can be issued at the front of a stream. True if anything was.
    fn issue(&mut self, device: &Device, id: StreamId, now_ns: u64) -> bool {
        let mut progress = false;
        while self.issue_front(device, id, now_ns) {
            progress = true;
        }
        progress
    }

    fn issue_front(&mut self, device: &Device, id: StreamId, now_ns: u64) -> bool {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return false;
        };
        let Some(front) = stream.queue.front() else {
            return false;
        };
        if let Entry::Op(op) = &front.entry
            && op.needs_drained_stream()
        {
            return self.issue_held(id, now_ns);
        }
        if let Entry::Join {
            stream: other,
            seq,
            event,
        } = &front.entry
        {
            let (other, seq, event) = (*other, *seq, *event);
            return self.issue_join(id, other, seq, event);
        }
        if matches!(front.entry, Entry::Calling) {
            return false;
        }
        let floor_ns = stream.settled_ns.max(front.submit_ns);
        if let Entry::Op(Op::Work { duration_ns, .. }) = &front.entry {
            let Some(ticket) = device.lock().push(self.slot, *duration_ns, floor_ns) else {
                return false;
            };
            let Some(Queued {
                entry: Entry::Op(Op::Work { effect, .. }),
                ..
            }) = stream.queue.pop_front()
            else {
                return false;
            };
            stream.issued += 1;
            stream.last_ticket = ticket;
            self.nodes.push_back(Node {
                stream: id,
                effect,
                followers: Vec::new(),
            });
            return true;
        }
        let Some(queued) = stream.queue.pop_front() else {
            return false;
        };
        stream.issued += 1;
        let last_ticket = stream.last_ticket;
        let (follow, urgent) = match queued.entry {
            Entry::Op(Op::Instant(effect)) => (Follow::Effect(effect), false),
            Entry::Op(Op::Write {
                address,
                width,
                value,
            }) => (
                Follow::Write {
                    address,
                    width,
                    value,
                },
                true,
            ),
            Entry::Record { event, record } => {
                if let Some(event) = self.events.get_mut(event.0).filter(|e| e.record == record) {
                    event.ticket = last_ticket;
                }
                (Follow::Record { event, record }, false)
            }
            _ => (Follow::Nothing, false),
        };
        self.after(
            last_ticket,
            Follower {
                stream: id,
                follow,
                floor_ns,
            },
            urgent,
        );
        true
    }

    /// Attaches a follower to unfinished work, or lets it happen now.
    fn after(&mut self, ticket: u64, follower: Follower, urgent: bool) {
        if ticket > self.retired {
            let index = (ticket - self.retired - 1) as usize;
            if let Some(node) = self.nodes.get_mut(index) {
                node.followers.push(follower);
                if urgent {
                    self.urgent.insert(ticket);
                }
                return;
            }
        }
        self.follow(follower, 0);
    }

    fn issue_join(
        &mut self,
        id: StreamId,
        other: StreamId,
        seq: u64,
        event: Option<(EventId, u64)>,
    ) -> bool {
        let (mut ticket, mut settled_ns) = (0, 0);
        if let Some(other) = self.streams.get(other.0) {
            if other.issued < seq {
                return false;
            }
            (ticket, settled_ns) = (other.last_ticket, other.settled_ns);
        }
        if let Some((event, record)) = event
            && let Some(event) = self.events.get(event.0).filter(|e| e.record == record)
        {
            ticket = event.ticket;
            settled_ns = event.time_ns;
        }
        let Some(stream) = self.streams.get_mut(id.0) else {
            return false;
        };
        stream.queue.pop_front();
        stream.issued += 1;
        stream.last_ticket = stream.last_ticket.max(ticket);
        stream.settled_ns = stream.settled_ns.max(settled_ns);
        let follower = Follower {
            stream: id,
            follow: Follow::Nothing,
            floor_ns: stream.settled_ns,
        };
        let last_ticket = stream.last_ticket;
        self.after(last_ticket, follower, false);
        true
    }

    /// An operation at the front that can only be judged when the stream has run dry.
    fn issue_held(&mut self, id: StreamId, now_ns: u64) -> bool {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return false;
        };
        let drained = stream.drained();
        let Some(Queued {
            entry: Entry::Op(op),
            submit_ns,
        }) = stream.queue.front_mut()
        else {
            return false;
        };
        let resume_ns = match op {
            Op::Wait(gate) => {
                let open = gate.open();
                if !drained {
                    // Remember that it was open in time: then it costs nothing, as on hardware.
                    stream.seen_open_ns = open.then_some(stream.seen_open_ns.unwrap_or(now_ns));
                    self.urgent.insert(stream.last_ticket);
                    return false;
                }
                if !open {
                    stream.seen_open_ns = None;
                    self.newly_held |= stream.held_since_ns.is_none();
                    stream.held_since_ns.get_or_insert(now_ns);
                    stream.seen_closed_ns = Some(now_ns);
                    return false;
                }
                // Written at some time since the last look: the middle is right on average.
                let likely_ns = stream
                    .seen_closed_ns
                    .map_or(now_ns, |ns| ns.midpoint(now_ns));
                let seen_ns = stream.seen_open_ns.unwrap_or(likely_ns);
                seen_ns.max(stream.settled_ns).max(*submit_ns)
            }
            Op::Until(ready) => {
                if !drained {
                    self.urgent.insert(stream.last_ticket);
                    return false;
                }
                if !ready() {
                    self.newly_held |= stream.held_since_ns.is_none();
                    stream.held_since_ns.get_or_insert(now_ns);
                    return false;
                }
                now_ns
            }
            _ => {
                if !drained {
                    self.urgent.insert(stream.last_ticket);
                    return false;
                }
                if let Some(Queued { entry, .. }) = stream.queue.front_mut()
                    && let Entry::Op(Op::Call(call)) = std::mem::replace(entry, Entry::Calling)
                {
                    self.calls.push_back((id, call));
                    self.newly_held = true;
                }
                return false;
            }
        };
        stream.queue.pop_front();
        stream.seen_open_ns = None;
        stream.seen_closed_ns = None;
        stream.held_since_ns = None;
        stream.issued += 1;
        self.complete(id, resume_ns);
        true
    }

    /// A host function has returned.
    pub(super) fn called(&mut self, id: StreamId, now_ns: u64) {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return;
        };
        if matches!(
            stream.queue.front(),
            Some(Queued {
                entry: Entry::Calling,
                ..
            })
        ) {
            stream.queue.pop_front();
            stream.issued += 1;
            self.complete(id, now_ns);
        }
    }

    /// Lets go of every gate on memory that is about to disappear.
    pub(super) fn forget_memory(&mut self, range: std::ops::Range<u64>) {
        for id in self.blocked.clone() {
            let Some(stream) = self.streams.get_mut(id.0) else {
                continue;
            };
            for queued in &mut stream.queue {
                if let Entry::Op(Op::Wait(gate)) = &queued.entry
                    && range.contains(&gate.address)
                {
                    queued.entry = Entry::Op(Op::Instant(Effect::None));
                }
            }
        }
        for follower in self.nodes.iter_mut().flat_map(|node| &mut node.followers) {
            if let Follow::Write { address, .. } = &follower.follow
                && range.contains(address)
            {
                follower.follow = Follow::Nothing;
            }
        }
    }

    /// When issued work will end at the earliest.
    pub(super) fn predict_ns(&self, device: &Device, ticket: u64, now_ns: u64) -> u64 {
        let locked = device.lock();
        locked.advance(now_ns);
        locked.predict_end_ns(self.slot, ticket, now_ns)
    }

    /// The oldest work that has not ended.
    pub(super) fn first_ticket(&self) -> u64 {
        self.retired + 1
    }

    /// The earliest work somebody has to notice at once.
    pub(super) fn urgent_ticket(&self) -> Option<u64> {
        self.urgent.first().copied()
    }

    /// Until when the worker may sleep; nothing if there is nothing to do.
    pub(super) fn next_wake(&self, device: &Device, now_ns: u64) -> Option<Wake> {
        let mut wake: Option<Wake> = None;
        let mut earlier = |at_ns: u64, exact: bool| {
            if wake.is_none_or(|other| at_ns < other.at_ns) {
                wake = Some(Wake { at_ns, exact });
            }
        };
        if !self.nodes.is_empty() || now_ns < self.active_ns + LINGER_NS {
            earlier(now_ns + LAZY_NS, false);
        }
        if let Some(ticket) = self.urgent_ticket() {
            earlier(self.predict_ns(device, ticket, now_ns), true);
        }
        for id in &self.blocked {
            let Some(stream) = self.streams.get(id.0) else {
                continue;
            };
            match stream.queue.front().map(|queued| &queued.entry) {
                Some(Entry::Op(Op::Wait(_))) => {
                    if let Some(since_ns) = stream.held_since_ns {
                        earlier(self.next_poll_ns(device, since_ns, now_ns), false);
                    }
                }
                Some(Entry::Op(Op::Until(_))) => earlier(now_ns + POLL_FOREIGN_NS, false),
                _ => {}
            }
        }
        wake
    }

    fn next_poll_ns(&self, device: &Device, since_ns: u64, now_ns: u64) -> u64 {
        let locked = device.lock();
        locked.advance(now_ns);
        let busy_ns = locked
            .busy_elsewhere_until_ns(self.slot, now_ns)
            .saturating_sub(now_ns);
        if busy_ns > POLL_EARLY_NS + POLL_NS_MIN {
            // An earlier look would win nothing: the device is taken until then.
            return now_ns + (busy_ns - POLL_EARLY_NS).min(POLL_BUSY_NS);
        }
        let free_ns = locked.engine.free_at_ns.load(Acquire);
        let idle_ns = now_ns.saturating_sub(since_ns.max(free_ns));
        now_ns + (idle_ns / POLL_BACKOFF).clamp(POLL_NS_MIN, POLL_NS_MAX)
    }
}
