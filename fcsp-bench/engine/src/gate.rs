//! Whether a system's limits are in force. Checked before anything is measured: a figure of a limit that is not there would
//! look like a good one.

use crate::failure::Failure;
use crate::lab::{self, Lab, number};
use crate::metrics::Needs;
use crate::protocol::{Cheap, Load, Task, Way};
use fcsp_bench_report::model::{Check, Validity};

/// Compute of the two tenants of the last check.
const PERCENTS: [u32; 2] = [25, 75];
/// How far the first one's part may be from a quarter. Without a limit in force it has a half, so this is more than half of
/// the way there: what a limit that is there is worth is measured later.
const TOLERANCE: f64 = 0.15;
const KERNEL_US: f64 = 500.0;
/// How often it is made where the two have hardly a processor.
const TRIES: u32 = 3;

/// Starts what the checks of these systems need.
pub(crate) fn start(lab: &mut Lab, systems: &[usize]) {
    let tenants = lab.tenants(&PERCENTS);
    lab.start_groups(systems, &tenants);
}

/// Makes the checks of one system. An error only if the run is to end.
pub(crate) fn check(lab: &mut Lab, system: usize, quick: bool) -> Result<Validity, Failure> {
    let mut checks = Vec::new();
    let outcomes = [
        (Needs::Memory, told(lab, system)),
        (Needs::Memory, refused(lab, system)),
        (
            Needs::Compute,
            quarter(lab, system, if quick { 0.6 } else { 1.5 }),
        ),
    ];
    for (needs, (claim, outcome)) in outcomes {
        let (seen, holds) = match outcome {
            Ok(seen) => seen,
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => {
                // Whatever state its processes are in, the next check gets new ones.
                if let Failure::Hung(reason) = &failure {
                    lab.strike(system, reason);
                }
                lab.drop_all(system);
                (failure.to_string(), false)
            }
        };
        checks.push(Check {
            claim,
            seen,
            holds,
            needed_by: crate::metrics::needing(needs),
        });
    }
    Ok(Validity { checks })
}

type Outcome = (String, Result<(String, bool), Failure>);

fn told(lab: &mut Lab, system: usize) -> Outcome {
    let tenants = lab.tenants(&PERCENTS);
    let limit = tenants[0].memory_bytes;
    let claim = format!("a program with a limit of {} is told so", mib(limit as f64));
    let vendor = lab.site().vendor;
    let (asked, stated) = (
        vendor.cheap(Cheap::MemoryInfo).unwrap_or_default(),
        vendor.stated(),
    );
    let outcome = lab.group(system, &tenants).and_then(|group| {
        let answer = group.ask(0, &Task::Describe, 1.0)?;
        let total = number(&answer, "total_bytes")?;
        let device = number(&answer, "device_bytes")?;
        // What a system rounds to whole MiB is told as well. Frameworks go by the first of the two.
        let holds = (total - limit as f64).abs() < (1 << 20) as f64;
        Ok((
            format!("{asked} says {}, {stated} {}", mib(total), mib(device)),
            holds,
        ))
    });
    (claim, outcome)
}

fn refused(lab: &mut Lab, system: usize) -> Outcome {
    let tenants = lab.tenants(&PERCENTS);
    let limit = tenants[0].memory_bytes;
    let claim = format!(
        "a program gets no more than its limit of {}",
        mib(limit as f64)
    );
    let outcome = lab.group(system, &tenants).and_then(|group| {
        let fill = Task::Fill {
            way: Way::Plain,
            most_bytes: limit + limit / 2,
        };
        let answer = group.ask(0, &fill, 10.0)?;
        let granted = number(&answer, "granted_bytes")?;
        let refused = number(&answer, "refused")? == 1.0;
        let seen = format!(
            "it got {} and was {}",
            mib(granted),
            if refused {
                "then refused"
            } else {
                "not refused"
            }
        );
        Ok((seen, refused && granted <= limit as f64))
    });
    (claim, outcome)
}

fn quarter(lab: &mut Lab, system: usize, seconds: f64) -> Outcome {
    let claim =
        "beside one with 75 %, a program with 25 % of the compute gets a quarter of the rate"
            .to_owned();
    let tenants = lab.tenants(&PERCENTS);
    let outcome = lab.group(system, &tenants).and_then(|group| {
        let load = Load::Kernels { us: KERNEL_US };
        let mut tries = 0;
        let (shared, starved) = loop {
            let shared = group.run(&[load.clone(), load.clone()], seconds)?;
            let mut starved = false;
            for answer in &shared.answers {
                starved |= lab::starved(answer)?;
            }
            tries += 1;
            if !starved || tries == TRIES {
                break (shared, starved);
            }
        };
        let rates = shared.rates();
        let total: f64 = rates.iter().sum();
        if total <= 0.0 {
            return Ok(("neither got anything done".to_owned(), false));
        }
        let part = rates[0] / total;
        let busy = match starved {
            true => ", while one waited for a processor more than half of the time: the host is too busy",
            false => "",
        };
        Ok((
            format!("it got {:.1} % of what both did{busy}", part * 100.0),
            (part - f64::from(PERCENTS[0]) / 100.0).abs() <= TOLERANCE,
        ))
    });
    (claim, outcome)
}

fn mib(bytes: f64) -> String {
    format!("{:.0} MiB", bytes / (1 << 20) as f64)
}
