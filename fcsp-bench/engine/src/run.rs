//! A run: checks first, then metric by metric, in which the systems take turns block by block.

use crate::assemble::{Taken, assemble};
use crate::driver::Vendor;
use crate::failure::Failure;
use crate::gate;
use crate::host;
use crate::lab::Lab;
use crate::metrics::{self, Measure};
use crate::process;
use crate::system::{Site, System};
use crate::turn::Turn;
use fcsp_bench_report::catalogue::{Definition, Need};
use fcsp_bench_report::model::{self, FORMAT, Metric, Report, State, Validity};
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

/// Start-up of a run, and of each system with its groups of tenants.
const STARTUP_SECONDS: f64 = 2.0;
const SYSTEM_SECONDS: f64 = 2.0;
/// What a block costs beyond its own time: messages, waits for the last kernel.
const BLOCK_SECONDS: f64 = 0.015;
/// A metric that takes so much longer than planned is cut short once it has enough blocks for an interval.
const OVERTIME: f64 = 2.0;
const BLOCKS_MIN: usize = 6;
/// What is in use before anything runs and is nobody's: the driver's own.
const OTHERS_BYTES_MAX: u64 = 1 << 30;
/// A quick run that would take longer has fewer blocks of what is left.
const QUICK_SECONDS_MAX: f64 = 120.0;

/// How long a run should take with so many systems, native included, and devices.
pub fn planned_seconds(
    chosen: &[&'static Definition],
    systems: usize,
    devices: u32,
    quick: bool,
) -> f64 {
    let metrics: f64 = chosen
        .iter()
        .filter(|definition| can_run(definition, devices))
        .map(|definition| metric_seconds(definition, quick))
        .sum();
    STARTUP_SECONDS + systems as f64 * (SYSTEM_SECONDS + metrics)
}

/// Whether there are devices enough for it.
fn can_run(definition: &Definition, devices: u32) -> bool {
    !definition.needs.iter().any(|need| match need {
        Need::Gpus(count) => *count > devices,
        Need::Nccl | Need::Cublas => false,
    })
}

/// How long a metric should take for one system.
fn metric_seconds(definition: &Definition, quick: bool) -> f64 {
    metrics::find(definition.id).map_or(0.0, |measure| {
        f64::from(blocks_of(definition, quick)) * (measure.block_seconds(quick) + BLOCK_SECONDS)
    })
}

fn blocks_of(definition: &Definition, quick: bool) -> u32 {
    match quick {
        true => definition.plan.quick_blocks,
        false => definition.plan.blocks,
    }
}

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
    let count = systems.len();
    process::adopt_strays();
    let lab = Lab::open(asked.site.clone(), systems, asked.patience, stop)
        .map_err(|failure| failure.to_string())?;
    let seconds = planned_seconds(&asked.chosen, count, lab.device.count, asked.quick);
    tell(Event::Begins {
        device: &lab.device.name,
        seconds,
    });
    if lab.device.others_bytes > OTHERS_BYTES_MAX {
        tell(Event::Crowded {
            bytes: lab.device.others_bytes,
        });
    }
    let mut run = Run {
        found: lab.systems.iter().map(|_| Found::default()).collect(),
        lab,
        asked,
        began,
        alone: HashMap::new(),
        ended: None,
    };
    run.check(tell);
    run.measure(tell);
    let Run {
        lab,
        found,
        asked,
        ended,
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
    found: Vec<Found>,
    began: Instant,
    /// What loads reach natively and alone, by the load and the block.
    alone: HashMap<(String, u32), f64>,
    ended: Option<Ended>,
}

impl Run {
    fn check(&mut self, tell: &mut dyn FnMut(Event<'_>)) {
        // Native is the first.
        for system in 1..self.lab.systems.len() {
            if self.lab.systems[system].is_native() {
                continue;
            }
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
        let chosen = self.asked.chosen.clone();
        for (place, definition) in chosen.iter().enumerate() {
            if self.ended.is_some() {
                return;
            }
            let Some(measure) = metrics::find(definition.id) else {
                continue;
            };
            let later: f64 = chosen[place + 1..]
                .iter()
                .filter(|definition| can_run(definition, self.lab.device.count))
                .map(|definition| metric_seconds(definition, self.asked.quick))
                .sum();
            let taken = self.metric(definition, measure, later, tell);
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
        definition: &'static Definition,
        measure: &Measure,
        later_seconds: f64,
        tell: &mut dyn FnMut(Event<'_>),
    ) -> Vec<Taken> {
        let count = self.lab.systems.len();
        let quick = self.asked.quick;
        let blocks = blocks_of(definition, quick);
        let seconds = measure.block_seconds(quick);
        let planned = f64::from(blocks) * (seconds + BLOCK_SECONDS) * count as f64;
        let began = Instant::now();
        if !quick {
            self.alone.clear();
        }
        let mut taken: Vec<Taken> = (0..count).map(|_| Taken::default()).collect();
        for (system, taken) in taken.iter_mut().enumerate() {
            taken.failure = self.not_valid(system, definition.id);
        }
        'blocks: for block in 0..blocks {
            let enough = taken.iter().all(|taken| {
                taken.failure.is_some() || taken.blocks.len() >= BLOCKS_MIN.min(blocks as usize)
            });
            let slow = began.elapsed().as_secs_f64() > OVERTIME * planned;
            let ends = self.began.elapsed().as_secs_f64() + later_seconds * count as f64;
            if (enough && slow) || (quick && block > 0 && ends > QUICK_SECONDS_MAX) {
                break;
            }
            for turn in 0..count {
                // Each block begins with another system, so that none is always first.
                let system = (turn + block as usize) % count;
                if taken[system].failure.is_some() {
                    continue;
                }
                let done = f64::from(block) + turn as f64 / count as f64;
                tell(Event::Block {
                    metric: definition,
                    system: self.lab.systems[system].name(),
                    block,
                    blocks,
                    seconds_left: planned * (1.0 - done / f64::from(blocks))
                        + later_seconds * count as f64,
                });
                let began = Instant::now();
                self.found[system].began.get_or_insert_with(SystemTime::now);
                let result = (measure.block)(&mut Turn {
                    lab: &mut self.lab,
                    index: system,
                    block,
                    quick,
                    seconds,
                    alone: &mut self.alone,
                });
                let seconds = began.elapsed().as_secs_f64();
                self.found[system].seconds += seconds;
                taken[system].seconds += seconds;
                let hung = matches!(result, Err(Failure::Hung(_)));
                match result {
                    Ok(result) => taken[system].blocks.push((block, result)),
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
        }
        if self.ended.is_some() {
            for taken in &mut taken {
                if taken.failure.is_none() && taken.blocks.len() < BLOCKS_MIN.min(blocks as usize) {
                    taken.failure = Some(self.unfinished());
                }
            }
        }
        taken
    }

    /// The check that a metric stands on and that did not hold.
    fn not_valid(&self, system: usize, id: &str) -> Option<State> {
        let checks = &self.found[system].validity.as_ref()?.checks;
        let check = checks
            .iter()
            .find(|check| !check.holds && check.needed_by.iter().any(|needed| needed == id))?;
        Some(State::NotValid {
            reason: format!("it does not hold that {}: {}", check.claim, check.seen),
        })
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
    fn into_system(
        mut self,
        system: &System,
        asked: &Asked,
        ended: Option<&Ended>,
        started: SystemTime,
    ) -> model::System {
        for definition in &asked.chosen[self.metrics.len().min(asked.chosen.len())..] {
            self.metrics
                .push(Metric::without_value(definition, unfinished(ended)));
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

#[cfg(test)]
mod tests {
    use super::*;
    use fcsp_bench_report::catalogue;

    #[test]
    fn a_full_run_of_five_systems_fits_into_15_minutes_and_a_quick_one_into_2() {
        let all: Vec<_> = catalogue::all().collect();
        let (full, quick) = (
            planned_seconds(&all, 5, 1, false),
            planned_seconds(&all, 5, 1, true),
        );
        assert!(full <= 15.0 * 60.0, "{full} s");
        assert!(quick <= 2.0 * 60.0, "{quick} s");
    }
}
