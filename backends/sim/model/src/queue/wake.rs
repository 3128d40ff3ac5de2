//! When somebody has to look again.
//!
//! Owns: predictions of ends, the rhythm of the worker, how often a closed gate is looked at. A look
//! costs a wake-up of some 15 µs of processor time, so they are frequent only where lateness would
//! cost device time: when the device is idle or about to be.

use super::op::Op;
use super::state::{Entry, State};
use crate::device::Device;
use std::sync::atomic::Ordering::Acquire;

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

impl State {
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
                Some(Entry::Gate(_)) => {
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
