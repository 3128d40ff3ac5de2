//! A strict tenant that is alone: its share and no more, without pauses one could feel.

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::{NS_PER_MS, NS_PER_S};
use fcsp_hw_tests::stats::{cv, mean};
use serde_json::json;

use crate::bench::{Bench, measured_part};
use crate::programs::SATURATE;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::Limits;

const ENTITLED_PCT: u32 = 25;

/// 25 % strict with the device to itself.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(8.05, 4.05);
    let alone = bench.alone(&SATURATE)?;
    let limits = Limits {
        isolation: "strict",
        ..Limits::share(ENTITLED_PCT)
    };
    let reports = bench.together(&[bench.limited("a", limits, &SATURATE, seconds)], seconds)?;
    let (from_ns, to_ns) = measured_part(&reports)?;
    let progress = reports[0].work.scaled(1.0 / alone.rate);
    let seconds_pct: Vec<f64> = progress
        .window_rates(from_ns, to_ns, NS_PER_S)
        .iter()
        .map(|rate| rate * 100.0)
        .collect();
    let worst = seconds_pct
        .iter()
        .map(|pct| (pct - f64::from(ENTITLED_PCT)).abs())
        .reduce(f64::max)
        .context("the program ran for less than a second")?;
    let windows = progress.window_rates(from_ns, to_ns, 100 * NS_PER_MS);
    result.row(Row::number(
        "strict 25 % alone: mean, of the whole device",
        mean(&seconds_pct),
        "%",
        Bar::None,
    ));
    result.row(Row::number(
        "strict 25 % alone: largest deviation of a second",
        worst,
        "points",
        Bar::AtMost(1.0),
    ));
    result.row(Row::number(
        "strict 25 % alone: CV of 100 ms windows",
        cv(&windows),
        "",
        Bar::AtMost(0.1),
    ));
    result.details.push(json!({
        "second_pct": seconds_pct, "windows_100ms": windows, "alone_rate": alone.rate,
    }));
    Ok(())
}
