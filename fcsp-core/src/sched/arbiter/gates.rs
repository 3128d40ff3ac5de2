//! Whose submissions form segments, and how long those are.

use super::retire::end;
use super::{Arbiter, gang, guard};
use crate::policy::Mode;
use crate::sched::account::ProcessAccount;
use crate::sched::plan::{Gate, Gating, Grant, Plan, ProcessView, View};
use crate::sched::segment::reached;

/// How finely the turn of a program that never waits is divided: a turn ends with the segment that ends next to its time. With
/// twelve, half of an H200 beside copies within it is 0.978 of that, with eight 0.982.
const SEGMENTS_PER_TURN: u64 = 8;

impl Arbiter {
    /// Decides whose submissions form segments, and how long those are.
    pub(super) fn set_gates(
        &self,
        now: u64,
        view: &View,
        alone: Option<usize>,
        guarded: Option<usize>,
        plan: &mut Plan,
    ) {
        let round_ns = self.round_ns();
        let active_that = |is: fn(&ProcessAccount) -> bool| {
            let active = view.processes.iter().filter(|process| {
                self.processes.get(&process.slot).is_some_and(is) && self.is_active(process.tenant)
            });
            active.map(|process| process.tenant).collect::<Vec<_>>()
        };
        let interactive = active_that(ProcessAccount::interactive);
        let resting = active_that(ProcessAccount::rests);
        // Looked at once: each of these looks at everybody.
        let (high_at_work, high_there) = (self.is_high_at_work(now), self.is_high_there());
        let has_places = self.keeps_time() && self.has_places(round_ns);
        for process in &view.processes {
            let makes_way = !self.is_high(process.tenant);
            let mode = view.mode(process.tenant);
            let tenant = Some(process.tenant);
            let passes = alone == tenant || self.together.lets_pass(now, process.tenant);
            let gating = if mode == Mode::None || passes {
                Gating::Untouched
            } else if self.together.is_on_trial() {
                Gating::OnTrial
            } else if self.together.is_on() {
                Gating::BesideOthers
            } else if guarded == tenant {
                Gating::WithinReach
            } else {
                Gating::Segments
            };
            let beside = |tenants: &[usize]| tenants.iter().any(|it| *it != process.tenant);
            let account = self.processes.get(&process.slot);
            let turn_ns = self.part_ns(round_ns, process.tenant);
            let mut length = turn_ns;
            let mut ends_by_segment = false;
            if gating == Gating::WithinReach {
                length = length.min(guard::SEGMENT_NS);
            } else if makes_way && high_at_work
                || beside(&interactive) && !account.is_some_and(ProcessAccount::interactive)
            {
                length = length.min(self.tuning.beside_interactive_ns);
            } else if account.is_some_and(|it| it.spans) {
                length = length.min(gang::SEGMENT_NS);
            } else if makes_way && high_there
                || beside(&resting) && !account.is_some_and(ProcessAccount::rests)
            {
                length = length.min(self.tuning.segment_ns_makes_way);
            } else if account.is_some_and(|it| {
                it.never_waits()
                    || self.is_coarse && it.seldom_waits()
                    || it.threads_wait && is_unmeasured(process)
            }) {
                // A turn can end at any of them. Programs that wait end theirs themselves. And what is measured is
                // learnt when its segment is over.
                let part_ns = length / SEGMENTS_PER_TURN;
                let (least, most) = (self.tuning.segment_ns_min, self.tuning.segment_ns_max);
                length = length.min(part_ns.clamp(least, most));
                ends_by_segment = true;
            }
            let ratio_ppm = account.map_or(1_000_000, |a| a.lengths.ratio_ppm);
            let predicted_us = |ns: u64| (ns * 1_000 / ratio_ppm).clamp(50, 100_000) as u32;
            plan.gate.push(Gate {
                slot: process.slot,
                gating,
                segment_us: predicted_us(length),
                turn_us: match has_places && ends_by_segment {
                    true => predicted_us(turn_ns),
                    false => 0,
                },
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

/// Whether its newest segments hold what was never measured.
fn is_unmeasured(process: &ProcessView) -> bool {
    reached(process.guessed.wrapping_add(1), process.opened)
}

/// Lets everything pending of a process run now and forgets it, also what this very step took back.
pub(super) fn pass(process: &ProcessView, plan: &mut Plan) {
    let from = plan.granted(process).wrapping_add(1);
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
