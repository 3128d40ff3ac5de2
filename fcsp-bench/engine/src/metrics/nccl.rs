//! Collectives and copies between devices.

use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::median;
use crate::lab::{number, numbers};
use crate::protocol::{Collective, Task};
use crate::turn::{Block, Turn};

pub(super) const MEASURES: &[Measure] = &[
    measure("NCCL-001", all_reduce),
    measure("NCCL-002", all_gather),
    measure("NCCL-003", peer_to_peer),
    measure("NCCL-004", broadcast),
];

const fn measure(id: &'static str, block: fn(&mut Turn<'_>) -> Result<Block, Failure>) -> Measure {
    Measure::new(id, [0.2, 0.1], Needs::Nothing, Value::Own, block)
}

/// Times of one collective, and the number of devices.
fn times(
    turn: &mut Turn<'_>,
    kind: Collective,
    bytes: u64,
    count: u32,
) -> Result<(Vec<f64>, f64), Failure> {
    if turn.lab.device.count < 2 {
        return Err(Failure::not_run("needs 2 GPUs"));
    }
    let count = turn.count(count);
    let answer = turn.unpinned(&Task::Collective { kind, bytes, count })?;
    Ok((
        numbers(&answer, "collective_us")?.to_vec(),
        number(&answer, "devices")?,
    ))
}

fn all_reduce(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let (small, _) = times(turn, Collective::AllReduce, 8, 100)?;
    let (samples, _) = times(turn, Collective::AllReduce, 1 << 20, 100)?;
    let bytes = large_bytes(turn);
    let (large, _) = times(turn, Collective::AllReduce, bytes, 10)?;
    Ok(Block::of(median(&samples))
        .with("8 bytes", median(&small), "us")
        .with("256 MiB", median(&large), "us")
        .with_samples(samples))
}

/// Size of what measures bandwidth. A simulated device's copies are the machine's own, which take far longer.
fn large_bytes(turn: &Turn<'_>) -> u64 {
    match turn.lab.device.simulated {
        true => 4 << 20,
        false => 256 << 20,
    }
}

/// Bus bandwidth as NCCL's own tests define it.
fn bandwidth(
    turn: &mut Turn<'_>,
    kind: Collective,
    factor: fn(f64) -> f64,
) -> Result<Block, Failure> {
    let bytes = large_bytes(turn);
    let (times, devices) = times(turn, kind, bytes, 20)?;
    let samples: Vec<f64> = times
        .iter()
        .map(|us| bytes as f64 / us / 1e3 * factor(devices))
        .collect();
    Ok(Block::of(median(&samples)).with_samples(samples))
}

fn all_gather(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    bandwidth(turn, Collective::AllGather, |devices| {
        (devices - 1.0) / devices
    })
}

fn peer_to_peer(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    bandwidth(turn, Collective::PeerToPeer, |_| 1.0)
}

fn broadcast(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    bandwidth(turn, Collective::Broadcast, |_| 1.0)
}
