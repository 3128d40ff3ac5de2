//! When programs run at once, and when they take turns.
//!
//! Which is better depends on the programs: one that computes and one that waits for memory do half as
//! much again together as in turns; two that compute gain nothing and lose their shares; one that waits
//! for each result is starved by a neighbour that never waits. So nothing is guessed. Programs take turns
//! until it is known what each gets that way; then they run together for a moment, and what each gets
//! is compared. They stay together only if nobody has less than in turns and all have more in total.
//! Every tenant has at least what its share of turns would give it, so shares hold as a floor.
//!
//! What turns were seen to give may be less than that: a host that is busy hands them over late. A tenant whose work waits for
//! the device, and not the device for its work, is owed its share of that time, whatever was seen.
//!
//! What is compared is work: the lengths that finished segments were expected to have. Lengths are learnt
//! while programs take turns only, because beside others the same work takes longer.
//!
//! Where all have more in total and somebody has less, those that gained are held back ([`super::trim`]) for as much as
//! gives everybody what turns gave it, unless who has less waits for its results, and feels each of them.
//!
//! A program that waits for its results feels a trial at once, so a trial ends as soon as somebody is clearly
//! behind; otherwise it lasts until what everybody got can be told from noise. One that failed is made again later, each time after twice the time, and what somebody had beyond its share in
//! it is paid back in the turns that follow. That it failed is remembered while others come and go. What succeeded ends when the tenants at work or their shares
//! change, when somebody has clearly less than it had in turns, and after [`TOGETHER_NS`] to see what turns
//! would give now.
//!
//! On a device that runs one process at a time, to run at once means that its driver slices time among them. That is
//! better than turns only where programs do not ask for the whole device: turns then make one wait for another that is
//! not ready. So it is tried only while turns leave a good part of the device unused ([`BUSY_MILLI`]) and somebody who waits
//! for its results is slowed down by them ([`AT_PACE_MILLI`]): to those that never wait a turn that comes later is no loss,
//! and a trial costs those who do some steps.

use std::collections::BTreeMap;

use super::Arbiter;
use super::trim::Trim;
use crate::backend::SharingMode;
use crate::policy::Priority;
use crate::sched::account::{ProcessAccount, TenantAccount};
use crate::sched::clock::{ms, us};
use crate::sched::plan::{Lead, Plan, ProcessView, View};
use crate::sched::segment::SegmentState;
use crate::sched::shares::WHOLE_PPM;

/// How long turns are watched before a trial: twelve rounds.
const WATCH_NS: u64 = ms(300);
/// How long a trial lasts at least and at most.
const TRIAL_NS: u64 = ms(60);
const TRIAL_NS_MAX: u64 = ms(300);
/// In between, until everybody has done so many batches: one more or less is then not much.
const TRIAL_BATCHES: u64 = 25;
/// Who is behind by so many batches has less; who does not wait also by no less than this.
const BEHIND_BATCHES: u64 = 2;
const BEHIND_NS: u64 = ms(5);
/// Least that counts as a batch.
const BATCH_NS_MIN: u64 = us(50);
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
/// The same if all of them wait for what they submit, where the device runs them at once: then turns only cost them
/// hand-overs.
const WORTH_WAITING_MILLI: u64 = 1_000;
/// While programs run together, it is looked for so long whether somebody has less than this part of what
/// turns gave it, thousandths.
const CHECK_NS: u64 = ms(200);
/// In between they pass untouched for so long, if all of them wait for what they submit: what others have in
/// their queues would be out of reach.
const FREE_NS: u64 = ms(1_000);
const CLEARLY_LESS_MILLI: u64 = 850;
/// What all must have together, of what turns gave them, so that somebody may be held back, thousandths: some of it goes
/// by that.
const TRIM_MILLI: u64 = 1_100;
/// How long it takes the controller to find out by how much.
const TRIM_NS: u64 = ms(400);
/// From this part of the device on, in thousandths, that work takes in turns, a driver that slices time has nothing to
/// gain: hand-overs and what lies between kernels take most of the rest.
const BUSY_MILLI: u64 = 850;
/// A program that waits for its results and spends this part of the time with what it does itself has nothing to gain,
/// thousandths.
const AT_PACE_MILLI: u64 = 900;
/// Part of its share that a tenant whose work always waits gets done in turns where nothing disturbs them, thousandths: the rest
/// are hand-overs.
const TURNS_MILLI: u64 = 950;
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
    /// How many batches each process had done then, by its slot.
    batches: Work,
    /// For how long each had had more work waiting then.
    backlog: Work,
    /// What turns gave, per second, or what they owe.
    in_turns: Work,
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
        let settled_at_ns = self.together.since_ns.max(self.together.free_until_ns) + SETTLE_NS;
        if self.together.counted_from_ns == 0 && now >= settled_at_ns {
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
                    self.together.backoff = Backoff::default();
                    self.together.enter(Phase::Together, now);
                    self.count_from(now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Trial if counted_ns >= TRIAL_NS && self.can_tell(counted_ns) => {
                if self.is_better(now, view) {
                    self.together.backoff = Backoff::default();
                    self.together.enter(Phase::Together, now);
                    self.check_later(now);
                } else {
                    self.together.fail(now);
                }
            }
            Phase::Together if elapsed_ns >= TOGETHER_NS => {
                self.together.enter(Phase::Watched, now);
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

    /// Whether running at once may be better than the turns that were watched.
    fn is_to_be_tried(&self, now: u64, view: &View) -> bool {
        let in_turns = || self.together.in_turns.values();
        let is_left = in_turns().sum::<u64>() / 1_000_000 < BUSY_MILLI;
        let slices_help = || is_left && self.somebody_is_slowed(now);
        in_turns().all(|work| *work > 0)
            && (view.sharing == SharingMode::Concurrent || slices_help())
    }

    /// Whether a program that feels every delay was kept from its own pace since counting began.
    fn somebody_is_slowed(&self, now: u64) -> bool {
        let counted_ns = now.saturating_sub(self.together.counted_from_ns);
        let is_slowed = |(slot, it): (&usize, &ProcessAccount)| {
            // Another process may have the slot by now, and has done fewer.
            let begun = self.together.batches.get(slot).copied();
            let done = it.batches.saturating_sub(begun.unwrap_or(it.batches));
            it.interactive() && it.own_ns(done) * 1_000 < counted_ns * AT_PACE_MILLI
        };
        self.of_cast().any(is_slowed)
    }

    /// Who is to be held back after a trial in which somebody has less; `None` where that would not do.
    fn trimmed(&self, now: u64) -> Option<Trim> {
        let Together {
            at_entry, since_ns, ..
        } = &self.together;
        let free = self.per_second_since(at_entry, *since_ns, now);
        let in_turns = &self.together.in_turns;
        let sum = |work: &Work| work.values().sum::<u64>();
        let has_less = |tenant: &usize| free.get(tenant) < in_turns.get(tenant);
        let feels_it = self
            .processes
            .values()
            .any(|it| has_less(&it.tenant) && it.waits());
        let is_worth = sum(&free) * 1_000 >= sum(in_turns) * TRIM_MILLI;
        (is_worth && !feels_it).then(|| Trim::new(now, in_turns, &free, self.work()))
    }

    /// Everybody has as much as it should.
    fn check_later(&mut self, now: u64) {
        if self.all_wait() && self.together.trim.is_none() {
            self.together.free_until_ns = now + FREE_NS;
            self.together.counted_from_ns = 0;
        } else {
            self.count_from(now);
        }
    }

    fn count_from(&mut self, now: u64) {
        self.together.counted_from_ns = now;
        self.together.begun = self.work();
        let batches = self.of_cast().map(|(slot, it)| (*slot, it.batches));
        self.together.batches = batches.collect();
        self.together.backlog = self.backlog();
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

    fn of_each(&self, what: impl Fn(&TenantAccount) -> u64) -> Work {
        let of = |(index, _): &(usize, u32)| Some((*index, what(self.tenants.get(index)?)));
        self.together.cast.iter().filter_map(of).collect()
    }

    fn work(&self) -> Work {
        self.of_each(|tenant| tenant.work_ns)
    }

    fn backlog(&self) -> Work {
        self.of_each(|tenant| tenant.backlog_ns)
    }

    /// What turns give each per second: what they were seen to give, but no less than its share of the time for which a tenant
    /// had more work waiting, unless it feels every delay: then its work is what it could prepare.
    fn owed_by_turns(&self, now: u64, seen: Work) -> Work {
        let counted_ns = now.saturating_sub(self.together.counted_from_ns).max(1);
        let (mut owed, backlog) = (seen, self.backlog());
        for (index, share_ppm) in &self.together.cast {
            let mut processes = self.processes.values().filter(|it| it.tenant == *index);
            if processes.any(ProcessAccount::interactive) {
                continue;
            }
            let had_ns = |work: &Work| work.get(index).copied().unwrap_or(0);
            let waited_ns = had_ns(&backlog).saturating_sub(had_ns(&self.together.backlog));
            let its_share =
                u128::from(waited_ns) * u128::from(*share_ppm) * u128::from(TURNS_MILLI);
            let least = its_share / u128::from(counted_ns);
            if let Some(rate) = owed.get_mut(index) {
                // Millionths and thousandths make one of each nanosecond in a second.
                *rate = (*rate).max(least as u64);
            }
        }
        owed
    }

    /// Work of each in this phase, as far as it is counted, per second.
    fn per_second(&self, now: u64) -> Work {
        let Together {
            begun,
            counted_from_ns,
            ..
        } = &self.together;
        self.per_second_since(begun, *counted_from_ns, now)
    }

    /// Work of each since `since_ns`, when it was `before`, per second.
    fn per_second_since(&self, before: &Work, since_ns: u64, now: u64) -> Work {
        let elapsed_ns = now.saturating_sub(since_ns).max(1);
        let rate = |(index, work_ns): (usize, u64)| {
            let before_ns = before.get(&index).copied().unwrap_or(work_ns);
            let done_ns = u128::from(work_ns.saturating_sub(before_ns));
            (
                index,
                (done_ns * 1_000_000_000 / u128::from(elapsed_ns)) as u64,
            )
        };
        self.work().into_iter().map(rate).collect()
    }

    /// Whether nobody has less together than in turns, and all together have more.
    fn is_better(&self, now: u64, view: &View) -> bool {
        let sum = |work: &Work| work.values().sum::<u64>();
        let worth_milli = if view.sharing == SharingMode::Concurrent && self.all_wait() {
            WORTH_WAITING_MILLI
        } else {
            WORTH_MILLI
        };
        let in_turns = sum(&self.together.in_turns);
        self.all_have(now, NOT_LESS_MILLI)
            && sum(&self.per_second(now)) * 1000 >= in_turns * worth_milli
    }

    /// Whether everybody has that part, in thousandths, of what turns gave it. What is on its way counts half
    /// a batch.
    fn all_have(&self, now: u64, milli: u64) -> bool {
        let counted_ns = now.saturating_sub(self.together.counted_from_ns);
        self.have(&self.together.begun, counted_ns, milli, |tenant| {
            self.batch_ns(tenant) / 2
        })
    }

    /// Whether somebody has clearly less since the trial began.
    fn somebody_is_behind(&self, now: u64) -> bool {
        let elapsed_ns = now.saturating_sub(self.together.since_ns);
        let behind_ns = |tenant| {
            let batches_ns = BEHIND_BATCHES * self.batch_ns(tenant);
            let mut processes = self.processes.values().filter(|it| it.tenant == tenant);
            if processes.any(ProcessAccount::interactive) {
                batches_ns
            } else {
                batches_ns.max(BEHIND_NS)
            }
        };
        !self.have(
            &self.together.at_entry,
            elapsed_ns,
            NOT_LESS_MILLI,
            behind_ns,
        )
    }

    /// Whether everybody who did `begun` before the last `ns` has done that part of what turns would have given
    /// it; `allowed_ns` less is no less.
    fn have(&self, begun: &Work, ns: u64, milli: u64, allowed_ns: impl Fn(usize) -> u64) -> bool {
        let work = self.work();
        self.together.in_turns.iter().all(|(index, per_second)| {
            let done = |work: &Work| work.get(index).copied().unwrap_or(0);
            let done_ns = done(&work).saturating_sub(done(begun)) + allowed_ns(*index);
            let asked_ns = u128::from(*per_second) * u128::from(ns) / 1_000_000_000;
            u128::from(done_ns) * 1000 >= asked_ns * u128::from(milli)
        })
    }

    /// Whether what everybody did in `counted_ns` says more than when its last batch ended.
    fn can_tell(&self, counted_ns: u64) -> bool {
        let work = self.work();
        let is_much = |(index, done_ns): (&usize, &u64)| {
            let begun = self.together.begun.get(index).copied().unwrap_or(0);
            done_ns.saturating_sub(begun) >= TRIAL_BATCHES * self.batch_ns(*index)
        };
        counted_ns >= TRIAL_NS_MAX || work.iter().all(is_much)
    }

    /// What a tenant finishes at once, at most.
    fn batch_ns(&self, tenant: usize) -> u64 {
        let of_it = self.processes.values().filter(|it| it.tenant == tenant);
        let longest = of_it.map(|it| it.device_ns_mean).max();
        longest.unwrap_or(0).max(BATCH_NS_MIN)
    }

    /// Processes of the tenants at work, by their slots.
    fn of_cast(&self) -> impl Iterator<Item = (&usize, &ProcessAccount)> {
        let cast = &self.together.cast;
        let is_in = |it: &ProcessAccount| cast.iter().any(|(index, _)| *index == it.tenant);
        self.processes.iter().filter(move |(_, it)| is_in(it))
    }

    /// Whether all processes of the tenants at work wait for what they submit.
    fn all_wait(&self) -> bool {
        self.of_cast().all(|(_, it)| it.interactive())
    }
}
