//! What comes after faults.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::lab::{number, numbers};
use crate::protocol::{Load, Task};
use crate::turn::{Block, Turn};
use fcsp_measure::clock::now_ns;
use fcsp_measure::stats::mean;
use std::time::Duration;

pub(super) const MEASURES: &[Measure] = &[
    measure(
        "ERR-001",
        [0.5, 0.12],
        Needs::Nothing,
        Value::Own,
        detection,
    ),
    measure("ERR-002", [2.0, 0.36], Needs::Nothing, Value::Own, recovery),
    measure("ERR-003", [0.3, 0.05], Needs::Nothing, Value::Worst, grace),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    needs: Needs,
    value: Value,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure {
        id,
        seconds,
        needs,
        value,
        block,
    }
}

fn detection(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let tenant = turn.lab.whole();
    let mut process = turn.lab.fresh(turn.index, &tenant)?;
    turn.lab.make_ready(&mut process)?;
    let answer = process.ask(&Task::Fault, Duration::from_secs(30), turn.lab.stop)?;
    if number(&answer, "status")? == 0.0 {
        return Err(Failure::failed("the program was not told of its fault"));
    }
    Ok(Block::of(number(&answer, "detect_us")?))
}

/// How a process ends before the one that is timed begins.
#[derive(Clone, Copy, PartialEq)]
enum End {
    ByItself,
    Fault,
    Killed,
}

fn recovery(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let orderly = again(turn, End::ByItself)?;
    let fault = again(turn, End::Fault)?;
    let killed = again(turn, End::Killed)?;
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

/// From the end of a process until another of the same tenant has allocated and computed, in microseconds.
fn again(turn: &mut Turn<'_>, end: End) -> Result<f64, Failure> {
    let tenants = turn.lab.tenants(&[100]);
    // The context has its part of the limit, and so has what a dead one has not given back yet.
    let bytes = tenants[0].memory_bytes / 2;
    let index = turn.index;
    let stop = turn.lab.stop;
    let group = turn.group_of(&tenants)?;
    match end {
        End::ByItself => drop(group.ask(0, &Task::Work { bytes }, 5.0)?),
        End::Fault => drop(group.ask(0, &Task::Fault, 30.0)?),
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
    turn.lab.drop_group(index, &tenants);
    Ok(us)
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
