//! What language models do to a device.

use super::isolation::LONGEST;
use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::{geometric_mean, longest_mean, median, quantile};
use crate::lab::{number, numbers};
use crate::protocol::{Load, Task, Way};
use crate::turn::{Block, Turn};
use fcsp_measure::stats::{cv, mean};

pub(super) const MEASURES: &[Measure] = &[
    measure("LLM-001", [0.02, 0.01], Needs::Nothing, attention),
    Measure {
        lives: 6,
        ..measure("LLM-002", [0.1, 0.03], Needs::Nothing, cache)
    },
    measure("LLM-003", [0.03, 0.02], Needs::Nothing, batches),
    measure("LLM-004", [0.26, 0.08], Needs::Nothing, tokens),
    Measure {
        lives: 8,
        ..measure("LLM-005", [0.03, 0.02], Needs::Nothing, pool)
    },
    measure("LLM-006", [0.03, 0.02], Needs::Nothing, streams),
    measure("LLM-007", [0.4, 0.2], Needs::Nothing, large),
    measure("LLM-008", [0.07, 0.05], Needs::Nothing, precision),
    measure("LLM-009", [0.5, 0.25], Needs::Compute, dynamic),
    measure("LLM-010", [0.3, 0.1], Needs::Nothing, devices),
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    needs: Needs,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure::new(id, seconds, needs, Value::Own, block)
}

fn attention(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let task = Task::Attention {
        heads: 16,
        rows: 1_024,
        count: turn.count(20),
    };
    let answer = turn.solo(task)?;
    right(number(&answer, "wrong")?)?;
    let tflops = numbers(&answer, "tflops")?;
    Ok(Block::of(median(tflops))
        .with("a pass", median(numbers(&answer, "pass_us")?), "us")
        .with_samples(tflops.to_vec()))
}

fn right(wrong: f64) -> Result<(), Failure> {
    match wrong > 0.0 {
        true => Err(Failure::failed(format!(
            "{wrong} results of attention are wrong"
        ))),
        false => Ok(()),
    }
}

fn cache(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let mut rates = Vec::new();
    for (way, name) in turn.ways(&[Way::Plain, Way::Pool, Way::Virtual]) {
        let count = match way {
            Way::Plain => 1_000,
            // They only stand beside it.
            _ => 250,
        };
        let task = Task::CacheTrace {
            way,
            block_bytes: 2 << 20,
            count: turn.count(count),
            held_max: 64,
        };
        rates.push((name, number(&turn.solo(task)?, "rate")?));
    }
    let mut block = Block::of(rates[0].1);
    for (name, rate) in rates {
        block = block.with(name, rate, "alloc/s");
    }
    Ok(block)
}

fn batches(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let count = turn.count(8);
    let mut throughputs = Vec::new();
    let mut block = Block::default();
    for batch in [1_u32, 2, 4, 8, 16, 32] {
        let task = Task::Attention {
            heads: 4 * batch,
            rows: 512,
            count,
        };
        let answer = turn.solo(task)?;
        right(number(&answer, "wrong")?)?;
        let per_second = f64::from(batch) * 1e6 / median(numbers(&answer, "pass_us")?);
        throughputs.push(per_second);
        block = block.with(format!("batch of {batch}"), per_second, "1/s");
    }
    let largest = throughputs[throughputs.len() - 1];
    Ok(Block {
        value: largest / (32.0 * throughputs[0]),
        compared: largest,
        ..block
    })
}

fn tokens(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let decode = |graph, tokens| Task::Decode {
        kernels: 300,
        us: 5.0,
        tokens,
        graph,
    };
    let tokens = turn.count(64);
    let eager = turn.solo(decode(false, tokens))?;
    let graph = turn.solo(decode(true, tokens))?;
    let ms = |answer: &crate::protocol::Answer, name: &str| -> Result<Vec<f64>, Failure> {
        Ok(numbers(answer, name)?.iter().map(|us| us / 1e3).collect())
    };
    let (each, graphed) = (ms(&eager, "token_us")?, ms(&graph, "token_us")?);
    Ok(Block::of(median(&each))
        .with("p99", quantile(&each, 0.99), "ms")
        .with(
            "time to the first token",
            number(&eager, "first_us")? / 1e3,
            "ms",
        )
        .with("as a graph", median(&graphed), "ms")
        .with("as a graph, p99", quantile(&graphed, 0.99), "ms")
        .with_samples(each))
}

/// What is held from a pool to see whether it is counted, and how much of that must be.
const HELD_BYTES: u64 = 256 << 20;

fn pool(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let mut pairs = Vec::new();
    for (way, count) in [(Way::Plain, 100), (Way::Pool, 3_000)] {
        let task = Task::Allocate {
            way,
            bytes: 1 << 20,
            count: turn.count(count),
        };
        let answer = turn.solo(task)?;
        let (alloc, free) = (numbers(&answer, "alloc_us")?, numbers(&answer, "free_us")?);
        let each: Vec<f64> = alloc.iter().zip(free).map(|(a, f)| a + f).collect();
        pairs.push(median(&each));
    }
    let charged = number(
        &turn.solo(Task::Pool { bytes: HELD_BYTES })?,
        "charged_bytes",
    )?;
    if charged < 0.95 * HELD_BYTES as f64 {
        return Err(Failure::failed(format!(
            "of 256 MiB held from a pool {:.0} MiB were counted",
            charged / (1 << 20) as f64
        )));
    }
    Ok(Block::of(100.0 * pairs[1] / pairs[0])
        .comparing(pairs[1])
        .with("a plain pair", pairs[0], "us")
        .with("a pair from the pool", pairs[1], "us"))
}

fn streams(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let task = Task::Streams {
        streams: 4,
        kernels: 20,
        // Alone on its multiprocessors such a kernel takes a quarter of that: still much longer than its launch.
        us: 200.0,
        blocks: (turn.lab.device.wave_blocks / 8).max(1),
        count: turn.count(10),
        from_ns: 0,
        to_ns: 0,
    };
    let answer = turn.solo(task)?;
    let (alone, all) = (
        median(numbers(&answer, "alone_us")?),
        median(numbers(&answer, "pass_us")?),
    );
    Ok(Block::of(100.0 * alone / all)
        .comparing(1e6 / all)
        .with("one stream", alone, "us")
        .with("four streams", all, "us"))
}

fn large(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let limit = turn.lab.whole().memory_bytes;
    let count = turn.count(5);
    let mut means = Vec::new();
    let mut block = Block::default();
    for gib in [1_u64, 2, 4, 8] {
        // The context has its part of the limit.
        if gib << 30 > limit - (1 << 30) {
            continue;
        }
        let task = Task::Allocate {
            way: Way::Plain,
            bytes: gib << 30,
            count,
        };
        // The same allocation takes one time or several times as long: a median would be the one or the other.
        let ms = geometric_mean(&turn.solo_samples(task, "alloc_us")?) / 1e3;
        means.push(ms);
        block = block.with(format!("{gib} GiB"), ms, "ms");
    }
    if means.is_empty() {
        return Err(Failure::not_run("needs a device with 4 GiB or more"));
    }
    let mean = geometric_mean(&means);
    Ok(Block {
        value: mean,
        compared: mean,
        ..block
    })
}

fn precision(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let size = 2_048_u32;
    let task = Task::Products {
        size,
        count: turn.count(10),
    };
    let answer = turn.solo(task)?;
    let operations = 2.0 * f64::from(size).powi(3);
    let tflops =
        |name| -> Result<f64, Failure> { Ok(operations / median(numbers(&answer, name)?) / 1e6) };
    let (half, single) = (tflops("half_us")?, tflops("single_us")?);
    Ok(Block::of(half / single)
        .comparing(half)
        .with("half precision", half, "TFLOPS")
        .with("single precision", single, "TFLOPS"))
}

/// Length of a kernel of those steps.
const BATCH_KERNEL_US: f64 = 25.0;

fn dynamic(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds.max(0.2);
    let loads = [
        Load::Batches {
            us: BATCH_KERNEL_US,
            seed: u64::from(turn.block) + 1,
        },
        Load::Kernels { us: 500.0 },
    ];
    let shared = turn.together(&[50, 50], &loads, seconds)?;
    let (mut variations, mut waits) = (Vec::new(), Vec::new());
    let mut block = Block::default();
    for (name, size) in [
        ("size_4", 4),
        ("size_8", 8),
        ("size_16", 16),
        ("size_32", 32),
    ] {
        let Ok(steps) = numbers(&shared.answers[0], name) else {
            continue;
        };
        let work_us = f64::from(size) * BATCH_KERNEL_US;
        waits.extend(steps.iter().map(|us| (us - work_us).max(0.0)));
        // A variation of a few is none.
        if steps.len() < 5 {
            continue;
        }
        variations.push(cv(steps));
        block = block.with(format!("{size} kernels, median"), median(steps), "us");
    }
    let longest = longest_mean(&waits, LONGEST);
    if variations.is_empty() || longest == 0.0 {
        return Err(Failure::failed(
            "too few steps were done beside the neighbour",
        ));
    }
    Ok(Block {
        value: mean(&variations),
        compared: longest,
        ..block
    }
    .with("the longest twentieth of waits", longest, "us"))
}

fn devices(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    if turn.lab.device.count < 2 {
        return Err(Failure::not_run("needs 2 GPUs"));
    }
    let us = 2_000.0;
    let task = Task::Scaling {
        us,
        bytes: 4 << 20,
        count: turn.count(50),
    };
    let answer = turn.unpinned(&task)?;
    let (one, two) = (
        median(numbers(&answer, "one_us")?),
        median(numbers(&answer, "two_us")?),
    );
    Ok(Block::of(one / two)
        .comparing(1e6 / two)
        .with("a step on one device", one, "us")
        .with("a step on two devices", two, "us"))
}
