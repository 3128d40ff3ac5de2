//! What comes after faults.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::least;
use crate::lab::{number, numbers};
use crate::protocol::{Load, Task};
use crate::system::Tenant;
use crate::turn::{Block, End, Turn};
use fcsp_measure::clock::now_ns;
use fcsp_measure::stats::mean;
use std::time::Duration;

pub(super) const MEASURES: &[Measure] = &[
    Measure {
        starts: [FAULTS, 1],
        ..Measure::new(
            "ERR-001",
            [0.15 * FAULTS as f64, 0.25],
            Needs::Nothing,
            Value::Own,
            detection,
        )
    },
    // The process after the fault is started by ERR-001.
    Measure {
        starts: [2; 2],
        ..Measure::new("ERR-002", [0.1, 0.3], Needs::Nothing, Value::Own, recovery)
    },
    Measure::new("ERR-003", [0.18, 0.1], Needs::Nothing, Value::Worst, grace),
];

/// Faults of a block. A driver takes one of two times that are far apart (100 ms in 36 of 60 faults and 150 ms in the others:
/// H200, driver 580.159): the shortest of three is mostly the shorter one, to which a system adds what it adds.
const FAULTS: u32 = 3;

fn detection(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let faults = if turn.quick { 1 } else { FAULTS };
    let (mut detect_us, mut after_us) = (Vec::new(), Vec::new());
    for _ in 0..faults {
        let again = again(turn, End::Fault)?;
        detect_us.push(again.detect_us);
        after_us.push(again.us);
    }
    // ERR-002 is about what comes after the same faults.
    let key = (turn.index, End::Fault, turn.block);
    turn.recoveries.insert(key, mean(&after_us));
    Ok(detected(detect_us))
}

fn detected(us: Vec<f64>) -> Block {
    let all = mean(&us);
    Block::of(least(&us))
        .with("mean of all faults", all, "us")
        .with_samples(us)
}

fn recovery(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    // In a quick run once, for all blocks.
    let block = if turn.quick { 0 } else { turn.block };
    let orderly = recovered(turn, End::ByItself, block)?;
    let fault = recovered(turn, End::Fault, turn.block)?;
    let killed = again(turn, End::Killed)?.us;
    let whole = mean(&[fault, killed]);
    Ok(Block::of(whole - orderly)
        .comparing(whole)
        .with("after an orderly end, the whole time", orderly, "us")
        .with("after an illegal access, the whole time", fault, "us")
        .with(
            "after a kill in the midst of work, the whole time",
            killed,
            "us",
        ))
}

/// How long the next process took to work after such an end; not measured again where that block of the system has it.
fn recovered(turn: &mut Turn<'_>, end: End, block: u32) -> Result<f64, Failure> {
    let key = (turn.index, end, block);
    if let Some(us) = turn.recoveries.get(&key) {
        return Ok(*us);
    }
    let us = again(turn, end)?.us;
    turn.recoveries.insert(key, us);
    Ok(us)
}

/// What came after the end of a process.
struct Again {
    /// From a fault to the program's hearing of it; 0 where there was none.
    detect_us: f64,
    /// From the end until another process of the tenant had allocated and computed.
    us: f64,
}

/// Ends the tenant's process and times the next one, which then takes its place.
fn again(turn: &mut Turn<'_>, end: End) -> Result<Again, Failure> {
    let tenants = turn.lab.tenants(&[100]);
    let result = succession(turn, &tenants, end);
    if result.is_err() {
        // Whatever is in its place is no tenant that can work.
        let index = turn.index;
        turn.lab.drop_group(index, &tenants);
    }
    result
}

fn succession(turn: &mut Turn<'_>, tenants: &[Tenant], end: End) -> Result<Again, Failure> {
    // The context has its part of the limit, and so has what a dead one has not given back yet.
    let bytes = tenants[0].memory_bytes / 2;
    let index = turn.index;
    let stop = turn.lab.stop;
    let group = turn.group_of(tenants)?;
    let mut detect_us = 0.0;
    match end {
        End::ByItself => drop(group.ask(0, &Task::Work { bytes }, 5.0)?),
        End::Fault => {
            let answer = group.ask(0, &Task::Fault, 30.0)?;
            if number(&answer, "status")? == 0.0 {
                return Err(Failure::failed("the program was not told of its fault"));
            }
            detect_us = number(&answer, "detect_us")?;
        }
        End::Killed => {
            group.begin(0, Load::Kernels { us: 500.0 }, now_ns() + 5_000_000_000)?;
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let directory = group.directory.clone();
    match end {
        End::Killed => group.members[0].kill(),
        End::ByItself | End::Fault => {
            // A process that had a fault may take its time to end.
            if group.members[0].end(Duration::from_secs(10)).is_none() {
                group.members[0].kill();
            }
        }
    }
    let ended_ns = now_ns();
    let mut heir = turn.lab.join(index, &tenants[0], &directory)?;
    heir.ask(&Task::Work { bytes }, Duration::from_secs(30), stop)?;
    let us = (now_ns() - ended_ns) as f64 / 1e3;
    turn.lab.make_ready(&mut heir)?;
    turn.group_of(tenants)?.members[0] = heir;
    Ok(Again { detect_us, us })
}

fn grace(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let answer = turn.solo(Task::RunOut)?;
    let proper = numbers(&answer, "proper")?;
    let mut block = Block::of(100.0 * mean(proper));
    for name in answer
        .texts
        .get("improper")
        .iter()
        .flat_map(|names| names.split(", "))
        .filter(|name| !name.is_empty())
    {
        block = block.with(format!("not so: {name}"), 1.0, "");
    }
    Ok(block)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shortest_fault_of_a_block_counts_and_all_are_kept() {
        let block = detected(vec![150.0, 100.0, 153.5]);
        assert_eq!((block.value, block.compared), (100.0, 100.0));
        assert_eq!(block.samples, [150.0, 100.0, 153.5]);
        assert_eq!(block.details[0].1, 134.5);
    }
}
