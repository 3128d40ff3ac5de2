//! The processes of a run: one alone on each system, and groups of tenants, all kept between blocks.

mod start;

use crate::failure::Failure;
use crate::process::Process;
use crate::protocol::{Answer, Load, Task};
use crate::system::{Priority, Site, System, Tenant};
use fcsp_measure::clock::{NS_PER_MS, now_ns, sleep_until_ns};
use fcsp_measure::stats::Cumulative;
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

const GIB: u64 = 1 << 30;
/// How much longer than for an answer a worker may take to have its context.
const READY_FACTOR: u32 = 4;
/// A system whose processes hung so often is not tried any more.
const STRIKES_MAX: u32 = 3;
/// Between telling tenants that are ready to begin and their beginning.
const HEAD_START_NS: u64 = 5_000_000;
/// The shortest time that tenants work together: several rounds of whoever shares.
const TOGETHER_SECONDS_MIN: f64 = 0.125;
/// A group has worked so long before anything of it is measured, in a full run and in a quick one.
const WARM_SECONDS: [f64; 2] = [0.3, 0.1];
/// What a process has of the device before it asks for anything.
const CONTEXT_BYTES: u64 = 600 << 20;

/// What a run knows of its device.
#[derive(Clone, Debug, Default)]
pub(crate) struct Device {
    /// As the driver names it.
    pub(crate) name: String,
    /// How many there are.
    pub(crate) count: u32,
    /// Memory of the first.
    pub(crate) total_bytes: u64,
    /// In use on the first before the run, a context of its own not counted.
    pub(crate) others_bytes: u64,
    /// Multiprocessors of the first.
    pub(crate) multiprocessors: u32,
    /// What code is compiled for.
    pub(crate) architecture: String,
    /// The interface with its version, as `CUDA 13.0`.
    pub(crate) interface: String,
    /// The last cache before memory.
    pub(crate) cache_bytes: u64,
    /// Blocks that fill it.
    pub(crate) wave_blocks: u32,
    /// Whether it says that it is simulated.
    pub(crate) simulated: bool,
}

/// All processes of a run.
pub(crate) struct Lab {
    site: Site,
    /// The systems; native is the first.
    pub(crate) systems: Vec<System>,
    /// The device.
    pub(crate) device: Device,
    /// Set when the run is to end.
    pub(crate) stop: &'static AtomicBool,
    /// How long an answer may take beyond the work asked for.
    patience: Duration,
    iters_per_us: f64,
    /// How often a system's processes hung, and what was said of the last.
    strikes: Vec<(u32, String)>,
    solos: Vec<Option<Process>>,
    groups: HashMap<(usize, Vec<Tenant>), Group>,
    starts: start::Starts,
    /// How often a group was used.
    uses: u64,
    /// How long a group works before anything of it is measured.
    warm_seconds: f64,
    directories: u32,
    /// What groups did in a quick run, by what was asked for: the same is not done again for another metric.
    pub(crate) kept: HashMap<String, Shared>,
}

impl Lab {
    /// Opens the device natively and finds out how fast it is.
    pub(crate) fn open(
        site: Site,
        systems: Vec<System>,
        patience: Duration,
        quick: bool,
        stop: &'static AtomicBool,
    ) -> Result<Self, Failure> {
        let mut lab = Self {
            site,
            solos: systems.iter().map(|_| None).collect(),
            strikes: systems.iter().map(|_| (0, String::new())).collect(),
            systems,
            patience,
            device: Device::default(),
            stop,
            iters_per_us: 0.0,
            groups: HashMap::new(),
            starts: start::Starts::default(),
            uses: 0,
            warm_seconds: WARM_SECONDS[usize::from(quick)],
            directories: 0,
            kept: HashMap::new(),
        };
        let began = std::time::Instant::now();
        let mut native = lab.start(0, &lab.whole())?;
        let answer = native.ask(&Task::Describe, lab.ready_within(), lab.stop)?;
        lab.device = describe(&answer)?;
        lab.starts.seconds = began.elapsed().as_secs_f64();
        let answer = native.ask(&Task::Calibrate, lab.ready_within(), lab.stop)?;
        lab.iters_per_us = number(&answer, "iters_per_us")?;
        Ok(lab)
    }

    /// The tenant that has the device to itself. Its memory limit is there, so that its memory is counted.
    pub(crate) fn whole(&self) -> Tenant {
        Tenant {
            name: "alone".into(),
            compute_percent: 100,
            memory_bytes: match self.device.total_bytes {
                0 => 16 * GIB,
                total => (total / 2).min(24 * GIB),
            },
            priority: Priority::Normal,
        }
    }

    /// Tenants with that compute, named by their place, with an eighth of the memory each.
    pub(crate) fn tenants(&self, percents: &[u32]) -> Vec<Tenant> {
        percents
            .iter()
            .enumerate()
            .map(|(place, percent)| Tenant {
                name: format!("tenant-{place}"),
                compute_percent: *percent,
                memory_bytes: (self.device.total_bytes / 8).min(4 * GIB),
                priority: Priority::Normal,
            })
            .collect()
    }

    /// Where everything runs.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    fn directory(&mut self) -> Result<PathBuf, Failure> {
        let directory = self.site.scratch.join(self.directories.to_string());
        self.directories += 1;
        let made = std::fs::create_dir_all(&directory)
            // The operator's policy is not for the tenants of a benchmark.
            .and_then(|()| {
                std::fs::write(
                    directory.join("policy.toml"),
                    "# The limits are in the environment.\n",
                )
            });
        made.map_err(|error| {
            Failure::failed(format!("cannot make {}: {error}", directory.display()))
        })?;
        Ok(directory)
    }

    fn start(&mut self, system: usize, tenant: &Tenant) -> Result<Process, Failure> {
        let directory = self.directory()?;
        self.start_in(system, tenant, &directory)
    }

    fn start_in(
        &self,
        system: usize,
        tenant: &Tenant,
        directory: &std::path::Path,
    ) -> Result<Process, Failure> {
        self.given_up(system)?;
        let system = &self.systems[system];
        let name = format!("{} of {}", tenant.name, system.name());
        Process::start(&name, &mut system.command(&self.site, tenant, directory))
    }

    fn ready_within(&self) -> Duration {
        self.patience * READY_FACTOR
    }

    /// Notes that a process of a system hung. After some times none is started any more, so that waiting for them does not
    /// take up the whole run.
    pub(crate) fn strike(&mut self, system: usize, reason: &str) {
        let (count, last) = &mut self.strikes[system];
        *count += 1;
        reason.clone_into(last);
    }

    /// An error if a system has hung too often.
    fn given_up(&self, system: usize) -> Result<(), Failure> {
        let (count, last) = &self.strikes[system];
        match *count >= STRIKES_MAX {
            true => Err(Failure::failed(format!(
                "given up, since tenants hung {count} times; the last: {last}"
            ))),
            false => Ok(()),
        }
    }

    /// A fresh process of that tenant that nobody keeps, in a directory of its own.
    pub(crate) fn fresh(&mut self, system: usize, tenant: &Tenant) -> Result<Process, Failure> {
        self.start(system, tenant)
    }

    /// Brings a process so far that it can work.
    pub(crate) fn make_ready(&self, process: &mut Process) -> Result<Answer, Failure> {
        let answer = process.ask(&Task::Describe, self.ready_within(), self.stop)?;
        let pace = Task::Pace {
            iters_per_us: self.iters_per_us,
        };
        process.ask(&pace, self.patience, self.stop)?;
        Ok(answer)
    }

    /// Asks the process that is alone on a system, which is started if there is none.
    pub(crate) fn solo(
        &mut self,
        system: usize,
        task: &Task,
        seconds: f64,
    ) -> Result<Answer, Failure> {
        let within = self.patience + Duration::from_secs_f64(seconds);
        let stop = self.stop;
        self.with_solo(system, |process| process.ask(task, within, stop))
    }

    /// Gives it a load for so long, and for half as long before that.
    pub(crate) fn solo_load(
        &mut self,
        system: usize,
        load: &Load,
        seconds: f64,
    ) -> Result<Shared, Failure> {
        let span = Span {
            lead_seconds: seconds / 2.0,
            seconds: seconds.max(TOGETHER_SECONDS_MIN),
        };
        let (patience, stop) = (self.patience, self.stop);
        self.with_solo(system, |process| {
            let (members, loads) = (std::slice::from_mut(process), std::slice::from_ref(load));
            run(members, loads, span, patience, stop)
        })
    }

    fn with_solo<T>(
        &mut self,
        system: usize,
        act: impl FnOnce(&mut Process) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.starts.solo = true;
        if self.solos[system].is_none() {
            self.start_solo(system)?;
        }
        let Some(process) = &mut self.solos[system] else {
            return Err(Failure::failed("the process was started and is not there"));
        };
        let result = act(process);
        if matches!(result, Err(Failure::Failed(_) | Failure::Hung(_))) {
            // Whatever it is in, the next metric gets a new one.
            self.solos[system] = None;
        }
        result
    }

    /// A group of tenants of a system, which know of each other and of nobody else.
    pub(crate) fn group(
        &mut self,
        system: usize,
        tenants: &[Tenant],
    ) -> Result<&mut Group, Failure> {
        self.starts.note(tenants);
        self.group_at((system, tenants.to_vec()))
    }

    /// A group of native's which no other system needs because of it.
    pub(crate) fn group_of_native(&mut self, tenants: &[Tenant]) -> Result<&mut Group, Failure> {
        self.group_at((0, tenants.to_vec()))
    }

    fn group_at(&mut self, key: (usize, Vec<Tenant>)) -> Result<&mut Group, Failure> {
        if !self.groups.contains_key(&key) {
            self.start_group(&key)?;
        }
        self.uses += 1;
        let group = self
            .groups
            .get_mut(&key)
            .ok_or_else(|| Failure::failed("the group was made and is not there"))?;
        group.used = self.uses;
        Ok(group)
    }

    /// A process more in the place of a member that is gone, of the same tenant or of another.
    pub(crate) fn join(
        &self,
        system: usize,
        tenant: &Tenant,
        directory: &std::path::Path,
    ) -> Result<Process, Failure> {
        self.start_in(system, tenant, directory)
    }

    /// Ends a group; the next who asks for it gets a new one.
    pub(crate) fn drop_group(&mut self, system: usize, tenants: &[Tenant]) {
        self.groups.remove(&(system, tenants.to_vec()));
    }

    /// Ends all processes of a system after a failure, since nobody knows what they are in.
    pub(crate) fn drop_all(&mut self, system: usize) {
        self.solos[system] = None;
        self.groups.retain(|(owner, _), _| *owner != system);
    }

    /// Whether a fresh process can open the device without any system.
    pub(crate) fn device_is_there(&mut self) -> Result<(), Failure> {
        let directory = self.directory()?;
        let mut command = self.systems[0].command(&self.site, &self.whole(), &directory);
        let mut process = Process::start("a fresh process", &mut command)?;
        process
            .ask(&Task::Describe, self.ready_within(), self.stop)
            .map(drop)
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let groups = self.groups.values_mut();
        let members = groups.flat_map(|group| &mut group.members);
        for process in members.chain(self.solos.iter_mut().flatten()) {
            process.doom();
        }
    }
}

/// Tenants of one system that know of each other.
pub(crate) struct Group {
    /// Whose processes, in the order of the members.
    pub(crate) tenants: Vec<Tenant>,
    /// Their processes.
    pub(crate) members: Vec<Process>,
    /// What they share.
    pub(crate) directory: PathBuf,
    /// When it was used last, in uses of any group.
    used: u64,
    /// For how long its members were given loads.
    worked_seconds: f64,
    /// For how long they have to before anything is measured.
    warm_seconds: f64,
    patience: Duration,
    stop: &'static AtomicBool,
}

/// What came of a group's work between two moments.
#[derive(Clone)]
pub(crate) struct Shared {
    /// Answers of the members.
    pub(crate) answers: Vec<Answer>,
    /// Their progress.
    pub(crate) curves: Vec<Cumulative>,
    /// When what is measured begins: some time after the beginning.
    pub(crate) from_ns: u64,
    /// When it ends.
    pub(crate) to_ns: u64,
}

impl Shared {
    /// Progress a nanosecond of each.
    pub(crate) fn rates(&self) -> Vec<f64> {
        self.curves
            .iter()
            .map(|curve| curve.rate(self.from_ns, self.to_ns))
            .collect()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Drivers take their time to end a process: all of them are told before the first is waited for.
        for member in &mut self.members {
            member.doom();
        }
    }
}

/// Tenants that take turns do so in periods that divide this, as far as is known: a part of a period would tell where
/// it began.
const PERIODS_NS: u64 = 100 * NS_PER_MS;

/// Of that long a load, what is measured.
fn measured_ns(seconds: f64) -> u64 {
    let most_ns = (seconds * 0.8e9).round() as u64;
    (most_ns / PERIODS_NS).max(1) * PERIODS_NS
}

/// How long members work.
#[derive(Clone, Copy)]
struct Span {
    /// Before anything counts.
    lead_seconds: f64,
    /// Steps of all of this count; of work, whole tenths of a second at its end.
    seconds: f64,
}

/// Gives each process a load, all at the same moment.
fn run(
    members: &mut [Process],
    loads: &[Load],
    span: Span,
    patience: Duration,
    stop: &AtomicBool,
) -> Result<Shared, Failure> {
    let asked_ns = now_ns();
    // What they need is there before the first begins: memory that is pinned or filled takes longer than messages.
    for (member, load) in members.iter_mut().zip(loads) {
        member.send(&Task::Prepare { load: load.clone() })?;
    }
    for (member, _) in members.iter_mut().zip(loads) {
        member.receive(patience, stop)?;
    }
    let prepared_ns = now_ns();
    let begin_ns = prepared_ns + HEAD_START_NS;
    let counts_from_ns = begin_ns + (span.lead_seconds * 1e9) as u64;
    let to_ns = counts_from_ns + (span.seconds * 1e9) as u64;
    let from_ns = to_ns - measured_ns(span.seconds);
    for (member, _) in members.iter_mut().zip(loads) {
        member.send(&Task::Run {
            from_ns: begin_ns,
            counts_from_ns,
            to_ns,
        })?;
    }
    let within = patience + Duration::from_secs_f64(span.lead_seconds + span.seconds);
    let mut answers = Vec::new();
    for (member, _) in members.iter_mut().zip(loads) {
        answers.push(member.receive(within, stop)?);
    }
    tracing::debug!(
        "{} at work: {} ms to prepare, {} ms of {} ms",
        answers.len(),
        (prepared_ns - asked_ns) / NS_PER_MS,
        (now_ns() - prepared_ns) / NS_PER_MS,
        (to_ns - prepared_ns) / NS_PER_MS,
    );
    let curves = answers
        .iter_mut()
        .map(|answer| Cumulative::new(std::mem::take(&mut answer.points)))
        .collect();
    Ok(Shared {
        answers,
        curves,
        from_ns,
        to_ns,
    })
}

impl Group {
    /// Gives each member a load, all at the same moment, for so long (0.125 s at least). Whole tenths of a second are
    /// measured, the last ones; at least a fifth before them is not, and more of it the first time: what a system has yet
    /// to learn of programs is no part of what it gives them.
    pub(crate) fn run(&mut self, loads: &[Load], seconds: f64) -> Result<Shared, Failure> {
        let seconds = seconds.max(TOGETHER_SECONDS_MIN);
        let lead_seconds = (self.warm_seconds - self.worked_seconds).max(0.0);
        self.worked_seconds += seconds + lead_seconds;
        let span = Span {
            lead_seconds,
            seconds,
        };
        run(&mut self.members, loads, span, self.patience, self.stop)
    }

    /// Tells a member to work until then, as soon as it has what it needs, and does not wait for its answer.
    pub(crate) fn begin(&mut self, member: usize, load: Load, to_ns: u64) -> Result<(), Failure> {
        let member = &mut self.members[member];
        member.ask(&Task::Prepare { load }, self.patience, self.stop)?;
        member.send(&Task::Run {
            from_ns: 0,
            counts_from_ns: 0,
            to_ns,
        })
    }

    /// The answer to [`Group::begin`].
    pub(crate) fn finish(&mut self, member: usize, seconds: f64) -> Result<Answer, Failure> {
        let within = self.patience + Duration::from_secs_f64(seconds);
        self.members[member].receive(within, self.stop)
    }

    /// Asks one member while the others do what they do.
    pub(crate) fn ask(
        &mut self,
        member: usize,
        task: &Task,
        seconds: f64,
    ) -> Result<Answer, Failure> {
        let within = self.patience + Duration::from_secs_f64(seconds);
        self.members[member].ask(task, within, self.stop)
    }
}

/// Waits until then, and looks whether the run is to end.
pub(crate) fn pause_until(at_ns: u64, stop: &AtomicBool) -> Result<(), Failure> {
    while now_ns() < at_ns {
        if stop.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(Failure::Interrupted);
        }
        sleep_until_ns(at_ns.min(now_ns() + 50_000_000));
    }
    Ok(())
}

/// The one figure of that name.
pub(crate) fn number(answer: &Answer, name: &str) -> Result<f64, Failure> {
    numbers(answer, name)?
        .first()
        .copied()
        .ok_or_else(|| Failure::failed(format!("a tenant's answer has no {name}")))
}

/// All figures of that name.
pub(crate) fn numbers<'a>(answer: &'a Answer, name: &str) -> Result<&'a [f64], Failure> {
    answer
        .numbers
        .get(name)
        .map(Vec::as_slice)
        .ok_or_else(|| Failure::failed(format!("a tenant's answer has no {name}")))
}

/// The part of its time for which a program with a load may be without a processor: beyond it, what it did tells of the host.
const QUEUED_MAX: f64 = 0.5;

/// Whether a program with a load waited for a processor for so much of its time that what it did tells of the host.
pub(crate) fn starved(answer: &Answer) -> Result<bool, Failure> {
    Ok(number(answer, "queued_us")? > QUEUED_MAX * number(answer, "wall_us")?)
}

fn describe(answer: &Answer) -> Result<Device, Failure> {
    let text = |name| answer.texts.get(name).cloned().unwrap_or_default();
    let name: String = text("name");
    Ok(Device {
        simulated: name.to_lowercase().contains("simulated"),
        name,
        count: number(answer, "devices")? as u32,
        total_bytes: number(answer, "total_bytes")? as u64,
        others_bytes: ((number(answer, "total_bytes")? - number(answer, "free_bytes")?) as u64)
            .saturating_sub(CONTEXT_BYTES),
        multiprocessors: number(answer, "multiprocessors")? as u32,
        architecture: text("architecture"),
        interface: text("interface"),
        cache_bytes: number(answer, "cache_bytes")? as u64,
        wave_blocks: number(answer, "wave_blocks")? as u32,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_periods_are_measured_and_a_fifth_before_them_is_not() {
        for (seconds, tenths) in [(0.125, 1), (0.2, 1), (0.25, 2), (0.38, 3), (1.0, 8)] {
            assert_eq!(measured_ns(seconds), tenths * PERIODS_NS, "{seconds} s");
        }
    }
}
