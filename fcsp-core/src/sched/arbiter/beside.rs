//! Programs that run together: everything passes, and what is over is counted.

use super::Arbiter;
use super::ahead::{grant_ahead, take_back};
use super::gates::pass;
use super::retire::end;
use crate::policy::Mode;
use crate::sched::clock::ms;
use crate::sched::plan::{Plan, ProcessView, View};
use crate::sched::segment::{SegmentState, reached};

/// An open segment without submissions for so long is over: its program may have gone to rest.
const QUIET_NS: u64 = ms(2);

impl Arbiter {
    /// Lets everything run, and counts what is over.
    pub(super) fn run_together(&mut self, now: u64, view: &View, plan: &mut Plan) {
        for process in &view.processes {
            if view.mode(process.tenant) == Mode::None {
                if process.has_work() {
                    pass(process, plan);
                }
                continue;
            }
            self.count(now, process, plan);
            match self.together.trim(process.tenant) {
                Some(trim) => trim.grant(process, plan),
                None => grant_ahead(process, plan),
            }
        }
    }

    /// Lets everything of a process run, and counts what is over.
    pub(super) fn run_freely(&mut self, now: u64, process: &ProcessView, plan: &mut Plan) {
        self.count(now, process, plan);
        grant_ahead(process, plan);
    }

    /// Counts what is over of a process that runs without turns: as what it was expected to take, but no longer than it can
    /// have taken. What was never measured may be expected to take seconds.
    pub(super) fn count(&mut self, now: u64, process: &ProcessView, plan: &mut Plan) {
        let (mut work_ns, mut device_ns, mut most_ns) = (0, 0, None);
        for segment in process.granted_segments() {
            if reached(plan.retired(process), segment.number) {
                continue;
            }
            let quiet = segment.state == SegmentState::Open
                && now.saturating_sub(segment.submitted_ns) >= QUIET_NS;
            if !segment.finished() && !quiet {
                break;
            }
            if let Some(account) = self.processes.get(&process.slot) {
                work_ns += self.together.work_ns(process.slot, account, segment);
                device_ns += account.lengths.corrected_ns(segment.predicted_ns);
                let began_ns = segment.opened_ns.max(account.counted_ns);
                most_ns.get_or_insert(now.saturating_sub(began_ns));
            }
            end(process, segment, plan);
        }
        let Some(most_ns) = most_ns else { return };
        self.together.charge(process.tenant, work_ns.min(most_ns));
        if let Some(tenant) = self.tenants.get_mut(&process.tenant) {
            tenant.work_ns += work_ns.min(most_ns);
            tenant.charge(device_ns.min(most_ns));
        }
        if let Some(account) = self.processes.get_mut(&process.slot) {
            account.counted_ns = now;
        }
    }

    /// Turns begin again: what was granted ahead is taken back. After a trial that includes all that has not
    /// begun, and everybody owes what it had; where running together was `settled`, nobody owes anybody for it.
    pub(super) fn part(&mut self, now: u64, view: &View, settled: bool, plan: &mut Plan) {
        for process in &view.processes {
            self.count(now, process, plan);
            let running = plan.retired(process).wrapping_add(1);
            let last = if settled || reached(running, process.opened) {
                process.opened
            } else {
                running
            };
            take_back(process, last, plan);
        }
        if !settled {
            return;
        }
        let working = || self.tenants.values().filter(|it| it.had_work);
        let level_ns = working().map(|it| it.vtime_ns).max();
        for tenant in self.tenants.values_mut().filter(|it| it.had_work) {
            tenant.vtime_ns = level_ns.unwrap_or(tenant.vtime_ns);
        }
    }
}
