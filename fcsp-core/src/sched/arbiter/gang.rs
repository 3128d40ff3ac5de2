//! Jobs that span devices: a turn of one on all of them at once.
//!
//! Each device has an arbiter of its own. If those gave turns independently of one another, a collective of a
//! job that has its turn here would wait there for the end of another's, in every step, and meanwhile occupy
//! this device for nothing. So of the devices that such jobs share one leads ([`crate::sched::gang`]), and on the
//! others the job whose turn it is there goes first: one order for all of them, so that no two jobs can each
//! hold what the other waits for. Shares are the leading device's business. A job that has work on any of the
//! devices wants its turn there.
//!
//! Measured on two H200 of one host (driver 580.159, November 2026), two data-parallel training jobs on both,
//! steps of 5.3 ms: without this 0.48 of what one job alone does, against 0.89 to 1.04 by the driver's slicing.

use super::{Arbiter, Turn};
use crate::sched::clock::{ms, us};
use crate::sched::gang::links;
use crate::sched::plan::{Grant, Lead, Plan, ProcessView, View};
use crate::sched::segment::reached;

/// How long a turn lasts at most beyond its time for the sake of a collective that runs, and how long a process
/// that waits for its peers keeps its turn: many times what adding up the gradients of a layer takes (0.3 ms for
/// 64 MiB between two H200). A collective that runs in another job's turn is sliced with that on each device at
/// other times, and makes progress only where the slices meet: 6 to 19 ms instead.
pub(super) const WAIT_NS_MAX: u64 = ms(10);
/// How long a device is kept for the job that leads and has nothing to run here: until it has seen the end of
/// its step and begun the next.
const THINK_NS_MAX: u64 = ms(1);
/// How long a process that does not wait for the device keeps its turn while it has nothing to run: it has not
/// submitted all of its step yet.
pub(super) const SUBMIT_NS_MAX: u64 = ms(1);
/// Segments of jobs that span devices: turns end with steps, and only where those are long between two segments.
pub(super) const SEGMENT_NS: u64 = ms(1);
/// A step ends a turn that has lasted for at least this part of its time.
const STEPS_PART: u64 = 4;
/// How often to look whether a process that is out of step may have its turn after all.
pub(super) const LOOK_NS: u64 = us(250);

/// How often to look whether the device has come to what stands behind the peers' work, while it is kept for
/// that.
pub(super) const ARRIVAL_POLL_NS: u64 = us(50);

impl Arbiter {
    /// Notes whose turn it is on the device that leads, if that is another one.
    pub(super) fn note_lead(&mut self, view: &View) {
        self.led = match view.lead {
            Lead::There(tenant) => tenant,
            Lead::Nobody | Lead::Here => None,
        };
    }

    /// Whether `process` is not to have a turn now, because its job has none on the device that leads, and the
    /// job that has needs this one.
    pub(super) fn is_out_of_step(&self, now: u64, view: &View, process: &ProcessView) -> bool {
        let led = self.led.filter(|led| *led != process.tenant);
        self.spans(process.slot) && led.is_some_and(|led| self.needs_device(now, view, led))
    }

    fn needs_device(&self, now: u64, view: &View, tenant: usize) -> bool {
        let mut its = view.processes.iter().filter(|it| it.tenant == tenant);
        let account = self.tenants.get(&tenant);
        let thinks = account.is_some_and(|it| now.saturating_sub(it.active_ns) <= THINK_NS_MAX);
        its.any(|it| self.spans(it.slot) && (it.has_work() || it.hides.is_some() || thinks))
    }

    /// Whether `holder` gives its turn up for `tenant`, whose turn it is on the device that leads.
    pub(super) fn gives_way(&self, holder: &ProcessView, tenant: usize) -> bool {
        self.led == Some(tenant) && self.spans(holder.slot)
    }

    /// Whether all that `process` has behind its segment `last` stands behind what its peers do, and they can do
    /// it now.
    pub(super) fn awaits_peers(&self, process: &ProcessView, last: u32) -> bool {
        let is_elsewhere =
            process.hides.is_some() || process.has_peers_at_work || process.in_collective;
        is_elsewhere && reached(last, process.opened) && self.is_in_step(process)
    }

    /// Grants a holder that waits for its peers what stands behind that, as far as its turn has time for it: it goes on as
    /// soon as they are done.
    pub(super) fn grant_hidden(&self, now: u64, process: &ProcessView, plan: &mut Plan) {
        let Some(turn) = self.turn.as_ref().filter(|_| self.spans(process.slot)) else {
            return;
        };
        // How long they take is not shown before the device has come to them.
        let most = turn.over_ns().saturating_sub(now).div_ceil(SEGMENT_NS) as u32;
        let granted = plan.granted(process);
        let (from, last) = (granted.wrapping_add(1), granted.wrapping_add(most));
        let Some(newest) = process.hides.filter(|newest| reached(*newest, from)) else {
            return;
        };
        let to = if reached(newest, last) { last } else { newest };
        if most > 0 {
            plan.grant.push(Grant {
                slot: process.slot,
                from,
                to,
                first_of_turn: false,
            });
        }
    }

    /// Whether a turn that has had its time goes on: it would leave a collective behind that is not over.
    pub(super) fn is_in_collective(&self, now: u64, turn: &Turn, process: &ProcessView) -> bool {
        let lasts = now < turn.over_ns() + WAIT_NS_MAX;
        process.in_collective && lasts && self.is_in_step(process)
    }

    /// Whether a turn ends here: all that the process did before its threads began to wait is over, and the next
    /// step would be cut in two, on all devices.
    pub(super) fn is_step_over(
        &self,
        now: u64,
        turn: &Turn,
        process: &ProcessView,
        last: u32,
    ) -> bool {
        let used_ns = now.saturating_sub(turn.started_ns);
        process.waits_at == last
            && used_ns >= turn.budget_ns / STEPS_PART
            && self.spans(process.slot)
    }

    /// Whether a process belongs to a job that spans devices, and no other one leads.
    fn is_in_step(&self, process: &ProcessView) -> bool {
        let is_led = self.led.is_none_or(|led| led == process.tenant);
        is_led && self.spans(process.slot)
    }

    fn spans(&self, slot: usize) -> bool {
        self.processes.get(&slot).is_some_and(|it| it.spans)
    }
}

/// Whether a process belongs to a job that spans devices.
pub(super) fn spans(now: u64, view: &View, process: &ProcessView) -> bool {
    view.lead != Lead::Nobody && links(process.collective_ns, now)
}
