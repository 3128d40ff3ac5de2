//! Hand-overs from one tenant to another, and arrivals.

use super::order::urgent;
use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::{median, middle_mean, quantile};
use crate::lab::numbers;
use crate::protocol::{Load, Task};
use crate::turn::{Block, Turn};
use fcsp_measure::clock::now_ns;
use fcsp_measure::stats::mean;

pub(super) const MEASURES: &[Measure] = &[
    Measure {
        learns: true,
        ..measure("SCHED-001", [0.65, 0.25], Needs::Nothing, hand_over)
    },
    Measure {
        lives: 3,
        ..measure("SCHED-002", [0.005, 0.01], Needs::Nothing, begin)
    },
    measure("SCHED-003", [0.65, 0.2], Needs::Compute, streams),
    measure("SCHED-004", [0.75, 0.2], Needs::Nothing, arrival),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    needs: Needs,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure::new(id, seconds, needs, Value::Own, block)
}

/// Length of a kernel: what is not known of the window's ends is at most one of them.
const STAMPED_US: f64 = 200.0;
/// Hand-overs that a gap is told from, and how much of the time may seem to be used twice before tenants run side by side.
const HAND_OVERS_MIN: usize = 3;
const TWICE_MAX: f64 = 0.05;

/// The part of a span before anything counts: what a system has yet to learn is no part of what it gives.
const LEAD: f64 = 0.25;

/// What began so long after both had begun.
fn after_lead(mut stamps: Vec<Vec<(u64, u64)>>, seconds: f64) -> Vec<Vec<(u64, u64)>> {
    let firsts = stamps.iter().filter_map(|it| it.first());
    let from_ns = firsts.map(|it| it.0).max().unwrap_or(0) + (seconds * 1e9) as u64;
    for stamps in &mut stamps {
        stamps.retain(|it| it.0 >= from_ns);
    }
    stamps
}

fn hand_over(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds;
    let group = turn.group(&[50, 50])?;
    let from_ns = now_ns() + 30_000_000;
    let task = Task::Stamped {
        kernel_us: STAMPED_US,
        from_ns,
        to_ns: from_ns + (seconds * 1e9) as u64,
    };
    for member in &mut group.members {
        member.send(&task)?;
    }
    let mut stamps = Vec::new();
    let mut failure = None;
    // Both answers are taken, so that none is left for the next task.
    for member in 0..2 {
        match group.finish(member, seconds) {
            Ok(answer) => stamps.push(answer.points),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let stamps = after_lead(stamps, seconds * LEAD);
    let found = hand_overs(&stamps)
        .ok_or_else(|| Failure::failed("the two tenants' kernels never ran in the same time"))?;
    if found.lost < -TWICE_MAX {
        return Err(Failure::not_run(
            "the two tenants' kernels ran side by side, so nothing is handed over",
        ));
    }
    if found.count < HAND_OVERS_MIN {
        return Err(Failure::failed(format!(
            "the device was handed over {} times, which is too seldom to tell anything",
            found.count
        )));
    }
    Ok(Block::of(found.gap_us)
        .comparing(found.gap_us.max(0.1))
        .with("hand-overs", found.count as f64, "")
        .with("of the time, for hand-overs", 100.0 * found.lost, "%")
        .with("a kernel with its gap", found.period_us, "us"))
}

/// What hand-overs between tenants took.
struct HandOvers {
    count: usize,
    /// Of the device's time while all tenants had work, the part in which none of it was done.
    lost: f64,
    /// That time for each hand-over.
    gap_us: f64,
    /// From the beginning of a kernel to the next of the same tenant.
    period_us: f64,
}

/// Finds them in the beginnings and ends of all tenants' kernels, which have one length.
///
/// A tenant may be interrupted within a kernel, and what it does of it after that is not seen. So the gaps are not looked
/// for; the time is counted that the work does not explain.
fn hand_overs(stamps: &[Vec<(u64, u64)>]) -> Option<HandOvers> {
    // An end comes before a beginning at the same time.
    let mut events: Vec<(u64, bool, usize)> = Vec::new();
    let mut kernels = Vec::new();
    for (tenant, stamps) in stamps.iter().enumerate() {
        for &(begin, end) in stamps.iter().filter(|it| it.0 > 0 && it.1 > it.0) {
            events.extend([(begin, true, tenant), (end, false, tenant)]);
            kernels.push((tenant, begin, end));
        }
    }
    events.sort_unstable();
    kernels.sort_unstable();
    // While every tenant has work.
    let of = |tenant: usize| kernels.iter().filter(move |it| it.0 == tenant);
    let from_ns = (0..stamps.len())
        .map(|it| of(it).map(|it| it.1).min())
        .max()??;
    let to_ns = (0..stamps.len())
        .map(|it| of(it).map(|it| it.2).max())
        .reduce(|a, b| Some(a?.min(b?)))??;
    if to_ns <= from_ns {
        return None;
    }
    let others_between = |tenant: usize, from: u64, to: u64| {
        let at = events.partition_point(|event| event.0 < from);
        let upto = events[at..].iter().take_while(|event| event.0 <= to);
        upto.into_iter().any(|event| event.2 != tenant)
    };
    let periods: Vec<f64> = kernels
        .windows(2)
        .filter(|pair| pair[0].0 == pair[1].0)
        .filter(|pair| !others_between(pair[0].0, pair[0].1, pair[1].1))
        .map(|pair| (pair[1].1 - pair[0].1) as f64)
        .collect();
    if periods.is_empty() {
        // Neither is ever seen alone.
        return Some(HandOvers {
            count: 0,
            lost: -1.0,
            gap_us: 0.0,
            period_us: 0.0,
        });
    }
    // Finer than a median, since the clock has steps; all of the time's work is a multiple of it.
    let period_ns = middle_mean(&periods);
    let work: f64 = kernels
        .iter()
        .map(|&(_, begin, end)| match (begin >= from_ns, end <= to_ns) {
            (true, true) => 1.0,
            _ if end <= from_ns || begin >= to_ns => 0.0,
            // Nobody knows how much of it lies outside.
            _ => 0.5,
        })
        .sum();
    let within = events
        .iter()
        .filter(|event| (from_ns..=to_ns).contains(&event.0));
    let owners: Vec<usize> = within.map(|event| event.2).collect();
    let count = owners.windows(2).filter(|pair| pair[0] != pair[1]).count();
    let whole_ns = (to_ns - from_ns) as f64;
    let lost_ns = whole_ns - work * period_ns;
    Some(HandOvers {
        count,
        lost: lost_ns / whole_ns,
        gap_us: lost_ns / count.max(1) as f64 / 1e3,
        period_us: period_ns / 1e3,
    })
}

fn begin(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let count = turn.count(500);
    let samples = turn.solo_samples(Task::Begin { count }, "begin_us")?;
    Ok(Block::of(median(&samples))
        .with("p99", quantile(&samples, 0.99), "us")
        .with_samples(samples))
}

/// Rounds of SCHED-003 that a block keeps.
const ROUNDS_MAX: u32 = 1_000;

fn streams(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let blocks = (turn.lab.device.wave_blocks / 16).max(1);
    let seconds = turn.seconds;
    let group = turn.group(&[50, 50])?;
    let from_ns = now_ns() + (seconds * LEAD * 1e9) as u64;
    let to_ns = now_ns() + (seconds * 1e9) as u64;
    let work = Task::Streams {
        streams: 8,
        kernels: 10,
        us: 300.0,
        blocks,
        count: ROUNDS_MAX,
        from_ns,
        to_ns,
    };
    group.begin(1, Load::Kernels { us: 500.0 }, to_ns)?;
    let answer = group.ask(0, &work, seconds + 10.0);
    group.finish(1, seconds)?;
    let answer = answer?;
    let (one, all) = (
        median(numbers(&answer, "alone_us")?),
        median(numbers(&answer, "pass_us")?),
    );
    Ok(Block::of((100.0 * one / all).min(100.0))
        .comparing(1e6 / all)
        .with("one stream", one, "us")
        .with("eight streams", all, "us"))
}

/// Length of the urgent kernel, and from one to the next.
const URGENT_US: f64 = 100.0;
const ARRIVAL_US: f64 = 4_000.0;
/// So many on the idle device, and beside the neighbour at most.
const ARRIVALS_IDLE: u32 = 24;
const ARRIVALS_MAX: u32 = 1_000;

fn arrival(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds;
    let tenants = urgent(turn.lab);
    let seed = u64::from(turn.block) + 1;
    let task = |count, to_ns| Task::Arrivals {
        count,
        kernel_us: URGENT_US,
        every_us: ARRIVAL_US,
        seed,
        to_ns,
    };
    let idle_count = turn.count(ARRIVALS_IDLE);
    let group = turn.group_of(&tenants)?;
    let idle = group.ask(0, &task(idle_count, 0), seconds)?;
    let idle = median(numbers(&idle, "arrival_us")?) / 1e3;
    let to_ns = now_ns() + (seconds * 0.85e9) as u64;
    group.begin(1, Load::Kernels { us: 1_000.0 }, to_ns)?;
    let answer = group.ask(0, &task(ARRIVALS_MAX, to_ns), seconds + 10.0);
    group.finish(1, seconds)?;
    let answer = answer?;
    let waits: Vec<f64> = numbers(&answer, "arrival_us")?
        .iter()
        .map(|us| us / 1e3)
        .collect();
    let waits = &waits[(waits.len() as f64 * LEAD) as usize..];
    let samples: Vec<f64> = waits.iter().map(|ms| ms - URGENT_US / 1e3).collect();
    Ok(Block::of(median(&samples))
        .comparing(mean(waits))
        .with("on an idle device, launch to end", idle, "ms")
        .with("p99", quantile(&samples, 0.99), "ms")
        .with_samples(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two tenants that take turns of that length; what each notes. Where they are interrupted within a kernel, they go on
    /// with it in their next turn.
    fn turns(slice_ns: u64, gap_ns: u64, kernel_ns: u64, interrupts: bool) -> Vec<Vec<(u64, u64)>> {
        let mut stamps = vec![Vec::new(), Vec::new()];
        let mut open: [Option<(u64, u64)>; 2] = [None, None];
        let mut now = 1_000;
        for turn in 0..100 {
            let tenant = turn % 2;
            let ends = now + slice_ns;
            loop {
                let (begin, done) = open[tenant].take().unwrap_or((now, 0));
                let left = kernel_ns - done;
                if now + left > ends {
                    match interrupts {
                        true => open[tenant] = Some((begin, done + ends - now)),
                        // It has not begun.
                        false => now = now.min(ends),
                    }
                    break;
                }
                now += left;
                stamps[tenant].push((begin, now));
            }
            now = match interrupts {
                true => ends,
                false => now,
            } + gap_ns;
        }
        stamps
    }

    #[test]
    fn what_a_hand_over_takes_is_found_whether_kernels_are_interrupted_or_not() {
        for (gap_ns, interrupts) in [(233_000, true), (100_000, false), (0, true), (0, false)] {
            let stamps = turns(2_150_000, gap_ns, 200_000, interrupts);
            let found = hand_overs(&stamps).expect("both ran");
            let wanted = gap_ns as f64 / 1e3;
            assert!(
                (found.gap_us - wanted).abs() < 4.0,
                "{} of {wanted} us, {} times",
                found.gap_us,
                found.count
            );
            assert!((95..=99).contains(&found.count), "{}", found.count);
        }
    }

    #[test]
    fn tenants_side_by_side_hand_nothing_over() {
        let kernels =
            |from: u64| (0..100).map(move |it| (from + it * 1_000, from + it * 1_000 + 990));
        let stamps = [kernels(1_000).collect(), kernels(1_500).collect()];
        let found = hand_overs(&stamps).expect("both ran");
        assert!(found.lost < -TWICE_MAX, "{}", found.lost);
        assert!(hand_overs(&[vec![(1, 2)], vec![]]).is_none());
    }
}
