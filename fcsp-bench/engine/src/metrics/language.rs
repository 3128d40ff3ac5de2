//! What language models do to a device.

use super::isolation::LONGEST;
use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::{geometric_mean, longest_mean, median, quantile};
use crate::lab::{number, numbers, starved};
use crate::protocol::{Answer, Load, Task, Way};
use crate::turn::{Block, Turn};
use fcsp_measure::stats::{cv, mean};

pub(super) const MEASURES: &[Measure] = &[
    measure("LLM-001", [0.005, 0.01], Needs::Nothing, attention),
    Measure {
        lives: 6,
        ..measure("LLM-002", [0.11, 0.03], Needs::Nothing, cache)
    },
    measure("LLM-003", [0.02, 0.02], Needs::Nothing, batches),
    Measure {
        lives: 3,
        ..measure("LLM-004", [0.17, 0.08], Needs::Nothing, tokens)
    },
    Measure {
        lives: 8,
        ..measure("LLM-005", [0.01, 0.02], Needs::Nothing, pool)
    },
    measure("LLM-006", [0.02, 0.02], Needs::Nothing, streams),
    measure("LLM-007", [0.08, 0.08], Needs::Nothing, large),
    measure("LLM-008", [0.035, 0.05], Needs::Nothing, precision),
    Measure {
        learns: true,
        ..measure("LLM-009", [0.5, 0.25], Needs::Compute, dynamic)
    },
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
    let tokens = if turn.quick { 16 } else { 40 };
    let eager = turn.solo(decode(false, tokens))?;
    let graph = turn.solo(decode(true, tokens))?;
    let ms = |answer: &Answer, name: &str| -> Result<Vec<f64>, Failure> {
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
            // A driver takes one time for seconds and then another: who is compared has its turn within a fraction of one.
            count: 1,
        };
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
/// Kernels of a step of each size, and what its steps are called.
const SIZES: [(u32, &str); 4] = [
    (4, "size_4"),
    (8, "size_8"),
    (16, "size_16"),
    (32, "size_32"),
];
/// Steps of each size that a variation needs: that of fewer is none.
const STEPS_MIN: usize = 5;
/// For how long there may be too few of them.
const STEPS_SECONDS_MAX: f64 = 2.0;

fn dynamic(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let mut steps = Steps::default();
    let seconds = turn.seconds;
    let mut seed = u64::from(turn.block) + 1;
    while steps.are_too_few() {
        if steps.seconds >= STEPS_SECONDS_MAX {
            return Err(Failure::failed(steps.why()));
        }
        let loads = [
            Load::Batches {
                us: BATCH_KERNEL_US,
                seed,
            },
            Load::Kernels { us: 500.0 },
        ];
        let shared = turn.group(&[50, 50])?.run(&loads, seconds)?;
        steps.add(&shared.answers[0], seconds)?;
        // The next span has another sequence.
        seed += 1 << 32;
    }
    let mut block = Block::of(mean(&steps.us.each_ref().map(|us| cv(us))));
    for ((size, _), us) in SIZES.iter().zip(&steps.us) {
        block = block.with(format!("{size} kernels, median"), median(us), "us");
    }
    let longest = longest_mean(&steps.waits_us(), LONGEST);
    Ok(block
        .comparing(longest)
        .with("the longest twentieth of waits", longest, "us"))
}

/// Steps of changing sizes, of one span or several.
#[derive(Default)]
struct Steps {
    /// Their times, by size.
    us: [Vec<f64>; SIZES.len()],
    /// How long the spans were.
    seconds: f64,
    /// How long those were of which nothing counts, since the program had no processor.
    starved_seconds: f64,
}

impl Steps {
    /// Those of a span more.
    fn add(&mut self, answer: &Answer, seconds: f64) -> Result<(), Failure> {
        self.seconds += seconds;
        if starved(answer)? {
            self.starved_seconds += seconds;
            return Ok(());
        }
        for ((_, name), us) in SIZES.iter().zip(&mut self.us) {
            // A size of which there was none is not in the answer.
            us.extend(answer.numbers.get(*name).into_iter().flatten());
        }
        Ok(())
    }

    fn are_too_few(&self) -> bool {
        self.us.iter().any(|us| us.len() < STEPS_MIN)
    }

    /// Why there are too few.
    fn why(&self) -> String {
        let sizes = SIZES.iter().zip(&self.us);
        let counts: Vec<String> = sizes
            .map(|((size, _), us)| format!("{} of {size} kernels", us.len()))
            .collect();
        let starved = match self.starved_seconds > 0.0 {
            true => format!(
                "; {:.2} s do not count, since the program waited for a processor more than half of the time: the host is \
                too busy",
                self.starved_seconds
            ),
            false => String::new(),
        };
        format!(
            "too few steps were done beside the neighbour in {:.2} s: {}, where it takes {STEPS_MIN} of each{starved}",
            self.seconds,
            counts.join(", "),
        )
    }

    /// How long each waited: its time less that of its kernels.
    fn waits_us(&self) -> Vec<f64> {
        let sizes = SIZES.iter().zip(&self.us);
        sizes
            .flat_map(|((size, _), us)| {
                let work_us = f64::from(*size) * BATCH_KERNEL_US;
                us.iter().map(move |us| (us - work_us).max(0.0))
            })
            .collect()
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// What a program answers that did so many steps of each size and was without a processor for a part of a second.
    fn span(counts: [usize; SIZES.len()], queued_us: f64) -> Answer {
        let answer = Answer::default()
            .with("wall_us", 1e6)
            .with("queued_us", queued_us);
        SIZES
            .iter()
            .zip(counts)
            .filter(|(_, count)| *count > 0)
            .fold(answer, |answer, ((_, name), count)| {
                answer.with_all(name, vec![1_000.0; count])
            })
    }

    #[test]
    fn steps_of_several_spans_are_enough_together() {
        let mut steps = Steps::default();
        steps.add(&span([9, 9, 9, 0], 0.0), 0.25).expect("complete");
        assert!(steps.are_too_few(), "of one size there is none");
        assert_eq!(
            steps.why(),
            "too few steps were done beside the neighbour in 0.25 s: 9 of 4 kernels, 9 of 8 kernels, 9 of 16 kernels, \
            0 of 32 kernels, where it takes 5 of each"
        );
        steps.add(&span([9, 9, 9, 5], 0.0), 0.25).expect("complete");
        assert!(!steps.are_too_few());
        assert_eq!(steps.waits_us().len(), 59);
    }

    #[test]
    fn a_span_without_a_processor_does_not_count() {
        let mut steps = Steps::default();
        steps.add(&span([9; 4], 6e5), 0.25).expect("complete");
        assert!(steps.are_too_few() && steps.waits_us().is_empty());
        assert!(
            steps.why().contains("0.25 s do not count"),
            "{}",
            steps.why()
        );
        steps.add(&span([9; 4], 4e5), 0.25).expect("complete");
        assert!(!steps.are_too_few());
    }

    #[test]
    fn a_step_waits_for_as_long_as_it_takes_beyond_its_kernels() {
        let mut steps = Steps::default();
        steps.add(&span([1, 1, 1, 1], 0.0), 0.25).expect("complete");
        assert_eq!(steps.waits_us(), [900.0, 800.0, 600.0, 200.0]);
    }
}
