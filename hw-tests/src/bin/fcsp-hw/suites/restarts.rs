//! Programs that start and stop again and again beside two that stay.

use anyhow::Result;
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

use super::leftovers::Holdings;
use crate::bench::Bench;
use crate::child::Child;
use crate::node::Node;
use crate::programs::SATURATE_FINE;
use crate::result::{Bar, Row, SuiteResult};
use crate::runner::{FOR_EVER_S, Runner};
use crate::tenant::{Limits, Sharing, Tenant};

const STALL_MS_MAX: f64 = 50.0;
/// Until a program has started and ended.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// One in this many is killed in the middle of its work; the others end by themselves.
const KILLED_EVERY: usize = 3;
/// How long one works that ends by itself.
const WORKS_S: f64 = 0.05;
const SETTLE: Duration = Duration::from_millis(1_500);

/// Start, work for a moment, stop.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let cycles = if bench.site.simulated {
        bench.either(1_000, 200)
    } else {
        200
    };
    let run_dir = bench.site.fresh_run_dir()?;
    let node = Node::new(&bench.site, &run_dir);
    let stay = |name| {
        let command = bench.command(&SATURATE_FINE, FOR_EVER_S, &["--sample-ms", "1"]);
        let tenant = Tenant::new(name, Sharing::Fcsp(Limits::share(33)), command);
        Runner::start(bench, &tenant, &run_dir)
    };
    let mut staying = [stay("a")?, stay("b")?];
    std::thread::sleep(SETTLE);
    // The first one teaches those who stay, too: what they keep of it is no leak.
    cycle(bench, &run_dir, 0)?;
    let before = Holdings::now(&node, staying.iter())?;
    let began_ns = now_ns();
    for i in 1..=cycles {
        cycle(bench, &run_dir, i)?;
    }
    let ended_ns = now_ns();
    let mut stalls_ms = Vec::new();
    for runner in &mut staying {
        let rest_ns = runner.work()?.longest_rest_ns(began_ns, ended_ns);
        stalls_ms.push(rest_ns as f64 / NS_PER_MS as f64);
    }
    let after = Holdings::settled(&before, &node, staying.iter())?;
    result.row(after.row(
        &before,
        &format!("{cycles} programs started and stopped: what is left of them"),
    ));
    result.row(Row::number(
        format!(
            "{cycles} programs started and stopped, {:.1} a second: longest stall of those that stay",
            cycles as f64 * 1e9 / (ended_ns - began_ns) as f64
        ),
        stalls_ms.iter().copied().fold(0.0, f64::max),
        "ms",
        Bar::AtMost(STALL_MS_MAX),
    ));
    result.details.push(json!({
        "cycles": cycles, "longest_stalls_ms": stalls_ms, "before": before, "after": after,
    }));
    for runner in staying {
        runner.kill()?;
    }
    Ok(())
}

/// One program from its start to its end.
fn cycle(bench: &Bench, run_dir: &Path, i: usize) -> Result<()> {
    let deadline = Instant::now() + ENDS_WITHIN;
    let killed = i % KILLED_EVERY == 1;
    let seconds = if killed { FOR_EVER_S } else { WORKS_S };
    let command = bench.bare_command(&SATURATE_FINE, seconds, &["--sample-ms", "0"]);
    let tenant = Tenant::new("c", Sharing::Fcsp(Limits::share(34)), command);
    let log = bench.site.log_file("c");
    let mut child = Child::spawn("c", tenant.to_command(&bench.site, run_dir), &log)?;
    child.wait_header(deadline)?;
    child.start_at(0)?;
    if killed {
        // At another point of its short life each time.
        std::thread::sleep(Duration::from_micros((i as u64 * 1_700) % 45_000));
        child.kill_now()?;
        child.finish_killed(deadline)?;
    } else {
        child.finish(deadline)?;
    }
    Ok(())
}
