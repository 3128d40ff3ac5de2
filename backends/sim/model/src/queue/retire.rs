//! Work ends and has its effects.
//!
//! Owns: bringing a process up to date with the engine: effects in the order of the ends, and what
//! was attached to each piece of work.

use super::op::{Effect, Width, write_word};
use super::state::{EventId, State, StreamId};
use crate::device::Device;
use std::sync::atomic::Ordering::{Acquire, Release};

/// What follows a piece of work at once when it ends.
pub(super) enum Follow {
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

pub(super) struct Follower {
    pub(super) stream: StreamId,
    pub(super) follow: Follow,
    pub(super) floor_ns: u64,
}

pub(super) struct Node {
    pub(super) stream: StreamId,
    pub(super) effect: Effect,
    pub(super) followers: Vec<Follower>,
}

impl State {
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
            node.effect.apply(end_ns);
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

    pub(super) fn follow(&mut self, follower: Follower, end_ns: u64) {
        let time_ns = end_ns.max(follower.floor_ns);
        match follower.follow {
            Follow::Nothing => {}
            Follow::Record { event, record } => {
                if let Some(event) = self.events.get_mut(event.0).filter(|e| e.record == record) {
                    event.done = true;
                    event.time_ns = time_ns;
                }
            }
            Follow::Effect(effect) => effect.apply(time_ns),
            Follow::Write {
                address,
                width,
                value,
            } => write_word(address, width, value),
        }
        self.complete(follower.stream, time_ns);
    }

    pub(super) fn complete(&mut self, id: StreamId, time_ns: u64) {
        let Some(stream) = self.streams.get_mut(id.0) else {
            return;
        };
        stream.completed += 1;
        stream.settled_ns = stream.settled_ns.max(time_ns);
        if stream.closing && stream.idle() {
            self.streams.remove(id.0);
        }
    }

    /// Attaches a follower to unfinished work, or lets it happen now.
    pub(super) fn after(&mut self, ticket: u64, follower: Follower, urgent: bool) {
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
}
