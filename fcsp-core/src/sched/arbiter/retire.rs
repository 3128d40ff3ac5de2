//! What is over: segments that finished, that were given up on, and that nobody asks for any more.

use super::ahead::take_back;
use super::judge::{Case, Verdict};
use super::{Arbiter, Span, Turn};
use crate::sched::account::{ProcessAccount, Waits, is_timed};
use crate::sched::clock::us;
use crate::sched::margin::Came;
use crate::sched::plan::{Plan, ProcessView, Retire, SegmentRef, SegmentView, View};
use crate::sched::segment::{SegmentState, reached};
use crate::sched::tuning::Tuning;

/// A segment that was not over so long ago and is now ended between.
const EXACT_NS: u64 = us(60);
/// What takes more than so many times as long as the hand-over before it tells its length.
const ALONE: u64 = 32;
/// The beginning of a turn tells nothing of lengths if it takes less than so many times as long as the hand-over before it: some
/// take a quarter longer or less than usual, which would be more than a thirtieth of it.
const BESIDE_HANDOVER: u64 = 8;

impl Arbiter {
    /// Retires what has finished, gives up on what does not finish, and ends open segments whose
    /// turn is over.
    pub(super) fn retire(&mut self, now: u64, view: &View, plan: &mut Plan) {
        let Some(turn) = &mut self.turn else { return };
        let Some(process) = view.process(turn.slot) else {
            return;
        };
        let Some(account) = self.processes.get_mut(&turn.slot) else {
            return;
        };
        let others_wait = view
            .processes
            .iter()
            .any(|p| p.slot != turn.slot && p.has_work());
        let before = plan.retire.len();
        if is_watched(process, 0) {
            turn.note_looks(now, process);
        }
        let (unused_ns, late_ns) = turn.unused_ns(now, process);
        let overrun_ns = turn.overrun_ns();
        let mut given_up = false;
        // What is over now takes so long by the device's own clock; nothing if that is not known of all of it.
        let (mut work_ns, mut timed_ns) = (0, Some(0));
        // When all of it was over by that clock.
        let mut ends_ns = turn.begins_ns(account);
        turn.is_contended |= others_wait;
        // Of what is over now: when it began, and its predicted length.
        let (mut began_ns, mut over_ns, mut with_gaps) = (now, 0, false);
        for segment in process.granted_segments() {
            turn.segment_started_ns = turn.segment_started_ns.max(segment.opened_ns.min(now));
            let verdict = Case {
                tuning: &self.tuning,
                now,
                turn,
                account,
                process,
                segment,
                others_wait,
                given_up,
            }
            .judge();
            let is_front = plan.retire.len() == before;
            let has_gaps = turn.has_gaps(now, account, segment);
            let mut gapless = None;
            match verdict {
                Verdict::Pending => break,
                Verdict::Ended => {
                    work_ns += self.together.work_ns(turn.slot, account, segment);
                    turn.end_filling(now, account, segment);
                }
                Verdict::GivenUp => given_up = true,
                Verdict::Finished => {
                    work_ns += self.together.work_ns(turn.slot, account, segment);
                    if segment.done {
                        self.tuning
                            .learn_habits(now, turn, account, process, segment);
                        let measured = reached(segment.number, process.guessed.wrapping_add(1));
                        gapless = Some(segment).filter(|_| measured && !has_gaps);
                        if measured {
                            over_ns += segment.predicted_ns;
                            account.lengths.learn_piece(segment.predicted_ns);
                            with_gaps |= has_gaps;
                        }
                    }
                }
            }
            // What fills still, and what only threads that do not look can tell to be over, is not known to run for long.
            let fills = segment.state == SegmentState::Open;
            let is_told = match verdict {
                Verdict::Finished => segment.done,
                Verdict::GivenUp => fills || segment.state == SegmentState::Watched,
                Verdict::Ended | Verdict::Pending => false,
            };
            let is_timed = is_told && is_timed(process, segment);
            ends_ns = ended_ns(ends_ns, account, segment);
            // Complete before it began, it kept the device busy until its end.
            let takes_ns = match has_gaps || fills {
                true => segment.predicted_ns,
                false => now.saturating_sub(turn.segment_started_ns),
            };
            let takes_ns = takes_ns + turn.handover_left_ns();
            timed_ns = timed_ns.map(|sum: u64| sum + takes_ns).filter(|_| is_timed);
            if is_front && verdict != Verdict::Ended {
                began_ns = turn.segment_started_ns + turn.handover_left_ns();
            }
            let reference = SegmentRef {
                slot: turn.slot,
                number: segment.number,
            };
            if verdict != Verdict::Finished && segment.state == SegmentState::Open {
                plan.expire.push(reference);
            }
            plan.retire.push(Retire {
                segment: reference,
                finished: verdict != Verdict::GivenUp,
                exact: is_front && verdict != Verdict::Ended && turn.looked_just_before(now),
            });
            turn.begins_next(now, gapless);
        }
        let mut idle_ns = 0;
        if plan.retire.len() > before {
            // What was never measured says nothing of what comes.
            turn.overrun_ns = process
                .granted_segments()
                .nth(plan.retire.len() - before - 1)
                .filter(|it| {
                    !reached(process.guessed, it.number) && account.lengths.erratic(process, it)
                })
                .map(|_| overrun_ns);
            let is_drained = plan.retired(process) == process.granted;
            // Nothing was left to run from then on: that nobody saw it is not to be paid for.
            let unseen_ns = match timed_ns {
                Some(_) if is_drained => now - ends_ns.max(turn.looked_ns).min(now),
                _ => 0,
            };
            idle_ns = turn.settle(now, timed_ns, unused_ns, unseen_ns + late_ns);
            turn.is_contended = others_wait;
            if with_gaps {
                account
                    .lengths
                    .learn_bound(over_ns, now.saturating_sub(began_ns));
            }
            // Of several queues nobody can measure on the device which was the last.
            let mut over = process.granted_segments();
            let tells = |it: &SegmentView| it.is_spread && !account.lengths.erratic(process, it);
            turn.span.tells_handover &= over.next().is_some_and(tells);
            turn.learn_length(now, is_drained, account);
        }
        if is_watched(process, plan.retire.len() - before) {
            turn.note_looks(now, process);
        } else {
            turn.looked_ns = now;
        }
        if let Some(tenant) = self.tenants.get_mut(&turn.tenant) {
            tenant.work_ns += work_ns;
            tenant.refund(idle_ns);
        }
    }

    /// What is granted without a turn (left by an earlier arbiter) is nobody's: forget it.
    pub(super) fn forget_strays(&mut self, view: &View, plan: &mut Plan) {
        for process in &view.processes {
            let has_turn = self
                .turn
                .as_ref()
                .is_some_and(|turn| turn.slot == process.slot);
            if has_turn || self.guarded == Some(process.tenant) {
                continue;
            }
            // What was taken back just now has not begun, and is not forgotten.
            let granted = plan.granted(process);
            for segment in process
                .granted_segments()
                .filter(|it| reached(granted, it.number))
            {
                end(process, segment, plan);
            }
            if !reached(process.opened, granted) {
                take_back(process, process.opened, plan);
            }
        }
    }
}

impl Turn {
    /// A segment that still fills is ended by force.
    fn end_filling(&self, now: u64, account: &mut ProcessAccount, segment: &SegmentView) {
        let fill_ns = segment.submitted_ns.saturating_sub(segment.opened_ns);
        account.learn_gap(fill_ns, segment.launches);
        account.carry_over(fill_ns, account.lengths.corrected_ns(segment.predicted_ns));
        if account.interactive() && self.is_over(now) {
            account.margin.learn_too_early(account.device_ns_mean);
        }
    }

    /// How far the turn had run over at the last look, with what runs: that the host sees its end late is no part of it.
    fn overrun_ns(&self) -> u64 {
        let from_ns = self.over_ns().max(self.segment_started_ns);
        self.looked_ns.saturating_sub(from_ns)
    }

    /// What the hand-over adds to the oldest unfinished segment.
    pub(super) fn handover_left_ns(&self) -> u64 {
        if self.first_segment {
            self.handover_ns
        } else {
            0
        }
    }

    /// Whether what is over now was not over a moment ago.
    fn looked_just_before(&self, now: u64) -> bool {
        now.saturating_sub(self.looked_ns) <= EXACT_NS
    }

    /// Whether the device may have waited for the rest of the segment: it was not complete when those in
    /// front of it were seen to be pending, nor well before they could be over. The one in front may be
    /// completed soon after it began, where threads wait for the grant.
    fn has_gaps(&self, now: u64, account: &ProcessAccount, segment: &SegmentView) -> bool {
        if segment.submitted_ns <= self.segment_waited_ns {
            return false;
        }
        let before_ns = account.lengths.corrected_ns(self.span.predicted_ns) / 8 * 7;
        if segment.submitted_ns <= self.span.since_ns + before_ns {
            return false;
        }
        let running = now.saturating_sub(self.segment_started_ns);
        let complete_ns = segment.submitted_ns.saturating_sub(self.segment_started_ns);
        running == 0 || complete_ns > running / 8
    }

    /// Only threads of the program can tell whether the device is done: their looks count, and not ours.
    fn note_looks(&mut self, now: u64, process: &ProcessView) {
        self.looked_ns = self.looked_ns.max(process.looked_ns.min(now));
    }

    /// For how long the device had nothing of the turn to do before its oldest segment began, since something was retired last;
    /// and of that what the host is late by, beyond a hand-over, which is not paid for either.
    fn unused_ns(&self, now: u64, process: &ProcessView) -> (u64, u64) {
        let Some(oldest) = process.granted_segments().next() else {
            return (0, 0);
        };
        // A thread that waits in its queue's place says when it goes on.
        let waited = process.threads_wait && self.first_segment;
        let sleeps = process.threads_wait
            && oldest.state == SegmentState::Open
            && oldest.opened_ns < self.started_ns;
        let begins_ns = if sleeps {
            now
        } else {
            oldest.opened_ns.min(now)
        };
        let unused_ns = begins_ns.saturating_sub(self.settled_to_ns);
        let late_ns = match waited && !sleeps {
            true => unused_ns.saturating_sub(self.handover_ns),
            // What is submitted then has yet to be paid for.
            false => 0,
        };
        (unused_ns, late_ns)
    }

    /// How much of the time since something was retired last is not to be paid for: the host was late by `late_ns` in all, to
    /// begin or to see the end, and as far as nobody was kept from it, it waited for the program: for `unused_ns` before anything
    /// was there, and beyond `timed_ns`, what was retired now.
    fn settle(&mut self, now: u64, timed_ns: Option<u64>, unused_ns: u64, late_ns: u64) -> u64 {
        let elapsed_ns = now.saturating_sub(self.settled_to_ns);
        self.settled_to_ns = self.settled_to_ns.max(now);
        let waited_ns = match timed_ns {
            _ if self.is_contended => 0,
            Some(timed_ns) => elapsed_ns.saturating_sub(timed_ns),
            None => unused_ns,
        };
        waited_ns.max(late_ns).min(elapsed_ns)
    }

    /// When the oldest unfinished segment began, by the lengths of what is over since the last moment that is known exactly.
    fn begins_ns(&self, account: &ProcessAccount) -> u64 {
        let (earliest, latest) = (self.segment_waited_ns, self.segment_started_ns);
        if self.span.has_gaps || self.first_segment {
            return latest + self.handover_left_ns();
        }
        let before_ns = account
            .lengths
            .corrected_ns(self.span.predicted_ns)
            .max(self.span.predicted_ns);
        let begins_ns = self.span.since_ns + self.span.handover_ns + before_ns;
        begins_ns.clamp(earliest.min(latest), latest)
    }

    /// A segment is over; the next one could begin at any time up to now. `gapless` if its time on the
    /// device tells its length.
    fn begins_next(&mut self, now: u64, gapless: Option<&SegmentView>) {
        self.segment_started_ns = now;
        self.segment_waited_ns = self.looked_ns;
        self.first_segment = false;
        // The longer the work, the less it tells of what came before it.
        self.span.tells_handover &= self.span.predicted_ns == 0;
        self.span.predicted_ns += gapless.map_or(0, |it| it.predicted_ns);
        self.span.has_gaps |= gapless.is_none();
    }

    /// If what is over was not over a moment ago, the device needed the time from the beginning of the
    /// span for it.
    fn learn_length(&mut self, now: u64, is_drained: bool, account: &mut ProcessAccount) {
        let span = &self.span;
        let tells = !span.has_gaps && span.predicted_ns > 0;
        let whole_ns = now.saturating_sub(span.since_ns);
        let most_ns = whole_ns.saturating_sub(span.handover_ns);
        let within_ns = now.saturating_sub(self.looked_ns);
        if !self.looked_just_before(now) {
            if is_drained && tells {
                account.lengths.learn_bound(span.predicted_ns, most_ns);
                account.lengths.learn_doubt(within_ns, whole_ns);
            }
            return;
        }
        if tells {
            let late_ns = within_ns / 2;
            let actual_ns = most_ns.saturating_sub(late_ns);
            let tells_handover = span.tells_handover
                && account
                    .lengths
                    .learn_handover(span.predicted_ns, whole_ns - late_ns);
            // What the hand-over before it took is not known so exactly, and in a long turn what comes behind it tells more.
            let least_ns = BESIDE_HANDOVER * span.handover_ns;
            let tells_length =
                is_drained || span.predicted_ns >= least_ns || self.budget_ns < least_ns;
            if !tells_handover && tells_length {
                account
                    .lengths
                    .learn_length(span.predicted_ns, actual_ns, whole_ns);
            }
            if !span.tells_handover && span.predicted_ns > ALONE * span.handover_ns {
                account.lengths.note_length_alone();
            }
        }
        self.span = Span {
            since_ns: now,
            ..Span::default()
        };
    }
}

impl Tuning {
    /// Learns what a finished segment tells of the program's ways.
    fn learn_habits(
        &self,
        now: u64,
        turn: &Turn,
        account: &mut ProcessAccount,
        process: &ProcessView,
        segment: &SegmentView,
    ) {
        let device_ns = account.lengths.corrected_ns(segment.predicted_ns);
        let fill_ns = segment.submitted_ns.saturating_sub(segment.opened_ns);
        account.learn_gap(fill_ns, segment.launches);
        if !account.learn_habit(fill_ns, device_ns, Waits::of(process, segment)) {
            return;
        }
        let foreseen = turn.foreseen.filter(|it| it.number == segment.number);
        if let Some(foreseen) = foreseen {
            account
                .foresight
                .learn(foreseen.completion, segment.submitted_ns);
        }
        let due_ns = match foreseen {
            Some(foreseen) => foreseen.due_ns,
            None => account.just_in_time_ns(segment.opened_ns),
        };
        let began_ns = turn.segment_started_ns;
        // Granted when it was due, as far as others' segments allow, and not by share.
        let in_time = began_ns <= due_ns + 2 * self.beside_interactive_ns;
        // Complete well before that was due, it is another kind of batch than usual.
        let as_usual = segment.submitted_ns + device_ns / 4 >= due_ns;
        if account.interactive() && in_time && as_usual {
            let kernel_ns = device_ns / u64::from(segment.launches.max(1));
            // What it waited for others says only in part that it should be earlier: as often they were over
            // too soon.
            let waited_ns = began_ns.saturating_sub(due_ns);
            let slack_ns = kernel_ns + self.late_ns + waited_ns / 2;
            let there_ns = now.saturating_sub(segment.submitted_ns);
            let came = match turn.looked_just_before(now) {
                true => Came::seen(there_ns),
                false => Came {
                    missing_ns: turn.looked_ns.saturating_sub(segment.submitted_ns),
                    there_ns,
                },
            };
            account.margin.learn(device_ns, came, slack_ns);
        }
    }
}

/// Whether threads of the program tell when the oldest granted segment but for `retired` is over.
fn is_watched(process: &ProcessView, retired: usize) -> bool {
    let oldest = process.granted_segments().nth(retired);
    oldest.is_some_and(|it| it.state == SegmentState::Watched)
}

/// When a segment was over that could begin at `begins_ns`, at the latest: its last submission came when it came. What the
/// device's clock measured counts, whatever was learnt from looks: who pays less than that for its turns has too many.
fn ended_ns(begins_ns: u64, account: &ProcessAccount, segment: &SegmentView) -> u64 {
    let takes_ns = account
        .lengths
        .corrected_ns(segment.predicted_ns)
        .max(segment.predicted_ns);
    let last_ns = takes_ns / u64::from(segment.launches.max(1));
    let all_ns = begins_ns.max(segment.opened_ns) + takes_ns;
    all_ns.max(segment.submitted_ns + last_ns)
}

/// Retires a segment whatever its state.
pub(super) fn end(process: &ProcessView, segment: &SegmentView, plan: &mut Plan) {
    let reference = SegmentRef {
        slot: process.slot,
        number: segment.number,
    };
    if plan.retire.iter().any(|r| r.segment == reference) {
        return;
    }
    if segment.state == SegmentState::Open {
        plan.expire.push(reference);
    }
    plan.retire.push(Retire {
        segment: reference,
        finished: true,
        exact: false,
    });
}
