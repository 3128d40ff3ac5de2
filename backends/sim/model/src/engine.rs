//! How device time passes: an analytic simulation that anybody can bring up to date.
//!
//! Owns: which context runs when, and for how long. Does not own: streams, events and the effects
//! of finished work ([`crate::queue`]), or real time: every entry is given `now_ns`.
//!
//! Each process hands its ready kernels to a ring in the shared file. Whoever holds the lock calls
//! [`Locked::advance`], which computes everything that happened on the device up to `now_ns`, in
//! all processes. A process that is late (descheduled, stopped) therefore loses no device time,
//! and jitter of sleeping threads does not add up.
//!
//! Exclusive mode: one context at a time, slices of [`SLICE_NS`], [`SWITCH_PREEMPT_NS`] lost when a
//! slice ends in the middle of work, [`SWITCH_IDLE_NS`] when the running context has run dry.
//! Concurrent mode (MPS): every context with work runs at an equal part of the device, none beyond
//! its active-thread percentage. That is fairer than the real MPS, which lets a saturating
//! neighbour starve small kernels.

use crate::calibration::{SLICE_NS, SWITCH_IDLE_NS, SWITCH_PREEMPT_NS, UTILIZATION_PERIOD_NS};
use crate::shared::{Locked, RING_ITEMS, SLOTS_MAX, Slot};
use std::sync::atomic::Ordering::{Acquire, Release};

/// The first unfinished item of a slot.
#[derive(Clone, Copy)]
struct Head {
    ticket: u64,
    ready_ns: u64,
    remaining_ns: u64,
}

/// A slot that waits for the device.
#[derive(Clone, Copy)]
struct Rival {
    slot: usize,
    ready_ns: u64,
}

impl Slot {
    fn head(&self) -> Option<Head> {
        let done = self.executed.load(Acquire);
        if done >= self.pushed.load(Acquire) {
            return None;
        }
        let item = self.item(done + 1);
        let spent_ns = self.executed_ns.load(Acquire);
        Some(Head {
            ticket: done + 1,
            ready_ns: item.ready_ns.load(Acquire),
            remaining_ns: item.cumulative_ns.load(Acquire).saturating_sub(spent_ns),
        })
    }

    fn spend(&self, ns: u64) {
        self.executed_ns
            .store(self.executed_ns.load(Acquire) + ns, Release);
    }

    fn finish(&self, head: Head, end_ns: u64) {
        let item = self.item(head.ticket);
        item.end_ns.store(end_ns, Release);
        self.executed_ns
            .store(item.cumulative_ns.load(Acquire), Release);
        // Last: `executed` says that `end_ns` is valid.
        self.executed.store(head.ticket, Release);
    }

    /// When the item of `ticket` ended, if it has and the owner has not retired it.
    pub fn end_ns(&self, ticket: u64) -> Option<u64> {
        (ticket <= self.executed.load(Acquire)).then(|| self.item(ticket).end_ns.load(Acquire))
    }
}

impl Locked<'_> {
    /// Hands work to the engine. Tickets of a slot count up from 1 and finish in order.
    ///
    /// `ready_ns` may lie in the past: if the device was idle then, the work started then.
    /// Returns nothing when the ring is full until the owner retires items.
    pub fn push(&self, slot: usize, duration_ns: u64, ready_ns: u64) -> Option<u64> {
        let slot = &self.slots[slot];
        let pushed = slot.pushed.load(Acquire);
        if pushed - slot.retired.load(Acquire) >= RING_ITEMS {
            return None;
        }
        let ticket = pushed + 1;
        let cumulative_ns = slot.pushed_ns.load(Acquire) + duration_ns;
        let item = slot.item(ticket);
        item.cumulative_ns.store(cumulative_ns, Release);
        item.ready_ns.store(ready_ns, Release);
        item.end_ns.store(0, Release);
        slot.pushed_ns.store(cumulative_ns, Release);
        slot.pushed.store(ticket, Release);
        Some(ticket)
    }

    /// Computes everything that happened up to `now_ns`.
    pub fn advance(&self, now_ns: u64) {
        if self.mps.load(Acquire) == 1 {
            self.advance_concurrent(now_ns);
        } else {
            while self.advance_exclusive(now_ns) {}
        }
        self.sample(now_ns);
    }

    /// Closes a utilization sample that is old enough.
    fn sample(&self, now_ns: u64) {
        let began_ns = self.engine.sample_ns.load(Acquire);
        let took_ns = now_ns.saturating_sub(began_ns);
        if took_ns < UTILIZATION_PERIOD_NS {
            return;
        }
        let busy_ns = self.engine.busy_ns.load(Acquire);
        let spent_ns = busy_ns.saturating_sub(self.engine.sample_busy_ns.load(Acquire));
        let percent = (spent_ns * 100 / took_ns).min(100);
        self.engine.utilization_percent.store(percent, Release);
        self.engine.sample_busy_ns.store(busy_ns, Release);
        self.engine.sample_ns.store(now_ns, Release);
    }

    /// A lower bound on when `ticket` of `slot` ends, as things stand after `advance(now_ns)`.
    pub fn predict_end_ns(&self, slot: usize, ticket: u64, now_ns: u64) -> u64 {
        let own = &self.slots[slot];
        if let Some(end_ns) = own.end_ns(ticket) {
            return end_ns;
        }
        let Some(head) = own.head() else {
            return now_ns;
        };
        let cumulative_ns = own.item(ticket).cumulative_ns.load(Acquire);
        let remaining_ns = cumulative_ns.saturating_sub(own.executed_ns.load(Acquire));
        let free_ns = self.engine.free_at_ns.load(Acquire);
        if self.mps.load(Acquire) == 1 {
            let permille = own.active_permille.load(Acquire).max(1);
            return free_ns.max(head.ready_ns) + remaining_ns * 1000 / permille;
        }
        let start_ns = free_ns.max(head.ready_ns);
        match self.current() {
            Some(current) if current != slot => {
                self.turn_ends_ns(current, start_ns).max(start_ns) + remaining_ns
            }
            _ => {
                let end_ns = start_ns + remaining_ns;
                match self.first_rival(Some(slot)) {
                    // Preempted on the way: look again then.
                    Some(rival) => end_ns.min(self.preempt_ns(start_ns.max(rival.ready_ns)) + 1),
                    None => end_ns,
                }
            }
        }
    }

    /// Until when the device is certainly busy with other contexts than `slot`, switching to
    /// `slot` included; `now_ns` when it is free. Always `now_ns` in concurrent mode.
    pub fn busy_elsewhere_until_ns(&self, slot: usize, now_ns: u64) -> u64 {
        match self.current() {
            Some(current) if current != slot && self.mps.load(Acquire) == 0 => {
                self.turn_ends_ns(current, now_ns).max(now_ns)
            }
            _ => now_ns,
        }
    }

    /// Whether the device would first have to change to `slot`.
    pub fn is_elsewhere(&self, slot: usize) -> bool {
        self.mps.load(Acquire) == 0 && self.current().is_some_and(|current| current != slot)
    }

    /// Takes a slot whose process is gone off the device.
    pub fn remove(&self, slot: usize, now_ns: u64) {
        self.advance(now_ns);
        let gone = &self.slots[slot];
        gone.memory_bytes.store(0, Release);
        gone.executed.store(gone.pushed.load(Acquire), Release);
        gone.executed_ns
            .store(gone.pushed_ns.load(Acquire), Release);
        if self.current() == Some(slot) {
            self.engine.current.store(0, Release);
            let free_ns = self.engine.free_at_ns.load(Acquire);
            self.engine
                .free_at_ns
                .store(free_ns.max(now_ns) + SWITCH_IDLE_NS, Release);
        }
        gone.taken.store(0, Release);
    }

    /// When `current`'s turn ends if somebody else is ready from `ready_ns` on, the switch included.
    fn turn_ends_ns(&self, current: usize, ready_ns: u64) -> u64 {
        let free_ns = self.engine.free_at_ns.load(Acquire);
        let slot = &self.slots[current];
        let work_ns = slot.pushed_ns.load(Acquire)
            - slot
                .executed_ns
                .load(Acquire)
                .min(slot.pushed_ns.load(Acquire));
        if work_ns == 0 {
            return free_ns.max(ready_ns) + SWITCH_IDLE_NS;
        }
        let dry_ns = free_ns + work_ns;
        let preempt_ns = self.preempt_ns(ready_ns.max(free_ns));
        if dry_ns <= preempt_ns {
            dry_ns + SWITCH_IDLE_NS
        } else {
            preempt_ns + SWITCH_PREEMPT_NS
        }
    }

    fn current(&self) -> Option<usize> {
        let raw = self.engine.current.load(Acquire);
        (raw >= 1 && raw <= SLOTS_MAX as u64).then(|| raw as usize - 1)
    }

    /// The slot other than `current` whose work has been ready longest.
    fn first_rival(&self, current: Option<usize>) -> Option<Rival> {
        self.slot_indices()
            .filter(|slot| Some(*slot) != current)
            .filter_map(|slot| {
                let ready_ns = self.slots[slot].head()?.ready_ns;
                Some(Rival { slot, ready_ns })
            })
            .min_by_key(|rival| rival.ready_ns)
    }

    /// The next slot in the round after `current` with work ready at `at_ns`.
    fn next_in_round(&self, current: usize, at_ns: u64) -> Option<usize> {
        let count = self.slot_indices().end;
        (1..count)
            .map(|step| (current + step) % count)
            .find(|slot| {
                self.slots[*slot]
                    .head()
                    .is_some_and(|head| head.ready_ns <= at_ns)
            })
    }

    /// The first end of a slice at or after `ns`. Slices of a context without rivals follow each
    /// other without a gap.
    fn preempt_ns(&self, ns: u64) -> u64 {
        let began_ns = self.engine.slice_start_ns.load(Acquire);
        let slices = ns.saturating_sub(began_ns).div_ceil(SLICE_NS).max(1);
        began_ns + slices * SLICE_NS
    }

    fn switch_to(&self, slot: usize, free_ns: u64) {
        self.engine.free_at_ns.store(free_ns, Release);
        self.engine.slice_start_ns.store(free_ns, Release);
        self.engine
            .switches
            .store(self.engine.switches.load(Acquire) + 1, Release);
        self.engine.current.store(slot as u64 + 1, Release);
    }

    fn spend(&self, slot: &Slot, from_ns: u64, until_ns: u64) {
        let ns = until_ns.saturating_sub(from_ns);
        slot.spend(ns);
        self.engine
            .busy_ns
            .store(self.engine.busy_ns.load(Acquire) + ns, Release);
        self.engine.free_at_ns.store(until_ns, Release);
    }

    /// One turn of the current context. True if the device went on to another.
    fn advance_exclusive(&self, now_ns: u64) -> bool {
        let current = self.current();
        let rival = self.first_rival(current);
        let Some(current) = current else {
            // Nothing to save: the first context starts at once.
            let Some(rival) = rival else { return false };
            let start_ns = self.engine.free_at_ns.load(Acquire).max(rival.ready_ns);
            if start_ns > now_ns {
                return false;
            }
            self.switch_to(rival.slot, start_ns);
            return true;
        };
        let slot = &self.slots[current];
        loop {
            let free_ns = self.engine.free_at_ns.load(Acquire);
            let head = slot.head();
            let start_ns = head.map(|head| free_ns.max(head.ready_ns));
            // Dry, with somebody ready before this context is again?
            if let Some(rival) = rival {
                let rival_ns = free_ns.max(rival.ready_ns);
                if start_ns.is_none_or(|start_ns| rival_ns < start_ns) {
                    if rival_ns > now_ns {
                        return false;
                    }
                    let next = self.next_in_round(current, rival_ns).unwrap_or(rival.slot);
                    self.switch_to(next, rival_ns + SWITCH_IDLE_NS);
                    return true;
                }
            }
            let (Some(head), Some(start_ns)) = (head, start_ns) else {
                return false;
            };
            if start_ns > now_ns {
                return false;
            }
            let end_ns = start_ns + head.remaining_ns;
            let preempt_ns = rival.map_or(u64::MAX, |rival| {
                self.preempt_ns(start_ns.max(rival.ready_ns))
            });
            let until_ns = end_ns.min(preempt_ns);
            if until_ns > now_ns {
                self.spend(slot, start_ns, now_ns);
                return false;
            }
            self.spend(slot, start_ns, until_ns);
            if end_ns <= preempt_ns {
                slot.finish(head, end_ns);
            } else {
                let fallback = rival.map_or(current, |rival| rival.slot);
                let next = self.next_in_round(current, preempt_ns).unwrap_or(fallback);
                self.switch_to(next, preempt_ns + SWITCH_PREEMPT_NS);
                return true;
            }
        }
    }

    /// All contexts at once, each at an equal part of the device within its cap.
    fn advance_concurrent(&self, now_ns: u64) {
        loop {
            let clock_ns = self.engine.free_at_ns.load(Acquire);
            if clock_ns >= now_ns {
                return;
            }
            let mut heads: [Option<Head>; SLOTS_MAX] = [None; SLOTS_MAX];
            let mut next_ready_ns = u64::MAX;
            let mut running = 0_usize;
            for slot in self.slot_indices() {
                if let Some(head) = self.slots[slot].head() {
                    if head.ready_ns <= clock_ns {
                        heads[slot] = Some(head);
                        running += 1;
                    } else {
                        next_ready_ns = next_ready_ns.min(head.ready_ns);
                    }
                }
            }
            if running == 0 {
                if next_ready_ns > now_ns {
                    return;
                }
                self.engine.free_at_ns.store(next_ready_ns, Release);
                continue;
            }
            let level = self.water_level_permille(&heads, running);
            let rate = |slot: usize| {
                (self.slots[slot].active_permille.load(Acquire) as f64).min(level) / 1000.0
            };
            let mut step_ns = (now_ns.min(next_ready_ns) - clock_ns) as f64;
            for (slot, head) in running_slots(&heads) {
                step_ns = step_ns.min(head.remaining_ns as f64 / rate(slot));
            }
            // At least a nanosecond, so that rounding cannot stop the clock.
            let step_ns = step_ns.ceil().max(1.0);
            let until_ns = clock_ns + step_ns as u64;
            let mut busy = 0.0;
            for (slot, head) in running_slots(&heads) {
                let progress_ns = step_ns * rate(slot);
                busy += progress_ns;
                if progress_ns + 0.5 >= head.remaining_ns as f64 {
                    self.slots[slot].finish(head, until_ns);
                } else {
                    self.slots[slot].spend(progress_ns as u64);
                }
            }
            self.engine
                .busy_ns
                .store(self.engine.busy_ns.load(Acquire) + busy as u64, Release);
            self.engine.free_at_ns.store(until_ns, Release);
        }
    }

    /// The part of the device each running context may use so that the whole is used.
    fn water_level_permille(&self, heads: &[Option<Head>; SLOTS_MAX], running: usize) -> f64 {
        let mut settled = 0;
        let mut level = 1000.0 / running as f64;
        // Each round settles at least one capped context, so `running` rounds are enough.
        for _ in 0..running {
            let (mut capped, mut capped_permille) = (0, 0.0);
            for (slot, _) in running_slots(heads) {
                let cap = self.slots[slot].active_permille.load(Acquire) as f64;
                if cap < level {
                    capped += 1;
                    capped_permille += cap;
                }
            }
            if capped == settled || capped == running {
                break;
            }
            settled = capped;
            level = (1000.0 - capped_permille) / (running - capped) as f64;
        }
        level
    }
}

fn running_slots(heads: &[Option<Head>; SLOTS_MAX]) -> impl Iterator<Item = (usize, Head)> + '_ {
    heads
        .iter()
        .enumerate()
        .filter_map(|(slot, head)| head.map(|head| (slot, head)))
}
