//! What is left of memory after use.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::median;
use crate::lab::{number, numbers};
use crate::protocol::{Answer, Task};
use crate::turn::{Block, Turn};

pub(super) const MEASURES: &[Measure] = &[
    measure("FRAG-001", index),
    Measure {
        lives: 8,
        ..measure("FRAG-002", latency)
    },
    measure("FRAG-003", compaction),
];

const fn measure(id: &'static str, block: fn(&mut Turn<'_>) -> Result<Block, Failure>) -> Measure {
    Measure::new(id, [0.06, 0.05], Needs::Memory, Value::Own, block)
}

/// So many quarters of a tenant's memory, natively too. Three leave room for the context, so that all do the same; four are
/// refused where a system counts.
fn fragment(turn: &mut Turn<'_>, part: u64) -> Result<Answer, Failure> {
    let tenants = turn.lab.tenants(&[100]);
    let task = Task::Fragment {
        most_bytes: tenants[0].memory_bytes * part / 4,
        seed: u64::from(turn.block) + 1,
    };
    let seconds = turn.seconds;
    let group = turn.group_of(&tenants)?;
    // Single calls are timed.
    group.ask(0, &Task::Pin { place: 0 }, seconds)?;
    group.ask(0, &task, seconds)
}

fn index(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let answer = fragment(turn, 3)?;
    let (free, largest) = (
        number(&answer, "free_bytes")?,
        number(&answer, "largest_bytes")?,
    );
    if free <= 0.0 {
        return Err(Failure::failed("nothing could be allocated"));
    }
    let mib = (1 << 20) as f64;
    Ok(Block::of(100.0 * (1.0 - largest / free))
        .comparing(largest)
        .with("free", free / mib, "MiB")
        .with("in one piece", largest / mib, "MiB"))
}

fn latency(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let answer = fragment(turn, 3)?;
    let (clean, fragmented) = (
        median(numbers(&answer, "clean_us")?),
        median(numbers(&answer, "fragmented_us")?),
    );
    Ok(Block::of(fragmented / clean)
        .comparing(fragmented)
        .with("before", clean, "us")
        .with("between blocks", fragmented, "us"))
}

fn compaction(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let answer = fragment(turn, 4)?;
    let (new, again) = (
        number(&answer, "new_bytes")?,
        number(&answer, "again_bytes")?,
    );
    if new <= 0.0 {
        return Err(Failure::failed("nothing could be allocated"));
    }
    Ok(Block::of(100.0 * again / new))
}
