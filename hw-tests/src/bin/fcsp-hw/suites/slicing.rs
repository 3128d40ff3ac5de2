//! The baseline: the same programs with nothing but the driver between them.

use anyhow::Result;
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::Bench;
use crate::programs::{
    PINGPONG, Program, SATURATE, SATURATE_MIXED, SATURATE_MULTI, SATURATE_PER_THREAD,
};
use crate::result::{Row, SuiteResult};

/// Two and three saturating processes, three that submit in different ways, and one that waits for each kernel beside one that does not.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    saturating(bench, "2 saturating processes", &[&SATURATE; 2], result)?;
    if !bench.quick {
        saturating(bench, "3 saturating processes", &[&SATURATE; 3], result)?;
        let mixed = [&SATURATE_PER_THREAD, &SATURATE_MIXED, &SATURATE_MULTI];
        saturating(bench, "3 mixed processes", &mixed, result)?;
    }
    pingpong(bench, result)?;
    Ok(())
}

fn saturating(
    bench: &Bench,
    title: &str,
    programs: &[&Program],
    result: &mut SuiteResult,
) -> Result<()> {
    let seconds = bench.either(5.05, 3.05);
    let alone = programs.iter().map(|program| bench.alone(program));
    let alone = alone.collect::<Result<Vec<_>>>()?;
    let tenants: Vec<_> = ('a'..)
        .zip(programs)
        .map(|(name, program)| bench.native(&name.to_string(), program, seconds))
        .collect();
    let reports = bench.together(&tenants, seconds)?;
    let even = vec![100.0 / programs.len() as f64; programs.len()];
    let shared = Shared::of(&reports, &even, &alone)?;
    result.row(Row::info(
        format!("{title}, driver's slicing: shares, total of one alone"),
        format!("{}, {:.3}", shared.shares_text(), shared.total),
    ));
    result
        .details
        .push(json!({ "run": format!("{title}, native"), "shared": shared }));
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
