//! Whose turn it is: goes on with the holder, or gives the turn to whoever is furthest behind.

use super::ahead::take_back;
use super::gates::pass;
use super::{Arbiter, Foreseen, Span, Turn, allowance};
use crate::policy::Mode;
use crate::sched::account::{ProcessAccount, TenantAccount};
use crate::sched::plan::{Grant, Plan, ProcessView, SegmentView, View};
use crate::sched::segment::{SegmentState, reached};

/// One hand-over in this many is measured. Prime to usual numbers of tenants.
const MEASURE_HANDOVER_EVERY: u32 = 11;
/// What a turn of a program of whose work nobody can tell how long it takes is granted, of what is expected to
/// fit into it.
const ERRATIC_ROOM: u64 = 3;

impl Arbiter {
    /// Continues the turn or gives the next one.
    pub(super) fn go_on(&mut self, now: u64, view: &View, alone: Option<usize>, plan: &mut Plan) {
        for process in &view.processes {
            if view.mode(process.tenant) == Mode::None && process.has_work() {
                pass(process, plan);
            }
        }
        if alone.is_some() {
            return;
        }
        if let Some(process) = self.turn.as_ref().and_then(|turn| view.process(turn.slot)) {
            let next = plan.retired(process).wrapping_add(1);
            let has_more = reached(process.opened, next);
            self.learn_thinking(process, next);
            if has_more && reached(process.granted, next) {
                let found = self.candidates(now, view, plan);
                if self.is_pressed(now, &found.ready, process) {
                    return self.cut_short(process, next, plan);
                }
                let others_wait = found.ready.iter().any(|(.., it)| it.slot != process.slot);
                if others_wait && self.is_overdrawn(now, process, next) {
                    return take_back(process, next, plan);
                }
                if others_wait {
                    self.trim_turn(process, next, plan);
                }
                if found.later.is_empty() && found.expected.is_empty() {
                    self.grant_the_rest(now, process, plan);
                }
                self.extend(view, process, plan);
                return self.run_ahead(now, view, process, plan);
            }
            if !has_more && self.hold(now, view, process, next.wrapping_sub(1)) {
                self.grant_hidden(now, process, plan);
                return self.run_ahead(now, view, process, plan);
            }
        }
        self.next_turn(now, view, plan);
    }

    /// Whether a turn of which nobody could tell what fits into it has had its time. If its segment `running`
    /// may hang, it is given up on with all that is granted.
    fn is_overdrawn(&self, now: u64, process: &ProcessView, running: u32) -> bool {
        let Some(turn) = &self.turn else { return false };
        let segment = process.segment(running);
        let expected_ns = segment.map_or(0, |it| self.expected_ns(process.slot, it));
        let hangs_ns = (4 * expected_ns).max(self.tuning.bound_ns / 8);
        (turn.is_generous || self.is_erratic(process, running))
            && now >= turn.over_ns()
            && now <= turn.segment_started_ns + hangs_ns
    }

    /// Whether nobody can tell how long that segment will take.
    fn is_erratic(&self, process: &ProcessView, number: u32) -> bool {
        let segment = process.segment(number);
        let account = self.processes.get(&process.slot);
        let both = account.zip(segment);
        both.is_some_and(|(account, segment)| account.lengths.erratic(process, segment))
    }

    /// Whether what a turn of that process has room for is granted at once, as a rule. What is granted later stood still until
    /// somebody saw that the rest was over.
    fn is_planned_whole(&self, slot: usize) -> bool {
        let account = self.processes.get(&slot);
        !self.is_crowd && account.is_some_and(ProcessAccount::never_waits)
    }

    /// Goes on with the holder while its turn lasts, else gives a turn to whoever is furthest behind.
    fn next_turn(&mut self, now: u64, view: &View, plan: &mut Plan) {
        let choice = self.choose(now, view, plan);
        if let Some(turn) = &self.turn
            && !choice.as_ref().is_some_and(|choice| choice.keeps)
        {
            self.revoke(view, turn, plan);
        }
        if !choice.as_ref().is_some_and(|choice| choice.keeps) {
            self.measure_pieces();
        }
        let Some(choice) = choice else {
            self.turn = None;
            return;
        };
        let process = choice.process;
        let from = plan.retired(process).wrapping_add(1);
        self.learn_thinking(process, from);
        let changes = self.last.is_none_or(|(slot, _)| slot != process.slot);
        plan.handed_over = self.last.is_none_or(|(_, tenant)| tenant != process.tenant);
        self.last = Some((process.slot, process.tenant));
        self.handovers = self.handovers.wrapping_add(u32::from(changes));
        let known_ns = self.known_handover_ns(process);
        let handover_ns = match known_ns {
            _ if !changes => 0,
            0 => self.handover_ns,
            measured => measured,
        };
        if let Some(tenant) = self.tenants.get_mut(&process.tenant) {
            tenant.refund(handover_ns);
            if !choice.keeps {
                tenant.turn_ns = now;
            }
        }
        let kept = self.turn.take().filter(|_| choice.keeps);
        let (started_ns, budget_ns) = match kept {
            Some(turn) => (turn.started_ns, turn.budget_ns),
            None => (now, self.budget_ns(now, process.tenant)),
        };
        let left_ns = (started_ns + budget_ns).saturating_sub(now);
        let until_ns = choice
            .until_ns
            .map_or(left_ns, |until| until.saturating_sub(now));
        let room_ns = until_ns.saturating_sub(handover_ns);
        let to = self.grant_up_to(process, from, room_ns);
        // What stands before it is paid for, and tells nothing of a length or a hand-over.
        let begins_ns = allowance::begins_ns(now, view);
        let is_first = begins_ns == now;
        let waited = choice.keeps && self.is_planned_whole(process.slot);
        let turn = Turn::of(process, begins_ns);
        self.turn = Some(Turn {
            started_ns,
            span: Span {
                handover_ns,
                tells_handover: changes && process.handover_ns == 0,
                has_gaps: !is_first || waited,
                ..turn.span
            },
            first_segment: changes,
            measures_handover: known_ns == 0
                || self.handovers.is_multiple_of(MEASURE_HANDOVER_EVERY),
            budget_ns,
            handover_ns,
            foreseen: self.foresee(process, from),
            is_generous: self.is_crowd
                && self.keeps_time()
                && to != self.last_within(process, from, room_ns),
            ..turn
        });
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to,
            first_of_turn: changes && is_first,
        });
    }

    /// Grants the holder what it submitted since and what its turn has room for, so that nobody's
    /// reaction time lies between the two.
    fn grant_the_rest(&self, now: u64, process: &ProcessView, plan: &mut Plan) {
        let Some(turn) = &self.turn else { return };
        let from = plan.granted(process).wrapping_add(1);
        let Some(first) = process.segment(from) else {
            return;
        };
        let retired = plan.retired(process);
        let before = process
            .segments
            .iter()
            .filter(|it| reached(it.number, retired.wrapping_add(1)) && !reached(it.number, from));
        let granted_ns: u64 = before.map(|it| self.expected_ns(turn.slot, it)).sum();
        let left_ns = turn.over_ns().saturating_sub(now + granted_ns);
        let eligible = self
            .tenants
            .get(&turn.tenant)
            .is_some_and(TenantAccount::eligible);
        let first_ns = self.expected_ns(turn.slot, first);
        // The device stands still until it begins, and a program with more to come has its turn full: the rest is better
        // had with the next one.
        let stands = granted_ns == 0 && process.segment(from.wrapping_add(1)).is_some();
        let least_ns = if stands { first_ns } else { first_ns / 2 };
        if !eligible || left_ns == 0 || left_ns < least_ns {
            return;
        }
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to: self.grant_up_to(process, from, left_ns),
            first_of_turn: false,
        });
    }

    /// Last segment from `from` on that fits into `room_ns`; at least `from` itself. Where nobody can tell, as
    /// many as may fit: those that have not begun when the turn has had its time are taken back.
    fn grant_up_to(&self, process: &ProcessView, from: u32, room_ns: u64) -> u32 {
        let may_fit_ns = if self.is_erratic(process, from) {
            ERRATIC_ROOM * room_ns
        } else {
            room_ns
        };
        self.last_within(process, from, may_fit_ns)
    }

    /// Last segment from `from` on that is expected to be over within `room_ns`; at least `from` itself.
    pub(super) fn last_within(&self, process: &ProcessView, from: u32, room_ns: u64) -> u32 {
        let mut to = from;
        let mut sum_ns = 0;
        for segment in process.segments.iter().filter(|s| reached(s.number, from)) {
            let length_ns = self.expected_ns(process.slot, segment);
            if segment.number != from && sum_ns + length_ns / 2 > room_ns {
                break;
            }
            sum_ns += length_ns;
            to = segment.number;
        }
        to
    }

    /// What a segment of the process in `slot` is expected to take.
    pub(in crate::sched) fn expected_ns(&self, slot: usize, segment: &SegmentView) -> u64 {
        let account = self.processes.get(&slot);
        account.map_or(segment.predicted_ns, |a| {
            a.lengths.corrected_ns(segment.predicted_ns)
        })
    }

    /// When the oldest work of a process is best granted; `None` if it has none.
    pub(super) fn due_ns(&self, now: u64, process: &ProcessView, plan: &Plan) -> Option<u64> {
        let last = plan.retired(process);
        if self.awaits_peers(process, last) {
            return Some(now);
        }
        let first = last.wrapping_add(1);
        let segment = process.segment(first).filter(|it| it.launches > 0)?;
        let account = self.processes.get(&process.slot)?;
        Some(match segment.state {
            SegmentState::Open => account.due_ns(segment),
            _ => now,
        })
    }

    /// What is expected of a segment that fills and is granted now.
    fn foresee(&self, process: &ProcessView, number: u32) -> Option<Foreseen> {
        let segment = process.segment(number)?;
        let account = self.processes.get(&process.slot)?;
        (segment.state == SegmentState::Open).then(|| Foreseen {
            number,
            due_ns: account.due_ns(segment),
            completion: account.completion(segment),
        })
    }

    /// Who could have a turn, now or later.
    fn candidates<'a>(&self, now: u64, view: &'a View, plan: &Plan) -> Candidates<'a> {
        let mut found = Candidates::default();
        for process in &view.processes {
            if view.mode(process.tenant) == Mode::None || self.is_out_of_step(now, view, process) {
                continue;
            }
            let (Some(tenant), Some(account)) = (
                self.tenants.get(&process.tenant),
                self.processes.get(&process.slot),
            ) else {
                continue;
            };
            let Some(at) = self.due_ns(now, process, plan) else {
                let idle_ns = now.saturating_sub(tenant.active_ns);
                if account.interactive() && idle_ns <= self.tuning.think_ns_max {
                    let due_ns = account.just_in_time_ns(now);
                    found.expected.push((tenant.vtime_ns, due_ns, process));
                }
                continue;
            };
            if !tenant.eligible() {
                continue;
            }
            if at <= now {
                let candidate = (tenant.vtime_ns, account.vtime_ns, process);
                found.ready.push(candidate);
            } else {
                found.later.push((tenant.vtime_ns, at, process));
            }
        }
        let ready = &mut found.ready;
        ready.sort_by_key(|(vtime, own, process)| (*vtime, *own, process.slot));
        if self.keeps_time() {
            self.sort_by_round(ready);
        } else {
            self.sort_by_priority(ready);
        }
        found
            .later
            .sort_by_key(|(_, at, process)| (*at, process.slot));
        found
    }

    /// The waiting process that is furthest behind, and until when it may run before somebody who is
    /// further behind still, but whose time has not come, wants the device.
    fn choose<'a>(&self, now: u64, view: &'a View, plan: &Plan) -> Option<Choice<'a>> {
        let found = self.candidates(now, view, plan);
        let keeps = self.turn.as_ref().and_then(|turn| {
            let (_, _, process) = *found.ready.iter().find(|(_, _, p)| p.slot == turn.slot)?;
            if self.is_pressed(now, &found.ready, process) {
                return None;
            }
            let left_ns = turn.over_ns().saturating_sub(now);
            let last = plan.retired(process);
            let segment = process.segment(last.wrapping_add(1))?;
            let others_wait = found.ready.iter().any(|(.., it)| it.slot != process.slot);
            if others_wait && self.is_step_over(now, turn, process, last) {
                return None;
            }
            // The device stands until it begins.
            let expected_ns = self.expected_ns(process.slot, segment);
            let least_ns = match others_wait && self.is_planned_whole(process.slot) {
                true => expected_ns.max(self.tuning.turn_ns_min),
                false => expected_ns / 2,
            };
            let fits = left_ns >= least_ns && left_ns > 0;
            (fits || self.is_in_collective(now, turn, process)).then_some(process)
        });
        let first = found
            .ready
            .iter()
            .find(|(_, _, p)| keeps.is_none_or(|k| k.slot == p.slot));
        match first {
            Some((vtime, _, process)) => {
                let turn_ns = self.turn_ns(process.tenant);
                let until_ns = found
                    .later
                    .iter()
                    .chain(&found.expected)
                    .filter(|(theirs, _, p)| {
                        p.tenant != process.tenant && *theirs <= vtime + turn_ns
                    })
                    .map(|(_, at, _)| *at)
                    .min();
                Some(Choice {
                    process,
                    until_ns,
                    keeps: keeps.is_some(),
                })
            }
            // Nobody else could use the device meanwhile, so waiting would serve nobody, unless somebody
            // else wants it, or may, before the program can be done.
            None => found
                .later
                .first()
                .filter(|(_, at, process)| !self.would_be_in_the_way(*at, process, &found))
                .filter(|(_, _, process)| !self.somebody_returns(now, process))
                .map(|(_, _, process)| Choice {
                    process,
                    until_ns: None,
                    keeps: false,
                }),
        }
    }

    /// Whether somebody else wants the device before `process`, due at `at`, can be done with it: however
    /// soon it begins, its work is not complete before.
    fn would_be_in_the_way(&self, at: u64, process: &ProcessView, found: &Candidates<'_>) -> bool {
        let Some(account) = self.processes.get(&process.slot) else {
            return false;
        };
        let done_ns = at + account.device_ns_mean + self.handover_ns;
        let mut others = found.later.iter().chain(&found.expected);
        account.interactive()
            && others.any(|(_, due_ns, it)| it.tenant != process.tenant && *due_ns < done_ns)
    }

    /// Whether somebody else who keeps the device busy had work a moment ago: before `process` has filled what it
    /// waits for, that comes back, and would have to wait.
    fn somebody_returns(&self, now: u64, process: &ProcessView) -> bool {
        let waits = |slot: &usize| {
            let account = self.processes.get(slot);
            account.is_some_and(ProcessAccount::interactive)
        };
        let worked_just_now = |tenant: &usize| {
            let account = self.tenants.get(tenant).filter(|it| it.active_ns != 0);
            account.is_some_and(|it| now.saturating_sub(it.active_ns) < self.tuning.returns_ns)
        };
        let mut others = self.processes.iter();
        waits(&process.slot)
            && others.any(|(slot, it)| {
                it.tenant != process.tenant
                    && it.device_ns_mean > 0
                    && worked_just_now(&it.tenant)
                    && !waits(slot)
            })
    }
}

/// Who could have a turn.
#[derive(Default)]
struct Candidates<'a> {
    /// At once; who goes first stands first.
    ready: Vec<Candidate<'a>>,
    /// At the time that stands in the second place; the next one stands first.
    later: Vec<Candidate<'a>>,
    /// Has nothing at this moment, but will: when that will be due at the earliest.
    expected: Vec<Candidate<'a>>,
}

/// A process that could have a turn: its tenant's virtual time, its own, or when it is due.
pub(super) type Candidate<'a> = (u64, u64, &'a ProcessView);

struct Choice<'a> {
    process: &'a ProcessView,
    until_ns: Option<u64>,
    /// The holder goes on with its turn.
    keeps: bool,
}
