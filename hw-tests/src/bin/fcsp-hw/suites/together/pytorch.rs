//! PyTorch that decodes beside PyTorch that trains: `torch_pair.rs` under MPS.

use anyhow::Result;
use fcsp_hw_tests::stats::mean;
use serde_json::json;
use std::time::{Duration, Instant};

use super::cases::PYTORCH_BOUNDS;
use super::judge::{self, Beside, Found, Side};
use super::{Stage, Way};
use crate::child::Child;
use crate::result::{Row, SuiteResult};
use crate::suites::python::{self, Pace, WITHIN};
use crate::suites::torch_pair;
use crate::tenant::Limits;

/// In results.
pub const TITLE: &str = "PyTorch decode beside training";
const SHARE_PCT: u32 = 50;
/// Before what counts: programs find their pace, and FCSP finds out what running together gives them.
const WARMUP_S: &str = "1.5";

/// Alone, under plain MPS, alone, under MPS with FCSP, alone.
pub fn run(stage: &Stage, result: &mut SuiteResult) -> Result<()> {
    let bench = stage.bench;
    if let Some(reason) = python::missing(bench)? {
        result.row(Row::skipped(TITLE, reason));
        return Ok(());
    }
    let scripts = python::unpack(bench)?;
    let began = Instant::now();
    let run_dir = || bench.site.fresh_run_dir();
    let limits = || Limits::share(SHARE_PCT);
    let fcsp_dir = run_dir()?;
    let mut fcsp = torch_pair::start(bench, &scripts, &fcsp_dir, |tenant| {
        stage.dress(Way::Fcsp, tenant, limits())
    })?;
    let mut raw = torch_pair::start(bench, &scripts, &run_dir()?, |tenant| {
        stage.dress(Way::Raw, tenant, limits())
    })?;
    let mut native = torch_pair::start(bench, &scripts, &run_dir()?, |tenant| tenant)?;
    for pair in [&mut native, &mut raw, &mut fcsp] {
        torch_pair::prepare(pair)?;
    }

    let seconds = bench.either(5.0, 3.0);
    let turn = seconds.to_string();
    let mut alone = vec![torch_pair::one_by_one(&mut native, &turn)?];
    torch_pair::together(&mut raw, WARMUP_S)?;
    let plain = torch_pair::together(&mut raw, &turn)?;
    finish(raw)?;
    alone.push(torch_pair::one_by_one(&mut native, &turn)?);
    torch_pair::together(&mut fcsp, WARMUP_S)?;
    torch_pair::begin_together(&mut fcsp, &turn)?;
    let look = stage.look(&fcsp_dir, Duration::from_secs_f64(seconds / 2.0));
    let shared = torch_pair::end_together(&mut fcsp, &turn)?;
    finish(fcsp)?;
    alone.push(torch_pair::one_by_one(&mut native, &turn)?);
    finish(native)?;

    let beside = |paces: &[Pace; 2]| {
        let of_alone = torch_pair::of_alone(paces, &alone);
        Beside {
            sides: [0, 1].map(|side: usize| Side {
                of_alone: of_alone[side],
                p99_ms: Some(paces[side].p99_ms),
            }),
            share_error_max_points: None,
        }
    };
    let p99_ms = |side: usize| {
        let times: Vec<f64> = alone.iter().map(|it| it[side].p99_ms).collect();
        Some(mean(&times))
    };
    let found = Found {
        title: TITLE,
        entitled_pct: [SHARE_PCT, SHARE_PCT],
        alone_p99_ms: [p99_ms(0), p99_ms(1)],
        raw: Some(beside(&plain)),
        fcsp: beside(&shared),
        look,
        in_turns: None,
    };
    result.rows.extend(judge::rows(&found, PYTORCH_BOUNDS));
    result.details.push(json!({
        "pair": TITLE, "alone": alone, "plain_mps": plain, "fcsp": shared, "look": found.look.as_ref().ok(),
    }));
    eprintln!(
        "  {}: {:.0} s",
        super::PYTORCH,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}

fn finish(children: [Child; 2]) -> Result<()> {
    for child in children {
        child.finish(Instant::now() + WITHIN)?;
    }
    Ok(())
}
