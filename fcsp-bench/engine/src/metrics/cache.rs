//! The L2 cache among tenants.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::median;
use crate::lab::numbers;
use crate::protocol::{Load, Task};
use crate::turn::{Block, Turn};
use fcsp_measure::clock::now_ns;

pub(super) const MEASURES: &[Measure] = &[
    measure("CACHE-001", [0.05, 0.01], Value::Own, counters),
    measure("CACHE-002", [0.05, 0.01], Value::Own, counters),
    measure("CACHE-003", [0.5, 0.3], Value::Own, collision),
    measure("CACHE-004", [0.5, 0.2], Value::Own, contention),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    value: Value,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure {
        id,
        seconds,
        needs: Needs::Compute,
        value,
        block,
    }
}

/// What would be needed is not asked for: reading counters takes the vendor's profiling library and, on most machines, the
/// administrator.
fn counters(_turn: &mut Turn<'_>) -> Result<Block, Failure> {
    Err(Failure::not_run(
        "needs permission to read performance counters, and fcsp bench cannot read them yet; what neighbours do to the \
         cache is in CACHE-003 and CACHE-004 by time",
    ))
}

/// A set of that part of the cache, in whole lines.
fn set(turn: &Turn<'_>, percent: u64) -> Result<u64, Failure> {
    match turn.lab.device.cache_bytes {
        0 => Err(Failure::not_run(
            "the driver does not say how large the L2 cache is",
        )),
        bytes => Ok((bytes * percent / 100).max(4096) / 128 * 128),
    }
}

fn collision(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds / 2.0;
    let mut rates = Vec::new();
    // Both sets of the first fit together, those of the second do not.
    for percent in [10, 60] {
        let load = Load::Read {
            buffer_bytes: set(turn, percent)?,
            pass_bytes: 256 << 20,
        };
        rates.push(
            turn.together(&[50, 50], &[load.clone(), load], seconds)?
                .rates()[0],
        );
    }
    if rates[0] <= 0.0 {
        return Err(Failure::failed("the tenant read nothing"));
    }
    Ok(Block::of(100.0 * (1.0 - rates[1] / rates[0]))
        .comparing(rates[1])
        .with("sets that fit", rates[0], "GB/s")
        .with("sets that do not fit", rates[1], "GB/s"))
}

fn contention(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let (bytes, cache) = (set(turn, 25)?, turn.lab.device.cache_bytes);
    let seconds = turn.seconds;
    let count = turn.count(200);
    let group = turn.group(&[50, 50])?;
    let chase = Task::Chase {
        bytes,
        hops: 2_000,
        count,
    };
    let alone = median(numbers(&group.ask(0, &chase, seconds)?, "read_cycles")?);
    let storm = Load::Inside {
        bytes: cache.max(1 << 20),
        fill: true,
    };
    group.begin(1, storm, now_ns() + (seconds * 1e9) as u64)?;
    let beside = group.ask(0, &chase, seconds + 5.0);
    group.finish(1, seconds)?;
    let beside = median(numbers(&beside?, "read_cycles")?);
    if alone <= 0.0 {
        return Err(Failure::failed("every read was interrupted"));
    }
    Ok(Block::of(100.0 * (beside - alone) / alone)
        .comparing(beside)
        .with("alone", alone, "cycles")
        .with("beside the neighbour", beside, "cycles"))
}
