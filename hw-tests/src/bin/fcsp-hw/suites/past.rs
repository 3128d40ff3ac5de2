//! What FCSP adds to a launch, within one process: it launches a batch as any program does and a batch by the driver's
//! own function, past FCSP, by turns.
//!
//! Two processes differ in where they lie in memory, and with that by more than what a hook costs. Here both ways share
//! all of that, and the caches too. The same in processes without FCSP tells what the measurement itself adds.

use anyhow::{Context, Result, bail, ensure};
use fcsp_hw_tests::record::{CallCost, Outcome, TurnCost};
use serde_json::json;

use super::overhead::{Added, compare, last_cpu, limits, row};
use crate::bench::Bench;
use crate::programs::Program;
use crate::result::{Bar, SuiteResult};
use crate::tenant::{Sharing, Tenant};

const LAUNCHES: Program = Program {
    name: "launches",
    args: &[
        "overhead",
        "--sample-ms",
        "0",
        "--what",
        "launch-past,launch",
    ],
};
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

fn of_process(bench: &Bench, sharing: Sharing) -> Result<super::overhead::Turn> {
    let cpu = last_cpu().to_string();
    let command = bench.command(&LAUNCHES, 1.0, &["--cpu", &cpu]);
    let is_limited = matches!(sharing, Sharing::Fcsp(_));
    let reports = bench.together(&[Tenant::new("a", sharing, command)], 1.0)?;
    let Outcome::Overhead {
        calls,
        launches_elsewhere,
    } = reports[0].outcome()?
    else {
        bail!("the program reported something else than its overhead");
    };
    ensure!(
        *launches_elsewhere == Some(is_limited),
        "launches lead to the driver at once with FCSP, or elsewhere without: {launches_elsewhere:?}"
    );
    let cost = |name: &str| -> Result<TurnCost> {
        let call = calls.iter().find(|it| it.call == name);
        call.map(of_call)
            .with_context(|| format!("{name} was not measured"))
    };
    Ok(compare(&cost("launch-past")?, &cost("launch")?))
}

fn of_call(call: &CallCost) -> TurnCost {
    TurnCost {
        call: call.call.clone(),
        p50_ns: call.per_call.p50_ns,
        mean_ns: call.batch_mean_ns,
    }
}
