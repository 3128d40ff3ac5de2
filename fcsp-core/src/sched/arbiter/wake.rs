//! When to look again.

use super::{Arbiter, Turn};
use crate::sched::account::ProcessAccount;
use crate::sched::clock::us;
use crate::sched::plan::{Plan, ProcessView, SegmentView, View};
use crate::sched::segment::{SegmentState, reached};

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
            let current = process.segments.iter().find(|s| s.number == first);
            match current.filter(|_| reached(granted, first)) {
                Some(segment) => at(self.look_at(now, turn, account, segment)),
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
            if !account.eligible() {
                at(account.eligible_at_ns(now));
            } else if self.turn.is_none() {
                at(now + self.tuning.poll_ns);
            } else if waiting.len() > 1
                && let Some(due_ns) = self.due_ns(now, process, plan)
                && due_ns > now
            {
                at(due_ns);
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

    /// When to look at the running segment.
    pub(super) fn look_at(
        &self,
        now: u64,
        turn: &Turn,
        account: &ProcessAccount,
        segment: &SegmentView,
    ) -> u64 {
        let handover = if turn.first_segment {
            turn.handover_ns
        } else {
            0
        };
        let end = turn.segment_started_ns + account.corrected_ns(segment.predicted_ns) + handover;
        if segment.state == SegmentState::Open {
            let quiet = segment.submitted_ns.max(turn.segment_started_ns) + self.tuning.quiet_ns;
            return end
                .max(quiet.min(turn.started_ns + turn.budget_ns))
                .max(now + self.tuning.poll_ns);
        }
        // Granted while it filled: it ends soon after its last submission, if all went well.
        let end = match account.margin.least_late_ns() {
            Some(least_ns) if segment.submitted_ns > turn.segment_started_ns => {
                end.min(segment.submitted_ns + least_ns)
            }
            _ => end,
        };
        let lead = self.tuning.lead_ns + account.error_ns;
        let first_look = end.saturating_sub(lead);
        if now < first_look {
            return first_look;
        }
        // Late by a little is looked at closely, late by much less often.
        let late = now.saturating_sub(end);
        now + (late / 8).clamp(self.tuning.poll_ns, us(250))
    }
}
