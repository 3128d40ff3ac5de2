//! One active tenant of three, in balanced mode: idle capacity is lent, and lending it costs nothing.

use anyhow::{Context, Result};
use fcsp_hw_tests::stats::median;
use serde_json::json;

use crate::bench::{Alone, Bench};
use crate::programs::{DECODE, IDLE, Program, SATURATE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Tenant};

/// Native and shared runs alternate, so that a drift of the device's clocks meets both.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    compare(bench, &SATURATE, result)?;
    if !bench.quick {
        compare(bench, &DECODE, result)?;
    }
    Ok(())
}

fn compare(bench: &Bench, program: &Program, result: &mut SuiteResult) -> Result<()> {
    let rounds = bench.either(3, 2);
    let seconds = 1.5;
    let (mut native, mut shared) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let alone = [bench.native("a", program, seconds)];
        native.push(pace(&bench.reached(&bench.together(&alone, seconds)?[0])?));
        let three = [
            bench.limited("a", Limits::share(34), program, seconds),
            idle(bench, "b", seconds),
            idle(bench, "c", seconds),
        ];
        shared.push(pace(&bench.reached(&bench.together(&three, seconds)?[0])?));
    }
    let medians = median(&shared).zip(median(&native));
    let (here, before) = medians.context("no round was run")?;
    result.row(Row::number(
        format!("`{}` beside two idle tenants, of native", program.name),
        here / before,
        "",
        Bar::AtLeast(0.995),
    ));
    result.details.push(json!({
        "program": program.name, "native": native, "one_of_three": shared,
    }));
    Ok(())
}

/// Steps where there are steps, else device time.
fn pace(reached: &Alone) -> f64 {
    reached.steps_per_s.unwrap_or(reached.rate)
}

fn idle(bench: &Bench, name: &str, seconds: f64) -> Tenant {
    bench.limited(name, Limits::share(33), &IDLE, seconds)
}
