//! The L2 cache among tenants.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::median;
use crate::lab::{number, numbers};
use crate::protocol::{Answer, Load, Task};
use crate::turn::{Block, Turn};
use fcsp_measure::clock::now_ns;
use fcsp_measure::stats::mean;

pub(super) const MEASURES: &[Measure] = &[
    measure("CACHE-001", [0.55, 0.2], hits),
    measure("CACHE-002", [0.5, 0.25], evictions),
    measure("CACHE-003", [0.65, 0.32], collision),
    measure("CACHE-004", [0.5, 0.2], contention),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure::new(id, seconds, Needs::Compute, Value::Own, block)
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

/// Part of the cache that the tenant's set has where it must fit, in percent.
const SET_PERCENT: u64 = 25;
/// How long the neighbour has between two passes of the tenant's.
const PAUSE_US: f64 = 5_000.0;

/// So often where the tenant did not come to read its set once, each time for twice as long.
const TRIES: u32 = 4;
/// The part of the time beside a neighbour before anything counts: what a system has yet to learn is no part of what it gives.
const LEAD: f64 = 0.3;
/// Kernels beside a neighbour, at most: as many as there is time for, so that several turns of both are among them.
const KERNELS_MAX: u32 = 4_000;

/// The tenant's chase: alone, which finds out what a hit is, and beside a neighbour for the whole time.
struct Chased {
    alone: Answer,
    beside: Answer,
}

fn chased(
    turn: &mut Turn<'_>,
    neighbour: Load,
    passes: u32,
    count: u32,
    pause_us: f64,
) -> Result<Chased, Failure> {
    let bytes = set(turn, SET_PERCENT)?;
    let seconds = turn.seconds;
    let count = turn.count(count);
    let chase = |count, hit_cycles, from_ns, until_ns| Task::Chase {
        bytes,
        passes,
        count,
        hit_cycles,
        pause_us,
        from_ns,
        until_ns,
    };
    let group = turn.group(&[50, 50])?;
    let mut once = |seconds: f64| -> Result<Chased, Failure> {
        let alone = group.ask(0, &chase(count, 0, 0, 0), seconds)?;
        let hit_cycles = number(&alone, "hit_cycles")? as u32;
        let from_ns = now_ns() + (seconds * LEAD * 1e9) as u64;
        let to_ns = now_ns() + (seconds * 1e9) as u64;
        group.begin(1, neighbour.clone(), to_ns)?;
        let beside = group.ask(0, &chase(KERNELS_MAX, hit_cycles, from_ns, to_ns), seconds);
        group.finish(1, seconds)?;
        Ok(Chased {
            alone,
            beside: beside?,
        })
    };
    let mut chased = once(seconds)?;
    for again in 1..TRIES {
        if chased.has_reads()? {
            break;
        }
        chased = once(seconds * f64::from(1 << again))?;
    }
    Ok(chased)
}

impl Chased {
    /// Whether there are passes of both kinds that nothing interrupted.
    fn has_reads(&self) -> Result<bool, Failure> {
        let is_there = |answer| Ok(!numbers(answer, "hit_percent")?.is_empty());
        Ok(is_there(&self.alone)? && is_there(&self.beside)?)
    }
}

/// A neighbour that fills memory as large as the cache.
fn storm(turn: &Turn<'_>) -> Load {
    const LEAST_BYTES: u64 = 1 << 20;
    let device = &turn.lab.device;
    Load::Inside {
        bytes: match device.simulated {
            // Its memory is the machine's.
            true => LEAST_BYTES,
            false => device.cache_bytes.max(LEAST_BYTES),
        },
        fill: true,
    }
}

/// A figure of each kernel; an error where there was none.
fn of_kernels<'a>(answer: &'a Answer, name: &str) -> Result<&'a [f64], Failure> {
    match numbers(answer, name)? {
        [] => Err(Failure::failed(format!(
            "in {TRIES} tries the tenant did not come to read its set once, or every read was interrupted"
        ))),
        values => Ok(values),
    }
}

fn hits(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let neighbour = storm(turn);
    let chased = chased(turn, neighbour, 4, 20, 0.0)?;
    let alone = mean(of_kernels(&chased.alone, "hit_percent")?);
    Ok(Block::of(mean(of_kernels(&chased.beside, "hit_percent")?))
        .with("alone", alone, "%")
        .with(
            "a read from the cache",
            number(&chased.alone, "cache_cycles")?,
            "cycles",
        )
        .with(
            "a read from memory",
            number(&chased.alone, "memory_cycles")?,
            "cycles",
        ))
}

fn evictions(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let neighbour = storm(turn);
    let chased = chased(turn, neighbour, 1, 20, PAUSE_US)?;
    let misses =
        |answer| -> Result<f64, Failure> { Ok(100.0 - median(of_kernels(answer, "hit_percent")?)) };
    let (alone, beside) = (misses(&chased.alone)?, misses(&chased.beside)?);
    Ok(Block::of((beside - alone).max(0.0))
        .comparing(beside)
        .with("alone", alone, "%")
        .with("beside the neighbour", beside, "%"))
}

/// Parts of the cache of the sets that fit together, and of those that do not, in percent.
const SETS_PERCENT: [u64; 2] = [10, 60];
/// The part of a block's time for each of them: what a lone program reads is measured once for all systems.
const SET_PART: f64 = 0.4;

fn collision(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds * SET_PART;
    let (mut rates, mut alone) = (Vec::new(), Vec::new());
    for percent in SETS_PERCENT {
        let load = Load::Read {
            buffer_bytes: set(turn, percent)?,
            pass_bytes: 256 << 20,
        };
        alone.push(turn.native_alone(&load, seconds)?);
        rates.push(
            turn.together(&[50, 50], &[load.clone(), load], seconds)?
                .rates()[0],
        );
    }
    if rates[0] <= 0.0 {
        return Err(Failure::failed("the tenant read nothing"));
    }
    // A large set may be read more slowly by a lone program too.
    let kept = rates[1] / rates[0] / (alone[1] / alone[0]);
    Ok(Block::of((100.0 * (1.0 - kept)).max(0.0))
        .comparing(rates[1])
        .with("sets that fit", rates[0], "GB/s")
        .with("sets that do not fit", rates[1], "GB/s")
        .with("natively alone, the small set", alone[0], "GB/s")
        .with("natively alone, the large set", alone[1], "GB/s"))
}

fn contention(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let neighbour = storm(turn);
    let chased = chased(turn, neighbour, 2, 40, 0.0)?;
    let alone = median(of_kernels(&chased.alone, "read_cycles")?);
    let beside = median(of_kernels(&chased.beside, "read_cycles")?);
    Ok(Block::of(100.0 * (beside - alone) / alone)
        .comparing(beside)
        .with("alone", alone, "cycles")
        .with("beside the neighbour", beside, "cycles"))
}
