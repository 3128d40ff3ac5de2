//! What the holder is granted beyond its running segment, and how long its turn outlasts its work.

use super::{Arbiter, Turn, gang};
use crate::sched::account::TenantAccount;
use crate::sched::plan::{Grant, Plan, ProcessView, SegmentRef, View};
use crate::sched::producer::AHEAD;
use crate::sched::segment::reached;

impl Arbiter {
    /// If the process had nothing left and has opened `next` since: that is how long it thinks.
    pub(super) fn learn_thinking(&mut self, process: &ProcessView, next: u32) {
        if let Some(account) = self.processes.get_mut(&process.slot)
            && account.drained_ns != 0
            && let Some(segment) = process.segment(next)
        {
            account.learn_thinking(segment.opened_ns.saturating_sub(account.drained_ns));
            account.drained_ns = 0;
            if let Some(turn) = &mut self.turn {
                turn.hold_until_ns = 0;
            }
        }
    }

    /// While nobody else waits, keeps the device fed.
    pub(super) fn extend(&mut self, view: &View, process: &ProcessView, plan: &mut Plan) {
        let Some(turn) = &self.turn else { return };
        let limited = self
            .tenants
            .get(&turn.tenant)
            .is_some_and(|a| !a.eligible());
        if others_wait(view, process) || limited {
            return;
        }
        let most = plan.retired(process).wrapping_add(self.tuning.ahead);
        let to = if reached(process.opened, most) {
            most
        } else {
            process.opened
        };
        let from = plan.granted(process).wrapping_add(1);
        if reached(to, from) {
            plan.grant.push(Grant {
                slot: process.slot,
                from,
                to,
                first_of_turn: false,
            });
        }
    }

    /// A program that waits for each result gets its next segments granted before it opens them, for
    /// as long as its turn lasts: then nobody's reaction time lies between its batches. If somebody else waits, what does not
    /// fit into the turn any more is taken back: what it has not opened by then, whether or not it was ever seen without any,
    /// and what it has, if it did not wait this time.
    pub(super) fn run_ahead(
        &mut self,
        now: u64,
        view: &View,
        process: &ProcessView,
        plan: &mut Plan,
    ) {
        let (Some(turn), Some(account)) = (&mut self.turn, self.processes.get(&process.slot))
        else {
            return;
        };
        let time_left = turn.over_ns().saturating_sub(now);
        let eligible = self
            .tenants
            .get(&turn.tenant)
            .is_some_and(TenantAccount::eligible);
        let repeats = account.waits() && account.quick(self.tuning.think_ns_max) && !account.spans;
        if repeats && eligible && time_left >= account.device_ns_mean + account.think_ns {
            turn.ran_ahead = true;
            grant_ahead(process, plan);
        } else if (repeats || turn.ran_ahead) && others_wait(view, process) {
            let running = plan.retired(process).wrapping_add(1);
            // What threads were let go with is in its queue, and no wait before it.
            let last = match account.threads_wait {
                true => process.opened,
                false => self.last_of_turn(process, running),
            };
            take_back(process, last, plan);
        }
    }

    /// Last segment that the holder has opened and that fits into its turn; at least the one that runs.
    pub(super) fn last_of_turn(&self, process: &ProcessView, running: u32) -> u32 {
        match &self.turn {
            Some(turn) if reached(process.opened, running) => {
                let began_ns = turn.segment_started_ns + turn.handover_left_ns();
                let left_ns = turn.over_ns().saturating_sub(began_ns);
                self.last_within(process, running, left_ns)
            }
            _ => process.opened,
        }
    }

    /// Takes back what was granted ahead of a turn that is over.
    pub(super) fn revoke(&self, view: &View, turn: &Turn, plan: &mut Plan) {
        let Some(process) = view.process(turn.slot) else {
            return;
        };
        take_back(process, process.opened, plan);
    }

    /// True if the drained holder, of which the segment `last` was the last to retire, should keep its turn a
    /// moment longer.
    pub(super) fn hold(&mut self, now: u64, view: &View, process: &ProcessView, last: u32) -> bool {
        let think_max = self.tuning.think_ns_max;
        let awaits_peers = self.awaits_peers(process, last);
        let others_wait = view
            .processes
            .iter()
            .any(|p| p.slot != process.slot && (p.waits() || self.awaits_peers(p, p.retired)));
        let Some(turn) = &self.turn else {
            return false;
        };
        let is_step_over = self.is_step_over(now, turn, process, last);
        let (Some(turn), Some(account)) = (&mut self.turn, self.processes.get_mut(&process.slot))
        else {
            return false;
        };
        if turn.hold_until_ns == 0 {
            account.drained_ns = now;
        }
        let has_time = now < turn.over_ns();
        let patience = if awaits_peers {
            gang::WAIT_NS_MAX
        } else if account.spans && has_time && !is_step_over {
            gang::SUBMIT_NS_MAX
        } else if account.quick(think_max) && has_time && !account.spans {
            2 * account.think_ns + self.tuning.poll_ns
        } else {
            0
        };
        if turn.hold_until_ns == 0 || account.spans {
            turn.hold_until_ns = account.drained_ns + patience;
        }
        (others_wait || awaits_peers) && now < turn.hold_until_ns
    }
}

/// Whether somebody else waits for the device.
fn others_wait(view: &View, process: &ProcessView) -> bool {
    let mut others = view.processes.iter().filter(|it| it.slot != process.slot);
    others.any(ProcessView::waits)
}

/// Grants a process everything it may open now, so that nothing of it waits.
pub(super) fn grant_ahead(process: &ProcessView, plan: &mut Plan) {
    let to = plan.retired(process).wrapping_add(AHEAD);
    let from = plan.granted(process).wrapping_add(1);
    if reached(to, from) {
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to,
            first_of_turn: false,
        });
    }
}

/// Takes back what a process was granted behind the segment `last`.
pub(super) fn take_back(process: &ProcessView, last: u32, plan: &mut Plan) {
    if !reached(last, process.granted) {
        plan.revoke.push(SegmentRef {
            slot: process.slot,
            number: last,
        });
    }
}
