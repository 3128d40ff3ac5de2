//! A decoder that is bound by its CPU, beside a program that takes all it can get.

use anyhow::{Context, Result};
use fcsp_hw_tests::stats::mean;
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::{Alone, Bench};
use crate::programs::{DECODE, DECODE_GRAPH, Program, SATURATE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::Limits;

/// Two programs beside each other, equal shares, with FCSP and natively.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let alone = bench.alone(&DECODE)?;
    result.row(Row::info("decode alone, native", pace_text(&alone)?));
    let (decode, other) = pair(bench, [&DECODE, &SATURATE], true, result)?;
    // A decoder is as fast as its CPU, and that drifts: alone is before and after.
    let after = bench.alone_now(&DECODE)?;
    let alone_steps_per_s = [alone, after]
        .iter()
        .filter_map(|alone| alone.steps_per_s)
        .collect::<Vec<_>>();
    let here_steps_per_s = decode.reached.steps_per_s.context("decode has steps")?;
    result.row(Row::number(
        "decode beside saturating: decode, of alone",
        here_steps_per_s / mean(&alone_steps_per_s),
        "",
        Bar::AtLeast(0.97),
    ));
    result.row(Row::number(
        "decode beside saturating: the other, of alone",
        other.ratio,
        "",
        Bar::AtLeast(0.5),
    ));
    let added_ms = (p99_ns(&decode.reached)? - p99_ns(&alone)?) / 1e6;
    result.row(Row::number(
        "decode beside saturating: added to p99 of a step",
        added_ms,
        "ms",
        Bar::AtMost(0.3),
    ));
    baseline(bench, [&DECODE, &SATURATE], result)?;

    if !bench.quick {
        let (a, b) = two(bench, &DECODE, result)?;
        result.row(Row::number(
            "two decoders: the slower one, of alone",
            a.ratio.min(b.ratio),
            "",
            Bar::AtLeast(0.95),
        ));
        baseline(bench, [&DECODE, &DECODE], result)?;
        // A pair of these wants more than half of the device each.
        two(bench, &DECODE_GRAPH, result)?;
        baseline(bench, [&DECODE_GRAPH, &DECODE_GRAPH], result)?;
    }
    Ok(())
}

/// What one of a pair reached.
struct Side {
    reached: Alone,
    /// Of what it reaches alone: in steps where it has steps, else in device time.
    ratio: f64,
}

/// Two of the same program.
fn two(bench: &Bench, program: &Program, result: &mut SuiteResult) -> Result<(Side, Side)> {
    let (a, b) = pair(bench, [program, program], true, result)?;
    result.row(Row::info(
        format!("two of `{}`: each, of alone", program.name),
        format!("{:.3} and {:.3}", a.ratio, b.ratio),
    ));
    Ok((a, b))
}

fn baseline(bench: &Bench, programs: [&Program; 2], result: &mut SuiteResult) -> Result<()> {
    let (a, b) = pair(bench, programs, false, result)?;
    result.row(Row::info(
        format!(
            "`{}` beside `{}`, driver's slicing: each, of alone",
            programs[0].name, programs[1].name
        ),
        format!("{:.3} and {:.3}", a.ratio, b.ratio),
    ));
    Ok(())
}

fn pair(
    bench: &Bench,
    programs: [&Program; 2],
    fcsp: bool,
    result: &mut SuiteResult,
) -> Result<(Side, Side)> {
    let seconds = bench.either(4.05, 3.05);
    let alone = [bench.alone(programs[0])?, bench.alone(programs[1])?];
    let tenants = [("a", programs[0]), ("b", programs[1])].map(|(name, program)| {
        if fcsp {
            bench.limited(name, Limits::share(50), program, seconds)
        } else {
            bench.native(name, program, seconds)
        }
    });
    let reports = bench.together(&tenants, seconds)?;
    let shared = Shared::of(&reports, &[50.0, 50.0], &alone)?;
    let side = |i: usize| -> Result<Side> {
        let reached = bench.reached(&reports[i])?;
        let ratio = match (reached.steps_per_s, alone[i].steps_per_s) {
            (Some(here), Some(alone)) if alone > 0.0 => here / alone,
            _ => shared.progress[i],
        };
        Ok(Side { reached, ratio })
    };
    let (a, b) = (side(0)?, side(1)?);
    let name = format!(
        "`{}` beside `{}`{}",
        programs[0].name,
        programs[1].name,
        if fcsp { "" } else { ", driver's slicing" }
    );
    for (i, side) in [&a, &b].into_iter().enumerate() {
        if side.reached.latency.is_some() {
            result.row(Row::info(
                format!("{name}: {}", ["the first", "the second"][i]),
                pace_text(&side.reached)?,
            ));
        }
    }
    result.details.push(json!({
        "run": name,
        "ratios": [a.ratio, b.ratio],
        "steps_per_s": [a.reached.steps_per_s, b.reached.steps_per_s],
        "latency": [a.reached.latency, b.reached.latency],
        "alone_steps_per_s": [alone[0].steps_per_s, alone[1].steps_per_s],
        "alone_latency": [alone[0].latency, alone[1].latency],
        "shared": shared,
    }));
    Ok((a, b))
}

fn p99_ns(reached: &Alone) -> Result<f64> {
    let latency = reached.latency.context("no step was finished")?;
    Ok(latency.p99_ns as f64)
}

fn pace_text(reached: &Alone) -> Result<String> {
    let latency = reached.latency.context("no step was finished")?;
    Ok(format!(
        "{:.1} steps/s, p50 {:.2} ms, p99 {:.2} ms",
        reached.steps_per_s.unwrap_or(0.0),
        latency.p50_ns as f64 / 1e6,
        latency.p99_ns as f64 / 1e6
    ))
}
