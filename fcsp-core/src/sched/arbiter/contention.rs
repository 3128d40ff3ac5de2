//! How long rounds are while a tenant in adaptive mode is at work: as long as those who wait for results bear.
//!
//! Long rounds cost few hand-overs, short ones let everybody's turn come soon. Which is better depends on who
//! waits, and how long that seems to them, so it is measured: the longest time that a program which waits for
//! its results waited for its turn, in what its batch takes by itself, submission and device time. Where that
//! is more than twice, rounds become half as long, and where it is less than half, twice as long. In between
//! they stay: a round of half the length halves the wait, so they do not go to and fro.

use super::Arbiter;
use crate::policy::Mode;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{Plan, View};
use crate::sched::segment::SegmentState;

/// So often.
const WINDOW_NS: u64 = ms(200);
/// What is borne, thousandths of what a batch takes by itself.
const LONG_MILLI: u64 = 2_000;
const SHORT_MILLI: u64 = 500;
/// A batch takes no less: to wait twice as long is borne by everybody.
const BATCH_NS_MIN: u64 = us(500);
/// Rounds are so many times as long as the hand-overs in them, at least: a tenth of the device is what short
/// waits may cost.
const HANDOVERS_IN_ROUND: u64 = 10;

/// A change by less than this part is none: what hand-overs cost is measured again and again, and the shortest rounds go by that.
/// A larger part would leave rounds of another length, for no reason but which came first.
const CHANGES_PART: u64 = 8;
/// So many windows is what hand-overs cost averaged over, for the same reason.
const HANDOVER_WINDOWS: u64 = 4;

/// What was measured since the last change.
#[derive(Debug, Default)]
pub(super) struct Contention {
    /// How long rounds are; 0 where nobody is adaptive.
    round_ns: u64,
    since_ns: u64,
    longest_milli: u64,
    /// What a hand-over cost, on average of the last windows; 0 before the first.
    handover_ns: u64,
}

impl Contention {
    /// The next window begins, with rounds of `round_ns`.
    fn begin(&mut self, now: u64, round_ns: u64, handover_ns: u64) {
        *self = Self {
            round_ns,
            since_ns: now,
            longest_milli: 0,
            handover_ns,
        };
    }

    /// What a hand-over costs that cost `now_ns` in the last window.
    fn mean_handover_ns(&self, now_ns: u64) -> u64 {
        match self.handover_ns {
            0 => now_ns,
            before_ns => (before_ns * (HANDOVER_WINDOWS - 1) + now_ns) / HANDOVER_WINDOWS,
        }
    }
}

impl Arbiter {
    /// Length of a round, hand-overs included, as contention asks for it; `None` where nobody is adaptive.
    pub(in crate::sched) fn adapted_round_ns(&self) -> Option<u64> {
        Some(self.contention.round_ns).filter(|it| *it != 0)
    }

    /// Measures how long those waited whose turn begins in `plan`, and adapts the rounds.
    pub(super) fn adapt(&mut self, now: u64, view: &View, plan: &Plan) {
        let is_adaptive = view
            .tenants
            .iter()
            .any(|it| it.promise.mode == Mode::Adaptive && self.is_active(it.index));
        if !is_adaptive {
            self.contention = Contention::default();
            return;
        }
        for grant in plan.grant.iter().filter(|it| it.first_of_turn) {
            let milli = self.waited_milli(now, view, grant.slot, grant.from, plan);
            let longest = &mut self.contention.longest_milli;
            *longest = (*longest).max(milli.unwrap_or(0));
        }
        let Contention {
            round_ns,
            since_ns,
            longest_milli,
            ..
        } = self.contention;
        if round_ns == 0 {
            let round_ns = self.tuning.cycle_ns_waiting;
            self.contention.begin(now, round_ns, 0);
        } else if now.saturating_sub(since_ns) >= WINDOW_NS {
            let handover_ns = self.contention.mean_handover_ns(self.handover_ns);
            let handovers_ns = self.tenants_at_work() * handover_ns;
            let least_ns = (HANDOVERS_IN_ROUND * handovers_ns).max(2 * self.tuning.turn_ns_min);
            let asked_ns = match longest_milli {
                LONG_MILLI.. => round_ns / 2,
                ..SHORT_MILLI => round_ns * 2,
                _ => round_ns,
            };
            let asked_ns = asked_ns.max(least_ns).min(self.tuning.cycle_ns);
            let is_another = asked_ns.abs_diff(round_ns) >= round_ns / CHANGES_PART;
            let round_ns = if is_another { asked_ns } else { round_ns };
            self.contention.begin(now, round_ns, handover_ns);
        }
    }

    /// How long a program that waits for its results waited for its turn, in thousandths of what its batch takes.
    fn waited_milli(
        &self,
        now: u64,
        view: &View,
        slot: usize,
        number: u32,
        plan: &Plan,
    ) -> Option<u64> {
        let process = view.process(slot)?;
        let account = self.processes.get(&slot).filter(|it| it.waits())?;
        let segment = process.segment(number)?;
        let since_ns = match segment.state {
            SegmentState::Open => self.due_ns(now, process, plan)?,
            _ => segment.submitted_ns,
        };
        let batch_ns = (account.fill_ns + account.device_ns_mean).max(BATCH_NS_MIN);
        Some(now.saturating_sub(since_ns) * 1000 / batch_ns)
    }
}
