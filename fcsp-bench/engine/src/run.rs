//! A run: checks first, then metric by metric, in which the systems take turns block by block.

use crate::assemble::{Taken, assemble};
use crate::budget::{Budget, Device, Planned, least_blocks, planned_blocks};
use crate::driver::Vendor;
use crate::failure::Failure;
use crate::gate;
use crate::host;
use crate::lab::Lab;
use crate::metrics::order::{self, Set};
use crate::metrics::{self, Measure};
use crate::process;
use crate::system::{Site, System};
use crate::turn::{End, Turn};
use fcsp_bench_report::catalogue::Definition;
use fcsp_bench_report::model::{self, Cut, FORMAT, Metric, Report, State, Validity};
use std::collections::HashMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant, SystemTime};

/// What is to be measured, and where.
#[derive(Clone, Debug)]
pub struct Asked {
    /// Where everything runs.
    pub site: Site,
    /// The systems beside native, which always runs.
    pub systems: Vec<System>,
    /// The metrics, in the catalogue's order.
    pub chosen: Vec<&'static Definition>,
    /// The patterns that chose them.
    pub only: Vec<String>,
    /// A fraction of the samples.
    pub quick: bool,
    /// How long a tenant may be silent beyond the work it was asked for.
    pub patience: Duration,
    /// The version of the program that runs.
    pub version: String,
}

/// What happens in a run, for who watches it.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// The device is open; so much is planned.
    Begins {
        /// The device's name.
        device: &'a str,
        /// How long all of it should take.
        seconds: f64,
    },
    /// Somebody else holds that much of the device's memory, and may use the device too.
    Crowded {
        /// How much.
        bytes: u64,
    },
    /// A system's limits are checked.
    Checks {
        /// Which system.
        system: &'a str,
    },
    /// They have been.
    Checked {
        /// Which system.
        system: &'a str,
        /// What was found.
        validity: &'a Validity,
    },
    /// A block begins.
    Block {
        /// Of which metric.
        metric: &'static Definition,
        /// Of which system.
        system: &'a str,
        /// Which, from 0.
        block: u32,
        /// Of how many.
        blocks: u32,
        /// How long all that is left should take.
        seconds_left: f64,
    },
    /// A metric is done, or will not be.
    Done {
        /// Of which system.
        system: &'a str,
        /// What was found.
        metric: &'a Metric,
    },
    /// The device cannot be opened any more; what was measured is kept.
    Gone {
        /// Why.
        reason: &'a str,
    },
}

/// What is in use before anything runs and is nobody's: the driver's own.
const OTHERS_BYTES_MAX: u64 = 1 << 30;

/// Measures. `stop` ends it early, from any thread or signal handler; what was measured by then is in the report.
///
/// Must be called on a thread that lives as long as the process, best the first: workers end with it.
///
/// # Errors
/// The device cannot be opened, so there is nothing to report.
pub fn run(
    asked: Asked,
    stop: &'static AtomicBool,
    tell: &mut dyn FnMut(Event<'_>),
) -> Result<Report, String> {
    let began = Instant::now();
    let started = SystemTime::now();
    let mut systems = vec![System::native()];
    systems.extend(asked.systems.iter().cloned());
    process::adopt_strays();
    let lab = Lab::open(
        asked.site.clone(),
        systems,
        asked.patience,
        asked.quick,
        stop,
    )
    .map_err(|failure| failure.to_string())?;
    let ordered = order::ordered(&asked.chosen);
    let found: Vec<Found> = lab.systems.iter().map(|_| Found::default()).collect();
    let budget = budget(began, &ordered, &lab, &found, asked.quick);
    tell(Event::Begins {
        device: &lab.device.name,
        seconds: budget.expected_seconds(),
    });
    if lab.device.others_bytes > OTHERS_BYTES_MAX {
        tell(Event::Crowded {
            bytes: lab.device.others_bytes,
        });
    }
    let mut run = Run {
        found,
        lab,
        asked,
        ordered,
        budget,
        cut: Vec::new(),
        alone: HashMap::new(),
        recoveries: HashMap::new(),
        ended: None,
    };
    run.check(tell);
    // What does not hold takes no time.
    run.budget = self::budget(began, &run.ordered, &run.lab, &run.found, run.asked.quick);
    run.measure(tell);
    let Run {
        lab,
        found,
        asked,
        ended,
        cut,
        ..
    } = run;
    let device = lab.device.clone();
    let vendor = lab.site().vendor;
    let systems = lab
        .systems
        .iter()
        .zip(found)
        .map(|(system, found)| found.into_system(system, &asked, ended.as_ref(), started))
        .collect();
    drop(lab);
    process::end_strays();
    Ok(Report {
        format: FORMAT,
        fcsp_version: asked.version.clone(),
        started: humantime::format_rfc3339_seconds(started).to_string(),
        quick: asked.quick,
        only: asked.only,
        duration_seconds: began.elapsed().as_secs_f64(),
        simulated: device.simulated,
        interrupted: ended.is_some(),
        cut,
        gpu: model::Gpu {
            name: device.name.clone(),
            count: device.count,
            memory_bytes: device.total_bytes,
            multiprocessors: device.multiprocessors,
            compute_capability: match vendor {
                Vendor::Nvidia => device.architecture.clone(),
                Vendor::Amd | Vendor::Intel => String::new(),
            },
            architecture: device.architecture.clone(),
            interface: device.interface.clone(),
            driver: match device.simulated {
                true => String::new(),
                false => host::driver_version(vendor),
            },
            cuda: match device.interface.strip_prefix("CUDA ") {
                Some(version) => version.to_owned(),
                None => String::new(),
            },
            processor: host::processor(),
            cores: host::cores(),
        },
        systems,
    })
}

/// The time of a run with what is known of its systems so far.
fn budget(
    began: Instant,
    ordered: &[&'static Definition],
    lab: &Lab,
    found: &[Found],
    quick: bool,
) -> Budget {
    let planned: Vec<Planned> = ordered
        .iter()
        .map(|definition| {
            let systems = lab.systems.iter().zip(found);
            let takes_part = |(system, found): &(&System, &Found)| {
                let measure = metrics::find(definition.id);
                measure.is_some_and(|measure| (measure.who)(system).is_ok())
                    && found.not_valid(definition.id).is_none()
            };
            Planned {
                definition,
                systems: systems.filter(takes_part).count(),
            }
        })
        .collect();
    let device = Device {
        count: lab.device.count,
        start_seconds: lab.start_seconds(),
    };
    Budget::new(began, &planned, lab.systems.len(), device, quick)
}

/// Why a run ended before everything was measured.
enum Ended {
    Interrupted,
    Gone(String),
}

/// What was found of one system.
#[derive(Default)]
struct Found {
    validity: Option<Validity>,
    metrics: Vec<Metric>,
    began: Option<SystemTime>,
    seconds: f64,
}

struct Run {
    lab: Lab,
    asked: Asked,
    /// The metrics, as they run.
    ordered: Vec<&'static Definition>,
    found: Vec<Found>,
    budget: Budget,
    /// What had fewer blocks than planned.
    cut: Vec<Cut>,
    /// What loads reach natively and alone, by the load and the block.
    alone: HashMap<(String, u32), f64>,
    /// How long after such an end the next process of a system could work, by system and block, in microseconds.
    recoveries: HashMap<(usize, End, u32), f64>,
    ended: Option<Ended>,
}

impl Run {
    fn check(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        // Native is the first.
        let checked: Vec<usize> = (1..self.lab.systems.len())
            .filter(|system| !self.lab.systems[*system].is_native())
            .collect();
        gate::start(&mut self.lab, &checked);
        for system in checked {
            let name = self.lab.systems[system].name().to_owned();
            tell(Event::Checks { system: &name });
            match gate::check(&mut self.lab, system, self.asked.quick) {
                Ok(validity) => {
                    tell(Event::Checked {
                        system: &name,
                        validity: &validity,
                    });
                    self.found[system].validity = Some(validity);
                }
                Err(_) => {
                    self.ended = Some(Ended::Interrupted);
                    return;
                }
            }
        }
    }

    fn measure(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        let ordered = self.ordered.clone();
        let quick = self.asked.quick;
        for (place, definition) in ordered.iter().enumerate() {
            if self.ended.is_some() {
                return;
            }
            let later: Vec<Set> = ordered[place..]
                .iter()
                .flat_map(|it| order::needs(it.id, quick))
                .collect();
            self.lab.keep_only(&later);
            let Some(measure) = metrics::find(definition.id) else {
                continue;
            };
            let taken = self.metric(place, definition, measure, tell);
            for (system, metric) in assemble(definition, measure, taken).into_iter().enumerate() {
                tell(Event::Done {
                    system: self.lab.systems[system].name(),
                    metric: &metric,
                });
                self.found[system].metrics.push(metric);
            }
        }
    }

    /// All blocks of a metric, of all systems in turn.
    fn metric(
        &mut self,
        place: usize,
        definition: &'static Definition,
        measure: &Measure,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Vec<Taken> {
        let count = self.lab.systems.len();
        let quick = self.asked.quick;
        let blocks = planned_blocks(definition, quick);
        let seconds = measure.block_seconds(quick);
        let mut share = self.budget.share(place);
        let mut done = 0;
        if !quick {
            self.alone.clear();
        }
        self.lab.begin_metric();
        let mut taken: Vec<Taken> = (0..count).map(|_| Taken::default()).collect();
        for (system, taken) in taken.iter_mut().enumerate() {
            taken.failure = match (measure.who)(&self.lab.systems[system]) {
                Ok(()) => self.found[system].not_valid(definition.id),
                Err(reason) => Some(State::NotRun {
                    reason: reason.to_owned(),
                }),
            };
        }
        let uncounted = measure.uncounted(quick);
        'blocks: for round in 0..uncounted + blocks {
            let (block, counts) = (round.saturating_sub(uncounted), round >= uncounted);
            let all_failed = taken.iter().all(|taken| taken.failure.is_some());
            if all_failed || !self.budget.has_time(&mut share, block) {
                break;
            }
            if measure.renews(block, quick) {
                self.lab.renew();
            }
            for turn in 0..count {
                // Each block begins with another system, so that none is always first.
                let system = (turn + block as usize) % count;
                if taken[system].failure.is_some() {
                    continue;
                }
                let left = f64::from(blocks - block) - turn as f64 / count as f64;
                tell(Event::Block {
                    metric: definition,
                    system: self.lab.systems[system].name(),
                    block,
                    blocks,
                    seconds_left: left * self.budget.round_seconds(place)
                        + self.budget.seconds_after(place),
                });
                let to_come: Vec<usize> = (turn..count)
                    .map(|turn| (turn + block as usize) % count)
                    .filter(|system| taken[*system].failure.is_none())
                    .collect();
                let began = Instant::now();
                self.lab.start_alike(&to_come);
                // It is for all of them.
                let started = began.elapsed().as_secs_f64() / to_come.len() as f64;
                for system in to_come {
                    taken[system].seconds += started;
                }
                let began = Instant::now();
                self.found[system].began.get_or_insert_with(SystemTime::now);
                let result = (measure.block)(&mut Turn {
                    lab: &mut self.lab,
                    index: system,
                    block,
                    quick,
                    seconds,
                    alone: &mut self.alone,
                    recoveries: &mut self.recoveries,
                });
                let seconds = began.elapsed().as_secs_f64();
                self.found[system].seconds += seconds;
                taken[system].seconds += seconds;
                let hung = matches!(result, Err(Failure::Hung(_)));
                match result {
                    Ok(result) if counts => taken[system].blocks.push((block, result)),
                    Ok(_) => {}
                    Err(Failure::Interrupted) => {
                        self.ended = Some(Ended::Interrupted);
                        break 'blocks;
                    }
                    Err(Failure::NotRun(reason)) => {
                        taken[system].failure = Some(State::NotRun { reason });
                    }
                    Err(Failure::Failed(reason) | Failure::Hung(reason)) => {
                        if hung {
                            self.lab.strike(system, &reason);
                        }
                        taken[system].failure = Some(State::Failed { reason });
                        self.lab.drop_all(system);
                        if self.is_gone(tell) {
                            break 'blocks;
                        }
                    }
                }
            }
            done = block + u32::from(counts);
        }
        self.budget.end(&share, done);
        let goes_on = taken.iter().any(|taken| taken.failure.is_none());
        if done < blocks && goes_on && self.ended.is_none() {
            self.cut.push(Cut {
                id: definition.id.to_owned(),
                blocks: done,
                planned: blocks,
            });
        }
        if self.ended.is_some() {
            for taken in &mut taken {
                let least = least_blocks(definition, quick) as usize;
                if taken.failure.is_none() && taken.blocks.len() < least {
                    taken.failure = Some(self.unfinished());
                }
            }
        }
        taken
    }

    /// Whether the device itself is the reason that something failed.
    fn is_gone(&mut self, tell: &mut dyn FnMut(Event<'_>)) -> bool {
        match self.lab.device_is_there() {
            Ok(()) => false,
            Err(Failure::Interrupted) => {
                self.ended = Some(Ended::Interrupted);
                true
            }
            Err(failure) => {
                let reason = failure.to_string();
                tell(Event::Gone { reason: &reason });
                self.ended = Some(Ended::Gone(reason));
                true
            }
        }
    }

    fn unfinished(&self) -> State {
        unfinished(self.ended.as_ref())
    }
}

/// The state of what a run that ended early did not come to.
fn unfinished(ended: Option<&Ended>) -> State {
    match ended {
        Some(Ended::Gone(reason)) => State::NotRun {
            reason: format!("the device cannot be used any more: {reason}"),
        },
        Some(Ended::Interrupted) | None => State::Interrupted,
    }
}

impl Found {
    /// The check that a metric stands on and that did not hold.
    fn not_valid(&self, id: &str) -> Option<State> {
        let checks = &self.validity.as_ref()?.checks;
        let check = checks
            .iter()
            .find(|check| !check.holds && check.needed_by.iter().any(|needed| needed == id))?;
        Some(State::NotValid {
            reason: format!("it does not hold that {}: {}", check.claim, check.seen),
        })
    }

    fn into_system(
        mut self,
        system: &System,
        asked: &Asked,
        ended: Option<&Ended>,
        started: SystemTime,
    ) -> model::System {
        let mut found = std::mem::take(&mut self.metrics);
        for definition in &asked.chosen {
            let metric = match found.iter().position(|it| it.id == definition.id) {
                Some(at) => found.swap_remove(at),
                None => Metric::without_value(definition, unfinished(ended)),
            };
            self.metrics.push(metric);
        }
        model::System {
            system_name: system.name().to_owned(),
            kind: system.kind(),
            description: system.description(),
            benchmark_version: asked.version.clone(),
            timestamp: humantime::format_rfc3339_seconds(self.began.unwrap_or(started)).to_string(),
            duration_seconds: self.seconds,
            validity: self.validity,
            metrics: self.metrics,
        }
    }
}
