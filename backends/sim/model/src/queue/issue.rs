//! Submitted operations find their place on the device's timeline.
//!
//! Owns: what holds an operation back (a gate, a host function, another stream, a full ring) and
//! when it is let go. Work goes into the process's ring at once, whatever runs before it; what
//! follows work is attached to it ([`super::retire`]).

use super::op::Op;
use super::retire::{Follow, Follower, Node};
use super::state::{Entry, EventId, Queued, State, StreamId};
use crate::device::Device;

impl State {
    /// Tries every stream that is held back. True if any went on.
    pub(super) fn issue_blocked(&mut self, device: &Device, now_ns: u64) -> bool {
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
}
