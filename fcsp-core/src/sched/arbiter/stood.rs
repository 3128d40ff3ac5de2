//! A device that stood in somebody's turn.
//!
//! While a driver makes a context for a program that starts, the device does nothing for as long as several turns. That is charged to
//! whoever had the turn, since nothing tells it from work; but who is ahead for such a reason makes up for it in short turns, and
//! misses no round. Who is ahead because its pieces are longer than its turns has fewer turns, as its share says.

use super::Arbiter;
use super::turns::Candidate;
use crate::sched::account::ProcessAccount;
use crate::sched::clock::ms;
use crate::sched::plan::ProcessView;

/// Longest time for which a device stands, twice what an H200 does (driver 580.159, Nov 2026) while the driver makes a context
/// for somebody. Who is ahead by more misses rounds.
const STANDS_NS_MAX: u64 = ms(25);
/// A turn can be shorter by so much where pieces are no longer than this part of it.
pub(super) const SHORT_PART: u64 = 4;

impl Arbiter {
    /// Who had its turn before everybody else had theirs, and is ahead all the same, because the device stood in its turn, has a
    /// short one now, and not none. Who is furthest behind has the virtual time `least`.
    pub(super) fn put_rested_first(&self, least: u64, ready: &mut [Candidate<'_>]) {
        let began_ns = |(.., process): &Candidate<'_>| self.tenants[&process.tenant].turn_ns;
        let rested = (0..ready.len()).min_by_key(|at| began_ns(&ready[*at]));
        let Some(at) = rested.filter(|at| began_ns(&ready[*at]) != 0) else {
            return;
        };
        let (vtime, _, process) = ready[at];
        let most_ns = least + self.tenants[&process.tenant].virtual_ns(STANDS_NS_MAX);
        if vtime <= most_ns && self.can_be_short(process) {
            ready[..=at].rotate_right(1);
        }
    }

    /// Whether a turn that `process` begins can be much shorter than usual.
    fn can_be_short(&self, process: &ProcessView) -> bool {
        // A crowd's turns are a few pieces at most.
        let turn_ns = self.turn_ns(process.tenant);
        let short_ns = match self.is_crowd {
            true => turn_ns - turn_ns / SHORT_PART,
            false => turn_ns / SHORT_PART,
        };
        // Of work that never came to an end no piece was measured. Others of its tenant may have none.
        let is_measured = self.processes[&process.slot].lengths.piece_ns() > 0;
        let of_tenant = |it: &&ProcessAccount| it.tenant == process.tenant;
        let mut its = self.processes.values().filter(of_tenant);
        !self.is_coarse && is_measured && its.all(|it| it.lengths.piece_ns() <= short_ns)
    }
}
