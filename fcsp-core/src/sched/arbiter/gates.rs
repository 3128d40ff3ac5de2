//! Rounds: how long a turn and a segment are, and whose submissions form segments at all.

use super::Arbiter;
use super::retire::end;
use crate::policy::Mode;
use crate::sched::account::ProcessAccount;
use crate::sched::plan::{Gate, Grant, Plan, ProcessView, View};
use crate::sched::segment::reached;
use crate::sched::shares::WHOLE_PPM;

impl Arbiter {
    pub(super) fn turn_ns(&self, tenant: usize) -> u64 {
        self.part_ns(self.round_ns(), tenant)
    }

    /// A tenant's turn in a round of that length.
    pub(super) fn part_ns(&self, round_ns: u64, tenant: usize) -> u64 {
        let share = self
            .tenants
            .get(&tenant)
            .map_or(WHOLE_PPM, |a| a.share.share_ppm);
        (round_ns * u64::from(share) / u64::from(WHOLE_PPM))
            .clamp(self.tuning.turn_ns_min, self.tuning.turn_ns_max)
    }

    /// One round of turns, without its hand-overs. Looks at everybody: once a step is enough.
    pub(super) fn round_ns(&self) -> u64 {
        let working = self
            .tenants
            .values()
            .filter(|account| account.had_work)
            .count() as u64;
        let handovers_ns = if working > 1 {
            working * self.handover_ns
        } else {
            0
        };
        let somebody_waits = self.processes.values().any(ProcessAccount::waits);
        let round_ns = if somebody_waits {
            self.tuning.cycle_ns_waiting
        } else {
            self.tuning.cycle_ns
        };
        round_ns.saturating_sub(handovers_ns)
    }

    /// Decides whose submissions form segments, and how long those are.
    pub(super) fn set_gates(&self, view: &View, alone: Option<usize>, plan: &mut Plan) {
        let round_ns = self.round_ns();
        let is_interactive = |slot| {
            let account: Option<&ProcessAccount> = self.processes.get(slot);
            account.is_some_and(ProcessAccount::interactive)
        };
        let interactive: Vec<_> = view
            .processes
            .iter()
            .filter(|process| is_interactive(&process.slot) && self.is_active(process.tenant))
            .map(|process| process.tenant)
            .collect();
        for process in &view.processes {
            let mode = view.mode(process.tenant);
            let gated = mode != Mode::None && alone != Some(process.tenant);
            let beside_interactive = interactive.iter().any(|it| *it != process.tenant);
            let account = self.processes.get(&process.slot);
            let mut length = self.part_ns(round_ns, process.tenant);
            if beside_interactive && !account.is_some_and(ProcessAccount::interactive) {
                length = length.min(self.tuning.beside_interactive_ns);
            }
            let ratio = account.map_or(1000, |a| a.ratio_milli);
            let segment_us = (length * 1000 / ratio / 1000).clamp(50, 100_000) as u32;
            plan.gate.push(Gate {
                slot: process.slot,
                gated,
                segment_us,
            });
        }
    }

    pub(super) fn is_active(&self, tenant: usize) -> bool {
        self.tenants.get(&tenant).is_some_and(|a| a.had_work)
    }

    /// A tenant alone runs freely: whatever is pending passes and is forgotten.
    pub(super) fn let_pass(&mut self, now: u64, tenant: usize, view: &View, plan: &mut Plan) {
        if let Some(turn) = self.turn.take() {
            self.revoke(view, &turn, plan);
        }
        for process in view
            .processes
            .iter()
            .filter(|p| p.tenant == tenant && p.has_work())
        {
            pass(process, plan);
        }
        if let Some(account) = self.tenants.get_mut(&tenant) {
            account.active_ns = now;
        }
    }
}

/// Lets everything pending of a process run now and forgets it.
pub(super) fn pass(process: &ProcessView, plan: &mut Plan) {
    let from = process.granted.wrapping_add(1);
    if reached(process.opened, from) {
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to: process.opened,
            first_of_turn: false,
        });
    }
    for segment in &process.segments {
        end(process, segment, plan);
    }
}
