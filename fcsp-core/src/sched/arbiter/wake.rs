//! When to look again.

use super::{Arbiter, Turn};
use crate::sched::account::ProcessAccount;
use crate::sched::clock::us;
use crate::sched::plan::{Plan, ProcessView, SegmentView, View};
use crate::sched::segment::{SegmentState, reached};

/// How often to look while somebody who goes first waits for the end of a segment.
const LOOK_NS_CUT_SHORT: u64 = us(50);
/// Looked at first when less than so many times the usual error is left.
const ERRORS: u64 = 2;

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
        let is_erratic = account.erratic(process, segment);
        let (end, error_ns) = match soon {
            Some(late_ns) => (end.min(segment.submitted_ns + late_ns), 0),
            None if turn.first_segment && turn.measures_handover => (end, turn.handover_ns),
            None if is_erratic && segment.number == granted => {
                return self.look_at_erratic(now, turn);
            }
            // Nobody waits for any but the last of several.
            None => {
                let end = turn.ends_ns(now, account, process, segment, granted);
                let left_ns = end.saturating_sub(now);
                // The nearer, the smaller what may come between: every look shows how far the device is.
                let error_ns = ERRORS * account.error_ns(left_ns, process, segment);
                let error_ns = error_ns.min(left_ns / 4 * 3);
                (end, error_ns)
            }
        };
        let first_look = end.saturating_sub(self.tuning.lead_ns + error_ns);
        let poll_ns = self.tuning.poll_ns;
        if now + poll_ns < first_look {
            let over = turn.started_ns + turn.budget_ns;
            return if turn.is_cut_short() {
                // Whoever waits for its end is not to wait for an error.
                first_look.min(now + LOOK_NS_CUT_SHORT)
            } else if is_erratic && now < over {
                // What has not begun by then is taken back.
                first_look.min(over)
            } else {
                first_look
            };
        }
        // Late by a little is looked at closely, late by much less often.
        let late = now.saturating_sub(end);
        now + (late / 8).clamp(poll_ns, us(250))
    }

    /// The same where nobody can tell when it will be over, and nothing is granted behind it.
    fn look_at_erratic(&self, now: u64, turn: &Turn) -> u64 {
        // In proportion to what it took so far: what nobody uses stays a small part of it.
        let began = turn.segment_waited_ns + turn.handover_left_ns();
        let least_ns = self.tuning.poll_ns;
        began.max(now + (now.saturating_sub(began) / 4).clamp(least_ns, us(250)))
    }
}

impl Turn {
    /// Somebody who goes first waits for its end.
    fn is_cut_short(&self) -> bool {
        self.budget_ns == 0
    }

    /// When all that is granted and complete, from `segment` to at most `granted`, is expected to be over.
    fn ends_ns(
        &self,
        now: u64,
        account: &ProcessAccount,
        process: &ProcessView,
        segment: &SegmentView,
        granted: u32,
    ) -> u64 {
        let behind = process.segments.iter().filter(|it| {
            reached(it.number, segment.number.wrapping_add(1)) && reached(granted, it.number)
        });
        let complete = behind.take_while(|it| it.state == SegmentState::Closed);
        let behind_ns = complete.map(|it| it.predicted_ns).sum::<u64>();
        let pending_ns = segment.predicted_ns + behind_ns;
        let left_ns = account.corrected_ns(pending_ns) + self.handover_left_ns();
        // As far as the oldest of it was seen to begin; those behind it have not begun yet.
        let earliest = self.segment_waited_ns.max(segment.opened_ns.min(now)) + left_ns;
        let latest = self.segment_started_ns + left_ns;
        let seen = if self.span.has_gaps {
            earliest.midpoint(latest)
        } else {
            let span_ns = account.corrected_ns(self.span.predicted_ns + pending_ns);
            let end = self.span.since_ns + self.span.handover_ns + span_ns;
            end.clamp(earliest, latest)
        };
        seen.max(now + account.corrected_ns(behind_ns))
    }
}
