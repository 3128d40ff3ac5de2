//! Rounds: how long a turn is, and when it ends.
//!
//! Among programs that never wait, rounds are kept to a clock: every tenant has its place in each
//! period of [`Tuning::cycle_ns`](crate::sched::tuning::Tuning::cycle_ns), in the order of their pages,
//! and the tenant with the longest turn ends it where its place does. So every window of whole periods
//! holds as many turns of everybody, wherever it begins. What a turn ran over or short is made up for in
//! the tenant's next.

use super::Arbiter;
use super::stood::SHORT_PART;
use super::turns::Candidate;
use crate::policy::Priority;
use crate::sched::account::{ProcessAccount, TenantAccount};
use crate::sched::clock::us;
use crate::sched::shares::WHOLE_PPM;

/// Turns that add up to another length than the period, because some are as short or as long as a turn
/// may be, have no places in it.
const PERIOD_ERROR_NS: u64 = us(100);

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
        self.part_of_ns(round_ns, share)
    }

    /// The turn of a tenant with that share.
    pub(super) fn part_of_ns(&self, round_ns: u64, share_ppm: u32) -> u64 {
        (round_ns * u64::from(share_ppm) / u64::from(WHOLE_PPM))
            .clamp(self.turn_ns_min, self.turn_ns_max())
    }

    /// One round of turns, without its hand-overs. Looks at everybody: once a step is enough.
    pub(super) fn round_ns(&self) -> u64 {
        let working = self.tenants_at_work();
        let handovers_ns = if working > 1 {
            working * self.handover_ns
        } else {
            0
        };
        let round_ns = if self.somebody_waits() {
            let adapted_ns = self.adapted_round_ns();
            adapted_ns.unwrap_or(self.tuning.cycle_ns_waiting)
        } else {
            self.period_ns()
        };
        round_ns.saturating_sub(handovers_ns)
    }

    /// Tenants that have work.
    pub(super) fn at_work(&self) -> impl Iterator<Item = &TenantAccount> {
        self.tenants.values().filter(|it| it.had_work)
    }

    pub(super) fn tenants_at_work(&self) -> u64 {
        self.at_work().count() as u64
    }

    fn working(&self) -> impl Iterator<Item = usize> + '_ {
        let working = self.tenants.iter().filter(|(_, account)| account.had_work);
        working.map(|(index, _)| *index)
    }

    /// Whether short turns serve somebody. They serve no job that spans devices: what is left of its step when
    /// its turn ends waits a turn of the others, on all devices.
    pub(super) fn somebody_waits(&self) -> bool {
        let waits = |it: &ProcessAccount| it.waits() && !it.spans;
        self.processes.values().any(waits)
    }

    /// Whether turns keep to the clock: several tenants work, none of them waits, and no ceiling, no
    /// priority and no other device breaks their order.
    pub(super) fn keeps_time(&self) -> bool {
        let free = |account: &TenantAccount| {
            account.share.ceiling_ppm >= WHOLE_PPM && account.priority == Priority::Normal
        };
        self.at_work().nth(1).is_some()
            && !self.somebody_waits()
            && self.at_work().all(free)
            && !self
                .processes
                .values()
                .any(|it| it.threads_wait || it.spans)
    }

    /// Puts those whose turn in this round is still to come first: in the order of their places, or in a crowd,
    /// which has none, who waited longest for a turn. `ready` is sorted by virtual time.
    pub(super) fn sort_by_round(&self, ready: &mut [Candidate<'_>]) {
        let Some(least) = ready.first().map(|(vtime, ..)| *vtime) else {
            return;
        };
        let round_ns = self.round_ns();
        if self.is_crowd {
            self.sort_by_rest(round_ns, least, ready);
            return self.put_rested_first(least, ready);
        }
        // A turn adds a round's length to its tenant's virtual time.
        let due = ready.partition_point(|(vtime, ..)| *vtime <= least + round_ns / 2);
        ready[..due].sort_by_key(|(_, own, process)| (process.tenant, *own, process.slot));
        self.put_rested_first(least, ready);
    }

    /// Whether the turns of those at work add up to the period.
    pub(super) fn has_places(&self, round_ns: u64) -> bool {
        let all_ns = self.all_turns_ns(round_ns);
        all_ns.abs_diff(self.period_ns()) <= PERIOD_ERROR_NS
    }

    /// A turn of everybody at work, with their hand-overs.
    pub(super) fn all_turns_ns(&self, round_ns: u64) -> u64 {
        let shares = self.at_work().map(|it| it.share.share_ppm);
        let turns = shares.map(|share| self.part_of_ns(round_ns, share) + self.handover_ns);
        turns.sum()
    }

    /// A turn of `tenant` with its hand-over.
    pub(super) fn length_ns(&self, round_ns: u64, tenant: usize) -> u64 {
        self.part_ns(round_ns, tenant) + self.handover_ns
    }

    /// How long a turn of `tenant` that begins at `now` is to last, its hand-over included.
    pub(super) fn budget_ns(&self, now: u64, tenant: usize) -> u64 {
        let round_ns = self.round_ns();
        let turn_ns = self.length_ns(round_ns, tenant);
        if !self.keeps_time() {
            return self.made_up_ns(turn_ns, tenant);
        }
        let lag_ns = if self.is_crowd {
            self.lag_in_crowd_ns(round_ns, tenant)
        } else if self.has_places(round_ns) {
            self.lag_ns(tenant) - self.late_ns(now, round_ns, tenant)
        } else {
            return turn_ns;
        };
        let budget_ns = turn_ns as i64 + lag_ns;
        budget_ns.clamp(
            self.tuning.turn_ns_min.max(turn_ns / SHORT_PART) as i64,
            turn_ns as i64 * 3 / 2,
        ) as u64
    }

    /// A turn where turns have no places: down to half as long for who never waits and is further ahead than a turn makes it.
    /// Programs that wait may lose theirs before they have had their time, each time that somebody sees late that they go on.
    fn made_up_ns(&self, turn_ns: u64, tenant: usize) -> u64 {
        let mut its = self.processes.values().filter(|it| it.tenant == tenant);
        if its.any(|it| !it.never_waits()) {
            return turn_ns;
        }
        let account = &self.tenants[&tenant];
        let ahead_ns = i128::from(account.vtime_ns) - self.mean_vtime_ns(u64::MAX);
        let ahead_ns = ahead_ns * i128::from(account.share.share_ppm) / i128::from(WHOLE_PPM);
        let too_far_ns = (ahead_ns - i128::from(turn_ns)).clamp(0, i128::from(turn_ns / 2));
        (turn_ns - too_far_ns as u64).max(self.tuning.turn_ns_min)
    }

    /// By how much the period runs late, for the tenant that ends it: who has the most feels that least. A quarter of its turn at
    /// most; for the others nothing.
    fn late_ns(&self, now: u64, round_ns: u64, tenant: usize) -> i64 {
        let turn_ns = |index| self.length_ns(round_ns, index);
        let keeper = self.working().max_by_key(|it| (turn_ns(*it), *it));
        if keeper != Some(tenant) {
            return 0;
        }
        let place_ns = self.period_from_ns + self.place_ns(round_ns, tenant) as i64;
        let late_ns = signed_remainder(now as i64 - place_ns, self.period_ns() as i64);
        let quarter_ns = turn_ns(tenant) as i64 / 4;
        late_ns.clamp(-quarter_ns, quarter_ns)
    }

    /// When the turn of `tenant` begins in a period.
    pub(super) fn place_ns(&self, round_ns: u64, tenant: usize) -> u64 {
        let before = self.working().filter(|it| *it < tenant);
        before.map(|it| self.length_ns(round_ns, it)).sum()
    }

    /// Mean virtual time of those at work that are not ahead of `most_ns`, by their shares.
    pub(super) fn mean_vtime_ns(&self, most_ns: u64) -> i128 {
        let (mut sum, mut shares) = (0, 0);
        for account in self.at_work() {
            if account.vtime_ns <= most_ns {
                let share = i128::from(account.share.share_ppm);
                sum += share * i128::from(account.vtime_ns);
                shares += share;
            }
        }
        sum / shares.max(1)
    }

    /// Device time by which `tenant` is behind what the others had for their shares.
    fn lag_ns(&self, tenant: usize) -> i64 {
        let account = &self.tenants[&tenant];
        let behind_ns = self.mean_vtime_ns(u64::MAX) - i128::from(account.vtime_ns);
        let share = i128::from(account.share.share_ppm);
        // Those before it in the round have had their turn, so it is behind by as much.
        let round_ns = self.round_ns();
        let before = self.working().filter(|it| *it < tenant);
        let due_ns: u64 = before.map(|it| self.part_ns(round_ns, it)).sum();
        let missed_ns = behind_ns - i128::from(due_ns);
        (missed_ns * share / i128::from(WHOLE_PPM)) as i64
    }
}

/// The remainder nearest to 0.
fn signed_remainder(value: i64, modulus: i64) -> i64 {
    let rest = value.rem_euclid(modulus);
    if rest > modulus / 2 {
        rest - modulus
    } else {
        rest
    }
}
