//! When to look again.

use super::look::Running;
use super::{Arbiter, gang};
use crate::sched::account::ProcessAccount;
use crate::sched::clock::us;
use crate::sched::plan::{Plan, ProcessView, View};
use crate::sched::segment::reached;

/// Least between two looks at how far a segment is that fills.
const LOOK_NS_FILLING: u64 = us(250);

impl Arbiter {
    /// When the next thing can happen that no doorbell announces.
    pub(super) fn wake(&self, now: u64, view: &View, plan: &Plan) -> Option<u64> {
        let mut wake: Option<u64> = None;
        let mut at = |when: u64| {
            let when = when.max(now + us(1));
            wake = Some(wake.map_or(when, |w: u64| w.min(when)));
        };
        let waiting: Vec<&ProcessView> = view.processes.iter().filter(|p| p.has_work()).collect();
        if let Some(turn) = &self.turn
            && let Some(process) = view.process(turn.slot)
            && let Some(account) = self.processes.get(&turn.slot)
        {
            let granted = plan.granted(process);
            let first = plan.retired(process).wrapping_add(1);
            let current = process.segment(first);
            match current.filter(|_| reached(granted, first)) {
                Some(segment) => at(Running {
                    now,
                    tuning: &self.tuning,
                    turn,
                    account,
                    process,
                    segment,
                    granted,
                }
                .look_at()),
                None if self.awaits_peers(process, first.wrapping_sub(1)) => {
                    at(now + gang::ARRIVAL_POLL_NS)
                }
                None => at(turn.hold_until_ns),
            }
        }
        for process in &waiting {
            let Some(account) = self.tenants.get(&process.tenant) else {
                continue;
            };
            if account.share.paused {
                // Others end that, or go idle.
                continue;
            }
            if self.is_out_of_step(now, view, process) {
                // Whoever leads rings when the turn passes on.
                at(now + gang::LOOK_NS);
            } else if !account.eligible() {
                at(account.eligible_at_ns(now));
            } else if let Some(due_ns) = self.due_ns(now, process, plan)
                && due_ns > now
            {
                at(self.look_at_filling(now, due_ns, process));
            } else if self.turn.is_none() {
                at(now + self.tuning.poll_ns);
            }
        }
        if !waiting.is_empty() || self.turn.is_some() {
            at(now + self.tuning.sleep_ns_max);
        }
        // Somebody goes idle, and then those at work may have more.
        if !waiting.is_empty() {
            for account in self
                .tenants
                .values()
                .filter(|a| a.active_ns != 0 && !a.had_work)
            {
                let until = account.active_ns + self.tuning.idle_ns;
                if until > now {
                    at(until);
                }
            }
        }
        wake
    }

    /// When to look whether a segment is due that fills and should be at `due_ns`: one that is told by its work comes
    /// sooner if that comes more quickly than it did.
    fn look_at_filling(&self, now: u64, due_ns: u64, process: &ProcessView) -> u64 {
        let account = self.processes.get(&process.slot);
        if account.is_some_and(ProcessAccount::is_told_by_work) {
            let halfway_ns = (due_ns - now) / 2;
            due_ns.min(now + halfway_ns.max(LOOK_NS_FILLING))
        } else {
            due_ns
        }
    }
}
