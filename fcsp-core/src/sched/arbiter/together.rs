//! Devices on which processes can run at once: when they do, and when they take turns all the same.
//!
//! Which is better depends on the programs: one that computes and one that waits for memory do half as
//! much again together as in turns; two that compute gain nothing and lose their shares; one that waits
//! for each result is starved by a neighbour that never waits. So nothing is guessed. Programs take turns
//! until it is known what each gets that way; then they run together for a moment, and what each gets
//! is compared. They stay together only if nobody has less than in turns and all have more in total.
//! Every tenant has at least what its share of turns would give it, so shares hold as a floor.
//!
//! What is compared is work: the lengths that finished segments were expected to have. Lengths are learnt
//! while programs take turns only, because beside others the same work takes longer.
//!
//! A trial that failed is made again later, each time after twice the time, and what somebody had beyond
//! its share in it is paid back in the turns that follow; one that succeeded ends when
//! the tenants at work or their shares change, and after [`TOGETHER_NS`] to see what turns would give now.

use std::collections::BTreeMap;

use super::Arbiter;
use super::ahead::{grant_ahead, take_back};
use super::gates::pass;
use super::retire::end;
use crate::backend::SharingMode;
use crate::policy::{Mode, Priority};
use crate::sched::clock::ms;
use crate::sched::plan::{Plan, View};
use crate::sched::segment::{SegmentState, reached};
use crate::sched::shares::WHOLE_PPM;

/// How long turns are watched before a trial: twelve rounds.
const WATCH_NS: u64 = ms(300);
/// How long a trial lasts.
const TRIAL_NS: u64 = ms(60);
/// What is left over from the phase before is not counted for so long.
const SETTLE_NS: u64 = ms(20);
/// How long programs run together before turns are watched again: that costs a fortieth of what is gained.
const TOGETHER_NS: u64 = ms(14_000);
/// Between a trial that failed and the next, at first and at most.
const RETRY_NS_MIN: u64 = ms(1_000);
const RETRY_NS_MAX: u64 = ms(60_000);
/// A tenant that has this part of what turns gave it has not less: the rest is noise, thousandths.
const NOT_LESS_MILLI: u64 = 970;
/// All must have this much of what turns gave them, or it is not worth it, thousandths.
const WORTH_MILLI: u64 = 1_050;
/// An open segment without submissions for so long is over: its program may have gone to rest.
const QUIET_NS: u64 = ms(2);
/// How often to look while programs run together: segments are retired then, and their makers need room.
pub(super) const LOOK_NS: u64 = ms(1);

/// Tenants at work, with their shares.
type Cast = Vec<(usize, u32)>;
/// Work of each of them, nanoseconds of the device alone.
type Work = BTreeMap<usize, u64>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Turns, and nothing is to be compared.
    #[default]
    Turns,
    /// Turns, which are watched.
    Watched,
    Trial,
    Together,
}

/// What is known of running together.
#[derive(Debug, Default)]
pub(super) struct Together {
    phase: Phase,
    since_ns: u64,
    /// Not before then.
    retry_at_ns: u64,
    backoff_ns: u64,
    cast: Cast,
    /// When counting began in this phase; 0 while the phase settles.
    counted_from_ns: u64,
    begun: Work,
    /// What turns gave, per second.
    in_turns: Work,
}

impl Together {
    /// What is being done.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// True while programs run together.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.phase, Phase::Trial | Phase::Together)
    }

    fn enter(&mut self, phase: Phase, now: u64) {
        self.phase = phase;
        self.since_ns = now;
        self.counted_from_ns = 0;
    }

    fn fail(&mut self, now: u64) {
        self.backoff_ns = (2 * self.backoff_ns).clamp(RETRY_NS_MIN, RETRY_NS_MAX);
        self.retry_at_ns = now + self.backoff_ns;
        self.enter(Phase::Turns, now);
    }
}

impl Arbiter {
    /// Decides whether programs run together now. True if they do.
    pub(super) fn runs_together(&mut self, now: u64, view: &View, plan: &mut Plan) -> bool {
        let was_on = self.together.is_on();
        let was_settled = self.together.phase == Phase::Together;
        let cast = self.cast(view);
        let Some(cast) = cast else {
            if self.together.phase != Phase::Turns {
                self.together.enter(Phase::Turns, now);
            }
            if was_on {
                self.part(view, was_settled, plan);
            }
            return false;
        };
        if cast != self.together.cast {
            self.together = Together {
                cast,
                ..Together::default()
            };
            self.together.enter(Phase::Watched, now);
        }
        let elapsed_ns = now.saturating_sub(self.together.since_ns);
        if self.together.counted_from_ns == 0 && elapsed_ns >= SETTLE_NS {
            self.together.counted_from_ns = now;
            self.together.begun = self.work();
        }
        match self.together.phase {
            Phase::Turns if now >= self.together.retry_at_ns => {
                self.together.enter(Phase::Watched, now);
            }
            Phase::Watched if elapsed_ns >= SETTLE_NS + WATCH_NS => {
                self.together.in_turns = self.per_second(now);
                let all_work = self.together.in_turns.values().all(|work| *work > 0);
                if all_work {
                    self.together.enter(Phase::Trial, now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Trial if elapsed_ns >= SETTLE_NS + TRIAL_NS => {
                if self.is_better(now) {
                    self.together.backoff_ns = 0;
                    self.together.enter(Phase::Together, now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Together if elapsed_ns >= TOGETHER_NS => {
                self.together.enter(Phase::Watched, now);
            }
            _ => {}
        }
        let is_on = self.together.is_on();
        if is_on && !was_on {
            self.turn = None;
        }
        if was_on && !is_on {
            self.part(view, was_settled, plan);
        }
        is_on
    }

    /// Who would run together; `None` where nobody does: the device cannot, one tenant is alone, or a
    /// ceiling or a priority is to be kept.
    fn cast(&self, view: &View) -> Option<Cast> {
        if view.sharing != SharingMode::Concurrent {
            return None;
        }
        let working = || self.tenants.iter().filter(|(_, it)| it.had_work);
        let free = working().all(|(_, it)| {
            it.share.ceiling_ppm >= WHOLE_PPM && it.priority == Priority::Normal && !it.share.paused
        });
        let told = view.processes.iter().flat_map(|it| &it.segments).all(|it| {
            // Who cannot be told from the device when a segment is over cannot be compared.
            !matches!(it.state, SegmentState::Unmarked | SegmentState::Watched)
        });
        let cast: Cast = working()
            .map(|(index, it)| (*index, it.share.share_ppm))
            .collect();
        (free && told && cast.len() > 1).then_some(cast)
    }

    fn work(&self) -> Work {
        let work = |(index, _): &(usize, u32)| Some((*index, self.tenants.get(index)?.work_ns));
        self.together.cast.iter().filter_map(work).collect()
    }

    /// Work of each in this phase, per second.
    fn per_second(&self, now: u64) -> Work {
        let counted_ns = now.saturating_sub(self.together.counted_from_ns).max(1);
        let rate = |(index, work_ns): (usize, u64)| {
            let before = self.together.begun.get(&index).copied().unwrap_or(work_ns);
            let done_ns = work_ns.saturating_sub(before);
            let rate = u128::from(done_ns) * 1_000_000_000 / u128::from(counted_ns);
            (index, rate as u64)
        };
        self.work().into_iter().map(rate).collect()
    }

    /// Whether nobody has less together than in turns, and all together have more.
    fn is_better(&self, now: u64) -> bool {
        let here = self.per_second(now);
        let in_turns = &self.together.in_turns;
        let not_less = in_turns.iter().all(|(index, before)| {
            let work = here.get(index).copied().unwrap_or(0);
            work * 1000 >= before * NOT_LESS_MILLI
        });
        let sum = |work: &Work| work.values().sum::<u64>();
        not_less && sum(&here) * 1000 >= sum(in_turns) * WORTH_MILLI
    }

    /// Lets everything run, and counts what is over.
    pub(super) fn run_together(&mut self, now: u64, view: &View, plan: &mut Plan) {
        for process in &view.processes {
            if view.mode(process.tenant) == Mode::None {
                if process.has_work() {
                    pass(process, plan);
                }
                continue;
            }
            for segment in process.granted_segments() {
                if reached(plan.retired(process), segment.number) {
                    continue;
                }
                let quiet = segment.state == SegmentState::Open
                    && now.saturating_sub(segment.submitted_ns) >= QUIET_NS;
                if !segment.finished() && !quiet {
                    break;
                }
                let work_ns = self
                    .processes
                    .get(&process.slot)
                    .map_or(0, |it| it.corrected_ns(segment.predicted_ns));
                if let Some(tenant) = self.tenants.get_mut(&process.tenant) {
                    tenant.work_ns += work_ns;
                    tenant.charge(work_ns);
                }
                end(process, segment, plan);
            }
            grant_ahead(process, plan);
        }
    }

    /// Turns begin again: what was granted ahead is taken back. Where running together was `settled`,
    /// nobody owes anybody for it.
    fn part(&mut self, view: &View, settled: bool, plan: &mut Plan) {
        for process in &view.processes {
            take_back(process, process.opened, plan);
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
