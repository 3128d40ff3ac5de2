//! The arbiter: which process may run next, and for how long. A pure step function.
//!
//! It grants one process at a time a *turn* of one or more segments, to the tenant that is furthest
//! behind its share, and charges from grant to done, gaps and overruns included: while one process
//! at a time has granted work, elapsed time *is* device time. So long-run shares are exact and the
//! short-run error is a turn over the interval.
//!
//! Three refinements, each with the measurement behind it (H200, driver 580.159, Nov 2026):
//!
//! - *Just in time*: a program that waits for its results keeps its processor busy for longer than
//!   the device. Its segment is granted so that device and processor end together, and the device
//!   works for others until then (decoder beside a saturating program: 0.97 and 0.51 of alone,
//!   against 0.98 and 0.46 when granted at once).
//! - *Anticipation*: a program that submits again within [`Tuning::think_ns_max`] of its last result
//!   keeps its turn meanwhile; otherwise it would get one short kernel per cycle (4 % of the device
//!   beside 5 ms kernels under the driver's own slicing).
//! - *Granting ahead*: with nobody waiting, the next segment is granted before the last one ends.
//!
//! Nothing waits for ever: work that does not finish in a bound loses the lease and goes on beside
//! the next holder's (soft exclusivity).

use std::collections::BTreeMap;

use super::account::{ProcessAccount, TenantAccount};
use super::clock::us;
use super::plan::{Gate, Grant, Plan, ProcessView, Retire, SegmentRef, SegmentView, View};
use super::producer::AHEAD;
use super::segment::{SegmentState, reached};
use super::shares::{Share, WHOLE_PPM, shares};
use super::tuning::Tuning;
use crate::policy::Mode;

/// The turn in progress.
#[derive(Clone, Debug)]
struct Turn {
    slot: usize,
    tenant: usize,
    started_ns: u64,
    /// Device time up to here has been charged.
    charged_to_ns: u64,
    /// When the oldest unfinished segment of the turn could begin.
    segment_started_ns: u64,
    first_segment: bool,
    budget_ns: u64,
    handover_ns: u64,
    /// While drained: keep the turn until then.
    hold_until_ns: u64,
}

/// The arbiter's memory between steps. What must survive its owner is written to the region by
/// [`super::view`]; the rest is learnt again.
#[derive(Debug, Default)]
pub struct Arbiter {
    tuning: Tuning,
    tenants: BTreeMap<usize, TenantAccount>,
    processes: BTreeMap<usize, ProcessAccount>,
    turn: Option<Turn>,
    /// Slot and tenant of the newest turn, past or present.
    last: Option<(usize, usize)>,
    /// What a hand-over costs, as the processes measured it, on average.
    handover_ns: u64,
    vtime_ns: u64,
}

impl Arbiter {
    /// An arbiter with the given constants.
    pub fn new(tuning: Tuning) -> Self {
        Self {
            tuning,
            ..Self::default()
        }
    }

    /// Takes over what an earlier arbiter had charged.
    pub fn restore(&mut self, tenant: usize, vtime_ns: u64, device_ns: u64) {
        let account = self.tenants.entry(tenant).or_default();
        (account.vtime_ns, account.device_ns) = (vtime_ns, device_ns);
        self.vtime_ns = self.vtime_ns.max(vtime_ns);
    }

    /// Virtual time, device time and share of a tenant, for the region.
    pub fn tenant(&self, tenant: usize) -> Option<(u64, u64, Share)> {
        self.tenants
            .get(&tenant)
            .map(|a| (a.vtime_ns, a.device_ns, a.share))
    }

    /// Device time of a process, for the region.
    pub fn process_device_ns(&self, slot: usize) -> u64 {
        self.processes.get(&slot).map_or(0, |p| p.device_ns)
    }

    /// Slot whose turn it is.
    pub fn holder(&self) -> Option<usize> {
        self.turn.as_ref().map(|turn| turn.slot)
    }

    /// Looks at the device at `now_ns` and decides. Pure but for the arbiter's own memory; does not
    /// block. `now_ns` must not fall.
    pub fn step(&mut self, now_ns: u64, view: &View) -> Plan {
        let mut plan = Plan::default();
        self.meet(now_ns, view);
        self.charge(now_ns);
        self.retire(now_ns, view, &mut plan);
        self.forget_strays(view, &mut plan);
        let alone = self.share(now_ns, view);
        self.set_gates(view, alone, &mut plan);
        if let Some(tenant) = alone {
            self.let_pass(now_ns, tenant, view, &mut plan);
        }
        self.go_on(now_ns, view, alone, &mut plan);
        plan.wake_ns = self.wake(now_ns, view, &plan);
        plan
    }

    /// Learns of new tenants and processes, and forgets those that are gone.
    fn meet(&mut self, now: u64, view: &View) {
        self.processes.retain(|slot, account| {
            view.processes
                .iter()
                .any(|p| p.slot == *slot && p.generation == account.generation)
        });
        if let Some(turn) = &self.turn
            && !self.processes.contains_key(&turn.slot)
        {
            self.turn = None;
        }
        let measured = view
            .processes
            .iter()
            .map(|p| p.handover_ns)
            .filter(|ns| *ns != 0);
        let (sum_ns, count) = measured.fold((0, 0), |(sum, count), ns| (sum + ns, count + 1));
        self.handover_ns = u64::checked_div(sum_ns, count).unwrap_or(0);
        self.tenants
            .retain(|index, _| view.tenants.iter().any(|t| t.index == *index));
        for tenant in &view.tenants {
            self.tenants
                .entry(tenant.index)
                .or_insert_with(|| TenantAccount {
                    vtime_ns: self.vtime_ns,
                    ..TenantAccount::default()
                });
        }
        for process in &view.processes {
            self.processes
                .entry(process.slot)
                .or_insert_with(|| ProcessAccount::new(process, 0));
            let Some(account) = self.tenants.get_mut(&process.tenant) else {
                continue;
            };
            if process.has_work() || !process.gated {
                account.active_ns = now;
            }
        }
        // A tenant that slept gains no credit beyond a turn.
        for tenant in &view.tenants {
            let works = view
                .processes
                .iter()
                .any(|p| p.tenant == tenant.index && p.has_work());
            let credit_ns = self.tuning.turn_ns_max;
            let least = self.vtime_ns.saturating_sub(credit_ns);
            if let Some(account) = self.tenants.get_mut(&tenant.index) {
                if works && !account.had_work {
                    account.vtime_ns = account.vtime_ns.max(least);
                }
                account.had_work = works;
            }
        }
        let working = self.tenants.values().filter(|a| a.had_work);
        if let Some(least) = working.map(|a| a.vtime_ns).min() {
            self.vtime_ns = self.vtime_ns.max(least);
        }
    }

    /// Charges the holder for the time since the last step.
    fn charge(&mut self, now: u64) {
        let Some(turn) = &mut self.turn else { return };
        let elapsed = now.saturating_sub(turn.charged_to_ns);
        turn.charged_to_ns = turn.charged_to_ns.max(now);
        if let Some(account) = self.tenants.get_mut(&turn.tenant) {
            account.charge(elapsed);
        }
        if let Some(process) = self.processes.get_mut(&turn.slot) {
            process.device_ns += elapsed;
            process.vtime_ns += elapsed;
        }
    }

    /// Retires what has finished, gives up on what does not finish, and ends open segments whose
    /// turn is over.
    fn retire(&mut self, now: u64, view: &View, plan: &mut Plan) {
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
                if segment.done {
                    // Complete before it began, or, where threads wait for the grant, soon after.
                    let complete_ns = segment.submitted_ns.saturating_sub(turn.segment_started_ns);
                    let had_no_gaps = complete_ns <= running / 8;
                    let device_ns = account.corrected_ns(segment.predicted_ns);
                    let fill_ns = segment.submitted_ns.saturating_sub(segment.opened_ns);
                    account.learn_habit(fill_ns, device_ns, process.synced, process.blocked);
                    if had_no_gaps {
                        let handover = if turn.first_segment {
                            turn.handover_ns
                        } else {
                            0
                        };
                        account
                            .learn_length(segment.predicted_ns, running.saturating_sub(handover));
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
    }

    /// What is granted without a turn (left by an earlier arbiter) is nobody's: forget it.
    fn forget_strays(&mut self, view: &View, plan: &mut Plan) {
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
            if !reached(process.opened, process.granted) {
                plan.revoke.push(SegmentRef {
                    slot: process.slot,
                    number: process.opened,
                });
            }
        }
    }

    /// Brings shares up to date. Returns the tenant that is alone, if one is and nothing limits it.
    fn share(&mut self, now: u64, view: &View) -> Option<usize> {
        let idle_ns = self.tuning.idle_ns;
        let active = |a: &TenantAccount| a.active_ns != 0 && now - a.active_ns.min(now) < idle_ns;
        let promises: Vec<_> = view
            .tenants
            .iter()
            .map(|t| {
                let mut promise = t.promise;
                promise.active =
                    promise.mode != Mode::None && self.tenants.get(&t.index).is_some_and(active);
                promise
            })
            .collect();
        let round_ns = self.round_ns();
        for (tenant, share) in view.tenants.iter().zip(shares(&promises)) {
            // A turn's worth: what it earns while others have their turns must not be lost.
            let burst_ns = self.part_ns(round_ns, tenant.index);
            if let Some(account) = self.tenants.get_mut(&tenant.index) {
                account.share = share;
                account.fill(now, burst_ns);
            }
        }
        let mut enforced = view
            .tenants
            .iter()
            .zip(&promises)
            .filter(|(_, p)| p.active)
            .map(|(t, _)| t.index);
        let one = enforced.next()?;
        let whole = self.tenants.get(&one)?.share.ceiling_ppm >= WHOLE_PPM;
        (enforced.next().is_none() && whole).then_some(one)
    }

    fn turn_ns(&self, tenant: usize) -> u64 {
        self.part_ns(self.round_ns(), tenant)
    }

    /// A tenant's turn in a round of that length.
    fn part_ns(&self, round_ns: u64, tenant: usize) -> u64 {
        let share = self
            .tenants
            .get(&tenant)
            .map_or(WHOLE_PPM, |a| a.share.share_ppm);
        (round_ns * u64::from(share) / u64::from(WHOLE_PPM))
            .clamp(self.tuning.turn_ns_min, self.tuning.turn_ns_max)
    }

    /// One round of turns, without its hand-overs. Looks at everybody: once a step is enough.
    fn round_ns(&self) -> u64 {
        let working = self
            .tenants
            .values()
            .filter(|account| account.had_work)
            .count() as u64;
        let handovers_ns = if working > 1 {
            working * self.handover_ns
        } else {
            0
        };
        let somebody_waits = self.processes.values().any(ProcessAccount::waits);
        let round_ns = if somebody_waits {
            self.tuning.cycle_ns_waiting
        } else {
            self.tuning.cycle_ns
        };
        round_ns.saturating_sub(handovers_ns)
    }

    /// Decides whose submissions form segments, and how long those are.
    fn set_gates(&self, view: &View, alone: Option<usize>, plan: &mut Plan) {
        let round_ns = self.round_ns();
        let is_interactive = |slot| {
            let account: Option<&ProcessAccount> = self.processes.get(slot);
            account.is_some_and(ProcessAccount::interactive)
        };
        let interactive: Vec<_> = view
            .processes
            .iter()
            .filter(|process| is_interactive(&process.slot) && self.is_active(process.tenant))
            .map(|process| process.tenant)
            .collect();
        for process in &view.processes {
            let mode = view.mode(process.tenant);
            let gated = mode != Mode::None && alone != Some(process.tenant);
            let beside_interactive = interactive.iter().any(|it| *it != process.tenant);
            let account = self.processes.get(&process.slot);
            let mut length = self.part_ns(round_ns, process.tenant);
            if beside_interactive && !account.is_some_and(ProcessAccount::interactive) {
                length = length.min(self.tuning.beside_interactive_ns);
            }
            let ratio = account.map_or(1000, |a| a.ratio_milli);
            let segment_us = (length * 1000 / ratio / 1000).clamp(50, 100_000) as u32;
            plan.gate.push(Gate {
                slot: process.slot,
                gated,
                segment_us,
            });
        }
    }

    fn is_active(&self, tenant: usize) -> bool {
        self.tenants.get(&tenant).is_some_and(|a| a.had_work)
    }

    /// A tenant alone runs freely: whatever is pending passes and is forgotten.
    fn let_pass(&mut self, now: u64, tenant: usize, view: &View, plan: &mut Plan) {
        if let Some(turn) = self.turn.take() {
            self.revoke(view, &turn, plan);
        }
        for process in view
            .processes
            .iter()
            .filter(|p| p.tenant == tenant && p.has_work())
        {
            pass(process, plan);
        }
        if let Some(account) = self.tenants.get_mut(&tenant) {
            account.active_ns = now;
        }
    }

    /// Continues the turn or gives the next one.
    fn go_on(&mut self, now: u64, view: &View, alone: Option<usize>, plan: &mut Plan) {
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
                self.extend(view, process, plan);
                return self.run_ahead(now, process, plan);
            }
            if !has_more && self.hold(now, view, process) {
                return self.run_ahead(now, process, plan);
            }
        }
        self.next_turn(now, view, plan);
    }

    /// If the process had nothing left and has opened `next` since: that is how long it thinks.
    fn learn_thinking(&mut self, process: &ProcessView, next: u32) {
        if let Some(account) = self.processes.get_mut(&process.slot)
            && account.drained_ns != 0
            && let Some(segment) = process.segments.iter().find(|s| s.number == next)
        {
            account.learn_thinking(segment.opened_ns.saturating_sub(account.drained_ns));
            account.drained_ns = 0;
            if let Some(turn) = &mut self.turn {
                turn.hold_until_ns = 0;
            }
        }
    }

    /// While nobody else waits, keeps the device fed.
    fn extend(&mut self, view: &View, process: &ProcessView, plan: &mut Plan) {
        let others_wait = view
            .processes
            .iter()
            .any(|p| p.slot != process.slot && p.waits());
        let Some(turn) = &self.turn else { return };
        let limited = self
            .tenants
            .get(&turn.tenant)
            .is_some_and(|a| !a.eligible());
        if others_wait || limited {
            return;
        }
        let most = plan.retired(process).wrapping_add(self.tuning.ahead);
        let to = if reached(process.opened, most) {
            most
        } else {
            process.opened
        };
        if reached(to, process.granted.wrapping_add(1)) {
            let from = process.granted.wrapping_add(1);
            plan.grant.push(Grant {
                slot: process.slot,
                from,
                to,
                first_of_turn: false,
            });
        }
    }

    /// A program that waits for each result gets its next segments granted before it opens them, for
    /// as long as its turn lasts: then nobody's reaction time lies between its batches.
    fn run_ahead(&self, now: u64, process: &ProcessView, plan: &mut Plan) {
        let Some(turn) = &self.turn else { return };
        let Some(account) = self.processes.get(&process.slot) else {
            return;
        };
        let time_left = (turn.started_ns + turn.budget_ns).saturating_sub(now);
        let eligible = self
            .tenants
            .get(&turn.tenant)
            .is_some_and(TenantAccount::eligible);
        let repeats = account.waits() && account.quick(self.tuning.think_ns_max);
        if !repeats || !eligible || time_left < account.device_ns_mean + account.think_ns {
            return;
        }
        let to = plan.retired(process).wrapping_add(AHEAD);
        let from = plan.granted(process).wrapping_add(1);
        if reached(to, from) {
            plan.grant.push(Grant {
                slot: process.slot,
                from,
                to,
                first_of_turn: false,
            });
        }
    }

    /// Takes back what was granted ahead of a turn that is over.
    fn revoke(&self, view: &View, turn: &Turn, plan: &mut Plan) {
        let Some(process) = view.process(turn.slot) else {
            return;
        };
        if !reached(process.opened, process.granted) {
            plan.revoke.push(SegmentRef {
                slot: turn.slot,
                number: process.opened,
            });
        }
    }

    /// True if the drained holder should keep its turn a moment longer.
    fn hold(&mut self, now: u64, view: &View, process: &ProcessView) -> bool {
        let think_max = self.tuning.think_ns_max;
        let Some(turn) = &mut self.turn else {
            return false;
        };
        let Some(account) = self.processes.get_mut(&process.slot) else {
            return false;
        };
        let others_wait = view
            .processes
            .iter()
            .any(|p| p.slot != process.slot && p.waits());
        if turn.hold_until_ns == 0 {
            account.drained_ns = now;
            let time_left = now.saturating_sub(turn.started_ns) < turn.budget_ns;
            let patience = if account.quick(think_max) && time_left {
                2 * account.think_ns + self.tuning.poll_ns
            } else {
                0
            };
            turn.hold_until_ns = now + patience;
        }
        others_wait && now < turn.hold_until_ns
    }

    /// Goes on with the holder while its turn lasts, else gives a turn to whoever is furthest behind.
    fn next_turn(&mut self, now: u64, view: &View, plan: &mut Plan) {
        let choice = self.choose(now, view, plan);
        if let Some(turn) = &self.turn
            && !choice.as_ref().is_some_and(|choice| choice.keeps)
        {
            self.revoke(view, turn, plan);
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
        let handover_ns = match process.handover_ns {
            _ if !changes => 0,
            0 => self.handover_ns,
            measured => measured,
        };
        if let Some(tenant) = self.tenants.get_mut(&process.tenant) {
            tenant.refund(handover_ns);
        }
        let budget_ns = self.turn_ns(process.tenant);
        let kept = self.turn.take().filter(|_| choice.keeps);
        let started_ns = kept.map_or(now, |turn| turn.started_ns);
        let left_ns = (started_ns + budget_ns).saturating_sub(now);
        let until_ns = choice
            .until_ns
            .map_or(left_ns, |until| until.saturating_sub(now));
        let to = self.grant_up_to(process, from, until_ns);
        self.turn = Some(Turn {
            slot: process.slot,
            tenant: process.tenant,
            started_ns,
            charged_to_ns: now,
            segment_started_ns: now,
            first_segment: changes,
            budget_ns,
            handover_ns,
            hold_until_ns: 0,
        });
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to,
            first_of_turn: changes,
        });
    }

    /// Last segment from `from` on that fits into `room_ns`; at least `from` itself.
    fn grant_up_to(&self, process: &ProcessView, from: u32, room_ns: u64) -> u32 {
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

    fn expected_ns(&self, slot: usize, segment: &SegmentView) -> u64 {
        let account = self.processes.get(&slot);
        account.map_or(segment.predicted_ns, |a| {
            a.corrected_ns(segment.predicted_ns)
        })
    }

    /// The waiting process that is furthest behind, and until when it may run before somebody who is
    /// further behind still, but whose time has not come, wants the device.
    fn choose<'a>(&self, now: u64, view: &'a View, plan: &Plan) -> Option<Choice<'a>> {
        let mut ready: Vec<(u64, u64, &ProcessView)> = Vec::new();
        let mut later: Vec<(u64, u64, &ProcessView)> = Vec::new();
        for process in &view.processes {
            if view.mode(process.tenant) == Mode::None {
                continue;
            }
            let (Some(tenant), Some(account)) = (
                self.tenants.get(&process.tenant),
                self.processes.get(&process.slot),
            ) else {
                continue;
            };
            let first = plan.retired(process).wrapping_add(1);
            let Some(segment) = process
                .segments
                .iter()
                .find(|s| s.number == first && s.launches > 0)
            else {
                continue;
            };
            if !tenant.eligible() {
                continue;
            }
            let at = match segment.state {
                SegmentState::Open => {
                    account.just_in_time_ns(segment.opened_ns, self.tuning.margin_ns)
                }
                _ => now,
            };
            let list = if at <= now { &mut ready } else { &mut later };
            list.push((
                tenant.vtime_ns,
                if at <= now { account.vtime_ns } else { at },
                process,
            ));
        }
        ready.sort_by_key(|(vtime, own, process)| (*vtime, *own, process.slot));
        later.sort_by_key(|(_, at, process)| (*at, process.slot));
        let keeps = self.turn.as_ref().and_then(|turn| {
            let (vtime, _, process) = ready.iter().find(|(_, _, p)| p.slot == turn.slot)?;
            let pressed = ready.iter().any(|(theirs, _, p)| {
                p.tenant != process.tenant
                    && theirs <= vtime
                    && self.processes[&p.slot].interactive()
            });
            if pressed {
                return None;
            }
            let left_ns = (turn.started_ns + turn.budget_ns).saturating_sub(now);
            let next = plan.retired(process).wrapping_add(1);
            let segment = process.segments.iter().find(|s| s.number == next)?;
            let fits = left_ns >= self.expected_ns(process.slot, segment) / 2 && left_ns > 0;
            fits.then_some(*process)
        });
        let first = ready
            .iter()
            .find(|(_, _, p)| keeps.is_none_or(|k| k.slot == p.slot));
        match first {
            Some((vtime, _, process)) => {
                let turn_ns = self.turn_ns(process.tenant);
                let until_ns = later
                    .iter()
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
            // Nobody else could use the device meanwhile, so waiting would serve nobody.
            None => later.first().map(|(_, _, process)| Choice {
                process,
                until_ns: None,
                keeps: false,
            }),
        }
    }

    /// When the next thing can happen that no doorbell announces.
    fn wake(&self, now: u64, view: &View, plan: &Plan) -> Option<u64> {
        let mut wake: Option<u64> = None;
        let mut at = |when: u64| {
            let when = when.max(now + us(1));
            wake = Some(wake.map_or(when, |w: u64| w.min(when)));
        };
        let waiting: Vec<&ProcessView> = view.processes.iter().filter(|p| p.has_work()).collect();
        if let Some(turn) = &self.turn
            && let Some(process) = view.process(turn.slot)
            && let Some(account) = self.processes.get(&turn.slot)
        {
            let granted = plan.granted(process);
            let first = plan.retired(process).wrapping_add(1);
            let current = process.segments.iter().find(|s| s.number == first);
            match current.filter(|_| reached(granted, first)) {
                Some(segment) => at(self.look_at(now, turn, account, segment)),
                None => at(turn.hold_until_ns),
            }
        }
        for process in &waiting {
            let Some(account) = self.tenants.get(&process.tenant) else {
                continue;
            };
            if !account.eligible() {
                at(account.eligible_at_ns(now));
            } else if self.turn.is_none() {
                at(now + self.tuning.poll_ns);
            }
        }
        if !waiting.is_empty() || self.turn.is_some() {
            at(now + self.tuning.sleep_ns_max);
        }
        // Somebody goes idle, and then those at work may have more.
        if !waiting.is_empty() {
            for account in self
                .tenants
                .values()
                .filter(|a| a.active_ns != 0 && !a.had_work)
            {
                let until = account.active_ns + self.tuning.idle_ns;
                if until > now {
                    at(until);
                }
            }
        }
        wake
    }

    /// When to look at the running segment.
    fn look_at(
        &self,
        now: u64,
        turn: &Turn,
        account: &ProcessAccount,
        segment: &SegmentView,
    ) -> u64 {
        let handover = if turn.first_segment {
            turn.handover_ns
        } else {
            0
        };
        let end = turn.segment_started_ns + account.corrected_ns(segment.predicted_ns) + handover;
        if segment.state == SegmentState::Open {
            let quiet = segment.submitted_ns.max(turn.segment_started_ns) + self.tuning.quiet_ns;
            return end
                .max(quiet.min(turn.started_ns + turn.budget_ns))
                .max(now + self.tuning.poll_ns);
        }
        let lead = self.tuning.lead_ns + account.error_ns;
        let first_look = end.saturating_sub(lead);
        if now < first_look {
            return first_look;
        }
        // Late by a little is looked at closely, late by much less often.
        let late = now.saturating_sub(end);
        now + (late / 8).clamp(self.tuning.poll_ns, us(250))
    }
}

struct Choice<'a> {
    process: &'a ProcessView,
    until_ns: Option<u64>,
    /// The holder goes on with its turn.
    keeps: bool,
}

/// Lets everything pending of a process run now and forgets it.
fn pass(process: &ProcessView, plan: &mut Plan) {
    let from = process.granted.wrapping_add(1);
    if reached(process.opened, from) {
        plan.grant.push(Grant {
            slot: process.slot,
            from,
            to: process.opened,
            first_of_turn: false,
        });
    }
    for segment in &process.segments {
        end(process, segment, plan);
    }
}

/// Retires a segment whatever its state.
fn end(process: &ProcessView, segment: &SegmentView, plan: &mut Plan) {
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

impl View {
    fn process(&self, slot: usize) -> Option<&ProcessView> {
        self.processes.iter().find(|p| p.slot == slot)
    }

    fn mode(&self, tenant: usize) -> Mode {
        self.tenants
            .iter()
            .find(|t| t.index == tenant)
            .map_or(Mode::Balanced, |t| t.promise.mode)
    }
}

impl ProcessView {
    /// True while it has segments that are not retired.
    pub fn has_work(&self) -> bool {
        self.opened != self.retired && self.segments.iter().any(|s| s.launches > 0)
    }

    /// True while it has work that was not granted.
    fn waits(&self) -> bool {
        self.segments
            .iter()
            .any(|s| s.launches > 0 && !reached(self.granted, s.number))
    }

    fn granted_segments(&self) -> impl Iterator<Item = &SegmentView> {
        self.segments
            .iter()
            .filter(|s| reached(self.granted, s.number))
    }
}

impl SegmentView {
    fn finished(&self) -> bool {
        self.state == SegmentState::Expired || self.done
    }
}

impl Plan {
    /// Newest segment of the process that is retired once the plan is carried out.
    fn retired(&self, process: &ProcessView) -> u32 {
        self.retire
            .iter()
            .filter(|r| r.segment.slot == process.slot)
            .map(|r| r.segment.number)
            .fold(
                process.retired,
                |newest, n| if reached(n, newest) { n } else { newest },
            )
    }

    /// Newest segment of the process that is granted once the plan is carried out.
    fn granted(&self, process: &ProcessView) -> u32 {
        self.grant
            .iter()
            .filter(|g| g.slot == process.slot)
            .map(|g| g.to)
            .fold(
                process.granted,
                |newest, n| if reached(n, newest) { n } else { newest },
            )
    }
}
