//! What a launch costs the thread that makes it while another tenant keeps the device busy.
//!
//! Twice, as for a program that is alone: a native and a preloaded process take turns as in [`super::overhead`], and one
//! process launches through FCSP and past it by turns as in [`super::past`], beside one and the same neighbour, which is a
//! tenant. Each turn launches a hundred kernels that end at once and then waits, which is far less than its share, so that
//! nobody is held back.

use anyhow::{Context, Result, bail};
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
}

const BY_TWO: Launches = Launches {
    name: "launch beside a saturating tenant",
    what: "launch",
    programs: &["native", "a"],
};
const BY_ONE: Launches = Launches {
    name: "launch beside a saturating tenant, within one process",
    what: "launch-past,launch",
    programs: &["a"],
};

/// Several starts of each, each with a neighbour of its own.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    measure(bench, result, &BY_TWO, |cast, pair| {
        let mut turns = take_turns(cast, pair, count(bench))?;
        turns.remove("launch").context("launches were not measured")
    })?;
    measure(bench, result, &BY_ONE, |cast, _| {
        (0..count(bench)).map(|_| past_and_through(cast)).collect()
    })
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
    result.row(row(name, &added, Bar::AtMost(ADDED_NS_MAX))?);
    // Else nobody was gated, and the figure above is that of a program alone.
    result.row(Row::fact(
        format!("{name}: turns were handed over meanwhile"),
        format!("{least} at least"),
        least >= count(bench) as u64,
    ));
    result
        .details
        .push(json!({ "run": name, "pairs": added, "handoffs": handoffs }));
    Ok(())
}

/// A turn of the first member, which launches past FCSP and through it. That the one leads elsewhere than the other is seen
/// in [`super::past`], which runs first.
fn past_and_through(cast: &mut Cast) -> Result<Turn> {
    match cast.turn(0)?.as_slice() {
        [past, through] if past.call == "launch-past" && through.call == "launch" => {
            Ok(compare(past, through))
        }
        calls => bail!(
            "a turn measured something else than launches past FCSP and through it: {calls:?}"
        ),
    }
}
