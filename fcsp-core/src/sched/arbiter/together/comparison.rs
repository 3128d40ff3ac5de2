//! What each tenant gets in turns, what it gets beside others, and which is more.
//!
//! What is compared is work: the lengths that finished segments were expected to have. Lengths are learnt
//! while programs take turns only, because beside others the same work takes longer.
//!
//! What turns were seen to give may be less than a tenant's share: a host that is busy hands them over late. A tenant
//! whose work waits for the device, and not the device for its work, is owed its share of that time, whatever was
//! seen.

use super::{Together, Work};
use crate::backend::SharingMode;
use crate::sched::account::{ProcessAccount, TenantAccount};
use crate::sched::arbiter::Arbiter;
use crate::sched::arbiter::trim::Trim;
use crate::sched::clock::{ms, us};
use crate::sched::plan::View;

/// Until a trial can be told from noise: everybody has done so many batches, and one more or less is then not much.
const TRIAL_BATCHES: u64 = 25;
/// No trial lasts longer.
const TRIAL_NS_MAX: u64 = ms(300);
/// Who is behind by so many batches has less; who does not wait also by no less than this.
const BEHIND_BATCHES: u64 = 2;
const BEHIND_NS: u64 = ms(3);
/// Least that counts as a batch.
const BATCH_NS_MIN: u64 = us(50);
/// A tenant that has this part of what turns gave it has not less: the rest is noise, thousandths.
const NOT_LESS_MILLI: u64 = 970;
/// All must have this much of what turns gave them, or it is not worth it, thousandths.
const WORTH_MILLI: u64 = 1_050;
/// The same if all of them wait for what they submit, where the device runs them at once: then turns only cost them
/// hand-overs.
const WORTH_WAITING_MILLI: u64 = 1_000;
/// What all must have together, of what turns gave them, so that somebody may be held back, thousandths: some of it goes
/// by that, and shares are less exact. Two that compute have 1.085 of one alone under MPS on an H200, for 0.98 in turns.
const TRIM_MILLI: u64 = 1_150;
/// From this part of the device on, in thousandths, that work takes in turns, a driver that slices time has nothing to
/// gain: hand-overs and what lies between kernels take most of the rest.
const BUSY_MILLI: u64 = 850;
/// A program that waits for its results and spends this part of the time with what it does itself has nothing to gain,
/// thousandths.
const AT_PACE_MILLI: u64 = 900;
/// Part of its share that a tenant whose work always waits gets done in turns where nothing disturbs them, thousandths: the rest
/// are hand-overs.
const TURNS_MILLI: u64 = 950;

impl Arbiter {
    /// Whether running at once may be better than the turns that were watched.
    pub(super) fn is_to_be_tried(&self, now: u64, view: &View) -> bool {
        let in_turns = || self.together.in_turns.values();
        let is_left = in_turns().sum::<u64>() / 1_000_000 < BUSY_MILLI;
        // Beside somebody who always has work, who feels delays has no more in slices than its part of every one of them.
        let is_filled = || self.of_cast().any(|(_, it)| it.always_has_work());
        let slices_help = || is_left && !is_filled() && self.somebody_is_slowed(now);
        in_turns().all(|work| *work > 0)
            && (view.sharing == SharingMode::Concurrent || slices_help())
    }

    /// Whether a program that feels every delay was kept from its own pace since counting began.
    fn somebody_is_slowed(&self, now: u64) -> bool {
        let counted_ns = now.saturating_sub(self.together.counted_from_ns);
        let is_slowed = |(slot, it): (&usize, &ProcessAccount)| {
            // Who was not there all the time, be it in the slot of one that was, is no witness.
            let begun = self.together.batches.get(slot);
            let begun = begun.filter(|(generation, _)| *generation == it.generation);
            begun.is_some_and(|(_, batches)| {
                let own_ns = it.own_ns(it.batches - batches);
                it.interactive() && own_ns * 1_000 < counted_ns * AT_PACE_MILLI
            })
        };
        self.of_cast().any(is_slowed)
    }

    /// Who is to be held back after a trial in which somebody has less; `None` where that would not do.
    pub(super) fn trimmed(&self, now: u64) -> Option<Trim> {
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

    /// From now on work is measured by what is known now of how long it takes.
    pub(super) fn measure_from_now(&mut self) {
        let measures = self
            .of_cast()
            .map(|(slot, it)| (*slot, (it.generation, it.lengths.ratio_ppm)));
        self.together.measures = measures.collect();
    }

    pub(super) fn count_from(&mut self, now: u64) {
        self.together.counted_from_ns = now;
        self.together.begun = self.work();
        let batches = self
            .of_cast()
            .map(|(slot, it)| (*slot, (it.generation, it.batches)));
        self.together.batches = batches.collect();
        self.together.backlog = self.backlog();
    }

    fn of_each(&self, what: impl Fn(&TenantAccount) -> u64) -> Work {
        let of = |(index, _): &(usize, u32)| Some((*index, what(self.tenants.get(index)?)));
        self.together.cast.iter().filter_map(of).collect()
    }

    pub(super) fn work(&self) -> Work {
        self.of_each(|tenant| tenant.work_ns)
    }

    fn backlog(&self) -> Work {
        self.of_each(|tenant| tenant.backlog_ns)
    }

    /// What turns give each per second: what they were seen to give, but no less than its share of the time for which a tenant
    /// had more work waiting, unless it feels every delay: then its work is what it could prepare.
    pub(super) fn owed_by_turns(&self, now: u64, seen: Work) -> Work {
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
    pub(super) fn per_second(&self, now: u64) -> Work {
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
    pub(super) fn is_better(&self, now: u64, view: &View) -> bool {
        self.all_have(now, NOT_LESS_MILLI) && self.is_worth(view, &self.per_second(now))
    }

    /// The same of the trial before, if turns were watched since.
    pub(super) fn was_better(&self, view: &View) -> bool {
        let Together {
            in_turns, in_trial, ..
        } = &self.together;
        let has_no_less = |(tenant, had): (&usize, &u64)| {
            let has = in_trial.get(tenant).copied().unwrap_or(0);
            has * 1_000 >= had * NOT_LESS_MILLI
        };
        in_turns.iter().all(has_no_less) && self.is_worth(view, in_trial)
    }

    /// Whether all together have so much more that it is worth it, if they have that per second.
    fn is_worth(&self, view: &View, beside: &Work) -> bool {
        let sum = |work: &Work| work.values().sum::<u64>();
        let worth_milli = if view.sharing == SharingMode::Concurrent && self.all_wait() {
            WORTH_WAITING_MILLI
        } else {
            WORTH_MILLI
        };
        sum(beside) * 1_000 >= sum(&self.together.in_turns) * worth_milli
    }

    /// Whether everybody has that part, in thousandths, of what turns gave it. What is on its way counts half
    /// a batch.
    pub(super) fn all_have(&self, now: u64, milli: u64) -> bool {
        let counted_ns = now.saturating_sub(self.together.counted_from_ns);
        self.have(&self.together.begun, counted_ns, milli, |tenant| {
            self.batch_ns(tenant) / 2
        })
    }

    /// Whether somebody has clearly less since the trial began.
    pub(super) fn somebody_is_behind(&self, now: u64) -> bool {
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
    pub(super) fn can_tell(&self, counted_ns: u64) -> bool {
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
    pub(super) fn all_wait(&self) -> bool {
        self.of_cast().all(|(_, it)| it.interactive())
    }
}
