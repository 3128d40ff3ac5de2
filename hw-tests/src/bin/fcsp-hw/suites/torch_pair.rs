//! PyTorch that decodes beside PyTorch that trains, equal shares: with FCSP and with the driver's slicing,
//! each against itself alone.

use anyhow::{Context, Result};
use fcsp_hw_tests::stats::mean;
use serde_json::json;
use std::path::Path;
use std::time::Instant;

use super::python::{self, Pace, WITHIN};
use crate::bench::Bench;
use crate::child::Child;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const WORKLOADS: [&str; 2] = ["decode", "train"];
const DECODE_MIN: f64 = 0.9;
const SUM_MIN: f64 = 1.57;
const SHARE_PCT: u32 = 50;

/// Alone and together, natively and then with FCSP; alone once more at the end.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if let Some(reason) = python::missing(bench)? {
        result.row(Row::skipped("PyTorch decode beside training", reason));
        return Ok(());
    }
    let scripts = python::unpack(bench)?;
    let seconds = bench.either("5", "3");
    let limited = |tenant| Tenant {
        sharing: Sharing::Fcsp(Limits::share(SHARE_PCT)),
        ..tenant
    };
    let mut native = start(bench, &scripts, &bench.site.fresh_run_dir()?, |tenant| {
        tenant
    })?;
    let mut fcsp = start(bench, &scripts, &bench.site.fresh_run_dir()?, limited)?;
    for pair in [&mut native, &mut fcsp] {
        prepare(pair)?;
    }
    // The processors drift: alone is before, between and after.
    let mut alone = vec![one_by_one(&mut native, seconds)?];
    let slicing = together(&mut native, seconds)?;
    alone.push(one_by_one(&mut native, seconds)?);
    let shared = together(&mut fcsp, seconds)?;
    alone.push(one_by_one(&mut native, seconds)?);
    for child in native.into_iter().chain(fcsp) {
        child.finish(Instant::now() + WITHIN)?;
    }
    judge(&alone, &slicing, &shared, result)
}

/// A process of each workload that meet in `run_dir`, native but for what `dress` makes of them. They are not
/// waited for.
pub(super) fn start(
    bench: &Bench,
    scripts: &Path,
    run_dir: &Path,
    dress: impl Fn(Tenant) -> Tenant,
) -> Result<[Child; 2]> {
    let start = |name: &str| {
        let command = python::command(bench, scripts, "bench.py", &[]);
        let native = Tenant::new(name, Sharing::Native, command);
        python::spawn(bench, &dress(native), run_dir)
    };
    Ok([start(WORKLOADS[0])?, start(WORKLOADS[1])?])
}

/// Waits until both are ready.
pub(super) fn prepare(children: &mut [Child; 2]) -> Result<()> {
    for (child, workload) in children.iter_mut().zip(WORKLOADS) {
        child.ask(&format!("prepare {workload}"), Instant::now() + WITHIN)?;
    }
    Ok(())
}

/// A turn of each, one after the other.
pub(super) fn one_by_one(children: &mut [Child; 2], seconds: &str) -> Result<[Pace; 2]> {
    let [a, b] = children;
    let turn = format!("turn {seconds}");
    let first = python::pace(&a.ask(&turn, Instant::now() + WITHIN)?)?;
    Ok([
        first,
        python::pace(&b.ask(&turn, Instant::now() + WITHIN)?)?,
    ])
}

/// A turn of both at once.
pub(super) fn together(children: &mut [Child; 2], seconds: &str) -> Result<[Pace; 2]> {
    begin_together(children, seconds)?;
    end_together(children, seconds)
}

/// Lets both begin a turn at once.
pub(super) fn begin_together(children: &mut [Child; 2], seconds: &str) -> Result<()> {
    let turn = format!("turn {seconds}");
    children.iter_mut().try_for_each(|child| child.say(&turn))
}

/// Waits for the end of such a turn.
pub(super) fn end_together(children: &mut [Child; 2], seconds: &str) -> Result<[Pace; 2]> {
    let [a, b] = children;
    let turn = format!("turn {seconds}");
    let first = python::pace(&a.answer(&turn, Instant::now() + WITHIN)?)?;
    Ok([
        first,
        python::pace(&b.answer(&turn, Instant::now() + WITHIN)?)?,
    ])
}

/// The pace of each over what it had alone, which was measured several times.
pub(super) fn of_alone(paces: &[Pace; 2], alone: &[[Pace; 2]]) -> [f64; 2] {
    [0, 1].map(|i: usize| {
        let before: Vec<f64> = alone.iter().map(|it| it[i].iterations_per_s).collect();
        paces[i].iterations_per_s / mean(&before)
    })
}

fn judge(
    alone: &[[Pace; 2]],
    slicing: &[Pace; 2],
    shared: &[Pace; 2],
    result: &mut SuiteResult,
) -> Result<()> {
    alone.first().context("nothing was measured alone")?;
    let (here, baseline) = (of_alone(shared, alone), of_alone(slicing, alone));
    let text = |paces: &[Pace; 2]| {
        format!(
            "decode {:.1} it/s, p99 {:.2} ms; training {:.1} it/s",
            paces[0].iterations_per_s, paces[0].p99_ms, paces[1].iterations_per_s
        )
    };
    result.row(Row::number(
        format!(
            "PyTorch decode beside training: decode, of alone ({})",
            text(shared)
        ),
        here[0],
        "",
        Bar::AtLeast(DECODE_MIN),
    ));
    result.row(Row::number(
        format!(
            "PyTorch decode beside training: both, of alone (training {:.3})",
            here[1]
        ),
        here[0] + here[1],
        "",
        Bar::AtLeast(SUM_MIN),
    ));
    result.row(Row::info(
        "the same with the driver's slicing: each, of alone",
        format!(
            "{:.3} and {:.3}; {}",
            baseline[0],
            baseline[1],
            text(slicing)
        ),
    ));
    result.details.push(json!({
        "alone": alone, "slicing": slicing, "fcsp": shared, "fcsp_of_alone": here, "slicing_of_alone": baseline,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    fn paces(decode: f64, train: f64) -> [Pace; 2] {
        let pace = |workload: &str, iterations_per_s| Pace {
            workload: workload.into(),
            iterations_per_s,
            p50_ms: 1.0,
            p99_ms: 2.0,
        };
        [pace("decode", decode), pace("train", train)]
    }

    #[test]
    fn each_is_held_against_itself_alone() {
        let alone = [paces(190.0, 30.0), paces(210.0, 30.0)];
        let mut result = SuiteResult::default();
        let (slicing, shared) = (paces(150.0, 25.0), paces(190.0, 19.0));
        judge(&alone, &slicing, &shared, &mut result).expect("measured");
        assert!((result.rows[0].value.expect("a number") - 0.95).abs() < 1e-9);
        assert_eq!(result.rows[0].verdict, Verdict::Pass);
        assert!((result.rows[1].value.expect("a number") - 1.583).abs() < 0.001);
        assert_eq!(result.rows[1].verdict, Verdict::Pass);
        judge(&alone, &slicing, &paces(170.0, 20.0), &mut result).expect("measured");
        let verdicts = [result.rows[3].verdict, result.rows[4].verdict];
        assert_eq!(verdicts, [Verdict::Miss, Verdict::Miss]);
        assert!(judge(&[], &slicing, &shared, &mut result).is_err());
    }
}
