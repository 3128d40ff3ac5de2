//! What a system costs a program that is alone.

use super::order::family;
use super::{Measure, Needs, Value};
use crate::failure::Failure;
use crate::figures::{geometric_mean, median, middle_mean, quantile};
use crate::lab::{number, numbers};
use crate::protocol::{Cheap, Load, Task, Way};
use crate::turn::{Block, Turn};
use fcsp_measure::stats::mean;

pub(super) const MEASURES: &[Measure] = &[
    Measure {
        lives: 3,
        ..measure("OH-001", [0.01, 0.015], Value::Own, launch)
    },
    Measure {
        lives: 6,
        ..measure("OH-002", [0.075, 0.03], Value::Own, allocation)
    },
    measure("OH-003", [0.065, 0.03], Value::Own, free),
    Measure {
        starts: [1; 2],
        ..measure("OH-004", [0.05, 0.05], Value::LessNative, context)
    },
    Measure {
        lives: 3,
        ..measure("OH-005", [0.055, 0.02], Value::LessNative, interception)
    },
    Measure {
        lives: 5,
        ..measure("OH-006", [0.26, 0.25], Value::LessNative, contention)
    },
    Measure {
        lives: 3,
        ..measure("OH-007", [0.005, 0.015], Value::LessNative, tracking)
    },
    Measure {
        lives: 4,
        ..measure("OH-008", [0.14, 0.06], Value::LessNative, limiter)
    },
    measure("OH-009", [0.25, 0.25], Value::LessNative, watching),
    Measure {
        lives: 6,
        ..measure("OH-010", [0.21, 0.16], Value::LackPercent, throughput)
    },
];

const fn measure(
    id: &'static str,
    seconds: [f64; 2],
    value: Value,
    block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
) -> Measure {
    Measure::new(id, seconds, Needs::Nothing, value, block)
}

fn launch(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let count = turn.count(1_000);
    let sparse = Task::Launch { count, busy: false };
    let sparse = turn.solo_samples(sparse, "launch_us")?;
    let busy = turn.solo_samples(Task::Launch { count, busy: true }, "launch_us")?;
    Ok(Block::of(median(&sparse))
        .with("saturated, median", median(&busy), "us")
        .with("saturated, p95", quantile(&busy, 0.95), "us")
        .with("saturated, p99", quantile(&busy, 0.99), "us")
        .with_samples(sparse))
}

/// Sizes that programs ask for: small tensors to whole caches.
const SIZES: [(u64, &str); 6] = [
    (4 << 10, "4 KiB"),
    (64 << 10, "64 KiB"),
    (1 << 20, "1 MiB"),
    (16 << 20, "16 MiB"),
    (256 << 20, "256 MiB"),
    (1 << 30, "1 GiB"),
];

fn allocation(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    by_size(turn, "alloc_us")
}

fn free(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    by_size(turn, "free_us")
}

fn by_size(turn: &mut Turn<'_>, name: &str) -> Result<Block, Failure> {
    let count = turn.count(12).max(6);
    let mut means = Vec::new();
    let mut block = Block::default();
    for (bytes, size) in SIZES {
        let task = Task::Allocate {
            way: Way::Plain,
            bytes,
            count,
        };
        let times = turn.solo_samples(task, name)?;
        let us = middle_mean(&times);
        means.push(us);
        block = block.with(size, us, "us");
    }
    let mean = geometric_mean(&means);
    Ok(Block {
        value: mean,
        compared: mean,
        ..block
    })
}

fn context(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let tenant = turn.lab.whole();
    if turn.block == 0 && turn.system().is_native() {
        // After a while without a new process the first one takes longer, whoever it belongs to.
        let mut first = turn.lab.fresh(turn.index, &tenant)?;
        turn.lab.make_ready(&mut first)?;
    }
    let mut process = turn.lab.fresh(turn.index, &tenant)?;
    let answer = turn.lab.make_ready(&mut process)?;
    let whole_us = number(&answer, "open_us")?;
    Ok(Block::of(whole_us)
        .with("loading the driver to the context", whole_us, "us")
        .with("the context alone", number(&answer, "context_us")?, "us"))
}

/// Cheap calls of the driver, some of which systems have reasons to see.
const CHEAP: [Cheap; 4] = [
    Cheap::CurrentDevice,
    Cheap::SetCurrent,
    Cheap::EventQuery,
    Cheap::QueueQuery,
];

fn interception(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let thousands = turn.count(50);
    let mut all = Vec::new();
    let mut block = Block::default();
    let vendor = turn.lab.site().vendor;
    for call in CHEAP {
        let Some(name) = vendor.cheap(call) else {
            continue;
        };
        let times = turn.solo_samples(Task::Call { call, thousands }, "call_ns")?;
        all.push(median(&times));
        block = block.with(name, median(&times), "ns");
    }
    let mean_ns = mean(&all);
    Ok(Block {
        value: mean_ns,
        compared: mean_ns,
        ..block
    })
}

/// Processes of one tenant that allocate at once.
pub(super) const TOGETHER: usize = 4;

fn contention(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let tenants = family(turn.lab);
    let seconds = turn.seconds / 2.0;
    let load = Load::Allocations {
        way: Way::Pool,
        bytes: 64 << 10,
    };
    let group = turn.group_of(&tenants)?;
    // Each on a processor of its own: where they happen to be counts for more than whom they share with.
    for place in 0..TOGETHER {
        group.ask(place, &Task::Pin { place }, seconds)?;
    }
    let crowd = group.run(&vec![load.clone(); TOGETHER], seconds)?;
    let (mut all, mut medians) = (Vec::new(), Vec::new());
    for answer in &crowd.answers {
        let steps = numbers(answer, "step_us")?;
        medians.push(median(steps));
        all.extend_from_slice(steps);
    }
    let alone = group.run(&[load], seconds)?;
    let one = median(numbers(&alone.answers[0], "step_us")?);
    // Each has its own place in memory, and so its own pace: a median of all would be that of whoever lies in the middle.
    let four = mean(&medians);
    Ok(Block::of(four - one)
        .comparing(four)
        .with("one process", one, "us")
        .with("four processes", four, "us")
        .with("four processes, p99", quantile(&all, 0.99), "us"))
}

fn tracking(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let task = Task::Allocate {
        way: Way::Pool,
        bytes: 64 << 10,
        count: turn.count(5_000),
    };
    let answer = turn.solo(task)?;
    let (alloc, free) = (numbers(&answer, "alloc_us")?, numbers(&answer, "free_us")?);
    let pairs: Vec<f64> = alloc.iter().zip(free).map(|(a, f)| (a + f) * 1e3).collect();
    Ok(Block::of(median(&pairs))
        .with("a pair", median(&pairs), "ns")
        .with("the allocation alone", median(alloc) * 1e3, "ns"))
}

/// Between two empty kernels: they then use next to nothing of any budget.
const SPARSE_US: f64 = 100.0;
/// The limit of OH-008, and kernels that use half and all of it.
const LIMIT_PERCENT: u32 = 50;
const BUDGET_US: [(f64, f64, &str); 2] = [
    (100.0, 400.0, "at half of the budget"),
    (100.0, 200.0, "at all of the budget"),
];

/// Both processes take turns, so many, on the same processor: whatever it does falls on both.
const LIMITER_TURNS: u32 = 5;

fn limiter(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds;
    let count = turn.count(400);
    turn.group(&[LIMIT_PERCENT])?
        .ask(0, &Task::Pin { place: 0 }, seconds)?;
    let empty = (0.0, SPARSE_US, count);
    let [free, limited] = launches_ns(turn, empty)?;
    let mut block = Block::of(limited - free).comparing(limited / free);
    for (kernel_us, every_us, name) in BUDGET_US {
        let [free, limited] = launches_ns(turn, (kernel_us, every_us, count / 8))?;
        block = block.with(name, limited - free, "ns");
    }
    Ok(block)
}

/// Median of the launch call in a process that may use the whole device and in one with a limit, by kernel, pace and count.
fn launches_ns(
    turn: &mut Turn<'_>,
    (kernel_us, every_us, count): (f64, f64, u32),
) -> Result<[f64; 2], Failure> {
    let task = Task::LaunchPaced {
        count: count.div_ceil(LIMITER_TURNS),
        kernel_us,
        every_us,
    };
    let seconds = turn.seconds;
    let (mut free, mut limited) = (Vec::new(), Vec::new());
    for _ in 0..LIMITER_TURNS {
        free.extend(turn.solo_samples(task.clone(), "launch_us")?);
        let answer = turn.group(&[LIMIT_PERCENT])?.ask(0, &task, seconds)?;
        limited.extend_from_slice(numbers(&answer, "launch_us")?);
    }
    Ok([free, limited].map(|us| median(&us) * 1e3))
}

fn watching(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    let seconds = turn.seconds / 2.0;
    let mut parts = Vec::new();
    let steady = Load::Steps {
        kernels: 4,
        us: 200.0,
        cpu_us: 200.0,
        graph: false,
    };
    for load in [steady, Load::Idle] {
        let shared = turn.together(&[100], &[load], seconds)?;
        let answer = &shared.answers[0];
        parts.push(100.0 * number(answer, "cpu_us")? / number(answer, "wall_us")?);
    }
    Ok(Block::of(parts[0])
        .with("busy, the program included", parts[0], "%")
        .with("idle, the program included", parts[1], "%"))
}

fn throughput(turn: &mut Turn<'_>) -> Result<Block, Failure> {
    // A half more comes before what is measured.
    let seconds = turn.seconds * 0.6;
    let shared = turn.solo_load(&Load::Mixed, seconds)?;
    let per_second = shared.rates()[0] * 1e9;
    let steps = numbers(&shared.answers[0], "step_us")?;
    Ok(Block::of(per_second)
        .with("steps a second", per_second, "1/s")
        .with("p99 of a step", quantile(steps, 0.99), "us"))
}
