//! One small kernel at a time beside a program that saturates the device.

use anyhow::{Context, Result};
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::Bench;
use crate::programs::{PINGPONG, SATURATE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::Limits;

/// Equal shares; natively the waiting program is starved (see the slicing suite).
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(5.05, 3.05);
    let alone = [bench.alone(&PINGPONG)?, bench.alone(&SATURATE)?];
    let tenants = [
        bench.limited("a", Limits::share(50), &PINGPONG, seconds),
        bench.limited("b", Limits::share(50), &SATURATE, seconds),
    ];
    let reports = bench.together(&tenants, seconds)?;
    let shared = Shared::of(&reports, &[50, 50], &alone)?;
    let latency = bench.reached(&reports[0])?.latency;
    let (here, before) = latency
        .zip(alone[0].latency)
        .context("the waiting program finished no kernel")?;
    result.row(Row::info(
        "ping-pong beside saturating: progress of each against alone",
        format!("{:.3} and {:.3}", shared.progress[0], shared.progress[1]),
    ));
    for (which, here_ns, before_ns) in [
        ("p50", here.p50_ns, before.p50_ns),
        ("p99", here.p99_ns, before.p99_ns),
    ] {
        result.row(Row::number(
            format!("ping-pong beside saturating: added to {which}"),
            (here_ns as f64 - before_ns as f64) / 1e6,
            "ms",
            Bar::None,
        ));
    }
    result.details.push(json!({
        "latency": here, "alone_latency": before, "shared": shared,
    }));
    Ok(())
}
