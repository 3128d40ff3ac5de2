//! What a launch costs the thread that makes it while another tenant keeps the device busy.
//!
//! A native and a preloaded process take turns as in [`super::overhead`], beside one and the same neighbour,
//! which is a tenant. Each turn launches a hundred kernels that end at once and then waits, which is far less
//! than its share, so that nobody is held back.

use anyhow::{Context, Result, bail};
use serde_json::json;
use std::time::Duration;

use super::overhead::{Added, OVERHEAD, last_cpu, row, take_turns};
use crate::bench::Bench;
use crate::cast::Cast;
use crate::node::Node;
use crate::programs::SATURATE;
use crate::result::{Bar, Row, SuiteResult};
use crate::runner::FOR_EVER_S;
use crate::tenant::{Limits, Sharing, Tenant};

const PAIRS: usize = 6;
const PAIRS_QUICK: usize = 2;
const ADDED_NS_MAX: f64 = 100.0;

/// Several pairs, each with a neighbour of its own.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let mut added = Added::default();
    let mut handoffs = Vec::new();
    for pair in 0..bench.either(PAIRS, PAIRS_QUICK) {
        let cpu = last_cpu().to_string();
        let extra = ["--what", "launch", "--turns", "--cpu", &cpu];
        let command = bench.bare_command(&OVERHEAD, FOR_EVER_S, &extra);
        let neighbour = bench.bare_command(&SATURATE, FOR_EVER_S, &["--sample-ms", "0"]);
        let half = || Sharing::Fcsp(Limits::share(50));
        let tenants = [
            Tenant::new("native", Sharing::Native, command.clone()),
            Tenant::new("a", half(), command),
            Tenant::new("neighbour", half(), neighbour),
        ];
        let mut cast = Cast::assemble(&bench.site, &tenants)?;
        cast.start()?;
        // Until the neighbour has its pace.
        std::thread::sleep(Duration::from_millis(500));
        let run_dir = cast.run_dir().to_owned();
        let node = Node::new(&bench.site, &run_dir);
        let before = node.region()?.handoffs;
        let turns = take_turns(&mut cast, pair, bench.either(50, 30))?;
        handoffs.push(node.region()?.handoffs - before);
        // The neighbour never ends by itself; nobody's report is needed.
        drop(cast);
        let Some(turns) = turns.get("launch") else {
            bail!("launches were not measured");
        };
        added.extend(turns);
    }
    let least = handoffs.iter().copied().min().context("no pair was run")?;
    result.row(row(
        "launch beside a saturating tenant",
        &added,
        Bar::AtMost(ADDED_NS_MAX),
    )?);
    // Else nobody was gated, and the figure above is that of a program alone.
    result.row(Row::fact(
        "launch beside a saturating tenant: turns were handed over meanwhile",
        format!("{least} at least"),
        least >= bench.either(50, 30) as u64,
    ));
    result
        .details
        .push(json!({ "run": "contended", "pairs": added, "handoffs": handoffs }));
    Ok(())
}
