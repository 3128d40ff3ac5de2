//! Submitted operations find their place on the device's timeline.
//!
//! Owns: what holds an operation back (a gate, a host function, another stream, a full ring) and
//! when it is let go. Work goes into the process's ring at once, whatever runs before it; what
//! follows work is attached to it ([`super::retire`]).

use super::op::{Effect, Op};
use super::retire::{Follow, Follower, Node};
use super::state::{Entry, EventId, Queued, State, StreamId};
use crate::device::Device;

/// How deep into a stream that is held back the gates are looked at ahead of their turn.
const WATCHED_MAX: usize = 512;

impl State {
    /// Tries every stream that is held back: what was submitted first goes first, whatever its stream,
    /// as on hardware. True if any went on.
    pub(super) fn issue_blocked(&mut self, device: &Device, now_ns: u64) -> bool {
        for index in 0..self.blocked.len() {
            self.watch(self.blocked[index], now_ns);
        }
        let mut progress = false;
        let mut stuck = vec![false; self.blocked.len()];
        while let Some(index) = self.first_submitted(&stuck) {
            if self.issue_front(device, self.blocked[index], now_ns) {
                progress = true;
                self.free_joins(&mut stuck);
            } else {
                stuck[index] = true;
            }
        }
        let streams = &self.streams;
        self.blocked.retain(|id| {
            let stream = streams.get(id.0);
            stream.is_some_and(|stream| !stream.queue.is_empty())
        });
        progress
    }

    /// Lets streams try again that wait for others, which have gone on.
    fn free_joins(&self, stuck: &mut [bool]) {
        for (id, stuck) in self.blocked.iter().zip(stuck) {
            let front = self.streams.get(id.0).and_then(|it| it.queue.front());
            *stuck &= !front.is_some_and(|it| matches!(it.entry, Entry::Join { .. }));
        }
    }

    /// Among the streams that are held back and not `stuck`, the one whose next operation was submitted
    /// first.
    fn first_submitted(&self, stuck: &[bool]) -> Option<usize> {
        let front_ns = |index: &usize| {
            let stream = self.streams.get(self.blocked[*index].0)?;
            Some(stream.queue.front()?.submit_ns)
        };
        (0..stuck.len())
            .filter(|index| !stuck[*index] && front_ns(index).is_some())
            .min_by_key(front_ns)
    }

    /// Looks at the gates of a stream whose turn has not come.
    fn watch(&mut self, id: StreamId, now_ns: u64) {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return;
        };
        for queued in stream.queue.iter_mut().take(WATCHED_MAX) {
            if let Entry::Gate(watched) = &mut queued.entry {
                watched.look(now_ns);
            }
        }
    }

    /// Issues what can be issued at the front of a stream. True if anything was.
    pub(super) fn issue(&mut self, device: &Device, id: StreamId, now_ns: u64) -> bool {
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
        if matches!(front.entry, Entry::Gate(_)) {
            return self.issue_gate(id, now_ns);
        }
        if matches!(front.entry, Entry::Calling) {
            return false;
        }
        let floor_ns = stream.settled_ns.max(front.submit_ns);
        let duration_ns = match &front.entry {
            Entry::Op(Op::Work { duration_ns, .. }) => Some(*duration_ns),
            // Behind work it is where that is: on the device.
            Entry::Op(Op::Arrive) if stream.drained() && device.is_elsewhere(self.slot, now_ns) => {
                Some(0)
            }
            _ => None,
        };
        if let Some(duration_ns) = duration_ns {
            let Some(ticket) = device.lock().push(self.slot, duration_ns, floor_ns) else {
                return false;
            };
            let effect = match stream.queue.pop_front() {
                Some(Queued {
                    entry: Entry::Op(Op::Work { effect, .. }),
                    ..
                }) => effect,
                _ => Effect::None,
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
            ..
        }) = stream.queue.front_mut()
        else {
            return false;
        };
        let resume_ns = match op {
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
        self.pass(id, resume_ns);
        true
    }

    /// A gate at the front.
    fn issue_gate(&mut self, id: StreamId, now_ns: u64) -> bool {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return false;
        };
        let drained = stream.drained();
        let settled_ns = stream.settled_ns;
        let Some(Queued {
            entry: Entry::Gate(watched),
            submit_ns,
        }) = stream.queue.front_mut()
        else {
            return false;
        };
        watched.look(now_ns);
        if !drained {
            self.urgent.insert(stream.last_ticket);
            return false;
        }
        let Some(open_ns) = watched.open_ns else {
            self.newly_held |= stream.held_since_ns.is_none();
            stream.held_since_ns.get_or_insert(now_ns);
            return false;
        };
        let resume_ns = open_ns.max(settled_ns).max(*submit_ns);
        self.pass(id, resume_ns);
        true
    }

    /// What held the stream back is over.
    fn pass(&mut self, id: StreamId, resume_ns: u64) {
        if let Some(stream) = self.streams.get_mut(id.0) {
            stream.queue.pop_front();
            stream.held_since_ns = None;
            stream.issued += 1;
        }
        self.complete(id, resume_ns);
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
}
