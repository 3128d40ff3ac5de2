//! Who does not wait for the holder's turn to end, and what the others do to be out of the way.
//!
//! Three kinds of process are urgent: one that waits for its results and whose time has come
//! (*just in time*), one whose tenant goes before the holder's by priority, and one whose job has its turn on
//! another device ([`super::gang`]). The first two only while their tenant has not had more than its share. For their sake the holder's grants are taken back behind the
//! segment that runs, so an urgent process waits for one segment and a hand-over, whatever was granted.

use super::ahead::take_back;
use super::turns::Candidate;
use super::{Arbiter, Turn};
use crate::policy::Priority;
use crate::sched::plan::{Plan, ProcessView};
use crate::sched::segment::SegmentState;

impl Arbiter {
    /// Whether one of the candidates is not to wait until the turn of `holder` is over.
    pub(super) fn is_pressed(
        &self,
        now: u64,
        candidates: &[Candidate<'_>],
        holder: &ProcessView,
    ) -> bool {
        // Each looks at everybody: once for all candidates.
        let round_ns = self.round_ns();
        let is_nearly_done = self.is_nearly_done(now, holder);
        let Some(theirs) = self.tenants.get(&holder.tenant) else {
            return false;
        };
        candidates.iter().any(|(vtime_ns, _, process)| {
            let Some(mine) = self.tenants.get(&process.tenant) else {
                return false;
            };
            let goes_first =
                mine.priority < theirs.priority && *vtime_ns <= theirs.vtime_ns + round_ns;
            let is_due = mine.priority <= theirs.priority
                && *vtime_ns <= theirs.vtime_ns
                && !is_nearly_done
                && self.processes[&process.slot].rests();
            let is_led = self.gives_way(holder, process.tenant);
            process.tenant != holder.tenant && (goes_first || is_due || is_led)
        })
    }

    /// Whether a holder that waits for its results is about to have submitted all that it waits for: to
    /// come back for the rest would cost both of them a turn more.
    fn is_nearly_done(&self, now: u64, holder: &ProcessView) -> bool {
        let account = self.processes.get(&holder.slot);
        let segments = &mut holder.granted_segments();
        let open = segments.find(|it| it.state == SegmentState::Open);
        account.zip(open).is_some_and(|(account, open)| {
            let complete_ns = account.complete_ns(open);
            account.interactive()
                && now < complete_ns + self.tuning.beside_interactive_ns
                && complete_ns < now + account.device_ns_mean
        })
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
        take_back(process, running, plan);
        if let Some(Turn { budget_ns, .. }) = &mut self.turn {
            *budget_ns = 0;
        }
    }

    /// Whether `tenant` goes before others.
    pub(super) fn is_high(&self, tenant: usize) -> bool {
        let account = self.tenants.get(&tenant);
        account.is_some_and(|it| it.priority == Priority::High)
    }

    /// Whether a tenant of high priority has a process on the device: it may come at any time, and the
    /// others make way.
    pub(super) fn is_high_there(&self) -> bool {
        self.processes.values().any(|it| self.is_high(it.tenant))
    }

    /// Whether one worked a moment ago.
    pub(super) fn is_high_at_work(&self, now: u64) -> bool {
        self.tenants.values().any(|it| {
            it.priority == Priority::High
                && it.active_ns != 0
                && now.saturating_sub(it.active_ns) < self.tuning.idle_ns
        })
    }
}
