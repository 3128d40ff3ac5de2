//! Copies between host and device.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::{least, median};
use crate::protocol::{Load, Task};
use crate::turn::{Block, Turn};

pub(super) const MEASURES: &[Measure] = &[
    measure("PCIE-001", [0.04, 0.02], Needs::Nothing, to_device),
    measure("PCIE-002", [0.04, 0.02], Needs::Nothing, to_host),
    measure("PCIE-003", [0.28, 0.16], Needs::Nothing, contention),
    measure("PCIE-004", [0.17, 0.05], Needs::Nothing, pinned),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    needs: Needs,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure::new(id, seconds, needs, Value::Own, block)
}

fn to_device(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    one_way(turn, true)
}

fn to_host(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    one_way(turn, false)
}

/// Bandwidth of each copy, in GB/s.
fn bandwidths(turn: &mut Turn<'_>, to_device: bool, pinned: bool) -> Result<Vec<f64>, Failure> {
    let bytes = turn.copy_bytes();
    let task = Task::Copies {
        bytes,
        to_device,
        pinned,
        count: turn.count(10),
    };
    let times = turn.solo_samples(task, "copy_us")?;
    Ok(times.iter().map(|us| bytes as f64 / us / 1e3).collect())
}

fn one_way(turn: &mut Turn<'_>, to_device: bool) -> Result<Block, Failure> {
    let bandwidths = bandwidths(turn, to_device, true)?;
    Ok(Block::of(median(&bandwidths)).with_samples(bandwidths))
}

fn contention(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds / 2.0;
    let load = Load::Copy {
        bytes: turn.copy_bytes() / 4,
        to_device: true,
        pinned: true,
    };
    let alone = turn.native_alone(&load, seconds)?;
    let rates = turn
        .together(&[50, 50], &[load.clone(), load], seconds)?
        .rates();
    let part = least(&rates) / (0.5 * alone);
    Ok(Block::of((100.0 * (1.0 - part)).max(0.0))
        .comparing(least(&rates))
        .with("natively alone", alone, "GB/s")
        .with("the lesser tenant", least(&rates), "GB/s"))
}

fn pinned(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let pinned = median(&bandwidths(turn, true, true)?);
    let pageable = median(&bandwidths(turn, true, false)?);
    Ok(Block::of(pinned / pageable)
        .comparing(pinned)
        .with("pinned", pinned, "GB/s")
        .with("pageable", pageable, "GB/s"))
}
