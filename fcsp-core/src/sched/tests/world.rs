//! Programs and a device as plain data, for the properties of [`Arbiter::step`]: what happens is
//! drawn at random, and what must always hold is checked at every step.

use std::collections::VecDeque;

use crate::policy::Mode;
use crate::sched::SegmentState;
use crate::sched::arbiter::{ALLOWANCE_NS_MAX, Arbiter};
use crate::sched::class::CLASSES;
use crate::sched::clock::{ms, us};
use crate::sched::plan::{Plan, ProcessView, SegmentView, TenantView, View};
use crate::sched::producer::AHEAD;
use crate::sched::segment::reached;
use crate::sched::shares::Promise;
use crate::sched::tuning::Tuning;

/// Segments are numbered from here on, so that the numbers soon wrap.
const FIRST: u32 = u32::MAX - 5;

/// Something a program, an operator or time does.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time passes.
    Pass { us: u64 },
    /// The program submits, if there is room.
    Submit {
        process: usize,
        predicted_us: u64,
        /// What it takes in truth, in percent of what was predicted.
        percent: u64,
    },
    /// The program ends its open segment; `waits` if that is because it waits for it.
    Close { process: usize, waits: bool },
    /// The program submits, waits for the result, thinks, and does so again.
    PingPong {
        process: usize,
        times: u32,
        kernel_us: u64,
        think_us: u64,
    },
    /// The process ends, or a new one begins in its place.
    EndOrBegin { process: usize },
    /// The arbiter ends, and another takes over what it wrote down.
    Elect,
    /// The operator changes a limit.
    Limit {
        tenant: usize,
        mode: Mode,
        percent: u32,
    },
}

struct Segment {
    view: SegmentView,
    actual_ns: u64,
    granted_ns: Option<u64>,
}

impl Segment {
    /// When it begins, if it is granted, and the device is free for it from then on.
    fn begins_ns(&self, free_ns: u64) -> Option<u64> {
        let granted_ns = self.granted_ns?;
        Some(granted_ns.max(self.view.opened_ns).max(free_ns))
    }
}

pub struct Process {
    /// Without its segments.
    view: ProcessView,
    pending: VecDeque<Segment>,
    lives: bool,
    /// The arbiter has not seen it yet.
    is_new: bool,
    /// When the device is done with what it was granted, or what passed.
    free_ns: u64,
    waiting_since_ns: Option<u64>,
    /// Longest time that work of it waited for a grant.
    pub waited_ns_max: u64,
}

/// The node.
pub struct World {
    arbiter: Arbiter,
    tenants: Vec<TenantView>,
    pub processes: Vec<Process>,
    pub now_ns: u64,
    stepped_ns: u64,
    wake_ns: Option<u64>,
    rung: bool,
    /// Slot and generation of the last holder.
    held: Option<(usize, u32)>,
    /// The arbiter is new.
    is_elected: bool,
}

impl World {
    /// A node with a tenant of each of `limits` (mode and percent), and processes that belong to the
    /// tenants named.
    pub fn new(limits: &[(Mode, u32)], processes: &[usize]) -> Self {
        let tenant = |(index, (mode, percent)): (usize, &(Mode, u32))| TenantView {
            index,
            promise: Promise {
                mode: *mode,
                entitlement_ppm: percent * 10_000,
                pools_ppm: [200_000, 400_000, 400_000],
                burst_max_ppm: 1_000_000,
                ..Promise::default()
            },
        };
        let process = |(slot, tenant): (usize, &usize)| Process::new(slot, *tenant, 1);
        Self {
            arbiter: Arbiter::new(Tuning::default()),
            tenants: limits.iter().enumerate().map(tenant).collect(),
            processes: processes.iter().enumerate().map(process).collect(),
            now_ns: ms(1),
            stepped_ns: ms(1),
            wake_ns: None,
            rung: true,
            held: None,
            is_elected: false,
        }
    }

    /// Lets `event` happen, and the arbiter make the steps that follow from it.
    pub fn happen(&mut self, event: &Event) {
        let count = self.processes.len();
        match *event {
            Event::Pass { us: time } => self.pass(us(time)),
            Event::Submit {
                process,
                predicted_us,
                percent,
            } => {
                let process = &mut self.processes[process % count];
                let predicted_ns = us(predicted_us);
                let actual_ns = predicted_ns * percent / 100;
                if !process.pass(self.now_ns, predicted_ns, actual_ns) {
                    self.rung |= process.submit(self.now_ns, predicted_ns, actual_ns);
                }
            }
            Event::Close { process, waits } => {
                self.rung |= self.processes[process % count].close(waits);
            }
            Event::PingPong {
                process,
                times,
                kernel_us,
                think_us,
            } => {
                for _ in 0..times {
                    self.ping(process % count, us(kernel_us));
                    self.pass(us(think_us));
                }
            }
            Event::Elect => {
                let mut arbiter = Arbiter::new(Tuning::default());
                for tenant in 0..self.tenants.len() {
                    if let Some((vtime_ns, device_ns, _)) = self.arbiter.tenant(tenant) {
                        arbiter.restore(tenant, vtime_ns, device_ns);
                    }
                }
                (self.arbiter, self.held, self.rung) = (arbiter, None, true);
                self.is_elected = true;
            }
            Event::EndOrBegin { process } => {
                let process = &mut self.processes[process % count];
                if process.lives {
                    process.lives = false;
                } else {
                    let view = &process.view;
                    *process = Process::new(view.slot, view.tenant, view.generation + 1);
                }
                self.rung = true;
            }
            Event::Limit {
                tenant,
                mode,
                percent,
            } => {
                let at = tenant % self.tenants.len();
                let promise = &mut self.tenants[at].promise;
                (promise.mode, promise.entitlement_ppm) = (mode, percent * 10_000);
                self.rung = true;
            }
        }
        self.pass(us(3));
    }

    /// A kernel and its result, which comes within 100 ms or is not waited for any more.
    fn ping(&mut self, process: usize, ns: u64) {
        if self.processes[process].pass(self.now_ns, ns, ns) {
            self.pass(ns);
            return;
        }
        self.rung |= self.processes[process].submit(self.now_ns, ns, ns);
        self.pass(us(1));
        self.rung |= self.processes[process].close(true);
        let until = self.now_ns + ms(100);
        let is_done = |process: &Process| process.pending.iter().all(|it| it.view.done);
        while !is_done(&self.processes[process]) && self.now_ns < until {
            self.pass(us(10));
            let now = self.now_ns;
            self.processes[process].work(now);
        }
    }

    /// Lets time pass.
    pub fn pass(&mut self, ns: u64) {
        let until = self.now_ns + ns;
        loop {
            let bell = self.rung.then_some(self.now_ns + us(1));
            let next = bell.into_iter().chain(self.wake_ns).min();
            let Some(next) = next.filter(|next| *next <= until) else {
                break;
            };
            self.now_ns = next;
            self.step();
        }
        self.now_ns = until;
    }

    fn step(&mut self) {
        let now = self.now_ns;
        self.processes.iter_mut().for_each(|it| it.work(now));
        let living = self.processes.iter().filter(|process| process.lives);
        let view = View {
            tenants: self.tenants.clone(),
            processes: living.map(Process::read).collect(),
            ..View::default()
        };
        let before = self.charged_ns();
        let plan = self.arbiter.step(now, &view);
        self.check_charges(&before, &plan);
        self.is_elected = false;
        self.processes
            .iter_mut()
            .filter(|process| process.lives)
            .for_each(|process| {
                process.is_new = false;
                process.carry_out(now, &plan);
            });
        self.check(&plan);
        let generation = |slot: usize| self.processes[slot].view.generation;
        self.held = self.arbiter.holder().map(|slot| (slot, generation(slot)));
        (self.stepped_ns, self.rung, self.wake_ns) = (now, false, plan.wake_ns);
    }

    /// Device time charged to each process.
    pub fn charged_ns(&self) -> Vec<u64> {
        (0..self.processes.len())
            .map(|slot| self.arbiter.process_device_ns(slot))
            .collect()
    }

    /// Whoever had the turn is charged for exactly the time since the last step, but for what passed before it and was paid
    /// for. Of allowances exactly what there is in all is charged. Nobody is charged for anything else, and no other
    /// charge is taken back.
    fn check_charges(&self, before: &[u64], plan: &Plan) {
        let passed = self.processes.iter().map(|it| it.view.passed_until_ns);
        let passed_until_ns = passed.max().unwrap_or(0);
        for (slot, (after, before)) in self.charged_ns().iter().zip(before).enumerate() {
            let process = &self.processes[slot];
            let is_holder = process.lives && self.held == Some((slot, process.view.generation));
            let turn_ns = match is_holder {
                true => self.now_ns - self.stepped_ns,
                false => 0,
            };
            let paid_ns = passed_until_ns.saturating_sub(self.stepped_ns);
            let least_ns = turn_ns.saturating_sub(paid_ns);
            let allow = plan.allow.iter().find(|it| it.slot == slot);
            let allowed_ns = allow.map_or(process.view.allowed_ns, |it| it.allowed_ns);
            let given_ns = allowed_ns as i64 - process.view.allowed_ns as i64;
            // A process that ended, one that took its place, and all of a new arbiter begin at nothing.
            if process.lives && !process.is_new && !self.is_elected {
                let charged_ns = *after as i64 - *before as i64 - given_ns;
                let expected = least_ns as i64..=turn_ns as i64;
                assert!(
                    expected.contains(&charged_ns),
                    "{charged_ns} charged to process {slot} and not {expected:?}"
                );
            }
        }
    }

    /// Allowances are of a tenant that is the only one at work and of which nothing is pending, and no more than they may be.
    fn check_allowances(&self) {
        let living = || self.processes.iter().filter(|process| process.lives);
        let left_ns = |it: &Process| it.view.allowed_ns.saturating_sub(it.view.passed_ns);
        let all_ns: u64 = living().map(left_ns).sum();
        assert!(all_ns <= ALLOWANCE_NS_MAX, "{all_ns} ns may pass");
        for process in living().filter(|it| left_ns(it) > 0) {
            let tenant = process.view.tenant;
            assert_eq!(self.tenants[tenant].promise.mode, Mode::Strict);
            let is_enforced = |it: &&Process| {
                self.tenants[it.view.tenant].promise.mode != Mode::None && it.read().has_work()
            };
            let at_work: Vec<_> = living()
                .filter(is_enforced)
                .map(|it| it.view.slot)
                .collect();
            assert!(at_work.is_empty(), "{at_work:?} work beside {tenant}");
        }
    }

    fn check(&self, plan: &Plan) {
        self.check_allowances();
        for grant in &plan.grant {
            let view = &self.processes[grant.slot].view;
            let most = if reached(view.opened, view.retired) {
                view.opened.wrapping_add(AHEAD)
            } else {
                view.retired.wrapping_add(AHEAD)
            };
            assert!(reached(most, grant.to), "{grant:?} is beyond {most}");
        }
        let living = || self.processes.iter().filter(|process| process.lives);
        let may_run: Vec<_> = living()
            .filter(|process| !reached(process.view.retired, process.view.granted))
            // Those of a tenant that has the device to itself may.
            .filter(|process| Some(process.view.tenant) != self.arbiter.guarded())
            .map(|process| process.view.slot)
            .collect();
        assert!(
            may_run.len() <= 1,
            "{may_run:?} may run at once after {plan:?}"
        );
        if let Some(slot) = may_run.first() {
            assert_eq!(self.arbiter.holder(), Some(*slot), "after {plan:?}");
        }
        let is_pending = living().any(|process| process.read().has_work());
        assert!(
            !is_pending || plan.wake_ns.is_some(),
            "something is pending and nobody will look: {plan:?}"
        );
        assert!(plan.wake_ns.is_none_or(|wake| wake > self.now_ns));
    }

    /// True once nothing is pending.
    pub fn is_drained(&self) -> bool {
        let mut living = self.processes.iter().filter(|process| process.lives);
        living.all(|process| !process.read().has_work())
    }

    /// Ends every open segment, as programs do that wait for all they submitted.
    pub fn close_all(&mut self) {
        for process in &mut self.processes {
            process.close(true);
        }
        self.rung = true;
    }
}

impl Process {
    fn new(slot: usize, tenant: usize, generation: u32) -> Self {
        Self {
            view: ProcessView {
                slot,
                generation,
                tenant,
                opened: FIRST,
                granted: FIRST,
                retired: FIRST,
                gated: true,
                allowed_ns: 0,
                passed_ns: 0,
                passed_until_ns: 0,
                synced: 0,
                blocked: 0,
                looked_ns: 0,
                looks: false,
                threads_wait: false,
                handover_ns: 0,
                guessed: FIRST,
                spread_ppm: 0,
                partition_percent: 0,
                waits_at: 0,
                collective_ns: 0,
                hides: None,
                has_peers_at_work: false,
                in_collective: false,
                classes_ns: [0; CLASSES],
                segments: Vec::new(),
            },
            pending: VecDeque::new(),
            lives: true,
            is_new: true,
            free_ns: 0,
            waiting_since_ns: None,
            waited_ns_max: 0,
        }
    }

    fn read(&self) -> ProcessView {
        let pending = self.pending.iter().take(AHEAD as usize + 1);
        ProcessView {
            segments: pending.map(|segment| segment.view.clone()).collect(),
            ..self.view.clone()
        }
    }

    fn has_room(&self) -> bool {
        self.view.opened.wrapping_sub(self.view.retired) < AHEAD
    }

    /// True if the submission passes within the allowance.
    fn pass(&mut self, now: u64, predicted_ns: u64, actual_ns: u64) -> bool {
        let view = &mut self.view;
        let passes = self.lives
            && view.gated
            && view.opened == view.retired
            && now >= view.passed_until_ns
            && view.passed_ns + predicted_ns <= view.allowed_ns;
        if passes {
            view.passed_ns += predicted_ns;
            view.passed_until_ns = now + predicted_ns;
            self.free_ns = self.free_ns.max(now) + actual_ns;
        }
        passes
    }

    /// True if the doorbell is rung.
    fn submit(&mut self, now: u64, predicted_ns: u64, actual_ns: u64) -> bool {
        if !self.lives || !self.view.gated {
            return false;
        }
        let is_open = |segment: &Segment| segment.view.state == SegmentState::Open;
        let fresh = !self.pending.back().is_some_and(is_open);
        if fresh {
            if !self.has_room() {
                self.view.blocked += 1;
                return false;
            }
            let number = self.view.opened.wrapping_add(1);
            self.view.opened = number;
            self.pending.push_back(Segment {
                view: SegmentView {
                    number,
                    state: SegmentState::Open,
                    predicted_ns: 0,
                    opened_ns: now,
                    submitted_ns: now,
                    launches: 0,
                    is_spread: false,
                    done: false,
                },
                actual_ns: 0,
                granted_ns: reached(self.view.granted, number).then_some(now),
            });
        }
        if let Some(segment) = self.pending.back_mut() {
            segment.view.launches += 1;
            segment.view.submitted_ns = now;
            segment.view.predicted_ns += predicted_ns;
            segment.actual_ns += actual_ns;
        }
        fresh
    }

    /// True if the doorbell is rung.
    fn close(&mut self, waits: bool) -> bool {
        let Some(segment) = self.pending.back_mut() else {
            return false;
        };
        if segment.view.state != SegmentState::Open {
            return false;
        }
        segment.view.state = SegmentState::Closed;
        self.view.synced += u32::from(waits);
        waits
    }

    /// The device works until now.
    fn work(&mut self, now: u64) {
        for segment in &mut self.pending {
            let begins_ns = segment.begins_ns(self.free_ns);
            let Some(begins_ns) = begins_ns.filter(|_| !segment.view.done) else {
                continue;
            };
            let ends_ns = begins_ns + segment.actual_ns;
            if segment.view.state == SegmentState::Open || ends_ns > now {
                break;
            }
            segment.view.done = true;
            self.free_ns = ends_ns;
        }
    }

    fn carry_out(&mut self, now: u64, plan: &Plan) {
        let slot = self.view.slot;
        for expired in plan.expire.iter().filter(|it| it.slot == slot) {
            let is = |it: &&mut Segment| it.view.number == expired.number;
            let segment = self.pending.iter_mut().find(is).expect("it is pending");
            assert_eq!(segment.view.state, SegmentState::Open, "{expired:?}");
            segment.view.state = SegmentState::Expired;
        }
        for allowance in plan.allow.iter().filter(|it| it.slot == slot) {
            self.view.allowed_ns = allowance.allowed_ns;
        }
        for gate in plan.gate.iter().filter(|it| it.slot == slot) {
            assert!((50..=100_000).contains(&gate.segment_us), "{gate:?}");
            self.view.gated = gate.gating.is_gated();
        }
        for revoked in plan.revoke.iter().filter(|it| it.slot == slot) {
            self.view.granted = revoked.number;
            // What is over or has begun is not to be had back.
            let free_ns = self.free_ns;
            let mut unfinished = self.pending.iter_mut().filter(|it| !it.view.done);
            let runs = |it: &&mut Segment| it.begins_ns(free_ns).is_some_and(|ns| ns <= now);
            let first = unfinished.next().filter(|it| !runs(it));
            for segment in first.into_iter().chain(unfinished) {
                if !reached(revoked.number, segment.view.number) {
                    segment.granted_ns = None;
                }
            }
        }
        for grant in plan.grant.iter().filter(|it| it.slot == slot) {
            if !reached(self.view.granted, grant.to) {
                self.view.granted = grant.to;
            }
        }
        let granted = self.view.granted;
        for segment in &mut self.pending {
            if reached(granted, segment.view.number) {
                segment.granted_ns.get_or_insert(now);
            }
        }
        for retire in plan.retire.iter().filter(|it| it.segment.slot == slot) {
            let front = self.pending.pop_front().expect("it is pending");
            assert_eq!(front.view.number, retire.segment.number, "in order");
            assert!(
                front.granted_ns.is_some(),
                "{retire:?} without having been granted"
            );
            self.view.retired = front.view.number;
        }
        let is_waiting = |it: &Segment| it.view.launches > 0 && it.granted_ns.is_none();
        if self.pending.front().is_some_and(is_waiting) {
            let since = *self.waiting_since_ns.get_or_insert(now);
            self.waited_ns_max = self.waited_ns_max.max(now - since);
        } else {
            self.waiting_since_ns = None;
        }
    }
}
