//! What becomes of the round that runs when an operator changes what was promised.
//!
//! Turns of up to a round's length lie before the first that has its new length, and what each tenant was behind or
//! ahead by when its share was another says nothing of the new one: made up for, it would cost rounds. So the round
//! is planned anew, as if it had begun under the new shares: the turn that runs ends when the new one would, at once
//! if that is past, and nobody owes anything.

use super::Arbiter;
use super::ahead::take_back;
use crate::sched::plan::{Plan, ProcessView, View};

impl Arbiter {
    /// Notes what is promised now. True if that is something else than before for somebody at work.
    pub(super) fn note_promises(&mut self, view: &View) -> bool {
        let mut changed = false;
        for tenant in &view.tenants {
            if let Some(account) = self.tenants.get_mut(&tenant.index) {
                let before = account.promise.replace(tenant.promise);
                changed |= account.had_work && before.is_some_and(|it| it != tenant.promise);
            }
        }
        changed
    }

    /// Plans the round that runs anew, by the shares as they are now.
    pub(super) fn replan(&mut self, now: u64) {
        let round_ns = self.round_ns();
        let Some(turn) = &self.turn else { return };
        // Cut short, it is over as soon as may be.
        let is_cut_short = turn.budget_ns == 0;
        let (tenant, started_ns) = (turn.tenant, turn.started_ns);
        let length_ns = self.length_ns(round_ns, tenant);
        let over_ns = now.max(started_ns + length_ns);
        if self.keeps_time() && self.has_places(round_ns) {
            self.even_out(now, round_ns, tenant, started_ns);
            let place_ns = self.place_ns(round_ns, tenant);
            self.period_from_ns = over_ns as i64 - (place_ns + length_ns) as i64;
        }
        if let Some(turn) = &mut self.turn
            && !is_cut_short
        {
            turn.budget_ns = length_ns;
            turn.is_replanned = true;
        }
    }

    /// Puts everybody's account where it would be if the round had begun under these shares: `holder` is in its turn
    /// since `started_ns`, and those with earlier places have had theirs.
    fn even_out(&mut self, now: u64, round_ns: u64, holder: usize, started_ns: u64) {
        let base_ns = self.mean_vtime_ns(u64::MAX).max(0) as u64;
        let used_ns = now.saturating_sub(started_ns + self.handover_ns);
        for (index, account) in &mut self.tenants {
            if !account.had_work {
                continue;
            }
            let had_ns = match index {
                index if *index < holder => round_ns,
                // What it had beyond that was its own under the old shares.
                index if *index == holder => account.virtual_ns(used_ns).min(round_ns),
                _ => 0,
            };
            account.vtime_ns = base_ns + had_ns;
        }
    }

    /// Takes back what no longer fits into a turn that was planned anew, behind the segment `running`.
    pub(super) fn trim_turn(&mut self, process: &ProcessView, running: u32, plan: &mut Plan) {
        let Some(turn) = &mut self.turn else { return };
        if !std::mem::take(&mut turn.is_replanned) {
            return;
        }
        take_back(process, self.last_of_turn(process, running), plan);
    }
}
