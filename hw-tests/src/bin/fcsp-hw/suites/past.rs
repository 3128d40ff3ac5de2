//! What FCSP adds to a launch, within one process: it launches a batch as any program does and a batch by the driver's
//! own function, past FCSP, by turns.
//!
//! Two processes differ in where they lie in memory, and with that by more than what a hook costs. Here both ways share
//! all of that, and the caches too. The same in processes without FCSP tells what the measurement itself adds.

use anyhow::{Context, Result, ensure};
use fcsp_hw_tests::record::TurnCost;
use serde_json::json;

use super::overhead::{Added, Turn, compare, costs, last_cpu, limits, row};
use crate::bench::Bench;
use crate::result::{Bar, SuiteResult};
use crate::tenant::Sharing;

const STARTS: usize = 12;
const STARTS_QUICK: usize = 4;
const ADDED_NS_MAX: f64 = 20.0;

/// Processes with FCSP and without, by turns.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let (mut added, mut control) = (Added::default(), Added::default());
    for _ in 0..bench.either(STARTS, STARTS_QUICK) {
        added.extend(&[of_process(bench, Sharing::Fcsp(limits()))?]);
        control.extend(&[of_process(bench, Sharing::Native)?]);
    }
    let name = "launch within one process";
    result.row(row(name, &added, Bar::AtMost(ADDED_NS_MAX))?);
    let name = "launch within one process without FCSP";
    result.row(row(name, &control, Bar::None)?);
    result
        .details
        .push(json!({ "run": "within one process", "fcsp": added, "native": control }));
    Ok(())
}

fn of_process(bench: &Bench, sharing: Sharing) -> Result<Turn> {
    let is_limited = matches!(sharing, Sharing::Fcsp(_));
    let cpu = last_cpu().to_string();
    let extra = ["--what", "launch-past,launch", "--cpu", &cpu];
    let costs = costs(bench, sharing, &extra)?;
    let elsewhere = costs.launches_elsewhere;
    ensure!(
        elsewhere == Some(is_limited),
        "launches lead to the driver at once with FCSP, or elsewhere without: {elsewhere:?}"
    );
    let of = |name: &str| -> Result<TurnCost> {
        let call = costs.calls.iter().find(|it| it.call == name);
        let call = call.with_context(|| format!("{name} was not measured"))?;
        Ok(TurnCost {
            call: call.call.clone(),
            p50_ns: call.per_call.p50_ns,
            mean_ns: call.batch_mean_ns,
        })
    };
    Ok(compare(&of("launch-past")?, &of("launch")?))
}
