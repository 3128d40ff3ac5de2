//! When to look again.

use super::{Arbiter, Turn};
use crate::sched::account::ProcessAccount;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{Plan, ProcessView, SegmentView, View};
use crate::sched::segment::{SegmentState, reached};

/// After so long without seeing when exactly a segment ends, one is looked at closely.
const SPAN_NS_MAX: u64 = ms(10);

/// How often to look while somebody who goes first waits for the end of a segment.
const LOOK_NS_CUT_SHORT: u64 = us(50);

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
                Some(segment) => {
                    at(self.look_at(now, turn, account, process, segment, granted));
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

    /// When to look at what is granted, up to `granted`. `segment` is the oldest of it.
    pub(super) fn look_at(
        &self,
        now: u64,
        turn: &Turn,
        account: &ProcessAccount,
        process: &ProcessView,
        segment: &SegmentView,
        granted: u32,
    ) -> u64 {
        let length_ns = account.corrected_ns(segment.predicted_ns) + turn.handover_left_ns();
        let end = turn.segment_started_ns + length_ns;
        if segment.state == SegmentState::Open {
            let quiet = segment.submitted_ns.max(turn.segment_started_ns) + self.tuning.quiet_ns;
            return end
                .max(quiet.min(turn.started_ns + turn.budget_ns))
                .max(now + self.tuning.poll_ns);
        }
        // Granted while it filled: it ends soon after its last submission, if all went well.
        let least_late_ns = account.margin.least_late_ns();
        let soon = least_late_ns.filter(|_| segment.submitted_ns > turn.segment_started_ns);
        let (end, error_ns) = match soon {
            Some(late_ns) => (end.min(segment.submitted_ns + late_ns), 0),
            None if turn.first_segment && turn.measures_handover => (end, turn.handover_ns),
            // Nobody waits for any but the last of several. Small errors add up, so now and then.
            None => {
                let is_long = now.saturating_sub(turn.span.since_ns) >= SPAN_NS_MAX;
                let one = is_long || !account.regular;
                let last = if one { segment.number } else { granted };
                let all = turn.ends_ns(account, process, (segment.number, last));
                (all.unwrap_or(end), account.error_ns)
            }
        };
        let lead_ns = self.tuning.lead_ns + error_ns;
        let first_look = end.saturating_sub(lead_ns);
        if now < first_look {
            return if turn.is_cut_short() {
                // Whoever waits for its end is not to wait for an error.
                first_look.min(now + LOOK_NS_CUT_SHORT)
            } else {
                first_look
            };
        }
        // Late by a little is looked at closely, late by much less often.
        let late = now.saturating_sub(end);
        let poll_ns = self.tuning.poll_ns;
        let least_ns = if turn.is_cut_short() || !account.regular {
            poll_ns
        } else {
            (error_ns / 3).clamp(poll_ns, us(50))
        };
        now + (late / 8).clamp(least_ns, us(250))
    }
}

impl Turn {
    /// Somebody who goes first waits for its end.
    fn is_cut_short(&self) -> bool {
        self.budget_ns == 0
    }

    /// When everything from the segment `first` to `last` is expected to be over, if it is complete.
    fn ends_ns(
        &self,
        account: &ProcessAccount,
        process: &ProcessView,
        (first, last): (u32, u32),
    ) -> Option<u64> {
        let within = |it: &&SegmentView| reached(it.number, first) && reached(last, it.number);
        let pending = || process.segments.iter().filter(within);
        if self.span.has_gaps || !pending().all(|it| it.state == SegmentState::Closed) {
            return None;
        }
        let pending_ns: u64 = pending().map(|it| it.predicted_ns).sum();
        let length_ns = account.corrected_ns(self.span.predicted_ns + pending_ns);
        Some(self.span.since_ns + self.span.handover_ns + length_ns)
    }
}
