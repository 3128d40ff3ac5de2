//! What the arbiter tells of itself to [`crate::sched::trace`]. Nothing here decides anything.

use super::Arbiter;
use super::together::Phase;
use crate::sched::plan::SegmentView;
use crate::sched::segment::SegmentState;
use crate::sched::trace::event::How;

/// The turn in progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::sched) struct TurnTold {
    /// Slot of the process.
    pub slot: usize,
    /// Index of its tenant's page.
    pub tenant: usize,
    /// When it began.
    pub started_ns: u64,
    /// How long it is to last; 0 once it is cut short.
    pub budget_ns: u64,
    /// What its hand-over is expected to cost.
    pub handover_ns: u64,
    /// What of that lies before the end of the oldest unfinished segment.
    pub handover_left_ns: u64,
    /// When that segment could begin, as far as it was looked at.
    pub segment_started_ns: u64,
    /// Actual over predicted device time of the process, in millionths.
    pub ratio_ppm: u64,
}

impl TurnTold {
    /// Whether the other is the same turn, at another time.
    pub fn is(&self, other: &Self) -> bool {
        (self.slot, self.started_ns) == (other.slot, other.started_ns)
    }
}

impl Arbiter {
    /// The turn in progress.
    pub(in crate::sched) fn turn_told(&self) -> Option<TurnTold> {
        let turn = self.turn.as_ref()?;
        let account = self.processes.get(&turn.slot);
        Some(TurnTold {
            slot: turn.slot,
            tenant: turn.tenant,
            started_ns: turn.started_ns,
            budget_ns: turn.budget_ns,
            handover_ns: turn.handover_ns,
            handover_left_ns: turn.handover_left_ns(),
            segment_started_ns: turn.segment_started_ns,
            ratio_ppm: account.map_or(1_000_000, |it| it.lengths.ratio_ppm),
        })
    }

    /// How programs run.
    pub(in crate::sched) fn how(&self) -> How {
        match self.together.phase() {
            Phase::Turns | Phase::Watched | Phase::Again => How::Turns,
            Phase::Trial | Phase::Trimmed => How::Trial,
            Phase::Together => How::Together,
        }
    }

    /// Whether a segment of the process in `slot` was kept back while it filled, and its time has come.
    pub(in crate::sched) fn is_just_in_time(
        &self,
        now: u64,
        slot: usize,
        segment: &SegmentView,
    ) -> bool {
        let account = self.processes.get(&slot);
        let due_ns = account.map_or(0, |it| it.due_ns(segment));
        segment.state == SegmentState::Open && (segment.opened_ns + 1..=now).contains(&due_ns)
    }
}
