//! When programs run at once, and when they take turns.
//!
//! Which is better depends on the programs: one that computes and one that waits for memory do half as
//! much again together as in turns; two that compute gain nothing and lose their shares; one that waits
//! for each result is starved by a neighbour that never waits. So nothing is guessed. Programs take turns
//! until it is known what each gets that way; then they run together for a moment, and what each gets
//! is compared ([`comparison`]). They stay together only if nobody has less than in turns and all have more in total.
//! Every tenant has at least what its share of turns would give it, so shares hold as a floor.
//!
//! Where all have more in total and somebody has less, those that gained are held back ([`super::trim`]) for as much as
//! gives everybody what turns gave it, unless who has less waits for its results, and feels each of them.
//!
//! A program that waits for its results feels a trial at once, so a trial ends as soon as somebody is clearly
//! behind; otherwise it lasts until what everybody got can be told from noise. One that failed is made again later,
//! each time after twice the time, and what somebody had beyond its share in it is paid back in the turns that
//! follow. That it failed is remembered while others come and go. What succeeded ends when the tenants at work or
//! their shares change, when somebody has clearly less than it had in turns, and after [`TOGETHER_NS`] to see what
//! turns would give now.
//!
//! On a device that runs one process at a time, to run at once means that its driver slices time among them. That is
//! better than turns only where programs do not ask for the whole device: turns then make one wait for another that is
//! not ready. So it is tried only while turns leave a good part of the device unused and somebody who waits for its
//! results is slowed down by them: to those that never wait a turn that comes later is no loss, and a trial costs
//! those who do some steps. And turns that looked worse are watched once more before they are given up: programs that
//! had just begun may not have found their pace in them (two decoders on an H200: 0.72 of alone each for 0.4 s, then 0.96,
//! and 0.84 with time slices).

mod comparison;

use std::collections::BTreeMap;

use super::Arbiter;
use super::trim::Trim;
use crate::backend::SharingMode;
use crate::policy::Priority;
use crate::sched::account::{ProcessAccount, TenantAccount};
use crate::sched::clock::ms;
use crate::sched::plan::{Lead, Plan, ProcessView, SegmentView, View};
use crate::sched::segment::SegmentState;
use crate::sched::shares::WHOLE_PPM;

/// How long turns are watched before a trial: twelve rounds.
const WATCH_NS: u64 = ms(300);
/// How long a trial lasts at least.
const TRIAL_NS: u64 = ms(60);
/// What is left over from the phase before is not counted for so long.
const SETTLE_NS: u64 = ms(20);
/// How long programs run together before turns are watched again: that costs a fortieth of what is gained.
const TOGETHER_NS: u64 = ms(14_000);
/// Between a trial that failed and the next, at first and at most.
const RETRY_NS_MIN: u64 = ms(1_000);
const RETRY_NS_MAX: u64 = ms(60_000);
/// While programs run together, it is looked for so long whether somebody has less than this part of what
/// turns gave it, thousandths.
const CHECK_NS: u64 = ms(200);
const CLEARLY_LESS_MILLI: u64 = 850;
/// In between they pass untouched for so long, if all of them wait for what they submit: what others have in
/// their queues would be out of reach.
const FREE_NS: u64 = ms(2_000);
/// A glance is enough then if everybody has this part of what turns gave it: to be counted costs some of what is gained.
const GLANCE_NS: u64 = ms(60);
const CLEARLY_NOT_LESS_MILLI: u64 = 930;
/// How long it takes the controller to find out by how much.
const TRIM_NS: u64 = ms(400);
/// Casts of which it is known that running together failed, at most.
const FAILED_MAX: usize = 8;
/// How often to look while programs run together: segments are retired then, and their makers need room.
const LOOK_NS: u64 = ms(1);

/// Tenants at work, with their shares.
type Cast = Vec<(usize, u32)>;
/// Work of each of them, nanoseconds of the device alone.
pub(super) type Work = BTreeMap<usize, u64>;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Phase {
    /// Turns, and nothing is to be compared.
    #[default]
    Turns,
    /// Turns, which are watched.
    Watched,
    Trial,
    /// Turns after a trial that was better, which are watched once more.
    Again,
    /// A trial in which those that gained are held back.
    Trimmed,
    Together,
}

/// When a trial may be made again; zero if none failed.
#[derive(Clone, Copy, Debug, Default)]
struct Backoff {
    /// Not before then.
    until_ns: u64,
    ns: u64,
}

/// What is known of running together.
#[derive(Debug, Default)]
pub(super) struct Together {
    phase: Phase,
    since_ns: u64,
    backoff: Backoff,
    cast: Cast,
    /// Others that failed, the newest first: who comes and goes does not have those that stay tried again each time.
    failed: Vec<(Cast, Backoff)>,
    /// What had been done when the phase began.
    at_entry: Work,
    /// Until when programs that run together pass untouched.
    free_until_ns: u64,
    /// When counting began in this phase; 0 while the phase settles.
    counted_from_ns: u64,
    begun: Work,
    /// How many batches each process had done then, by its slot and the slot's generation.
    batches: BTreeMap<usize, (u32, u64)>,
    /// How lengths were corrected when turns began to be watched, by slot and its generation: what is compared is measured by
    /// one measure, whatever is learnt meanwhile.
    measures: BTreeMap<usize, (u32, u64)>,
    /// For how long each had had more work waiting then.
    backlog: Work,
    /// What turns gave, per second, or what they owe.
    in_turns: Work,
    /// What a trial gave, per second.
    in_trial: Work,
    /// Who is held back.
    trim: Option<Trim>,
}

impl Together {
    /// What is being done.
    pub(super) fn phase(&self) -> Phase {
        self.phase
    }

    /// True while programs run together.
    pub(super) fn is_on(&self) -> bool {
        matches!(self.phase, Phase::Trial | Phase::Trimmed | Phase::Together)
    }

    /// True while they pass untouched: nothing is counted then.
    fn is_free(&self, now: u64) -> bool {
        self.phase == Phase::Together && now < self.free_until_ns
    }

    /// True while that tenant passes untouched. Who was not at work is seen when it comes.
    pub(super) fn lets_pass(&self, now: u64, tenant: usize) -> bool {
        self.is_free(now) && self.cast.iter().any(|(index, _)| *index == tenant)
    }

    /// When to look again.
    pub(super) fn look_at(&self, now: u64, view: &View) -> u64 {
        let pending = view.processes.iter().any(ProcessView::has_work);
        if self.is_free(now) && !pending {
            self.free_until_ns
        } else {
            now + LOOK_NS
        }
    }

    /// True while they do so for a trial.
    pub(super) fn is_on_trial(&self) -> bool {
        matches!(self.phase, Phase::Trial | Phase::Trimmed)
    }

    /// Who is held back, if that tenant is.
    pub(super) fn trim(&self, tenant: usize) -> Option<&Trim> {
        self.trim.as_ref().filter(|it| it.holds(tenant))
    }

    /// What a segment of the process in `slot` counts as work.
    pub(super) fn work_ns(
        &self,
        slot: usize,
        account: &ProcessAccount,
        segment: &SegmentView,
    ) -> u64 {
        let known = self.measures.get(&slot);
        let known = known.filter(|(generation, _)| *generation == account.generation);
        let ratio_ppm = known.map_or(account.lengths.ratio_ppm, |(_, ratio_ppm)| *ratio_ppm);
        segment.predicted_ns * ratio_ppm / u64::from(WHOLE_PPM)
    }

    /// That tenant has done so much beside others.
    pub(super) fn charge(&mut self, tenant: usize, ns: u64) {
        if let Some(trim) = &mut self.trim {
            trim.charge(tenant, ns);
        }
    }

    fn enter(&mut self, phase: Phase, now: u64) {
        self.phase = phase;
        self.since_ns = now;
        self.free_until_ns = 0;
        self.counted_from_ns = 0;
        if !self.is_on() {
            self.trim = None;
        }
    }

    fn fail(&mut self, now: u64) {
        let ns = (2 * self.backoff.ns).clamp(RETRY_NS_MIN, RETRY_NS_MAX);
        self.backoff = Backoff {
            until_ns: now + ns,
            ns,
        };
        self.enter(Phase::Turns, now);
    }

    /// Others are at work from now on.
    fn change(&mut self, now: u64, cast: Cast, sharing: SharingMode) {
        let mut failed = std::mem::take(&mut self.failed);
        let known = failed.iter().position(|(it, _)| *it == cast);
        let known = known.map(|at| failed.remove(at).1);
        if self.backoff.ns != 0 {
            failed.insert(0, (std::mem::take(&mut self.cast), self.backoff));
            failed.truncate(FAILED_MAX);
        }
        *self = Self {
            cast,
            failed,
            since_ns: now,
            ..Self::default()
        };
        match known {
            Some(backoff) => self.backoff = backoff,
            None if sharing == SharingMode::Concurrent => self.enter(Phase::Watched, now),
            // What turns give is well known first: there is less to gain.
            None => self.backoff.until_ns = now + RETRY_NS_MIN,
        }
    }

    /// Forgets what failed with tenants that are not there any more: their numbers will be others'.
    pub(super) fn forget(&mut self, is_there: impl Fn(usize) -> bool) {
        self.failed
            .retain(|(cast, _)| cast.iter().all(|(tenant, _)| is_there(*tenant)));
    }
}

impl Arbiter {
    /// Decides whether programs run together now. True if they do.
    pub(super) fn runs_together(&mut self, now: u64, view: &View, plan: &mut Plan) -> bool {
        let before = self.together.phase;
        let was_on = self.together.is_on();
        match self.cast(now, view) {
            Some(cast) => self.follow(now, cast, view),
            None if before != Phase::Turns => self.together.enter(Phase::Turns, now),
            None => {}
        }
        if self.together.trim.is_some() {
            let work = self.work();
            let Together { trim, in_turns, .. } = &mut self.together;
            if let Some(trim) = trim {
                trim.control(now, in_turns, &work);
            }
        }
        let is_on = self.together.is_on();
        if self.together.phase != before {
            self.together.at_entry = self.work();
        }
        if is_on && !was_on {
            self.turn = None;
        }
        if was_on && !is_on {
            self.part(now, view, before == Phase::Together, plan);
        }
        is_on
    }

    /// Goes on to the next phase if its time has come.
    fn follow(&mut self, now: u64, cast: Cast, view: &View) {
        if cast != self.together.cast {
            self.together.change(now, cast, view.sharing);
        }
        let elapsed_ns = now.saturating_sub(self.together.since_ns);
        let settle_ns = match self.together.phase {
            // Programs find their pace again.
            Phase::Again => WATCH_NS,
            _ => SETTLE_NS,
        };
        let settled_at_ns = self.together.since_ns.max(self.together.free_until_ns) + settle_ns;
        if self.together.counted_from_ns == 0 && now >= settled_at_ns {
            if self.together.phase == Phase::Watched {
                self.measure_from_now();
            }
            self.count_from(now);
        }
        let counted_ns = match self.together.counted_from_ns {
            0 => 0,
            from => now.saturating_sub(from),
        };
        match self.together.phase {
            Phase::Turns if now >= self.together.backoff.until_ns => {
                self.together.enter(Phase::Watched, now);
            }
            Phase::Watched if counted_ns >= WATCH_NS => {
                self.together.in_turns = self.owed_by_turns(now, self.per_second(now));
                if self.is_to_be_tried(now, view) {
                    self.together.enter(Phase::Trial, now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Trial if self.somebody_is_behind(now) => match self.trimmed(now) {
                Some(trim) => {
                    self.together.enter(Phase::Trimmed, now);
                    self.together.trim = Some(trim);
                }
                None => self.together.fail(now),
            },
            Phase::Trimmed if elapsed_ns < TRIM_NS => self.together.counted_from_ns = 0,
            Phase::Trimmed if counted_ns >= CHECK_NS => {
                if self.is_better(now, view) {
                    self.stay_together(now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Trial if counted_ns >= TRIAL_NS && self.can_tell(counted_ns) => {
                if !self.is_better(now, view) {
                    self.together.fail(now);
                } else if view.sharing == SharingMode::Concurrent {
                    self.stay_together(now);
                } else {
                    self.together.in_trial = self.per_second(now);
                    self.together.enter(Phase::Again, now);
                }
            }
            Phase::Again if counted_ns >= WATCH_NS => {
                self.together.in_turns = self.owed_by_turns(now, self.per_second(now));
                if self.was_better(view) {
                    self.stay_together(now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Together if elapsed_ns >= TOGETHER_NS => {
                self.together.enter(Phase::Watched, now);
            }
            Phase::Together
                if counted_ns >= GLANCE_NS
                    && self.may_pass_untouched()
                    && self.all_have(now, CLEARLY_NOT_LESS_MILLI) =>
            {
                self.check_later(now);
            }
            Phase::Together if counted_ns >= CHECK_NS => {
                // Who had little to do while turns were watched may have more now.
                let in_turns = std::mem::take(&mut self.together.in_turns);
                self.together.in_turns = self.owed_by_turns(now, in_turns);
                if self.all_have(now, CLEARLY_LESS_MILLI) {
                    self.check_later(now);
                } else {
                    self.together.enter(Phase::Watched, now);
                }
            }
            _ => {}
        }
    }

    /// Running together is better.
    fn stay_together(&mut self, now: u64) {
        self.together.backoff = Backoff::default();
        self.together.enter(Phase::Together, now);
        self.check_later(now);
    }

    /// Whether those that run together need not be counted all the time.
    fn may_pass_untouched(&self) -> bool {
        self.all_wait() && self.together.trim.is_none()
    }

    /// Everybody has as much as it should.
    fn check_later(&mut self, now: u64) {
        if self.may_pass_untouched() {
            self.together.free_until_ns = now + FREE_NS;
            self.together.counted_from_ns = 0;
        } else {
            self.count_from(now);
        }
    }

    /// Who would run together; `None` where nobody does: neither the device nor its driver may do it, one tenant is
    /// alone, or a ceiling or a priority is to be kept. A program that waits has nothing to do now and then, and is at work
    /// all the same.
    fn cast(&self, now: u64, view: &View) -> Option<Cast> {
        // Jobs that span devices have their turns on all of them at once.
        let may_slice = view.may_slice && view.lead == Lead::Nobody;
        if view.sharing != SharingMode::Concurrent && !may_slice {
            return None;
        }
        let is_at_work = |it: &TenantAccount| {
            it.had_work
                || it.active_ns != 0 && now.saturating_sub(it.active_ns) < self.tuning.idle_ns
        };
        let working = || self.tenants.iter().filter(|(_, it)| is_at_work(it));
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
}
