//! Programs, as far as the scheduler sees them, and the node they run on.

use std::cell::Cell;

use super::device::{Device, Queue, random};
use crate::backend::{QueueId, SharingMode, StreamGate};
use crate::policy::{LowPriority, Mode, Priority, Sharing};
use crate::region::forget_queue;
use crate::region::layout::{RegionLayout, SEGMENTS, SlotPages, SlotState, TenantState};
use crate::sched::arbiter::Arbiter;
use crate::sched::class::Class;
use crate::sched::clock::{us, virtual_time};
use crate::sched::cost::CostKey;
use crate::sched::handshake::woken::RINGS;
use crate::sched::observer::SPIN_NS_MAX;
use crate::sched::plan::{Lead, View};
use crate::sched::producer::Producer;
use crate::sched::trace::event::How;
use crate::sched::tuning::Tuning;
use crate::sched::view;
use crate::sync::{AtomicU32, Ordering};

const TICK_NS: u64 = us(5);
const LAUNCH_NS: u64 = us(3);
/// A host that swings does so once in as many steps.
const SWING_STEPS: u64 = 12;
/// From its grant until a thread that waited for it goes on.
const THREAD_WAKE_NS: u64 = us(50);
/// From a doorbell or timer to the arbiter's next step, on a quick host.
const WAKE_LATENCY_NS: u64 = us(10);

#[derive(Clone, Debug)]
pub enum Kind {
    /// Launches without end, kernels of these lengths in turn.
    Saturate(Vec<u64>),
    /// The same, of one function: only its arguments tell how long it takes.
    Alike(Vec<u64>),
    /// Launches kernels of `kernel_ns`, one each `launch_ns`, and waits whenever more than `most` are not done, until one
    /// of the quarters of that which it marks is over.
    Ahead {
        kernel_ns: u64,
        launch_ns: u64,
        most: u64,
    },
    /// `kernels` of `kernel_ns` with `cpu_ns` between, then waits; then thinks for `pause_ns`.
    Steps {
        kernels: u32,
        kernel_ns: u64,
        cpu_ns: u64,
        pause_ns: u64,
    },
    /// Several such phases one after another, then waits, a moment after the last launch: how many
    /// kernels, of what length, what between.
    Phases(&'static [(u32, u64, u64)]),
    /// `kernels` of `kernel_ns`, then nothing for `pause_ns`, without ever waiting for results.
    Bursts {
        kernels: u32,
        kernel_ns: u64,
        pause_ns: u64,
    },
    /// Submits work that waits, on the device, for something that never comes.
    Stuck,
    /// One rank of a job: `kernels` of `kernel_ns`, then a collective, which raises `mine` and waits
    /// for `theirs`. `tells` if the producer is told of it, as the preload library does.
    Rank {
        kernels: u32,
        kernel_ns: u64,
        mine: &'static AtomicU32,
        theirs: &'static AtomicU32,
        tells: bool,
        /// Waits for the result of one in this many.
        waits_every: u32,
    },
    /// Attached, does nothing.
    Idle,
}

pub struct Program {
    pub kind: Kind,
    /// Of everything it submits.
    pub class: Class,
    producer: Producer,
    queue: Queue,
    cpu_free_ns: u64,
    launched: u64,
    in_step: u32,
    /// Collectives so far.
    pub meetings: u32,
    waiting: bool,
    /// Kernels that have to be done before it goes on.
    waits_for: u64,
    step_began_ns: u64,
    pub latencies_ns: Vec<u64>,
    pub from_ns: u64,
    pub until_ns: u64,
    /// Its processor is not as quick in every step, as on a host that others use; what the next draw
    /// begins with.
    pub uneven: Option<u64>,
    /// That host is also slower or quicker for some steps on end: by how much it is slower then, percent.
    pub swings_percent: u64,
    swung_percent: u64,
    slower_percent: u64,
    /// What a kernel is expected to take before it was measured.
    pub guess_ns: u64,
    /// On how many queues its submissions go in turn; the device runs them one after another all the same.
    pub queues: u64,
    /// It slept for want of room.
    slept: bool,
    /// Longest time from there being room to its going on.
    room_late_ns: u64,
}

pub struct Node {
    region: &'static RegionLayout,
    pub programs: Vec<Program>,
    arbiter: Arbiter,
    device: Device,
    view: View,
    now_ns: u64,
    /// From a doorbell or timer to the arbiter's next step.
    pub wake_latency_ns: u64,
    /// The same of one wake-up in six, as on a host that others use, if it is longer.
    pub wake_latency_ns_at_times: u64,
    step_at_ns: u64,
    /// Until then it does not sleep.
    spins: bool,
    rung: u32,
    pub steps: u64,
    /// How often the device was handed over.
    pub handoffs: u64,
    lead: Lead,
    /// Tenants that have work on devices that follow this one.
    pub peers_at_work: Vec<usize>,
    /// Those that are in a collective there.
    pub peers_in_collective: Vec<usize>,
}

#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub mode: Mode,
    pub percent: u32,
    pub priority: Priority,
    pub low_priority: LowPriority,
}

pub fn balanced(percent: u32) -> Limits {
    Limits::of(Mode::Balanced, percent)
}

impl Limits {
    pub fn of(mode: Mode, percent: u32) -> Self {
        Self {
            mode,
            percent,
            priority: Priority::Normal,
            low_priority: LowPriority::Floor,
        }
    }

    pub fn with(self, priority: Priority) -> Self {
        Self { priority, ..self }
    }
}

impl Program {
    /// A new process in slot `i`, whose last owner is gone; its tenant has the same number.
    fn attach(region: &'static RegionLayout, i: usize, kind: Kind, now_ns: u64) -> Self {
        let slot = &region.slots[i].slot;
        forget_queue(&region.slots[i]);
        slot.tenant.store(i as u32, Ordering::Relaxed);
        slot.generation.fetch_add(1, Ordering::Relaxed);
        slot.gate.gated.store(1, Ordering::Relaxed);
        slot.gate.segment_us.store(1_000, Ordering::Relaxed);
        slot.state.store(SlotState::Live as u32, Ordering::Relaxed);
        region.header.slots_used[0].fetch_or(1 << i, Ordering::Relaxed);
        Self {
            kind,
            class: Class::Other,
            producer: Producer::new(region, i, Box::leak(Box::default())),
            queue: Queue::default(),
            cpu_free_ns: now_ns,
            launched: 0,
            in_step: 0,
            meetings: 0,
            waiting: false,
            waits_for: 0,
            step_began_ns: now_ns,
            latencies_ns: Vec::new(),
            from_ns: 0,
            until_ns: u64::MAX,
            uneven: None,
            swings_percent: 0,
            swung_percent: 0,
            slower_percent: 0,
            guess_ns: us(1_000_000),
            queues: 1,
            slept: false,
            room_late_ns: 0,
        }
    }
}

impl Node {
    pub fn new(programs: &[(Limits, Kind)]) -> Self {
        virtual_time::set(us(1_000));
        // SAFETY: a zeroed region is a valid empty one.
        let region: &'static RegionLayout = unsafe { Box::leak(Box::new_zeroed().assume_init()) };
        let programs = programs
            .iter()
            .enumerate()
            .map(|(i, (limits, kind))| {
                let tenant = &region.tenants[i];
                tenant.mode.store(limits.mode.number(), Ordering::Relaxed);
                tenant
                    .entitlement_ppm
                    .store(limits.percent * 10_000, Ordering::Relaxed);
                for (pool, ppm) in tenant.pools_ppm.iter().zip([200_000, 400_000, 400_000]) {
                    pool.store(ppm, Ordering::Relaxed);
                }
                tenant
                    .priority
                    .store(limits.priority.number(), Ordering::Relaxed);
                tenant
                    .low_priority
                    .store(limits.low_priority.number(), Ordering::Relaxed);
                tenant.burst_max_ppm.store(1_000_000, Ordering::Relaxed);
                tenant
                    .state
                    .store(TenantState::Live as u32, Ordering::Relaxed);
                region.header.tenants_used[0].fetch_or(1 << i, Ordering::Relaxed);
                Program::attach(region, i, kind.clone(), us(1_000))
            })
            .collect();
        // The arbiter sleeps between its steps; who rings believes so.
        region.header.arbiter_asleep.store(1, Ordering::Relaxed);
        Self {
            region,
            programs,
            arbiter: Arbiter::new(Tuning::default()),
            device: Device::default(),
            view: View::default(),
            now_ns: us(1_000),
            wake_latency_ns: WAKE_LATENCY_NS,
            wake_latency_ns_at_times: 0,
            step_at_ns: 0,
            spins: false,
            rung: RINGS.with(Cell::get),
            steps: 0,
            handoffs: 0,
            lead: Lead::Nobody,
            peers_at_work: Vec::new(),
            peers_in_collective: Vec::new(),
        }
    }

    /// The same on a device on which processes can run at once; a kernel takes `slower_percent` longer
    /// beside others.
    pub fn concurrent(slower_percent: u64, programs: &[(Limits, Kind)]) -> Self {
        let node = Self {
            device: Device::concurrent(slower_percent),
            ..Self::new(programs)
        };
        let sharing = &node.region.header.sharing;
        sharing.store(SharingMode::Concurrent as u32, Ordering::Relaxed);
        node
    }

    /// What a nanosecond of that class of work counts from now on.
    pub fn weight(&self, class: Class, milli: u32) {
        let weights = &self.region.header.class_weights_milli;
        weights[class.place()].store(milli, Ordering::Relaxed);
    }

    /// Expected device time of what a program submitted, of that class.
    pub fn class_ns(&self, program: usize, class: Class) -> u64 {
        self.region.slots[program].slot.classes_ns[class.place()].load(Ordering::Relaxed)
    }

    /// What the operator wants of the device.
    pub fn want(&self, sharing: Sharing) {
        crate::region::sharing::want(self.region, sharing);
    }

    /// Whether programs run together now, or are left to the driver.
    pub fn runs_together(&self) -> bool {
        self.arbiter.how() != How::Turns
    }

    /// Whether the submissions of a program form segments now.
    pub fn is_gated(&self, program: usize) -> bool {
        self.programs[program].producer.gated()
    }

    /// On a device on which processes run at once, a kernel takes so many percent longer beside others now.
    pub fn set_slower(&mut self, percent: u64) {
        self.device.set_slower(percent);
    }

    /// Programs that slept for want of room go on up to so much later than they could.
    pub fn set_room_late_ns(&mut self, ns: u64) {
        for program in &mut self.programs {
            program.room_late_ns = ns;
        }
    }

    /// What a hand-over takes from now on, give or take a quarter.
    pub fn set_switch_ns(&mut self, ns: u64) {
        self.device.set_switch_ns(ns);
    }

    /// The device stands for `ns`, as while the driver makes a context for somebody.
    pub fn stand(&mut self, ns: u64) {
        self.device.stand(ns);
    }

    /// By how much a hand-over to a program takes longer than to others.
    pub fn set_slow_to_begin_ns(&self, program: usize, ns: u64) {
        self.programs[program].queue.slow_to_begin_ns.set(ns);
    }

    pub fn set_partition(&self, program: usize, percent: u32) {
        let slot = &self.region.slots[program].slot;
        slot.partition_percent.store(percent, Ordering::Relaxed);
    }

    /// A program belongs to that tenant from now on, beside the program of that number.
    pub fn join_tenant(&self, program: usize, tenant: usize) {
        let slot = &self.region.slots[program].slot;
        slot.tenant.store(tenant as u32, Ordering::Relaxed);
    }

    /// Threads wait for grants in place of queues.
    pub fn let_threads_wait(&self) {
        for program in &self.programs {
            program.queue.threads_wait.set(true);
        }
    }

    pub fn set_percent(&self, tenant: usize, percent: u32) {
        self.region.tenants[tenant]
            .entitlement_ppm
            .store(percent * 10_000, Ordering::Relaxed);
        super::super::producer::ring(&self.region.header);
    }

    pub fn set_mode(&self, tenant: usize, mode: Mode) {
        let tenant = &self.region.tenants[tenant];
        tenant.mode.store(mode.number(), Ordering::Relaxed);
    }

    pub fn set_priority(&self, tenant: usize, priority: Priority) {
        let tenant = &self.region.tenants[tenant];
        tenant.priority.store(priority.number(), Ordering::Relaxed);
    }

    /// Length of a round as contention asks for it.
    pub fn round_ns(&self) -> Option<u64> {
        self.arbiter.adapted_round_ns()
    }

    /// Device time of each program's finished kernels.
    pub fn done_ns(&self) -> Vec<u64> {
        self.programs
            .iter()
            .map(|p| *p.queue.done_ns.borrow())
            .collect()
    }

    /// Segments of a program that were given up on.
    pub fn overdue(&self, program: usize) -> u32 {
        let compute = &self.region.slots[program].slot.compute;
        compute.overdue.load(Ordering::Relaxed)
    }

    /// Device time the arbiter charged.
    pub fn charged_ns(&self, tenant: usize) -> u64 {
        self.region.tenants[tenant]
            .compute
            .device_ns
            .load(Ordering::Relaxed)
    }

    /// Ends a program's process from without: the observer does not show it any more, and its tenant stays until
    /// somebody gives back what it held.
    pub fn kill(&mut self, program: usize) {
        self.programs[program].until_ns = 0;
        self.programs[program].queue.clear();
        let slot = &self.region.slots[program].slot;
        slot.state.store(SlotState::Free as u32, Ordering::Relaxed);
        self.region.header.slots_used[0].fetch_and(!(1 << program), Ordering::Relaxed);
        // Whoever takes the slot back rings.
        self.step_at_ns = self.step_at_ns.min(self.now_ns + self.wake_latency_ns);
    }

    /// A program's process is killed, and another of its tenant, which does the same, has its slot at once and
    /// begins to work in `starts_ns`.
    pub fn replace(&mut self, program: usize, starts_ns: u64) {
        self.kill(program);
        let kind = self.programs[program].kind.clone();
        self.programs[program] = Program::attach(self.region, program, kind, self.now_ns);
        self.programs[program].from_ns = self.now_ns + starts_ns;
    }

    /// Tenant whose turn it is.
    pub fn turn_of(&self) -> Option<usize> {
        // A program's place is its slot and its tenant.
        self.arbiter.holder()
    }

    /// Whether a program has segments that are not retired, granted or not.
    pub fn is_at_work(&self, program: usize) -> bool {
        let slot = &self.region.slots[program].slot;
        let opened = slot.queue.opened.load(Ordering::Relaxed);
        opened != slot.compute.retired.load(Ordering::Relaxed)
    }

    /// Segments that a program opened so far.
    pub fn segments(&self, program: usize) -> u32 {
        let slot = &self.region.slots[program].slot;
        slot.queue.opened.load(Ordering::Relaxed)
    }

    /// What a program may submit without forming segments, and what it did, in all so far.
    pub fn allowance(&self, program: usize) -> (u64, u64) {
        let gate = &self.region.slots[program].slot.gate;
        let words = [&gate.allowed_ns, &gate.passed_ns].map(|it| it.load(Ordering::Relaxed));
        (words[0], words[1])
    }

    /// The arbiter ends, and another takes over what it wrote down.
    pub fn elect(&mut self) {
        self.arbiter = Arbiter::new(Tuning::default());
        view::restore(self.region, &mut self.arbiter);
        self.step_at_ns = self.now_ns;
    }

    /// A program does something else from now on.
    pub fn go_on_as(&mut self, program: usize, kind: Kind) {
        let program = &mut self.programs[program];
        (program.kind, program.waits_for, program.waiting) = (kind, program.launched, false);
    }

    /// Wakes the arbiter.
    pub fn ring(&self) {
        super::super::producer::ring(&self.region.header);
    }

    /// Whether the device is in a collective of a program.
    pub fn is_in_collective(&self, program: usize) -> bool {
        view::in_collective(&self.region.slots[program].page)
    }

    /// What the device's arbiter knows of others from now on; a change wakes it.
    pub fn set_lead(&mut self, lead: Lead) {
        if self.lead != lead {
            self.lead = lead;
            self.step_at_ns = self.step_at_ns.min(self.now_ns + self.wake_latency_ns);
        }
    }

    /// Runs for `ns` and gives the device time each program finished in it.
    pub fn run(&mut self, ns: u64) -> Vec<u64> {
        let before = self.done_ns();
        let until = self.now_ns + ns;
        while self.now_ns < until {
            self.now_ns += TICK_NS;
            virtual_time::set(self.now_ns);
            let queues: Vec<&Queue> = self.programs.iter().map(|p| &p.queue).collect();
            self.device.advance(&queues);
            for (i, program) in self.programs.iter_mut().enumerate() {
                program.advance(self.now_ns, self.region, i);
            }
            let rings = RINGS.with(Cell::get);
            if rings != self.rung {
                self.rung = rings;
                let latency_ns = self.latency_ns(self.wake_latency_ns);
                self.step_at_ns = self.step_at_ns.min(self.now_ns + latency_ns);
            }
            if self.now_ns >= self.step_at_ns {
                self.step();
            }
        }
        self.done_ns()
            .iter()
            .zip(before)
            .map(|(after, before)| after - before)
            .collect()
    }

    /// What it takes to wake up, if that usually takes `usual_ns`.
    fn latency_ns(&self, usual_ns: u64) -> u64 {
        match random(self.steps, 6) {
            _ if self.spins => 0,
            0 => usual_ns.max(self.wake_latency_ns_at_times),
            _ => usual_ns,
        }
    }

    fn step(&mut self) {
        view::read(self.region, &mut self.view, self.now_ns);
        self.view.lead = self.lead;
        for process in &mut self.view.processes {
            process.has_peers_at_work = self.peers_at_work.contains(&process.tenant);
            process.in_collective |= self.peers_in_collective.contains(&process.tenant);
        }
        let plan = self.arbiter.step(self.now_ns, &self.view);
        view::apply(self.region, &plan, self.now_ns);
        view::publish(self.region, &self.view, &self.arbiter, self.now_ns);
        let wake_ns = view::wake_ns(plan.wake_ns, &self.view, self.now_ns);
        self.spins = wake_ns.is_some_and(|wake| wake <= self.now_ns + SPIN_NS_MAX);
        let latency_ns = self.latency_ns(self.wake_latency_ns / 2);
        self.step_at_ns = wake_ns.map_or(u64::MAX, |wake| wake + latency_ns);
        self.steps += 1;
        self.handoffs += u64::from(plan.handed_over);
    }
}

impl Program {
    /// False where a real thread would sleep.
    fn has_room(&self, region: &RegionLayout, me: usize, key: u64) -> bool {
        let room = self
            .producer
            .has_room(&self.queue, CostKey::new(&[key]), self.guess_ns);
        let blocked = &region.slots[me].slot.queue.blocked;
        blocked.fetch_add(u32::from(!room), Ordering::Relaxed);
        room
    }

    fn launch(&mut self, ns: u64, key: u64) {
        if self.producer.gated() {
            let ticket = self.producer.enter(
                &self.queue,
                QueueId(1 + self.launched % self.queues),
                CostKey::new(&[key]),
                self.class,
                self.guess_ns,
            );
            self.queue.kernel(ns);
            self.producer.leave(&self.queue, ticket, true);
        } else {
            self.queue.kernel(ns);
        }
        self.launched += 1;
    }

    fn advance(&mut self, now: u64, region: &RegionLayout, me: usize) {
        if now < self.from_ns || now > self.until_ns {
            return;
        }
        if self.queue.threads_wait.get() && self.queue.is_held() {
            self.cpu_free_ns = self.cpu_free_ns.max(now + THREAD_WAKE_NS);
            // It fills from its grant on.
            let SlotPages { slot, page } = &region.slots[me];
            let opened = slot.queue.opened.load(Ordering::Relaxed);
            let segment = &page.segments[opened as usize % SEGMENTS];
            segment.opened_ns.store(now, Ordering::Relaxed);
            return;
        }
        while self.cpu_free_ns <= now {
            match self.kind.clone() {
                Kind::Idle => return,
                Kind::Saturate(ref lengths) | Kind::Alike(ref lengths) => {
                    let at = self.launched as usize % lengths.len();
                    let key = match self.kind {
                        Kind::Alike(_) => 0,
                        _ => at as u64,
                    };
                    if self.queue.len() > 1000 || !self.has_room(region, me, key) {
                        self.cpu_free_ns = now + TICK_NS;
                        self.slept = true;
                        return;
                    }
                    if std::mem::take(&mut self.slept) && self.room_late_ns > 0 {
                        self.cpu_free_ns = now + random(self.launched, self.room_late_ns);
                        return;
                    }
                    self.launch(lengths[at], key);
                    self.cpu_free_ns = self.cpu_free_ns.max(now - TICK_NS) + LAUNCH_NS;
                }
                Kind::Ahead {
                    kernel_ns,
                    launch_ns,
                    most,
                } => {
                    let done = self.launched - self.queue.kernels();
                    if self.waiting && done < self.waits_for {
                        self.cpu_free_ns = now + TICK_NS;
                        return;
                    }
                    if self.waiting && self.producer.gated() {
                        self.producer.waited_for_event(&self.queue);
                    }
                    if !self.waiting && self.launched - self.waits_for > most {
                        self.waits_for += most / 4;
                        if done < self.waits_for {
                            if self.producer.gated() {
                                self.producer.sync(&self.queue);
                            }
                            self.waiting = true;
                            continue;
                        }
                    }
                    self.waiting = false;
                    if !self.has_room(region, me, kernel_ns) {
                        self.cpu_free_ns = now + TICK_NS;
                        return;
                    }
                    self.launch(kernel_ns, kernel_ns);
                    self.cpu_free_ns = self.cpu_free_ns.max(now - TICK_NS) + launch_ns;
                }
                Kind::Bursts {
                    kernels,
                    kernel_ns,
                    pause_ns,
                } => {
                    if self.in_step == kernels {
                        self.in_step = 0;
                        self.cpu_free_ns = now + pause_ns;
                        continue;
                    }
                    if !self.has_room(region, me, 7) {
                        self.cpu_free_ns = now + TICK_NS;
                        return;
                    }
                    self.launch(kernel_ns, 7);
                    self.in_step += 1;
                    self.cpu_free_ns = self.cpu_free_ns.max(now - TICK_NS) + LAUNCH_NS;
                }
                Kind::Rank {
                    kernels,
                    kernel_ns,
                    mine,
                    theirs,
                    tells,
                    waits_every,
                } => {
                    if self.waiting && self.queue.len() > 0 {
                        self.cpu_free_ns = now + TICK_NS;
                        return;
                    }
                    self.waiting = false;
                    if self.in_step == kernels {
                        self.in_step = 0;
                        self.meetings += 1;
                        let tells = tells && self.producer.gated();
                        let collective =
                            tells.then(|| self.producer.collective(&self.queue, QueueId(1)));
                        self.queue.write(QueueId(1), mine, self.meetings);
                        self.queue.wait(QueueId(1), theirs, self.meetings);
                        if let Some(collective) = collective {
                            self.producer.collective_submitted(&self.queue, collective);
                        }
                        if self.meetings.is_multiple_of(waits_every) {
                            if self.producer.gated() {
                                self.producer.sync(&self.queue);
                            }
                            self.waiting = true;
                            continue;
                        }
                    }
                    if self.queue.len() > 1000 || !self.has_room(region, me, 7) {
                        self.cpu_free_ns = now + TICK_NS;
                        return;
                    }
                    self.launch(kernel_ns, 7);
                    self.in_step += 1;
                    self.cpu_free_ns = self.cpu_free_ns.max(now - TICK_NS) + LAUNCH_NS;
                }
                Kind::Stuck => {
                    if !self.has_room(region, me, 7) {
                        self.cpu_free_ns = now + TICK_NS;
                        return;
                    }
                    self.queue.never();
                    self.launch(us(10), 7);
                    self.producer.sync(&self.queue);
                    self.cpu_free_ns = now + us(100);
                }
                Kind::Steps {
                    kernels,
                    kernel_ns,
                    cpu_ns,
                    pause_ns,
                } => {
                    let phases = [(kernels, kernel_ns, cpu_ns)];
                    if !self.go_through(&phases, (0, pause_ns), now, region, me) {
                        return;
                    }
                }
                Kind::Phases(phases) => {
                    if !self.go_through(phases, (us(40), us(20)), now, region, me) {
                        return;
                    }
                }
            }
        }
    }

    /// Goes on with a step of such phases, with what the processor does before it waits and after;
    /// false if there is nothing to do until later.
    fn go_through(
        &mut self,
        phases: &[(u32, u64, u64)],
        (before_ns, after_ns): (u64, u64),
        now: u64,
        region: &RegionLayout,
        me: usize,
    ) -> bool {
        if self.waiting {
            if self.queue.len() > 0 {
                self.cpu_free_ns = now + TICK_NS;
                return false;
            }
            self.waiting = false;
            self.latencies_ns.push(now - self.step_began_ns);
            self.cpu_free_ns = now + after_ns;
            self.step_began_ns = self.cpu_free_ns;
            return true;
        }
        if self.in_step == 0 {
            self.draw();
        }
        let mut before = 0;
        let phase = phases.iter().position(|(kernels, ..)| {
            before += kernels;
            self.in_step < before
        });
        let Some(phase) = phase else {
            if self.in_step == before {
                self.in_step += 1;
                self.cpu_free_ns += before_ns;
                return true;
            }
            self.in_step = 0;
            if self.producer.gated() {
                self.producer.sync(&self.queue);
            }
            self.waiting = true;
            return true;
        };
        let (_, kernel_ns, cpu_ns) = phases[phase];
        let key = 7 + phase as u64;
        if !self.has_room(region, me, key) {
            self.cpu_free_ns = now + TICK_NS;
            return false;
        }
        self.launch(kernel_ns, key);
        self.in_step += 1;
        let cpu_ns = cpu_ns + cpu_ns * self.slower_percent / 100;
        self.cpu_free_ns = self.cpu_free_ns.max(now - TICK_NS) + LAUNCH_NS + cpu_ns;
        true
    }

    /// By how much the processor is slower in this step: up to a tenth, in one of 64 by half.
    fn draw(&mut self) {
        let Some(state) = &mut self.uneven else {
            return;
        };
        // Numerical Recipes' linear congruential generator; its high bits.
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let drawn = (*state >> 16) % 640;
        if (*state >> 32) % SWING_STEPS == 0 {
            self.swung_percent = self.swings_percent - self.swung_percent;
        }
        self.slower_percent = self.swung_percent + if drawn < 10 { 50 } else { drawn % 11 };
    }
}
