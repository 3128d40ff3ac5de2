//! What a launch costs the thread that makes it while another tenant keeps the device busy.
//!
//! Twice, as for a program that is alone: a native and a preloaded process take turns as in [`super::overhead`], and one
//! process launches through FCSP and past it by turns as in [`super::past`], beside one and the same neighbour, which is a
//! tenant. A process without FCSP that does the same beside it tells what that measurement itself adds. Each turn launches
//! a hundred kernels that end at once and then waits, a few times, which is far less than its share, so that nobody is held back.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::record::TurnCost;
use serde_json::json;
use std::time::Duration;

use super::overhead::{Added, OVERHEAD, Turn, compare, last_cpu, row, take_turns};
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

/// Who launches beside the neighbour.
struct Launches {
    /// For tables.
    name: &'static str,
    /// What each does in a turn.
    what: &'static str,
    /// Without FCSP where it is called native.
    programs: &'static [&'static str],
    bar: Bar,
}

impl Launches {
    /// Whether a tenant launches, with which the neighbour takes turns.
    fn are_gated(&self) -> bool {
        self.programs.contains(&"a")
    }
}

const BY_TWO: Launches = Launches {
    name: "launch beside a saturating tenant",
    what: "launch",
    programs: &["native", "a"],
    bar: Bar::AtMost(ADDED_NS_MAX),
};
const BY_ONE: Launches = Launches {
    name: "launch beside a saturating tenant, within one process",
    what: PAST_AND_THROUGH,
    programs: &["a"],
    bar: Bar::AtMost(ADDED_NS_MAX),
};
const CONTROL: Launches = Launches {
    name: "launch beside a saturating tenant, within one process without FCSP",
    what: PAST_AND_THROUGH,
    programs: &["native"],
    bar: Bar::None,
};
/// Each is as often behind the other as in front of it, and as early: whatever comes first after a wait takes longer.
const PAST_AND_THROUGH: &str = "launch-past,launch,launch,launch-past";

/// Several starts of each, each with a neighbour of its own.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    measure(bench, result, &BY_TWO, |cast, pair| {
        let mut turns = take_turns(cast, pair, count(bench))?;
        turns.remove("launch").context("launches were not measured")
    })?;
    for launches in [&BY_ONE, &CONTROL] {
        measure(bench, result, launches, |cast, _| {
            (0..count(bench)).map(|_| past_and_through(cast)).collect()
        })?;
    }
    Ok(())
}

/// Turns of each start.
fn count(bench: &Bench) -> usize {
    bench.either(50, 30)
}

/// What `turns` finds in several starts.
fn measure(
    bench: &Bench,
    result: &mut SuiteResult,
    launches: &Launches,
    turns: impl Fn(&mut Cast, usize) -> Result<Vec<Turn>>,
) -> Result<()> {
    let Launches {
        name,
        what,
        programs,
        bar,
    } = *launches;
    let half = || Sharing::Fcsp(Limits::share(50));
    let mut added = Added::default();
    let mut handoffs = Vec::new();
    for pair in 0..bench.either(PAIRS, PAIRS_QUICK) {
        let cpu = last_cpu().to_string();
        let extra = ["--what", what, "--turns", "--cpu", &cpu];
        let command = bench.bare_command(&OVERHEAD, FOR_EVER_S, &extra);
        let neighbour = bench.bare_command(&SATURATE, FOR_EVER_S, &["--sample-ms", "0"]);
        let its = programs.iter().map(|program| {
            let sharing = match *program {
                "native" => Sharing::Native,
                _ => half(),
            };
            Tenant::new(*program, sharing, command.clone())
        });
        let mut tenants: Vec<Tenant> = its.collect();
        tenants.push(Tenant::new("neighbour", half(), neighbour));
        let mut cast = Cast::assemble(&bench.site, &tenants)?;
        cast.start()?;
        // Until the neighbour has its pace.
        std::thread::sleep(Duration::from_millis(500));
        let run_dir = cast.run_dir().to_owned();
        let node = Node::new(&bench.site, &run_dir);
        let before = node.region()?.handoffs;
        let its_turns = turns(&mut cast, pair)?;
        handoffs.push(node.region()?.handoffs - before);
        // The neighbour never ends by itself; nobody's report is needed.
        drop(cast);
        added.extend(&its_turns);
    }
    let least = handoffs.iter().copied().min().context("no pair was run")?;
    result.row(row(name, &added, bar)?);
    if launches.are_gated() {
        // Else nobody was gated, and the figure above is that of a program alone.
        result.row(Row::fact(
            format!("{name}: turns were handed over meanwhile"),
            format!("{least} at least"),
            least >= count(bench) as u64,
        ));
    }
    result
        .details
        .push(json!({ "run": name, "pairs": added, "handoffs": handoffs }));
    Ok(())
}

/// A turn of the first member, which launches past FCSP and through it. That the one leads elsewhere than the other is seen
/// in [`super::past`], which runs first.
fn past_and_through(cast: &mut Cast) -> Result<Turn> {
    let calls = cast.turn(0)?;
    let names: Vec<&str> = calls.iter().map(|it| it.call.as_str()).collect();
    if names.join(",") != PAST_AND_THROUGH {
        bail!("a turn measured something else than {PAST_AND_THROUGH}: {names:?}");
    }
    Ok(compare(
        &both(&calls[0], &calls[3]),
        &both(&calls[1], &calls[2]),
    ))
}

/// Two batches of the same calls.
fn both(one: &TurnCost, other: &TurnCost) -> TurnCost {
    TurnCost {
        call: one.call.clone(),
        p50_ns: u64::midpoint(one.p50_ns, other.p50_ns),
        mean_ns: f64::midpoint(one.mean_ns, other.mean_ns),
    }
}
