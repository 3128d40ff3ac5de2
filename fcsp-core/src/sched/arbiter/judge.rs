//! Whether a granted segment is over.

use super::Turn;
use crate::sched::account::ProcessAccount;
use crate::sched::plan::{ProcessView, SegmentView};
use crate::sched::segment::SegmentState;
use crate::sched::tuning::Tuning;

/// What is to become of a granted segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It runs, or waits behind one that does.
    Pending,
    /// It is over.
    Finished,
    /// It still fills, and is ended by force: somebody else's time has come.
    Ended,
    /// It does not finish; the turn passes on.
    GivenUp,
}

/// A granted segment, and what is known of it.
pub(super) struct Case<'a> {
    pub tuning: &'a Tuning,
    pub now: u64,
    pub turn: &'a Turn,
    pub account: &'a ProcessAccount,
    pub process: &'a ProcessView,
    pub segment: &'a SegmentView,
    /// Somebody else has work.
    pub others_wait: bool,
    /// One before it in this turn was given up.
    pub given_up: bool,
}

impl Case<'_> {
    /// What is to become of it.
    pub fn judge(&self) -> Verdict {
        let expected = self.account.lengths.corrected_ns(self.segment.predicted_ns)
            + self.turn.handover_left_ns();
        let running = self.now.saturating_sub(self.turn.segment_started_ns);
        if self.segment.finished() || self.is_over_by_time(running, expected) {
            return Verdict::Finished;
        }
        if running >= expected && self.may_be_ended() {
            return Verdict::Ended;
        }
        // What is granted behind work that was given up on hangs as well: one bound for the turn.
        if self.given_up || running >= self.tuning.bound_ns.max(4 * expected) {
            return Verdict::GivenUp;
        }
        Verdict::Pending
    }

    /// Where nothing tells when it is over, or nobody may be there to look.
    fn is_over_by_time(&self, running: u64, expected: u64) -> bool {
        match self.segment.state {
            SegmentState::Unmarked => running >= expected,
            SegmentState::Watched => {
                let late = expected + expected / 4 + self.tuning.quiet_ns;
                !self.process.looks && running >= late
            }
            _ => false,
        }
    }

    /// Whether it still fills although its program has gone quiet, or its turn is over.
    fn may_be_ended(&self) -> bool {
        let Self { now, turn, .. } = *self;
        let last_ns = self.segment.submitted_ns.max(turn.segment_started_ns);
        let quiet_ns = self.account.quiet_ns(self.tuning.quiet_ns);
        let quiet = now.saturating_sub(last_ns) >= quiet_ns;
        let fills = self.segment.state == SegmentState::Open;
        fills && self.others_wait && (quiet || turn.is_over(now))
    }
}

impl Turn {
    /// Whether it has had its time.
    pub(super) fn is_over(&self, now: u64) -> bool {
        now.saturating_sub(self.started_ns) >= self.budget_ns
    }
}
