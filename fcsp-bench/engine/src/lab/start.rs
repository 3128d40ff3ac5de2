//! Starting processes: a driver takes up to a second to open a device, so what several systems need is started together.
//!
//! What a metric needs is not declared anywhere. The first system's turn shows it, and before the next one's turn all others
//! get the same, a few at a time and while nothing is measured.

use super::{CONTEXT_BYTES, Group, Lab};
use crate::failure::Failure;
use crate::metrics::order::Set;
use crate::process::Process;
use crate::protocol::Task;
use crate::system::Tenant;
use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::time::Instant;

/// Most processes in groups: as many as the largest metric wants of five systems, within what a simulated device can have.
const MEMBERS_MAX: u64 = 48;
/// The part of the device that is for what processes have of it before they ask for anything.
const CONTEXTS_PART: u64 = 3;
/// How many open the device at once. On an H200 one process alone took 0.23 s for that, 4 or 8 at once 0.13 s each, 16 0.14 s and
/// 32 0.17 s (docs/results/h200-2026-11-27-evening).
const OPENING_MAX: usize = 4;

/// Whose processes: a system, and its tenants that know of each other; none for the process that is alone.
type Wanted = (usize, Option<Vec<Tenant>>);

/// What the metric that is measured has asked for, and how starting went.
#[derive(Default)]
pub(super) struct Starts {
    /// From starting a process to its context, with nobody beside it.
    pub(super) seconds: f64,
    /// Whether a process alone was asked for.
    pub(super) solo: bool,
    groups: Vec<Vec<Tenant>>,
    /// What did not come up, for whoever asks for it.
    failed: HashMap<Wanted, Failure>,
}

impl Starts {
    /// Notes that such a group was asked for.
    pub(super) fn note(&mut self, tenants: &[Tenant]) {
        if !self.groups.iter().any(|known| known == tenants) {
            self.groups.push(tenants.to_vec());
        }
    }
}

/// Processes that are being started.
struct Starting {
    wanted: Wanted,
    tenants: Vec<Tenant>,
    directory: PathBuf,
    members: Vec<Process>,
    /// How many of them have opened the device.
    open: usize,
}

impl Starting {
    fn of(lab: &Lab, wanted: Wanted) -> Self {
        let alone = || vec![lab.whole()];
        Self {
            tenants: wanted.1.clone().unwrap_or_else(alone),
            wanted,
            directory: PathBuf::new(),
            members: Vec::new(),
            open: 0,
        }
    }
}

impl Lab {
    /// How long a process of its own takes to have its context.
    pub(crate) fn start_seconds(&self) -> f64 {
        self.starts.seconds
    }

    /// Forgets what earlier metrics asked for.
    pub(crate) fn begin_metric(&mut self) {
        let seconds = self.starts.seconds;
        self.starts = Starts {
            seconds,
            ..Starts::default()
        };
    }

    /// Gives these systems what others asked for in this metric and they lack, as far as there is room for it.
    pub(crate) fn start_alike(&mut self, systems: &[usize]) {
        let mut wanted: Vec<Wanted> = Vec::new();
        if self.starts.solo {
            wanted.extend(systems.iter().map(|system| (*system, None)));
        }
        for tenants in &self.starts.groups {
            wanted.extend(
                systems
                    .iter()
                    .map(|system| (*system, Some(tenants.clone()))),
            );
        }
        wanted.retain(|wanted| !self.is_there(wanted) && !self.starts.failed.contains_key(wanted));
        let most = self.members_max();
        let mut room = most.saturating_sub(self.members_of_metric());
        wanted.retain(|(_, tenants)| {
            let count = tenants.as_ref().map_or(0, Vec::len);
            let fits = count <= room;
            room -= if fits { count } else { 0 };
            fits
        });
        self.start_together(wanted);
    }

    /// Checks begin with the same group for all systems.
    pub(crate) fn start_groups(&mut self, systems: &[usize], tenants: &[Tenant]) {
        self.starts.note(tenants);
        self.start_alike(systems);
    }

    /// Ends what this metric keeps, so that its next block begins with new processes.
    pub(crate) fn renew(&mut self) {
        let solo = self.starts.solo;
        let groups = self.starts.groups.clone();
        self.end(solo, |_, _, tenants| groups.iter().any(|it| it == tenants));
    }

    /// Ends what no later metric needs.
    pub(crate) fn keep_only(&mut self, later: &[Set]) {
        let solo = !later.contains(&Set::Solo);
        self.end(solo, |lab, system, tenants| {
            !later.iter().any(|set| set.has(lab, system, tenants))
        });
    }

    /// Ends what is alone on systems, and groups.
    fn end(&mut self, solo: bool, is_over: impl Fn(&Self, usize, &[Tenant]) -> bool) {
        let keys = self.groups.keys();
        let over: Vec<_> = keys
            .filter(|(system, tenants)| is_over(self, *system, tenants))
            .cloned()
            .collect();
        let mut groups: Vec<Group> = over
            .iter()
            .filter_map(|key| self.groups.remove(key))
            .collect();
        let mut solos: Vec<Process> = match solo {
            true => self.solos.iter_mut().filter_map(Option::take).collect(),
            false => Vec::new(),
        };
        // Drivers take their time to end a process: all of them are told before the first is waited for.
        let members = groups.iter_mut().flat_map(|group| &mut group.members);
        let ended = members.chain(&mut solos).map(Process::doom).count();
        if ended > 0 {
            let began = Instant::now();
            drop((groups, solos));
            tracing::debug!("{ended} processes ended in {:.2?}", began.elapsed());
        }
    }

    /// Starts the process that is alone on a system.
    pub(super) fn start_solo(&mut self, system: usize) -> Result<(), Failure> {
        self.start_one((system, None))
    }

    /// Starts a group.
    pub(super) fn start_group(&mut self, key: &(usize, Vec<Tenant>)) -> Result<(), Failure> {
        self.start_one((key.0, Some(key.1.clone())))
    }

    fn start_one(&mut self, wanted: Wanted) -> Result<(), Failure> {
        if let Some(failure) = self.starts.failed.remove(&wanted) {
            return Err(failure);
        }
        self.start_together(vec![wanted.clone()]);
        match self.starts.failed.remove(&wanted) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn is_there(&self, (system, tenants): &Wanted) -> bool {
        match tenants {
            None => self.solos[*system].is_some(),
            Some(tenants) => self.groups.contains_key(&(*system, tenants.clone())),
        }
    }

    /// Starts all of these. What does not come up is among the failed.
    fn start_together(&mut self, wanted: Vec<Wanted>) {
        if wanted.is_empty() {
            return;
        }
        let more = wanted.iter().filter_map(|it| it.1.as_ref()).map(Vec::len);
        self.make_room(more.sum());
        let began = Instant::now();
        let mut processes = 0;
        let mut all: Vec<Option<Starting>> = Vec::new();
        // Whose members open the device, in the order in which they began.
        let mut opening = VecDeque::new();
        for (at, wanted) in wanted.into_iter().enumerate() {
            let mut starting = Some(Starting::of(self, wanted));
            self.step(&mut starting, Self::prepare);
            let count = starting.as_ref().map_or(0, |it| it.tenants.len());
            processes += count;
            all.push(starting);
            for _ in 0..count {
                if opening.len() == OPENING_MAX
                    && let Some(oldest) = opening.pop_front()
                {
                    self.step(&mut all[oldest], Self::await_open);
                }
                self.step(&mut all[at], Self::begin);
                opening.push_back(at);
            }
        }
        for at in opening {
            self.step(&mut all[at], Self::await_open);
        }
        for starting in &mut all {
            self.step(starting, Self::finish);
        }
        tracing::debug!("{processes} processes started in {:.2?}", began.elapsed());
    }

    /// Goes a step on with starting, unless an earlier one failed.
    fn step(
        &mut self,
        starting: &mut Option<Starting>,
        step: fn(&mut Self, &mut Starting) -> Result<(), Failure>,
    ) {
        if let Some(it) = starting
            && let Err(failure) = step(self, it)
        {
            self.starts.failed.insert(it.wanted.clone(), failure);
            *starting = None;
        }
    }

    fn prepare(&mut self, starting: &mut Starting) -> Result<(), Failure> {
        starting.directory = self.directory()?;
        Ok(())
    }

    /// Starts the next member and tells it to open the device.
    fn begin(&mut self, starting: &mut Starting) -> Result<(), Failure> {
        let tenant = &starting.tenants[starting.members.len()];
        let mut member = self.start_in(starting.wanted.0, tenant, &starting.directory)?;
        member.send(&Task::Describe)?;
        starting.members.push(member);
        Ok(())
    }

    /// Waits until the first member that has been told to has opened it.
    fn await_open(&mut self, starting: &mut Starting) -> Result<(), Failure> {
        starting.members[starting.open].receive(self.ready_within(), self.stop)?;
        starting.open += 1;
        Ok(())
    }

    /// Tells them what they have to know, and keeps them.
    fn finish(&mut self, starting: &mut Starting) -> Result<(), Failure> {
        let pace = Task::Pace {
            iters_per_us: self.iters_per_us,
        };
        let (system, wanted) = starting.wanted.clone();
        for member in &mut starting.members {
            member.ask(&pace, self.patience, self.stop)?;
            if wanted.is_none() {
                member.ask(&Task::Pin { place: 0 }, self.patience, self.stop)?;
            }
        }
        let mut members = std::mem::take(&mut starting.members);
        match wanted {
            None => self.solos[system] = members.pop(),
            Some(tenants) => {
                let group = Group {
                    used: self.uses,
                    worked_seconds: 0.0,
                    warm_seconds: self.warm_seconds,
                    patience: self.patience,
                    tenants: tenants.clone(),
                    members,
                    directory: std::mem::take(&mut starting.directory),
                    stop: self.stop,
                };
                self.groups.insert((system, tenants), group);
            }
        }
        Ok(())
    }

    /// How many processes groups may have together.
    fn members_max(&self) -> usize {
        let fit = self.device.total_bytes / CONTEXTS_PART / CONTEXT_BYTES;
        fit.min(MEMBERS_MAX) as usize
    }

    /// How many processes there are in groups that this metric asked for.
    fn members_of_metric(&self) -> usize {
        let of_metric = |tenants: &Vec<Tenant>| self.starts.groups.contains(tenants);
        let groups = self.groups.iter().filter(|(key, _)| of_metric(&key.1));
        groups.map(|(_, group)| group.members.len()).sum()
    }

    /// Ends groups that nobody has used for longest, those of other metrics first, so that there is room for so many
    /// processes more.
    fn make_room(&mut self, more: usize) {
        let most = self.members_max();
        let mut over = Vec::new();
        let mut count: usize = self.groups.values().map(|it| it.members.len()).sum();
        while count + more > most {
            let oldest = self
                .groups
                .iter()
                .filter(|(key, _)| !over.contains(*key))
                .min_by_key(|(key, group)| (self.starts.groups.contains(&key.1), group.used));
            let Some((key, group)) = oldest else {
                break;
            };
            count -= group.members.len();
            over.push(key.clone());
        }
        self.end(false, |_, system, tenants| {
            over.iter().any(|key| key.0 == system && key.1 == tenants)
        });
    }
}
