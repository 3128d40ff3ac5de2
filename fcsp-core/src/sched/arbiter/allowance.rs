//! Device time that a tenant under a ceiling may submit without forming segments, while it is the only one at work.
//!
//! A launch now and then would form a segment of its own each time: memory operations in its queue and a wake-up of the
//! arbiter, for work that is within the ceiling anyway. So what the tenant has of tokens is given to its processes in
//! advance, a little at a time, while nothing of it is pending. They take from it what they expect their submissions to
//! take, one after another. What does not fit, or was never measured, forms a segment. That wakes the arbiter, which gives
//! again when the segment is over.
//!
//! What is given is charged at once, and what was not used is given back at the next step: every step takes all back and
//! decides anew. So what somebody else does, a changed limit or another arbiter ends an allowance in the step that sees it,
//! before anybody is granted anything. What passed before that, [`ALLOWANCE_NS_MAX`] at most, may still run beside the
//! next holder's turn. What is left to a process that dies counts as used: nobody can tell.
//!
//! Nothing has a timer: a process that is given an allowance and does nothing costs nothing.

use super::{Arbiter, Sole};
use crate::sched::account::is_steady;
use crate::sched::clock::ms;
use crate::sched::plan::{Allowance, Plan, ProcessView, View};

/// Most that a tenant has at a time: who comes waits for no more than that beside a hand-over, half of what counts as long
/// elsewhere (`guard`). Of kernels of 2 µs it is 500, of which one forms a segment then.
pub(in crate::sched) const ALLOWANCE_NS_MAX: u64 = ms(1);

impl Arbiter {
    /// Gives back what was not used of all allowances, and charges what passed just as one was taken back.
    pub(super) fn take_allowances_back(&mut self, now: u64, view: &View) {
        let had_any = |it: &&ProcessView| it.allowed_ns != 0 || it.passed_ns != 0;
        for process in view.processes.iter().filter(had_any) {
            let unused_ns = process.allowed_ns.saturating_sub(process.passed_ns);
            let beyond_ns = process.passed_ns.saturating_sub(process.allowed_ns);
            if let Some(tenant) = self.tenants.get_mut(&process.tenant) {
                tenant.active_ns = tenant.active_ns.max(process.passed_until_ns.min(now));
                tenant.settle_allowance(unused_ns, beyond_ns);
            }
            if let Some(account) = self.processes.get_mut(&process.slot) {
                account.settle_allowance(unused_ns, beyond_ns);
            }
        }
    }

    /// Gives a tenant under a ceiling that is the only one at work what it has of tokens, in equal parts to its processes, if
    /// nothing of it is pending; and nothing to all others.
    pub(super) fn give_allowances(&mut self, sole: Option<Sole>, view: &View, plan: &mut Plan) {
        let limited = match sole {
            Some(Sole::Limited(tenant)) if self.is_done(tenant, view, plan) => Some(tenant),
            _ => None,
        };
        let of_it = view
            .processes
            .iter()
            .filter(|it| limited == Some(it.tenant));
        let count = of_it.filter(|it| self.may_pass(it)).count() as u64;
        let part_ns = self.may_give_ns(limited) / count.max(1);
        for process in &view.processes {
            let gives = limited == Some(process.tenant) && self.may_pass(process);
            let given_ns = if gives { part_ns } else { 0 };
            let allowed_ns = process.passed_ns + given_ns;
            if allowed_ns != process.allowed_ns {
                plan.allow.push(Allowance {
                    slot: process.slot,
                    allowed_ns,
                });
            }
            if given_ns == 0 {
                continue;
            }
            if let Some(tenant) = self.tenants.get_mut(&process.tenant) {
                tenant.charge(given_ns);
            }
            if let Some(account) = self.processes.get_mut(&process.slot) {
                account.charge(given_ns);
            }
        }
    }

    /// What a tenant can be given of its tokens.
    fn may_give_ns(&self, tenant: Option<usize>) -> u64 {
        let account = tenant.and_then(|tenant| self.tenants.get(&tenant));
        let account = account.filter(|it| it.eligible());
        account.map_or(0, |it| {
            it.tokens_ns.clamp(0, ALLOWANCE_NS_MAX as i64) as u64
        })
    }

    /// Whether nothing of a tenant is pending once the plan is carried out, so that what passes is not in a turn's time too.
    fn is_done(&self, tenant: usize, view: &View, plan: &Plan) -> bool {
        let mut processes = view.processes.iter().filter(|it| it.tenant == tenant);
        let is_done = |it: &ProcessView| it.hides.is_none() && plan.retired(it) == it.opened;
        !self.together.is_on() && self.turn.is_none() && processes.all(is_done)
    }

    /// Whether what a process submits may pass: other devices have no part in it, and how long it takes is known.
    fn may_pass(&self, process: &ProcessView) -> bool {
        let account = self.processes.get(&process.slot);
        let spans = account.is_some_and(|it| it.spans);
        let has_peers = process.has_peers_at_work || process.in_collective;
        !spans && !has_peers && is_steady(process)
    }
}

/// When a turn begins that is given at `now`: what passed before is paid for, and is in its way for as long as it runs.
pub(super) fn begins_ns(now: u64, view: &View) -> u64 {
    let passed = view.processes.iter().map(|it| it.passed_until_ns);
    passed.max().unwrap_or(0).clamp(now, now + ALLOWANCE_NS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Mode;
    use crate::sched::clock::us;
    use crate::sched::plan::TenantView;
    use crate::sched::shares::Promise;
    use crate::sched::tuning::Tuning;

    /// A strict tenant of 25 % with a process that passed so much of what it was allowed, a moment ago.
    fn view(now: u64, allowed_ns: u64, passed_ns: u64) -> View {
        let promise = Promise {
            mode: Mode::Strict,
            entitlement_ppm: 250_000,
            ..Promise::default()
        };
        let process = ProcessView {
            generation: 1,
            gated: true,
            allowed_ns,
            passed_ns,
            passed_until_ns: now,
            ..ProcessView::default()
        };
        View {
            tenants: vec![TenantView { index: 0, promise }],
            processes: vec![process],
            ..View::default()
        }
    }

    /// What the arbiter charged in all but what is left of the allowance, and what is left.
    fn charged_ns(arbiter: &Arbiter, plan: &Plan, view: &View) -> (u64, u64) {
        let process = &view.processes[0];
        let allow = plan.allow.first().map(|it| it.allowed_ns);
        let left_ns = allow.unwrap_or(process.allowed_ns) - process.passed_ns;
        let tenant = arbiter.tenant(0).expect("it is known");
        assert_eq!(tenant.1, arbiter.process_device_ns(0));
        (tenant.1 - left_ns, left_ns)
    }

    #[test]
    fn what_passes_is_charged_once_also_beyond_what_was_taken_back() {
        let mut arbiter = Arbiter::new(Tuning::default());
        let mut first = view(ms(1), 0, 0);
        // It was untouched till now.
        first.processes[0].gated = false;
        let plan = arbiter.step(ms(1), &first);
        let (used_ns, given_ns) = charged_ns(&arbiter, &plan, &first);
        assert_eq!(used_ns, 0);
        assert!((us(400)..=ALLOWANCE_NS_MAX).contains(&given_ns));
        // Within it, and all of it.
        for passed_ns in [us(300), given_ns] {
            let view = view(ms(2), given_ns, passed_ns);
            let mut arbiter = Arbiter::new(Tuning::default());
            arbiter.step(ms(1), &first);
            let plan = arbiter.step(ms(2), &view);
            let vtime_ns = arbiter.tenant(0).expect("it is known").0;
            let (used_ns, left_ns) = charged_ns(&arbiter, &plan, &view);
            assert_eq!(used_ns, passed_ns);
            assert_eq!(vtime_ns, (used_ns + left_ns) * 4);
        }
        // It was taken back just as something passed; nobody had charged that.
        let beyond = view(ms(2), given_ns, given_ns + us(30));
        let plan = arbiter.step(ms(2), &beyond);
        let (used_ns, _) = charged_ns(&arbiter, &plan, &beyond);
        assert_eq!(used_ns, given_ns + us(30));
    }

    #[test]
    fn the_first_that_passes_as_all_is_taken_back_is_charged() {
        let mut arbiter = Arbiter::new(Tuning::default());
        arbiter.step(ms(1), &view(ms(1), 0, 0));
        let view = view(ms(2), 0, us(30));
        let plan = arbiter.step(ms(2), &view);
        assert_eq!(charged_ns(&arbiter, &plan, &view).0, us(30));
    }

    #[test]
    fn a_new_arbiter_makes_nobody_pay_by_a_share_that_it_does_not_know() {
        for (allowed_ns, passed_ns) in [(ms(1), us(300)), (us(300), us(330))] {
            let mut arbiter = Arbiter::new(Tuning::default());
            arbiter.restore(0, ms(100), ms(25));
            let view = view(ms(1), allowed_ns, passed_ns);
            let plan = arbiter.step(ms(1), &view);
            let given_ns = plan.allow[0].allowed_ns - passed_ns;
            let (vtime_ns, device_ns, _) = arbiter.tenant(0).expect("it is known");
            assert_eq!(device_ns, ms(25) + passed_ns - allowed_ns + given_ns);
            assert_eq!(vtime_ns, ms(100) + 4 * given_ns);
        }
    }
}
