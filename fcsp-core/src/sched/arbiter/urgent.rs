//! Who does not wait for the holder's turn to end, and what the others do to be out of the way.
//!
//! Two kinds of process are urgent: one that waits for its results and whose time has come
//! (*just in time*), and one whose tenant goes before the holder's by priority. Either only while its
//! tenant has not had more than its share. For their sake the holder's grants are taken back behind the
//! segment that runs, so an urgent process waits for one segment and a hand-over, whatever was granted.

use super::turns::Candidate;
use super::{Arbiter, Turn};
use crate::policy::Priority;
use crate::sched::account::TenantAccount;
use crate::sched::plan::{Plan, ProcessView, SegmentRef, View};
use crate::sched::segment::reached;

impl Arbiter {
    /// Whether the candidate is not to wait until the turn of `holder` is over.
    pub(super) fn is_urgent(&self, candidate: &Candidate<'_>, holder: &ProcessView) -> bool {
        let (vtime_ns, _, process) = *candidate;
        let (Some(mine), Some(theirs)) = (
            self.tenants.get(&process.tenant),
            self.tenants.get(&holder.tenant),
        ) else {
            return false;
        };
        if process.tenant == holder.tenant {
            return false;
        }
        let goes_first =
            mine.priority < theirs.priority && vtime_ns <= theirs.vtime_ns + self.round_ns();
        let is_due = mine.priority <= theirs.priority
            && vtime_ns <= theirs.vtime_ns
            && self.processes[&process.slot].interactive();
        goes_first || is_due
    }

    /// Puts tenants of high priority first that have not had more than their share, one round's worth
    /// excepted. `ready` is sorted by virtual time.
    pub(super) fn sort_by_priority(&self, ready: &mut [Candidate<'_>]) {
        let Some(least) = ready.first().map(|(vtime, ..)| *vtime) else {
            return;
        };
        let within = least + self.round_ns();
        // Stable: by virtual time as before within each kind.
        ready.sort_by_key(|(vtime, _, process)| {
            let priority = self.tenants.get(&process.tenant).map(|it| it.priority);
            priority != Some(Priority::High) || *vtime > within
        });
    }

    /// Takes back what the holder was granted behind the segment `running`.
    pub(super) fn cut_short(&mut self, process: &ProcessView, running: u32, plan: &mut Plan) {
        if !reached(running, process.granted) {
            plan.revoke.push(SegmentRef {
                slot: process.slot,
                number: running,
            });
        }
        if let Some(Turn { budget_ns, .. }) = &mut self.turn {
            *budget_ns = 0;
        }
    }

    /// Tenants that go before `tenant` by a high priority.
    fn who_goes_before(&self, tenant: usize) -> impl Iterator<Item = (&usize, &TenantAccount)> {
        let is_high = |index| {
            let account = self.tenants.get(&index);
            account.is_some_and(|it| it.priority == Priority::High)
        };
        let nobody = is_high(tenant);
        let others = self.tenants.iter();
        others.filter(move |(index, _)| !nobody && is_high(**index))
    }

    /// Whether a tenant that goes before this one has a process on the device: it may come at any time.
    pub(super) fn may_be_preempted(&self, tenant: usize) -> bool {
        self.who_goes_before(tenant)
            .any(|(index, _)| self.processes.values().any(|it| it.tenant == *index))
    }

    /// Whether one of them worked a moment ago.
    pub(super) fn is_soon_preempted(&self, now: u64, tenant: usize) -> bool {
        self.who_goes_before(tenant).any(|(_, it)| {
            it.active_ns != 0 && now.saturating_sub(it.active_ns) < self.tuning.idle_ns
        })
    }

    /// When the next process that is not due yet will be.
    pub(super) fn next_due_ns(&self, now: u64, view: &View, plan: &Plan) -> Option<u64> {
        let candidates = self.candidates(now, view, plan);
        candidates.later.iter().map(|(_, at, _)| *at).min()
    }
}
