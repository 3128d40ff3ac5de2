//! Who waits for single kernels beside a program that saturates the device: without a priority, and
//! with a high one.

use anyhow::{Context, Result};
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::Bench;
use crate::programs::{PINGPONG, REQUESTS, SATURATE, SATURATE_COARSE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::Limits;

/// Both.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    for isolation in ["balanced", "adaptive"] {
        result.attempt(isolation, |result| pingpong(bench, isolation, result));
    }
    for priority in ["high", "normal"] {
        result.attempt("requests", |result| requests(bench, priority, result));
    }
    Ok(())
}

/// Equal shares; natively the waiting program is starved (see the slicing suite).
fn pingpong(bench: &Bench, isolation: &'static str, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(5.05, 3.05);
    let alone = [bench.alone(&PINGPONG)?, bench.alone(&SATURATE)?];
    let limits = Limits {
        isolation,
        ..Limits::share(50)
    };
    let tenants = [
        bench.limited("a", limits.clone(), &PINGPONG, seconds),
        bench.limited("b", limits, &SATURATE, seconds),
    ];
    let reports = bench.together(&tenants, seconds)?;
    let shared = Shared::of(&reports, &[50.0, 50.0], &alone)?;
    let latency = bench.reached(&reports[0])?.latency;
    let (here, before) = latency
        .zip(alone[0].latency)
        .context("the waiting program finished no kernel")?;
    let name = match isolation {
        "adaptive" => "ping-pong beside saturating, adaptive",
        _ => "ping-pong beside saturating",
    };
    result.row(Row::info(
        format!("{name}: progress of each against alone"),
        format!("{:.3} and {:.3}", shared.progress[0], shared.progress[1]),
    ));
    for (which, here_ns, before_ns) in [
        ("p50", here.p50_ns, before.p50_ns),
        ("p99", here.p99_ns, before.p99_ns),
    ] {
        result.row(Row::number(
            format!("{name}: added to {which}"),
            (here_ns as f64 - before_ns as f64) / 1e6,
            "ms",
            Bar::None,
        ));
    }
    result.details.push(json!({
        "isolation": isolation, "latency": here, "alone_latency": before, "shared": shared,
    }));
    Ok(())
}

/// A server with a share of half beside a program that would take everything.
fn requests(bench: &Bench, priority: &'static str, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(6.0, 3.0);
    let alone = [bench.alone(&REQUESTS)?, bench.alone(&SATURATE_COARSE)?];
    let limits = Limits {
        priority,
        ..Limits::share(50)
    };
    let tenants = [
        bench.limited("a", limits, &REQUESTS, seconds),
        bench.limited("b", Limits::share(50), &SATURATE_COARSE, seconds),
    ];
    let reports = bench.together(&tenants, seconds)?;
    let shared = Shared::of(&reports, &[50.0, 50.0], &alone)?;
    let latency = bench.reached(&reports[0])?.latency;
    let (here, before) = latency
        .zip(alone[0].latency)
        .context("the server answered no request")?;
    let name = format!("requests of 0.5 ms at {priority} priority beside 0.5 ms kernels");
    let bar = if priority == "high" {
        Bar::AtMost(0.7)
    } else {
        Bar::None
    };
    result.row(Row::number(
        format!("{name}: added to p99"),
        (here.p99_ns as f64 - before.p99_ns as f64) / 1e6,
        "ms",
        bar,
    ));
    result.row(Row::info(
        format!("{name}: added to p50; progress of each against alone"),
        format!(
            "{:.3} ms; {:.3} and {:.3}",
            (here.p50_ns as f64 - before.p50_ns as f64) / 1e6,
            shared.progress[0],
            shared.progress[1]
        ),
    ));
    result.details.push(json!({
        "priority": priority, "latency": here, "alone_latency": before, "shared": shared,
    }));
    Ok(())
}
