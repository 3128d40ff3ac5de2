//! What FCSP adds to a driver call.
//!
//! A native and a preloaded process live beside each other and take turns of a few milliseconds on
//! one CPU. Each turn of one is compared with the turn of the other beside it, so a drift of the
//! CPU's speed, which is larger than what is looked for, meets both. Many pairs of processes, since
//! where a process happens to lie in memory counts too.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::record::{CallCost, Outcome, TurnCost};
use fcsp_hw_tests::stats::median;
use serde::Serialize;
use serde_json::json;
use std::collections::BTreeMap;

use super::{attach, contended, past};
use crate::bench::Bench;
use crate::cast::Cast;
use crate::programs::Program;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

pub(super) const OVERHEAD: Program = Program {
    name: "overhead",
    args: &["overhead", "--sample-ms", "0"],
};
const PAIRS: usize = 15;
const PAIRS_QUICK: usize = 7;
const QUOTA_BYTES: u64 = 8 << 30;

/// What each pair found for one call: medians over its turns.
#[derive(Debug, Default, Serialize)]
pub(super) struct Added {
    native_p50_ns: Vec<f64>,
    /// Of p50 with FCSP less p50 without, turn by turn.
    added_p50_ns: Vec<f64>,
    /// The same of means, which are finer than the clock.
    added_mean_ns: Vec<f64>,
}

/// Calls of a program that is alone, launches beside another, and making a context.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    result.attempt("alone", |result| alone(bench, result));
    result.attempt("launch, past FCSP", |result| past::run(bench, result));
    result.attempt("launch, contended", |result| contended::run(bench, result));
    result.attempt("attach", |result| attach::run(bench, result));
    Ok(())
}

/// Many pairs, and refusals, which a native process does not have.
fn alone(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let mut calls: BTreeMap<String, Added> = BTreeMap::new();
    for pair in 0..bench.either(PAIRS, PAIRS_QUICK) {
        for (call, turns) in run_pair(bench, pair)? {
            calls.entry(call).or_default().extend(&turns);
        }
    }
    for (call, bar) in [
        ("launch", Bar::AtMost(20.0)),
        ("alloc-async-only", Bar::AtMost(100.0)),
        // The call and its free together: what the whole surface is to cost.
        ("alloc-async", Bar::AtMost(120.0)),
        ("alloc", Bar::None),
        ("meminfo", Bar::None),
        ("forward", Bar::None),
    ] {
        let added = calls
            .get(call)
            .with_context(|| format!("{call} was not measured"))?;
        result.row(row(call, added, bar)?);
    }
    let refusals_ns = refusals(bench)?;
    result.row(Row::number(
        "refusal over the quota, p50",
        median(&refusals_ns).context("refusals were measured")?,
        "ns",
        Bar::AtMost(300.0),
    ));
    result
        .details
        .push(json!({ "pairs": calls, "refusal_p50_ns": refusals_ns }));
    Ok(())
}

impl Added {
    /// Takes the turns of one more pair of processes into account.
    pub fn extend(&mut self, turns: &[Turn]) {
        let middle = |of: fn(&Turn) -> f64| median(&turns.iter().map(of).collect::<Vec<_>>());
        self.native_p50_ns.extend(middle(|turn| turn.native_p50_ns));
        self.added_p50_ns.extend(middle(|turn| turn.added_p50_ns));
        self.added_mean_ns.extend(middle(|turn| turn.added_mean_ns));
    }
}

/// The middle pair, and how far the pairs lie apart.
pub(super) fn row(call: &str, added: &Added, bar: Bar) -> Result<Row> {
    let middle = |values: &[f64]| median(values).context("no pair was measured");
    let pairs = &added.added_p50_ns;
    let name = format!(
        "{call}, added to p50 (native {:.0} ns; starts from {:+.0} to {:+.0} ns; to the mean {:+.1} ns)",
        middle(&added.native_p50_ns)?,
        pairs.iter().copied().fold(f64::INFINITY, f64::min),
        pairs.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        middle(&added.added_mean_ns)?,
    );
    Ok(Row::number(name, middle(pairs)?, "ns", bar))
}

/// One turn of both.
pub(super) struct Turn {
    native_p50_ns: f64,
    added_p50_ns: f64,
    added_mean_ns: f64,
}

fn run_pair(bench: &Bench, pair: usize) -> Result<BTreeMap<String, Vec<Turn>>> {
    let cpu = last_cpu().to_string();
    let command = bench.command(&OVERHEAD, 1.0, &["--turns", "--cpu", &cpu]);
    let tenants = [
        Tenant::new("native", Sharing::Native, command.clone()),
        Tenant::new("a", Sharing::Fcsp(limits()), command),
    ];
    let mut cast = Cast::assemble(&bench.site, &tenants)?;
    cast.start()?;
    let turns = take_turns(&mut cast, pair, bench.either(100, 50))?;
    cast.finish(1.0)?;
    Ok(turns)
}

/// Lets the first two members, a native and a preloaded one, take `count` turns each.
pub(super) fn take_turns(
    cast: &mut Cast,
    pair: usize,
    count: usize,
) -> Result<BTreeMap<String, Vec<Turn>>> {
    let mut turns: BTreeMap<String, Vec<Turn>> = BTreeMap::new();
    for turn in 0..count {
        // Who goes first alternates, and differs between pairs.
        let (native, shared) = if (pair + turn) & 1 == 0 {
            let native = cast.turn(0)?;
            (native, cast.turn(1)?)
        } else {
            let shared = cast.turn(1)?;
            (cast.turn(0)?, shared)
        };
        for (native, shared) in native.into_iter().zip(shared) {
            turns
                .entry(native.call.clone())
                .or_default()
                .push(compare(&native, &shared));
        }
    }
    Ok(turns)
}

pub(super) fn compare(native: &TurnCost, shared: &TurnCost) -> Turn {
    Turn {
        native_p50_ns: native.p50_ns as f64,
        added_p50_ns: shared.p50_ns as f64 - native.p50_ns as f64,
        added_mean_ns: shared.mean_ns - native.mean_ns,
    }
}

/// p50 of each of three processes.
fn refusals(bench: &Bench) -> Result<Vec<f64>> {
    let beyond = (2 * QUOTA_BYTES).to_string();
    let extra = ["--what", "refuse", "--refuse-bytes", &beyond];
    (0..3)
        .map(|_| {
            let costs = costs(bench, Sharing::Fcsp(limits()), &extra)?;
            let refusal = costs.calls.first().context("refusals were measured")?;
            Ok(refusal.per_call.p50_ns as f64)
        })
        .collect()
}

/// What one process found by itself.
pub(super) struct Costs {
    pub calls: Vec<CallCost>,
    pub launches_elsewhere: Option<bool>,
}

/// Runs one process that is alone.
pub(super) fn costs(bench: &Bench, sharing: Sharing, extra: &[&str]) -> Result<Costs> {
    let command = bench.command(&OVERHEAD, 1.0, extra);
    let reports = bench.together(&[Tenant::new("a", sharing, command)], 1.0)?;
    match reports[0].outcome()?.clone() {
        Outcome::Overhead {
            calls,
            launches_elsewhere,
        } => Ok(Costs {
            calls,
            launches_elsewhere,
        }),
        _ => bail!("the program reported something else than its overhead"),
    }
}

pub(super) fn limits() -> Limits {
    Limits {
        sm_pct: Some(50.0),
        ..Limits::quota(QUOTA_BYTES)
    }
}

/// The last CPU this process may run on; interrupts tend to go to the first.
pub(super) fn last_cpu() -> usize {
    // SAFETY: a cpu_set_t is plain data for which all zero is the empty set.
    let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
    // SAFETY: the set is live and its true size is given; 0 is this thread.
    let rc = unsafe { libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set) };
    let cpus = 8 * size_of::<libc::cpu_set_t>();
    // SAFETY: every index is within the set.
    let allowed = |cpu: &usize| rc == 0 && unsafe { libc::CPU_ISSET(*cpu, &set) };
    (0..cpus).rev().find(allowed).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_cpu_is_one_we_may_run_on() {
        let cpus = std::thread::available_parallelism().map_or(1, usize::from);
        assert!(last_cpu() + 1 >= cpus);
    }

    #[test]
    fn the_middle_pair_is_reported_with_the_spread() {
        let added = Added {
            native_p50_ns: vec![3_000.0; 3],
            added_p50_ns: vec![40.0, 10.0, 60.0],
            added_mean_ns: vec![41.5; 3],
        };
        let row = row("launch", &added, Bar::AtMost(50.0)).expect("three pairs");
        assert_eq!(row.value, Some(40.0));
        assert!(
            row.measure.contains("from +10 to +60 ns"),
            "{}",
            row.measure
        );
    }
}
