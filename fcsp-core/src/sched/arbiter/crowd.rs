//! A crowd: so many tenants that a period has no room for the shortest turns of all.
//!
//! There are no places in a period then. Everybody has a turn in each round all the same, in the order of the last
//! one; what a turn ran over or short is made up for in the tenant's next, which a tenant misses only if it is ahead
//! by a whole one and its pieces are as long as its turns. Among 64 tenants on an H200 (driver 580.159, Nov 2026) a hand-over took 0.33 ms, twice as long as
//! between two, and turns of 0.5 ms left 0.61 of the device.

use super::Arbiter;
use super::turns::Candidate;
use crate::sched::account::TenantAccount;
use crate::sched::clock::ms;
use crate::sched::shares::WHOLE_PPM;

/// Where the shortest turns of all are longer than a period by this part of it, it is a crowd. By less, one or two have
/// shares so small that they rather have a turn in every other round.
const CROWDED_PART: u64 = 4;
/// Shortest turn in a crowd, in hand-overs: the device works for three quarters of the time.
const HANDOVERS_PER_TURN: u64 = 3;
/// Longest round for the sake of that: everybody waits for so long between two turns.
const ROUND_NS_MAX: u64 = ms(100);

impl Arbiter {
    /// Finds out whether those at work are a crowd, and how long the shortest turn is then: three times as long as its
    /// hand-over, as far as a round of all stays bounded.
    pub(super) fn count_crowd(&mut self) {
        self.turn_ns_min = self.tuning.turn_ns_min;
        let working = self.tenants_at_work();
        let (round_ns, cycle_ns) = (self.round_ns(), self.period_ns());
        self.is_crowd = !self.somebody_waits()
            && self.all_turns_ns(round_ns) > cycle_ns + cycle_ns / CROWDED_PART;
        if self.is_crowd {
            let bounded_ns = (ROUND_NS_MAX / working).saturating_sub(self.handover_ns);
            let wanted_ns = HANDOVERS_PER_TURN * self.handover_ns;
            self.turn_ns_min = self.turn_ns_min.max(bounded_ns.min(wanted_ns));
        }
    }

    /// Puts those first that have a turn in this round, who waited longest for one before the others. `ready` is sorted by
    /// virtual time, and `least` is the first's.
    pub(super) fn sort_by_rest(&self, round_ns: u64, least: u64, ready: &mut [Candidate<'_>]) {
        // Somebody whose last turn ran over by less than a turn has a shorter one now, and not none.
        let due_ns = least + self.least_worth_ns(round_ns);
        let due = ready.partition_point(|(vtime, ..)| *vtime <= due_ns);
        ready[..due].sort_by_cached_key(|(_, own, process)| {
            let account = &self.tenants[&process.tenant];
            (account.turn_ns, process.tenant, *own, process.slot)
        });
    }

    /// Device time by which `tenant`, which comes after everybody else without places, is behind them: when its turn
    /// begins it should be by half a turn, and by the end of it ahead by as much.
    pub(super) fn lag_in_crowd_ns(&self, round_ns: u64, tenant: usize) -> i64 {
        let account = &self.tenants[&tenant];
        let due_ns = i128::from(self.worth_ns(round_ns, account) / 2);
        let least = self.at_work().map(|it| it.vtime_ns).min();
        // Who is ahead by more, with kernels longer than a turn, has none in this round.
        let most_ns = least.unwrap_or(0) + 2 * self.least_worth_ns(round_ns);
        let missed_ns = self.mean_vtime_ns(most_ns) - i128::from(account.vtime_ns) - due_ns;
        (missed_ns * i128::from(account.share.share_ppm) / i128::from(WHOLE_PPM)) as i64
    }

    /// The least that a turn adds to the virtual time of its tenant.
    fn least_worth_ns(&self, round_ns: u64) -> u64 {
        let worths = self.at_work().map(|it| self.worth_ns(round_ns, it));
        worths.min().unwrap_or(0)
    }

    /// What a turn of that tenant adds to its virtual time.
    fn worth_ns(&self, round_ns: u64, account: &TenantAccount) -> u64 {
        account.virtual_ns(self.part_of_ns(round_ns, account.share.share_ppm))
    }
}
