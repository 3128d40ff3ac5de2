//! Work in pieces that are long for a turn: kernels of milliseconds, which nobody can divide.
//!
//! A turn ends with the piece that it began. Where a turn has room for one or two of them, it runs over by much, the others have
//! two in the time of one to make up for it, and the device goes from hand to hand more often than a period says. Periods are
//! twice as long then.

use super::Arbiter;
use crate::sched::account::ProcessAccount;
use crate::sched::clock::us;
use crate::sched::shares::WHOLE_PPM;

/// Periods are long while somebody's pieces are longer than this part of a turn,
const PIECE_PART: u64 = 6;
/// and until nobody's are longer than that one.
const PIECE_PART_STILL: u64 = 8;
/// Shorter pieces are a few kernels, of which fewer can be granted.
const PIECE_NS_MIN: u64 = us(1500);

impl Arbiter {
    /// How long a period is, in which every tenant has a turn.
    pub(super) fn period_ns(&self) -> u64 {
        self.tuning.cycle_ns << u32::from(self.is_coarse)
    }

    /// The longest turn in it.
    pub(super) fn turn_ns_max(&self) -> u64 {
        self.tuning.turn_ns_max << u32::from(self.is_coarse)
    }

    /// A turn is over: finds out how long the pieces are of which turns are made.
    pub(super) fn measure_pieces(&mut self) {
        if let Some(turn) = &self.turn
            && let Some(account) = self.processes.get_mut(&turn.slot)
            && let Some(overrun_ns) = turn.overrun_ns
        {
            account.lengths.learn_overrun(overrun_ns);
        }
        let part = match self.is_coarse {
            true => PIECE_PART_STILL,
            false => PIECE_PART,
        };
        let is_long = |it: &ProcessAccount| {
            let tenant = self.tenants.get(&it.tenant).filter(|it| it.had_work);
            tenant.is_some_and(|tenant| {
                let share_ppm = u64::from(tenant.share.share_ppm);
                let turn_ns = self.tuning.cycle_ns * share_ppm / u64::from(WHOLE_PPM);
                it.lengths.piece_ns() > (turn_ns / part).max(PIECE_NS_MIN * PIECE_PART / part)
            })
        };
        self.is_coarse = self.keeps_time() && self.processes.values().any(is_long);
    }
}
