//! What is over: segments that finished, that were given up on, and that nobody asks for any more.

use super::Arbiter;
use super::ahead::take_back;
use crate::sched::plan::{Plan, ProcessView, Retire, SegmentRef, SegmentView, View};
use crate::sched::segment::{SegmentState, reached};

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
        let mut given_up = false;
        let mut work_ns = 0;
        for segment in process.granted_segments() {
            let expected = account.corrected_ns(segment.predicted_ns)
                + if turn.first_segment {
                    turn.handover_ns
                } else {
                    0
                };
            turn.segment_started_ns = turn.segment_started_ns.max(segment.opened_ns.min(now));
            let running = now.saturating_sub(turn.segment_started_ns);
            // What is granted behind work that was given up on hangs as well: one bound for the turn.
            let over = given_up || running >= self.tuning.bound_ns.max(4 * expected);
            let reference = SegmentRef {
                slot: turn.slot,
                number: segment.number,
            };
            let judged_by_time = match segment.state {
                SegmentState::Unmarked => running >= expected,
                // Nobody may be there to look.
                SegmentState::Watched => {
                    !process.looks && running >= expected + expected / 4 + self.tuning.quiet_ns
                }
                _ => false,
            };
            let finished = segment.finished() || judged_by_time;
            if !finished && segment.state == SegmentState::Open && others_wait {
                let quiet = now.saturating_sub(segment.submitted_ns.max(turn.segment_started_ns))
                    >= self.tuning.quiet_ns;
                let turn_over = now.saturating_sub(turn.started_ns) >= turn.budget_ns;
                if running >= expected && (quiet || turn_over) {
                    plan.expire.push(reference);
                    plan.retire.push(Retire {
                        segment: reference,
                        finished: true,
                    });
                    turn.segment_started_ns = now;
                    turn.first_segment = false;
                    continue;
                }
            }
            if !finished && !over {
                break;
            }
            if finished {
                work_ns += account.corrected_ns(segment.predicted_ns);
                if segment.done {
                    // Complete before it began, or, where threads wait for the grant, soon after.
                    let complete_ns = segment.submitted_ns.saturating_sub(turn.segment_started_ns);
                    let had_no_gaps = complete_ns <= running / 8;
                    let device_ns = account.corrected_ns(segment.predicted_ns);
                    let fill_ns = segment.submitted_ns.saturating_sub(segment.opened_ns);
                    account.learn_habit(fill_ns, device_ns, process.synced, process.blocked);
                    // Granted when it was due, as far as others' segments allow, and not by share.
                    let due_ns = account.just_in_time_ns(segment.opened_ns)
                        + 2 * self.tuning.beside_interactive_ns;
                    let began_ns = turn.segment_started_ns;
                    if account.interactive()
                        && began_ns <= due_ns
                        && began_ns < segment.submitted_ns
                    {
                        let late_ns = now.saturating_sub(segment.submitted_ns);
                        let kernel_ns = device_ns / u64::from(segment.launches.max(1));
                        account
                            .margin
                            .learn(device_ns, late_ns, kernel_ns + self.tuning.late_ns);
                    }
                    let measured = reached(segment.number, process.guessed.wrapping_add(1));
                    let handover = if turn.first_segment {
                        turn.handover_ns
                    } else {
                        0
                    };
                    let worked_ns = running.saturating_sub(handover);
                    if measured && had_no_gaps {
                        account.learn_length(segment.predicted_ns, worked_ns);
                    } else if measured {
                        account.learn_bound(segment.predicted_ns, worked_ns);
                    }
                }
            } else if segment.state == SegmentState::Open {
                plan.expire.push(reference);
            }
            given_up |= !finished;
            plan.retire.push(Retire {
                segment: reference,
                finished,
            });
            turn.segment_started_ns = now;
            turn.first_segment = false;
        }
        if let Some(tenant) = self.tenants.get_mut(&turn.tenant) {
            tenant.work_ns += work_ns;
        }
    }

    /// What is granted without a turn (left by an earlier arbiter) is nobody's: forget it.
    pub(super) fn forget_strays(&mut self, view: &View, plan: &mut Plan) {
        for process in &view.processes {
            if self
                .turn
                .as_ref()
                .is_some_and(|turn| turn.slot == process.slot)
            {
                continue;
            }
            for segment in process.granted_segments() {
                end(process, segment, plan);
            }
            take_back(process, process.opened, plan);
        }
    }
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
    });
}
