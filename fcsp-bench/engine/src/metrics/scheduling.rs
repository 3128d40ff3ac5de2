//! Hand-overs from one tenant to another, and arrivals.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::{median, quantile};
use crate::lab::numbers;
use crate::protocol::{Load, Task};
use crate::system::{Priority, Tenant};
use crate::turn::{Block, Turn};
use fcsp_measure::clock::now_ns;

pub(super) const MEASURES: &[Measure] = &[
    measure("SCHED-001", [0.5, 0.3], Needs::Nothing, hand_over),
    measure("SCHED-002", [0.1, 0.03], Needs::Nothing, begin),
    measure("SCHED-003", [0.5, 0.2], Needs::Compute, streams),
    measure("SCHED-004", [0.7, 0.3], Needs::Nothing, arrival),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    needs: Needs,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure {
        id,
        seconds,
        needs,
        value: Value::Own,
        block,
    }
}

fn hand_over(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds.max(0.3);
    let group = turn.group(&[50, 50])?;
    let from_ns = now_ns() + 30_000_000;
    let task = Task::Stamped {
        kernel_us: 500.0,
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
            Ok(answer) => stamps.extend(answer.points.iter().map(|&(from, to)| (from, to, member))),
            Err(error) => failure = Some(error),
        }
    }
    if let Some(error) = failure {
        return Err(error);
    }
    let (within, between) = gaps(stamps);
    if between.len() < 3 {
        return Err(Failure::not_run(
            "the two tenants' kernels ran at the same time, so nothing is handed over",
        ));
    }
    let (within, gap) = (median(&within), median(&between));
    Ok(Block::of(gap - within)
        .comparing(gap.max(0.001))
        .with("hand-overs", between.len() as f64, "")
        .with("between two kernels of one", within, "us")
        .with("at a hand-over", gap, "us")
        .with("at a hand-over, p99", quantile(&between, 0.99), "us"))
}

/// Gaps between two kernels of one tenant, and at hand-overs, in microseconds. A kernel that was interrupted is itself a
/// hand-over there and back, whose gaps are not between kernels: kernels that overlap are left out.
fn gaps(mut stamps: Vec<(u64, u64, usize)>) -> (Vec<f64>, Vec<f64>) {
    stamps.retain(|stamp| stamp.1 > stamp.0 && stamp.0 > 0);
    stamps.sort_unstable();
    let (mut within, mut between) = (Vec::new(), Vec::new());
    for pair in stamps.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let Some(gap) = after.0.checked_sub(before.1) else {
            continue;
        };
        match before.2 == after.2 {
            true => within.push(gap as f64 / 1e3),
            false => between.push(gap as f64 / 1e3),
        }
    }
    (within, between)
}

fn begin(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let count = turn.count(500);
    let samples = turn.solo_samples(Task::Begin { count }, "begin_us")?;
    Ok(Block::of(median(&samples))
        .with("p99", quantile(&samples, 0.99), "us")
        .with_samples(samples))
}

fn streams(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let blocks = (turn.lab.device.wave_blocks / 16).max(1);
    let seconds = turn.seconds;
    let count = turn.count(5);
    let group = turn.group(&[50, 50])?;
    let work = Task::Streams {
        streams: 8,
        kernels: 10,
        us: 300.0,
        blocks,
        count,
    };
    group.begin(
        1,
        Load::Kernels { us: 500.0 },
        now_ns() + (seconds * 1e9) as u64,
    )?;
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

/// Length of the urgent kernel.
const URGENT_US: f64 = 100.0;

fn arrival(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds;
    let count = turn.count(24);
    let tenants: Vec<Tenant> = turn
        .lab
        .tenants(&[50, 50])
        .into_iter()
        .zip([Priority::High, Priority::Low])
        .map(|(tenant, priority)| Tenant { priority, ..tenant })
        .collect();
    let task = Task::Arrivals {
        count,
        kernel_us: URGENT_US,
        every_us: 1e6 * seconds / f64::from(count) / 2.0,
        seed: u64::from(turn.block) + 1,
    };
    let group = turn.group_of(&tenants)?;
    let idle = median(numbers(&group.ask(0, &task, seconds)?, "arrival_us")?) / 1e3;
    let to_ns = now_ns() + (seconds * 0.75e9) as u64;
    group.begin(1, Load::Kernels { us: 1_000.0 }, to_ns)?;
    let answer = group.ask(0, &task, seconds + 10.0);
    group.finish(1, seconds)?;
    let answer = answer?;
    let waits: Vec<f64> = numbers(&answer, "arrival_us")?
        .iter()
        .map(|us| us / 1e3)
        .collect();
    let samples: Vec<f64> = waits.iter().map(|ms| ms - URGENT_US / 1e3).collect();
    Ok(Block::of(median(&samples))
        .comparing(median(&waits))
        .with("on an idle device, launch to end", idle, "ms")
        .with("p99", quantile(&samples, 0.99), "ms")
        .with_samples(samples))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_within_a_tenant_and_at_hand_overs_are_told_apart() {
        let stamps = vec![
            (1_000, 2_000, 0),
            (2_010, 3_000, 0),
            (13_000, 14_000, 1),
            // Interrupted: it lies around the next.
            (20_000, 40_000, 1),
            (30_000, 31_000, 0),
            // Never ran.
            (0, 0, 1),
        ];
        let (within, between) = gaps(stamps);
        assert_eq!(within, [0.01, 6.0]);
        assert_eq!(between, [10.0]);
    }
}
