//! What tenants feel of each other, and whether limits are what they say.

use super::faults::faults;
use super::{Measure, Needs, Value, limited};
use crate::failure::Failure;
use crate::figures::{geometric_mean, least, longest_mean, median, quantile};
use crate::lab::{number, numbers, pause_until};
use crate::protocol::{Load, Task, Way};
use crate::system::{System, Tenant};
use crate::turn::{Block, Turn};
use fcsp_bench_report::model::Series;
use fcsp_measure::clock::{NS_PER_MS, now_ns};
use fcsp_measure::random::Random;
use fcsp_measure::stats::{Cumulative, cv, jain_weighted, mean};
use std::time::Duration;

pub(super) const MEASURES: &[Measure] = &[
    Measure {
        who: limited,
        ..Measure::new(
            "IS-001",
            [0.06, 0.1],
            Needs::Memory,
            Value::Worst,
            limit_accuracy,
        )
    },
    Measure::new("IS-002", [0.15, 0.13], Needs::Memory, Value::Own, refusal),
    Measure {
        who: hard,
        ..Measure::new(
            "IS-003",
            [1.0, 0.3],
            Needs::Compute,
            Value::Own,
            compute_accuracy,
        )
    },
    Measure {
        who: changeable,
        ..Measure::new(
            "IS-004",
            [1.0, 0.9],
            Needs::Compute,
            Value::OfSamples,
            response,
        )
    },
    Measure {
        starts: [3; 2],
        ..Measure::new(
            "IS-005",
            [1.0, 0.4],
            Needs::Nothing,
            Value::Worst,
            memory_isolation,
        )
    },
    Measure::new(
        "IS-006",
        [1.5, 0.42],
        Needs::Compute,
        Value::Own,
        compute_isolation,
    ),
    Measure {
        learns: true,
        ..Measure::new(
            "IS-007",
            [0.75, 0.38],
            Needs::Compute,
            Value::Own,
            consistency,
        )
    },
    Measure::new("IS-008", [0.65, 0.14], Needs::Compute, Value::Own, fairness),
    // Of a span of 0.38 s as much is measured as of one of 0.45 s.
    Measure::new("IS-009", [1.9, 0.65], Needs::Compute, Value::Own, noise),
    Measure {
        starts: [5; 2],
        ..Measure::new("IS-010", [3.0, 1.5], Needs::Nothing, Value::Worst, faults)
    },
];

/// Saturating kernels: long enough that launching them costs nothing, short enough to be ended where a turn should end.
pub(super) const SATURATING: Load = Load::Kernels { us: 500.0 };

/// Those whose limit holds for a lone tenant too.
fn hard(system: &System) -> Result<(), &'static str> {
    limited(system)?;
    match system.has_hard_limit() {
        true => Ok(()),
        false => {
            Err("lends a lone tenant what is idle; what busy tenants get is IS-006 and IS-008")
        }
    }
}

/// Those whose limits can be changed.
fn changeable(system: &System) -> Result<(), &'static str> {
    limited(system)?;
    match system.is_fcsp() {
        true => Ok(()),
        false => Err("the limits of a running program cannot be changed"),
    }
}

fn limit_accuracy(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let tenants = turn.lab.tenants(&[100]);
    let limit = tenants[0].memory_bytes as f64;
    let ways = turn.ways(&Way::ALL);
    let group = turn.group_of(&tenants)?;
    let mut worst = 100.0_f64;
    let mut block = Block::default();
    for (way, name) in ways {
        let task = Task::Fill {
            way,
            most_bytes: limit as u64 * 5 / 4,
        };
        let answer = group.ask(0, &task, 20.0)?;
        let had = number(&answer, "granted_bytes")? + number(&answer, "used_bytes")?;
        let refused = number(&answer, "refused")? == 1.0;
        let percent = 100.0 * had / limit;
        block = block.with(name, percent, "%");
        if !refused || had > limit + (2 << 20) as f64 {
            return Err(Failure::failed(format!(
                "{name} gave {percent:.1} % of the limit{}",
                if refused { "" } else { " and refused nothing" }
            )));
        }
        worst = worst.min(percent);
    }
    Ok(Block {
        value: worst,
        compared: worst,
        ..block
    })
}

fn refusal(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let count = turn.count(1_000);
    let mut medians = Vec::new();
    let mut block = Block::default();
    // Arrays cannot be asked for so large: the driver bounds their height.
    for (way, name) in turn.ways(&[Way::Plain, Way::Pitch, Way::Pool, Way::Virtual]) {
        let task = Task::Refuse {
            way,
            beyond_bytes: 64 << 20,
            count,
        };
        let answer = turn.solo(task)?;
        if numbers(&answer, "refused")?
            .iter()
            .any(|refused| *refused != 1.0)
        {
            return Err(Failure::failed(format!("{name} gave more than was free")));
        }
        let us = median(numbers(&answer, "refusal_us")?);
        medians.push(us);
        block = block.with(name, us, "us");
    }
    let mean = geometric_mean(&medians);
    Ok(Block {
        value: mean,
        compared: mean,
        ..block
    })
}

fn compute_accuracy(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let limits = [25_u32, 50, 75];
    let seconds = turn.seconds / (limits.len() as f64 + 1.0);
    let alone = turn.native_alone(&SATURATING, seconds)?;
    let mut distances = Vec::new();
    let mut block = Block::default();
    for limit in limits {
        let rate = turn.together(&[limit], &[SATURATING], seconds)?.rates()[0];
        let percent = 100.0 * rate / alone;
        distances.push(100.0 * (percent - f64::from(limit)).abs() / f64::from(limit));
        block = block.with(format!("limit of {limit} %"), percent, "%");
    }
    let value = 100.0 - mean(&distances);
    Ok(Block {
        value,
        compared: value,
        ..block
    })
}

/// A change holds once a window of that length, looked at in steps, is within so much of the new limit.
const HOLDS_WINDOW_NS: u64 = 100 * NS_PER_MS;
const HOLDS_STEP_NS: u64 = 10 * NS_PER_MS;
const HOLDS_WITHIN: f64 = 0.05;
/// The two limits that tenants exchange.
const BEFORE_AFTER: [u32; 2] = [25, 75];

fn response(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds;
    let alone = turn.native_alone(&SATURATING, 0.3)?;
    let site = turn.lab.site().clone();
    let system = turn.system().clone();
    let stop = turn.lab.stop;
    let group = turn.group(&BEFORE_AFTER)?;
    let begin_ns = now_ns();
    let to_ns = begin_ns + (seconds * 1e9) as u64;
    for member in 0..2 {
        group.begin(member, SATURATING, to_ns)?;
    }
    let mut changes = Vec::new();
    for (at, percents) in [(0.3, [75, 25]), (0.65, BEFORE_AFTER)] {
        pause_until(begin_ns + (seconds * at * 1e9) as u64, stop)?;
        changes.push((now_ns(), percents));
        // Who gives first: promises may never add up to more than the device.
        let mut order: Vec<_> = group.tenants.iter().zip(percents).collect();
        order.sort_by_key(|(_, percent)| *percent);
        for (tenant, percent) in order {
            system.change(&site, &tenant.name, &group.directory, percent)?;
        }
    }
    let mut curves = Vec::new();
    for member in 0..2 {
        let answer = group.finish(member, seconds)?;
        curves.push(Cumulative::new(answer.points));
    }
    let mut times = Vec::new();
    for (place, &(at_ns, percents)) in changes.iter().enumerate() {
        let until_ns = changes.get(place + 1).map_or(to_ns, |next| next.0);
        let held = held_ns(&curves, at_ns, until_ns, percents).ok_or_else(|| {
            Failure::failed(format!(
                "the new limit did not hold within {} ms",
                (until_ns - at_ns) / NS_PER_MS
            ))
        })?;
        times.push(held as f64 / 1e6);
    }
    let value = median(&times);
    Ok(Block {
        value,
        compared: value,
        samples: times,
        series: series(&curves, begin_ns, to_ns, alone, &[None, None]),
        ..Block::default()
    })
}

/// How long after a change both tenants' parts were first within bounds.
fn held_ns(curves: &[Cumulative], at_ns: u64, until_ns: u64, percents: [u32; 2]) -> Option<u64> {
    let mut from_ns = at_ns;
    while from_ns + HOLDS_WINDOW_NS <= until_ns {
        let rates: Vec<f64> = curves
            .iter()
            .map(|curve| curve.rate(from_ns, from_ns + HOLDS_WINDOW_NS))
            .collect();
        let total: f64 = rates.iter().sum();
        let holds = rates.iter().zip(percents).all(|(rate, percent)| {
            let wanted = f64::from(percent) / 100.0;
            total > 0.0 && (rate / total - wanted).abs() <= HOLDS_WITHIN * wanted
        });
        if holds {
            return Some(from_ns - at_ns);
        }
        from_ns += HOLDS_STEP_NS;
    }
    None
}

/// Tenants' parts of the device in windows of 50 ms.
fn series(
    curves: &[Cumulative],
    from_ns: u64,
    to_ns: u64,
    alone: f64,
    targets: &[Option<f64>],
) -> Vec<Series> {
    let window_ns = 50 * NS_PER_MS;
    curves
        .iter()
        .zip(targets)
        .enumerate()
        .map(|(place, (curve, target))| Series {
            name: format!("tenant {place}"),
            unit: "%".into(),
            target: *target,
            points: curve
                .window_rates(from_ns, to_ns, window_ns)
                .into_iter()
                .enumerate()
                .map(|(window, rate)| {
                    let middle_ns = window as u64 * window_ns + window_ns / 2;
                    (middle_ns as f64 / 1e9, 100.0 * rate / alone)
                })
                .collect(),
        })
        .collect()
}

/// A pattern that nobody's memory has by chance, and how much of it.
const MARK_BYTES: u64 = 256 << 20;
const MARK_BYTES_SIMULATED: u64 = 4 << 20;
/// The place of the one who looks for it.
const SEEKER: usize = 2;

/// How an owner lets go of its memory.
#[derive(Clone, Copy, PartialEq)]
enum LetsGo {
    Frees,
    Ends,
    Dies,
}

fn memory_isolation(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let bytes = match turn.lab.device.simulated {
        // Its memory is the machine's.
        true => MARK_BYTES_SIMULATED,
        false => MARK_BYTES,
    };
    let word = Random::new(now_ns()).next_u64() as u32 | 1;
    let mut leaks = Vec::new();
    // An owner for each way to end, and the one who looks.
    let [owner, seeker] = <[Tenant; 2]>::try_from(turn.lab.tenants(&[50, 50]))
        .map_err(|_| Failure::failed("two tenants were asked for"))?;
    let tenants = [owner.clone(), owner, seeker];
    let group = turn.group_of(&tenants)?;
    for (owner, lets_go, when) in [
        (0, LetsGo::Frees, "after it was freed"),
        (0, LetsGo::Ends, "after its owner ended"),
        (1, LetsGo::Dies, "after its owner was killed"),
    ] {
        let marked = group.ask(owner, &Task::Mark { bytes, word }, 5.0)?;
        let text = |name: &str| marked.texts.get(name).cloned().unwrap_or_default();
        let (address, handle) = (text("address").parse().unwrap_or(0), text("handle"));
        let peek = |address, handle| Task::Peek {
            address,
            handle,
            word,
        };
        let peeked = group.ask(SEEKER, &peek(address, String::new()), 5.0)?;
        if number(&peeked, "by_address")? == 1.0 {
            leaks.push("another's memory was read by its address".to_owned());
        }
        match lets_go {
            LetsGo::Frees => drop(group.ask(owner, &Task::Unmark, 5.0)?),
            LetsGo::Ends => drop(group.members[owner].end(Duration::from_secs(10))),
            LetsGo::Dies => group.members[owner].kill(),
        }
        let peeked = group.ask(SEEKER, &peek(0, handle), 5.0)?;
        if number(&peeked, "by_handle")? == 1.0 {
            leaks.push(format!("it was read by its handle {when}"));
        }
        let found = group.ask(SEEKER, &Task::Search { bytes, word }, 5.0)?;
        let words = number(&found, "found")?;
        if words > 0.0 {
            leaks.push(format!("{words} words of the pattern were found {when}"));
        }
    }
    let index = turn.index;
    turn.lab.drop_group(index, &tenants);
    pass(&leaks)
}

/// 1 where nothing is to be said against it.
pub(super) fn pass(faults: &[String]) -> Result<Block, Failure> {
    let mut block = Block::of(f64::from(u8::from(faults.is_empty())));
    for fault in faults {
        block = block.with(fault.clone(), 1.0, "");
    }
    Ok(block)
}

fn compute_isolation(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    // A quick run has no group of three: starting its processes takes longer than what they do.
    let groups: &[&[u32]] = match turn.quick {
        true => &[&[50, 50], &[25, 25, 25, 25]],
        false => &[&[50, 50], &[33, 33, 33], &[25, 25, 25, 25]],
    };
    let seconds = turn.seconds / (groups.len() as f64 + 1.0);
    let alone = turn.native_alone(&SATURATING, seconds)?;
    let mut worst = f64::INFINITY;
    let mut block = Block::default();
    for &percents in groups {
        let loads = vec![SATURATING; percents.len()];
        let rates = turn.together(percents, &loads, seconds)?.rates();
        let part = 100.0 * least(&rates) * percents.len() as f64 / alone;
        block = block.with(format!("{} tenants", percents.len()), part, "%");
        worst = worst.min(part);
    }
    Ok(Block {
        value: worst,
        compared: worst,
        ..block
    })
}

/// The part of steps whose mean is compared: a single one of them, as p99 is, may be this one or another by chance.
pub(super) const LONGEST: f64 = 0.05;

fn consistency(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    // Three windows at least.
    let seconds = turn.seconds.max(0.38);
    let steps = Load::Steps {
        kernels: 10,
        us: 100.0,
        cpu_us: 50.0,
        graph: false,
    };
    let loads = [steps, SATURATING, SATURATING];
    let shared = turn.together(&[50, 25, 25], &loads, seconds)?;
    let windows = shared.curves[0].window_rates(shared.from_ns, shared.to_ns, 100 * NS_PER_MS);
    let steps = numbers(&shared.answers[0], "step_us")?;
    let p99 = quantile(steps, 0.99);
    Ok(Block::of(cv(&windows))
        .comparing(longest_mean(steps, LONGEST))
        .with("median of a step", median(steps), "us")
        .with(
            "the longest twentieth of steps",
            longest_mean(steps, LONGEST),
            "us",
        )
        .with("p99 of a step", p99, "us"))
}

fn fairness(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let percents = [10, 20, 30, 40];
    let seconds = turn.seconds;
    let alone = turn.native_alone(&SATURATING, seconds / 4.0)?;
    let shared = turn.together(&percents, &vec![SATURATING; percents.len()], seconds)?;
    let rates = shared.rates();
    let index = jain_weighted(&rates, &percents.map(f64::from))
        .ok_or_else(|| Failure::failed("no tenant got anything done"))?;
    let total: f64 = rates.iter().sum();
    let mut block = Block::of(index);
    for (rate, percent) in rates.iter().zip(percents) {
        block = block.with(
            format!("limit of {percent} %, of all work"),
            100.0 * rate / total,
            "%",
        );
    }
    let targets = percents.map(|percent| Some(f64::from(percent)));
    block.series = series(
        &shared.curves,
        shared.from_ns,
        shared.to_ns,
        alone,
        &targets,
    );
    Ok(block.with("all together, of one alone", 100.0 * total / alone, "%"))
}

fn noise(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let neighbours = [
        ("computing", SATURATING),
        (
            "streaming memory",
            Load::Read {
                buffer_bytes: 512 << 20,
                pass_bytes: 512 << 20,
            },
        ),
        (
            "copying over PCIe",
            Load::Copy {
                bytes: turn.copy_bytes(),
                to_device: true,
                pinned: true,
            },
        ),
        ("launching", Load::Launches),
    ];
    let seconds = turn.seconds / (neighbours.len() as f64 + 1.0);
    let alone = turn.native_alone(&SATURATING, seconds)?;
    let mut worst = f64::INFINITY;
    let mut block = Block::default();
    for (name, neighbour) in neighbours {
        let shared = turn.together(&[50, 50], &[SATURATING, neighbour], seconds)?;
        let part = shared.rates()[0] / (0.5 * alone);
        worst = worst.min(part);
        block = block.with(name, lack_percent(part), "%");
    }
    Ok(Block {
        value: lack_percent(worst),
        compared: worst,
        ..block
    })
}

/// What a part lacks of the whole; never below 0.
fn lack_percent(part: f64) -> f64 {
    (100.0 * (1.0 - part)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_holds_from_the_first_window_that_is_right() {
        // 25/75 for 200 ms, then 75/25, seen every millisecond.
        let curve = |before: u64, after: u64| {
            let mut done = 0;
            Cumulative::new((0..1_000_u64).map(move |ms| {
                done += if ms < 200 { before } else { after };
                (ms * NS_PER_MS, done * 1_000)
            }))
        };
        let curves = [curve(25, 75), curve(75, 25)];
        let held = held_ns(&curves, 100 * NS_PER_MS, 900 * NS_PER_MS, [75, 25]).expect("it holds");
        // A window that has less than a tenth of the old shares in it is right already.
        assert!((90..=100).contains(&(held / NS_PER_MS)), "{held}");
        assert_eq!(
            held_ns(&curves, 300 * NS_PER_MS, 900 * NS_PER_MS, [50, 50]),
            None
        );
    }

    #[test]
    fn a_lack_is_never_below_zero() {
        assert_eq!(lack_percent(1.2), 0.0);
        assert!((lack_percent(0.9) - 10.0).abs() < 1e-9);
    }
}
