//! Programs that start and stop again and again beside two that stay.

use anyhow::Result;
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use serde_json::json;
use std::path::PathBuf;
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
/// Of so many with FCSP, one without.
const CONTROL_PART: usize = 3;
/// Until a program has started and ended.
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// One in this many is killed in the middle of its work; the others end by themselves.
const KILLED_EVERY: usize = 3;
/// How long one works that ends by itself.
const WORKS_S: f64 = 0.05;
const SETTLE: Duration = Duration::from_millis(1_500);

/// Start, work for a moment, stop; then fewer of the same without FCSP, since a driver that opens and closes a device holds up
/// who else uses it by itself.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let cycles = match bench.site.simulated {
        true => bench.either(1_000, 200),
        false => 200,
    };
    let mut scene = Scene::begin(bench, true)?;
    // The first one teaches those who stay, too: what they keep of it is no leak.
    scene.cycle(0)?;
    let before = Holdings::now(&scene.node(), scene.staying.iter())?;
    let seen = scene.cycles(cycles)?;
    let after = Holdings::settled(&before, &scene.node(), scene.staying.iter())?;
    scene.end()?;
    result.row(after.row(
        &before,
        &format!("{cycles} programs started and stopped: what is left of them"),
    ));
    result.row(seen.row("", Bar::AtMost(STALL_MS_MAX)));
    let mut control = Scene::begin(bench, false)?;
    control.cycle(0)?;
    let native = control.cycles(cycles / CONTROL_PART)?;
    control.end()?;
    result.row(native.row(" without FCSP", Bar::None));
    result.details.push(json!({
        "cycles": cycles, "longest_stalls_ms": seen.stalls_ms, "before": before, "after": after,
        "longest_stalls_ms_without": native.stalls_ms,
    }));
    Ok(())
}

/// Two programs that stay, and what others need that come and go.
struct Scene<'a> {
    bench: &'a Bench,
    run_dir: PathBuf,
    /// Whether FCSP shares the device, or the driver.
    shares: bool,
    staying: [Runner; 2],
}

impl<'a> Scene<'a> {
    fn begin(bench: &'a Bench, shares: bool) -> Result<Self> {
        let run_dir = bench.site.fresh_run_dir()?;
        let stay = |name| {
            let command = bench.command(&SATURATE_FINE, FOR_EVER_S, &["--sample-ms", "1"]);
            let tenant = Tenant::new(name, sharing(shares, 33), command);
            Runner::start(bench, &tenant, &run_dir)
        };
        let staying = [stay("a")?, stay("b")?];
        std::thread::sleep(SETTLE);
        Ok(Self {
            bench,
            run_dir,
            shares,
            staying,
        })
    }

    fn node(&self) -> Node<'_> {
        Node::new(&self.bench.site, &self.run_dir)
    }

    /// So many programs one after the other, and how long those that stay stood meanwhile.
    fn cycles(&mut self, count: usize) -> Result<Seen> {
        let began_ns = now_ns();
        for i in 1..=count {
            self.cycle(i)?;
        }
        let ended_ns = now_ns();
        let mut stalls_ms = Vec::new();
        for runner in &mut self.staying {
            let rest_ns = runner.work()?.longest_rest_ns(began_ns, ended_ns);
            stalls_ms.push(rest_ns as f64 / NS_PER_MS as f64);
        }
        Ok(Seen {
            count,
            seconds: (ended_ns - began_ns) as f64 / 1e9,
            stalls_ms,
        })
    }

    /// One program from its start to its end.
    fn cycle(&self, i: usize) -> Result<()> {
        let bench = self.bench;
        let deadline = Instant::now() + ENDS_WITHIN;
        let killed = i % KILLED_EVERY == 1;
        let seconds = if killed { FOR_EVER_S } else { WORKS_S };
        let command = bench.bare_command(&SATURATE_FINE, seconds, &["--sample-ms", "0"]);
        let tenant = Tenant::new("c", sharing(self.shares, 34), command);
        let log = bench.site.log_file("c");
        let mut child = Child::spawn("c", tenant.to_command(&bench.site, &self.run_dir), &log)?;
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

    fn end(self) -> Result<()> {
        self.staying.into_iter().try_for_each(Runner::kill)
    }
}

fn sharing(shares: bool, sm_pct: u32) -> Sharing {
    match shares {
        true => Sharing::Fcsp(Limits::share(sm_pct)),
        false => Sharing::Native,
    }
}

/// What those that stay saw of those that came and went.
struct Seen {
    count: usize,
    seconds: f64,
    stalls_ms: Vec<f64>,
}

impl Seen {
    fn row(&self, how: &str, bar: Bar) -> Row {
        Row::number(
            format!(
                "{} programs started and stopped{how}, {:.1} a second: longest stall of those that stay",
                self.count,
                self.count as f64 / self.seconds
            ),
            self.stalls_ms.iter().copied().fold(0.0, f64::max),
            "ms",
            bar,
        )
    }
}
