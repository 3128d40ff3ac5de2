//! What FCSP adds to a driver call, by native and preloaded processes in alternation.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::record::{CallCost, Outcome};
use fcsp_hw_tests::stats::median;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

use crate::bench::Bench;
use crate::programs::Program;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const OVERHEAD: Program = Program {
    name: "overhead",
    args: &["overhead", "--sample-ms", "0"],
};
/// Fewer rounds cannot tell a few nanoseconds from the luck of where a process was placed.
const ROUNDS: usize = 7;
const QUOTA_BYTES: u64 = 8 << 30;

/// Of each round, by call: the median of single calls, and that of batch means.
type Rounds = BTreeMap<String, Costs>;

#[derive(Debug, Default, Serialize)]
struct Costs {
    p50_ns: Vec<f64>,
    batch_mean_ns: Vec<f64>,
}

/// Seven rounds of both.
pub fn run(bench: &Bench) -> Result<SuiteResult> {
    let samples = bench.either("10000", "4000");
    let (mut native, mut shared) = (Rounds::new(), Rounds::new());
    let mut refused = Rounds::new();
    for round in 0..ROUNDS {
        // Who goes first alternates too.
        for turn in 0..2 {
            if (round + turn) % 2 == 0 {
                measure(bench, Sharing::Native, &["--samples", samples], &mut native)?;
            } else {
                let sharing = Sharing::Fcsp(limits());
                measure(bench, sharing, &["--samples", samples], &mut shared)?;
            }
        }
    }
    let beyond = (2 * QUOTA_BYTES).to_string();
    let extra = [
        "--what",
        "refuse",
        "--samples",
        samples,
        "--refuse-bytes",
        &beyond,
    ];
    for _ in 0..3 {
        measure(bench, Sharing::Fcsp(limits()), &extra, &mut refused)?;
    }

    let mut result = SuiteResult::default();
    for (call, bar) in [
        ("launch", Bar::AtMost(50.0)),
        ("alloc-async", Bar::AtMost(100.0)),
        ("alloc", Bar::None),
        ("meminfo", Bar::None),
        ("forward", Bar::None),
        ("context", Bar::None),
    ] {
        result.row(added(call, &native, &shared, bar)?);
    }
    let refusal = refused.get("refuse").context("refusals were measured")?;
    result.row(Row::number(
        "refusal over the quota, p50 of the best round",
        least(&refusal.p50_ns),
        "ns",
        Bar::AtMost(300.0),
    ));
    result.details.push(json!({
        "native": native, "fcsp": shared, "refusals": refused,
    }));
    Ok(result)
}

fn limits() -> Limits {
    Limits {
        sm_pct: Some(50),
        ..Limits::quota(QUOTA_BYTES)
    }
}

fn measure(bench: &Bench, sharing: Sharing, extra: &[&str], into: &mut Rounds) -> Result<()> {
    let seconds = 1.0;
    let tenant = Tenant::new("a", sharing, bench.command(&OVERHEAD, seconds, extra));
    let reports = bench.together(&[tenant], seconds)?;
    let Outcome::Overhead { calls } = reports[0].outcome()? else {
        bail!("the program reported something else than its overhead");
    };
    for CallCost {
        call,
        per_call,
        batch_mean_ns,
    } in calls
    {
        let costs = into.entry(call.clone()).or_default();
        costs.p50_ns.push(per_call.p50_ns as f64);
        costs.batch_mean_ns.push(*batch_mean_ns);
    }
    // Once a process: its own median and mean.
    let context_ns = reports[0].header.context_ns as f64;
    let costs = into.entry("context".into()).or_default();
    costs.p50_ns.push(context_ns);
    costs.batch_mean_ns.push(context_ns);
    Ok(())
}

/// The difference of the best medians. The best, because everything that disturbs a process makes it
/// slower, and nothing makes it faster than it is.
fn added(call: &str, native: &Rounds, shared: &Rounds, bar: Bar) -> Result<Row> {
    let pair = native.get(call).zip(shared.get(call));
    let (before, after) = pair.with_context(|| format!("{call} was not measured"))?;
    let spread = |rounds: &[f64]| rounds.iter().copied().fold(0.0, f64::max) - least(rounds);
    let name = format!(
        "{call}, added to p50 (native {:.0} ns; rounds spread over {:.0} ns native, {:.0} ns with \
         FCSP; by batch means {:+.1} ns, by the middle rounds {:+.0} ns)",
        least(&before.p50_ns),
        spread(&before.p50_ns),
        spread(&after.p50_ns),
        least(&after.batch_mean_ns) - least(&before.batch_mean_ns),
        middle(&after.p50_ns) - middle(&before.p50_ns),
    );
    let added_ns = least(&after.p50_ns) - least(&before.p50_ns);
    Ok(Row::number(name, added_ns, "ns", bar))
}

fn middle(rounds: &[f64]) -> f64 {
    median(rounds).unwrap_or(f64::NAN)
}

fn least(rounds: &[f64]) -> f64 {
    rounds.iter().copied().fold(f64::INFINITY, f64::min)
}
