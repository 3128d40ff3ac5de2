//! When to look whether what the holder was granted is over. Nothing tells: the device only writes a word.
//!
//! To look costs a wake-up, and to look late costs the device's time. So the first look comes when little
//! more than the usual error of what is left is left, and each shows how far the device is: the next is nearer.

use super::Turn;
use crate::sched::account::ProcessAccount;
use crate::sched::clock::us;
use crate::sched::plan::{ProcessView, SegmentView};
use crate::sched::segment::{SegmentState, reached};
use crate::sched::tuning::Tuning;

/// How often to look while somebody who goes first waits for the end of a segment.
const LOOK_NS_CUT_SHORT: u64 = us(50);
/// Most between two looks at what should be over.
const LOOK_NS_LATE: u64 = us(250);
/// Looked at first when less than so many times the usual error is left. Half as many spare a sixth of the arbiter's processor
/// time, and double the spread of windows of 100 ms (H200, three tenants: 1.2 for 1.4 % of a core, 0.024 for 0.019).
const ERRORS: u64 = 2;

/// What the holder runs.
pub(super) struct Running<'a> {
    pub now: u64,
    pub tuning: &'a Tuning,
    pub turn: &'a Turn,
    pub account: &'a ProcessAccount,
    pub process: &'a ProcessView,
    /// The oldest of what is granted.
    pub segment: &'a SegmentView,
    /// Number of the newest.
    pub granted: u32,
}

impl Running<'_> {
    /// When to look.
    pub fn look_at(&self) -> u64 {
        let Self { now, turn, .. } = *self;
        if self.segment.state == SegmentState::Open {
            return self.look_at_open();
        }
        let (end, error_ns) = match self.ends_soon_ns() {
            Some(end) => (end, 0),
            None if turn.first_segment && turn.measures_handover => {
                (self.segment_ends_ns(), turn.handover_ns)
            }
            // What is known of its length may hold a hand-over.
            None if self.lacks_length() => {
                let end = self.segment_ends_ns();
                let length_ns = end.saturating_sub(turn.segment_started_ns);
                (end, length_ns / 4)
            }
            None if self.is_erratic() && self.segment.number == self.granted => {
                return self.look_at_erratic();
            }
            // Nobody waits for any but the last of several.
            None => {
                let end = self.ends_ns();
                (end, self.error_ns(end.saturating_sub(now)))
            }
        };
        let first_look = end.saturating_sub(self.tuning.lead_ns + error_ns);
        let poll_ns = self.tuning.poll_ns;
        if now + poll_ns < first_look {
            let over = turn.over_ns();
            return if turn.is_cut_short() {
                // Whoever waits for its end is not to wait for an error.
                first_look.min(now + LOOK_NS_CUT_SHORT)
            } else if (turn.is_generous || self.is_erratic()) && now < over {
                // What has not begun by then is taken back.
                first_look.min(over)
            } else {
                first_look
            };
        }
        // Late by a little is looked at closely, late by much less often.
        let late = now.saturating_sub(end);
        now + (late / 8).clamp(poll_ns, LOOK_NS_LATE)
    }

    /// The same while it still fills: when it may be ended by force.
    fn look_at_open(&self) -> u64 {
        let turn = self.turn;
        let submitted = self.segment.submitted_ns.max(turn.segment_started_ns);
        let quiet = submitted + self.account.quiet_ns(self.tuning.quiet_ns);
        self.segment_ends_ns()
            .max(quiet.min(turn.over_ns()))
            .max(self.now + self.tuning.poll_ns)
    }

    /// The same where nobody can tell when it will be over, and nothing is granted behind it.
    fn look_at_erratic(&self) -> u64 {
        // In proportion to what it took so far: what nobody uses stays a small part of it.
        let began = self.turn.segment_waited_ns + self.turn.handover_left_ns();
        let took_ns = self.now.saturating_sub(began);
        began.max(self.now + (took_ns / 4).clamp(self.tuning.poll_ns, LOOK_NS_LATE))
    }

    /// Whether the first work after a hand-over was just over, and what it told of the hand-over is not to be told from its length.
    fn lacks_length(&self) -> bool {
        let span = &self.turn.span;
        let begins = span.handover_ns == 0 && span.predicted_ns == 0 && !span.has_gaps;
        begins
            && self.segment.is_spread
            && self.process.handover_ns == 0
            && self.account.lengths.lacks_length()
    }

    fn is_erratic(&self) -> bool {
        self.account.lengths.erratic(self.process, self.segment)
    }

    /// By how much an end that is expected in `left_ns` may be off. The nearer it is, the smaller what may
    /// come between.
    fn error_ns(&self, left_ns: u64) -> u64 {
        let error_ns = self
            .account
            .lengths
            .error_ns(left_ns, self.process, self.segment);
        (ERRORS * error_ns).min(left_ns / 4 * 3)
    }

    /// When the oldest segment ends by what is expected of it.
    fn segment_ends_ns(&self) -> u64 {
        let length_ns = self.account.lengths.corrected_ns(self.segment.predicted_ns);
        self.turn.segment_started_ns + length_ns + self.turn.handover_left_ns()
    }

    /// One that was granted while it filled ends soon after its last submission, if all went well.
    fn ends_soon_ns(&self) -> Option<u64> {
        let submitted = self.segment.submitted_ns;
        let after_ns = self.account.margin.look_after_ns();
        let after_ns = after_ns.filter(|_| submitted > self.turn.segment_started_ns)?;
        Some(self.segment_ends_ns().min(submitted + after_ns))
    }

    /// When all of it that is complete is expected to be over.
    fn ends_ns(&self) -> u64 {
        let Self { turn, account, .. } = *self;
        let is_behind = |number| {
            reached(number, self.segment.number.wrapping_add(1)) && reached(self.granted, number)
        };
        let segments = self.process.segments.iter();
        let behind = segments.filter(|it| is_behind(it.number));
        let complete = behind.take_while(|it| it.state == SegmentState::Closed);
        let behind_ns = complete.map(|it| it.predicted_ns).sum::<u64>();
        let pending_ns = self.segment.predicted_ns + behind_ns;
        let left_ns = account.lengths.corrected_ns(pending_ns) + turn.handover_left_ns();
        // As far as the oldest of it was seen to begin; those behind it have not begun yet.
        let opened = self.segment.opened_ns.min(self.now);
        let earliest = turn.segment_waited_ns.max(opened) + left_ns;
        let latest = turn.segment_started_ns + left_ns;
        let seen = if turn.span.has_gaps {
            earliest.midpoint(latest)
        } else {
            let span_ns = account
                .lengths
                .corrected_ns(turn.span.predicted_ns + pending_ns);
            let end = turn.span.since_ns + turn.span.handover_ns + span_ns;
            end.clamp(earliest, latest)
        };
        seen.max(self.now + account.lengths.corrected_ns(behind_ns))
    }
}

impl Turn {
    /// Somebody who goes first waits for its end.
    fn is_cut_short(&self) -> bool {
        self.budget_ns == 0
    }
}
