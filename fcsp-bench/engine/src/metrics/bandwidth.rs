//! The bandwidth of device memory among tenants.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::least;
use crate::protocol::Load;
use crate::turn::{Block, Turn};
use fcsp_measure::stats::jain_weighted;

pub(super) const MEASURES: &[Measure] = &[
    measure("BW-001", [0.6, 0.2], isolation),
    measure("BW-002", [0.4, 0.14], fairness),
    measure("BW-003", [0.6, 0.01], saturation),
    measure("BW-004", [0.6, 0.2], interference),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure::new(id, seconds, Needs::Compute, Value::Own, block)
}

/// Streams through far more than any cache holds.
const STREAMING: Load = Load::Read {
    buffer_bytes: 512 << 20,
    pass_bytes: 512 << 20,
};

fn isolation(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let groups: [&[u32]; 2] = [&[50, 50], &[25, 25, 25, 25]];
    let seconds = turn.seconds / (groups.len() as f64 + 1.0);
    let alone = turn.native_alone(&STREAMING, seconds)?;
    let mut worst = f64::INFINITY;
    let mut block = Block::default();
    for percents in groups {
        let loads = vec![STREAMING; percents.len()];
        let rates = turn.together(percents, &loads, seconds)?.rates();
        let part = 100.0 * least(&rates) * percents.len() as f64 / alone;
        block = block.with(format!("{} tenants", percents.len()), part, "%");
        worst = worst.min(part);
    }
    Ok(Block {
        value: worst,
        compared: worst,
        ..block
    }
    .with("natively alone", alone, "GB/s"))
}

fn fairness(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let percents = [50, 25, 25];
    let seconds = turn.seconds;
    let rates = turn
        .together(&percents, &vec![STREAMING; percents.len()], seconds)?
        .rates();
    let index = jain_weighted(&rates, &percents.map(f64::from))
        .ok_or_else(|| Failure::failed("no tenant read anything"))?;
    let mut block = Block::of(index);
    for (place, (rate, percent)) in rates.iter().zip(percents).enumerate() {
        block = block.with(
            format!("tenant {place}, limit of {percent} %"),
            *rate,
            "GB/s",
        );
    }
    Ok(block)
}

fn saturation(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let groups: [&[u32]; 2] = [&[50, 50], &[25, 25, 25, 25]];
    let seconds = turn.seconds / (groups.len() as f64 + 1.0);
    let alone = turn.native_alone(&STREAMING, seconds)?;
    let mut block = Block::default().with("natively alone", alone, "GB/s");
    let mut totals = Vec::new();
    for percents in groups {
        let loads = vec![STREAMING; percents.len()];
        let total: f64 = turn
            .together(percents, &loads, seconds)?
            .rates()
            .iter()
            .sum();
        block = block.with(
            format!("{} tenants together", percents.len()),
            total,
            "GB/s",
        );
        totals.push(total);
    }
    let smallest = least(&totals);
    Ok(Block {
        value: smallest / alone,
        compared: smallest,
        ..block
    })
}

/// What a neighbour copies or fills at once.
const INSIDE_BYTES: u64 = 256 << 20;
const INSIDE_BYTES_SIMULATED: u64 = 16 << 20;

fn interference(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let neighbours = [("copying", false), ("filling", true)];
    let bytes = match turn.lab.device.simulated {
        // Its memory is the machine's.
        true => INSIDE_BYTES_SIMULATED,
        false => INSIDE_BYTES,
    };
    let seconds = turn.seconds / (neighbours.len() as f64 + 1.0);
    let alone = turn.native_alone(&STREAMING, seconds)?;
    let mut worst = f64::INFINITY;
    let mut block = Block::default();
    for (name, fill) in neighbours {
        let neighbour = Load::Inside { bytes, fill };
        let shared = turn.together(&[50, 50], &[STREAMING, neighbour], seconds)?;
        let part = shared.rates()[0] / (0.5 * alone);
        worst = worst.min(part);
        block = block.with(name, (100.0 * (1.0 - part)).max(0.0), "%");
    }
    Ok(Block {
        value: (100.0 * (1.0 - worst)).max(0.0),
        compared: worst,
        ..block
    })
}
