//! The baseline: the same programs with nothing but the driver between them.

use anyhow::Result;
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::Bench;
use crate::programs::{PINGPONG, Program, SATURATE};
use crate::result::{Row, SuiteResult};

/// Two and three saturating processes, and one that waits for each kernel beside one that does not.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    saturating(bench, 2, result)?;
    if !bench.quick {
        saturating(bench, 3, result)?;
    }
    pingpong(bench, result)?;
    Ok(())
}

fn saturating(bench: &Bench, count: usize, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(5.05, 3.05);
    let alone = bench.alone(&SATURATE)?;
    let tenants: Vec<_> = ('a'..)
        .take(count)
        .map(|name| bench.native(&name.to_string(), &SATURATE, seconds))
        .collect();
    let reports = bench.together(&tenants, seconds)?;
    let even = vec![100.0 / count as f64; count];
    let shared = Shared::of(&reports, &even, &vec![alone; count])?;
    result.row(Row::info(
        format!("{count} saturating processes, driver's slicing: shares, total of one alone"),
        format!("{}, {:.3}", shared.shares_text(), shared.total),
    ));
    result
        .details
        .push(json!({ "run": format!("{count} native"), "shared": shared }));
    Ok(())
}

fn pingpong(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(5.05, 3.05);
    let programs: [&Program; 2] = [&PINGPONG, &SATURATE];
    let alone = [bench.alone(&PINGPONG)?, bench.alone(&SATURATE)?];
    let tenants = programs.map(|program| bench.native(program.args[0], program, seconds));
    let reports = bench.together(&tenants, seconds)?;
    let shared = Shared::of(&reports, &[50.0, 50.0], &alone)?;
    result.row(Row::info(
        "ping-pong beside saturating, driver's slicing: progress of each against alone",
        format!("{:.3} and {:.3}", shared.progress[0], shared.progress[1]),
    ));
    result
        .details
        .push(json!({ "run": "ping-pong beside saturating, native", "shared": shared }));
    Ok(())
}
