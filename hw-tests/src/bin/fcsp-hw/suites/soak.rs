//! Everything at once, for as long as one likes: programs are killed and start again, and limits, modes and
//! priorities change, drawn by a seed. At the end shares must be exact and nothing may be left.

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use fcsp_hw_tests::interrupt;
use fcsp_hw_tests::random::Random;
use fcsp_hw_tests::stats::{Cumulative, share_error_points, shares_per_window};
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

use super::leftovers::Holdings;
use crate::bench::Bench;
use crate::node::Node;
use crate::programs::{Program, SATURATE, SATURATE_FINE, SATURATE_GRAPH};
use crate::result::{Bar, Row, SuiteResult};
use crate::runner::{FOR_EVER_S, Runner};
use crate::tenant::{Limits, Sharing, Tenant};

/// Tenants and what they run.
const TENANTS: [(&str, &Program); 3] = [
    ("a", &SATURATE_FINE),
    ("b", &SATURATE),
    ("c", &SATURATE_GRAPH),
];
/// Entitlements in percent. The first are those at the beginning and at the end.
const MIXES: [[u32; 3]; 5] = [
    [25, 35, 40],
    [10, 30, 60],
    [50, 25, 25],
    [5, 45, 50],
    [40, 40, 20],
];
const MODES: [&str; 3] = ["balanced", "strict", "none"];
const PRIORITIES: [&str; 3] = ["high", "normal", "low"];
const SETTLE: Duration = Duration::from_millis(2_500);
/// The exact shares at the end are those of this many seconds.
const JUDGED_S: u64 = 5;
const SHARE_ERROR_MAX_POINTS: f64 = 1.0;
/// Whoever makes no progress for this long while it runs is starved.
const STARVED_MS: u64 = 2_000;
/// What is recorded of the arbiter's decisions when somebody starves.
const STARVED_TRACE_S: &str = "0.3";
/// What of a program's past is kept.
const KEPT_MS: u64 = 10_000;

/// What happened.
#[derive(Debug, Default, serde::Serialize)]
struct Events {
    kills: u64,
    limits: u64,
    modes: u64,
    priorities: u64,
    starved: Vec<String>,
}

/// The tenants, and what was last said of them.
struct Stage<'a> {
    bench: &'a Bench,
    node: Node<'a>,
    run_dir: &'a Path,
    runners: Vec<Runner>,
    mix: [u32; 3],
    events: Events,
    starved_before: bool,
}

/// Until its time is over; then the account.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let (seed, seconds) = (bench.asked.seed, bench.asked.soak_seconds);
    let alone = TENANTS
        .iter()
        .map(|(_, program)| Ok(bench.alone(program)?.rate))
        .collect::<Result<Vec<_>>>()?;
    let run_dir = bench.site.fresh_run_dir()?;
    let node = Node::new(&bench.site, &run_dir);
    let mut stage = Stage {
        bench,
        node,
        run_dir: &run_dir,
        runners: Vec::new(),
        mix: MIXES[0],
        events: Events::default(),
        starved_before: false,
    };
    for tenant in 0..TENANTS.len() {
        let runner = stage.start(tenant)?;
        stage.runners.push(runner);
    }
    std::thread::sleep(SETTLE);
    let before = Holdings::now(&node, stage.runners.iter())?;
    let mut random = Random::new(seed);
    let (began, most) = (Instant::now(), Duration::from_secs(seconds));
    while began.elapsed() < most && !interrupt::came() {
        stage.event(&mut random)?;
    }
    let seconds = began.elapsed().as_secs();
    stage.calm()?;
    stage.judge(seed, seconds, &alone, &before, result)
}

impl Stage<'_> {
    fn start(&self, tenant: usize) -> Result<Runner> {
        let (name, program) = TENANTS[tenant];
        let command = self.bench.bare_command(program, FOR_EVER_S, &[]);
        let sharing = Sharing::Fcsp(Limits::share(self.mix[tenant]));
        Runner::start(
            self.bench,
            &Tenant::new(name, sharing, command),
            self.run_dir,
        )
    }

    /// One thing that happens, and a pause.
    fn event(&mut self, random: &mut Random) -> Result<()> {
        let tenant = random.below(TENANTS.len());
        let (name, _) = TENANTS[tenant];
        match random.below(4) {
            0 => {
                self.runners.remove(tenant).kill()?;
                let runner = self.start(tenant)?;
                self.runners.insert(tenant, runner);
                // It began with what its environment says, and the tenant may have been changed since.
                self.share_out(self.mix)?;
                self.events.kills += 1;
            }
            1 => {
                self.share_out(MIXES[random.below(MIXES.len())])?;
                self.events.limits += 1;
            }
            2 => {
                let mode = MODES[random.below(MODES.len())];
                self.node.set(name, &["--mode", mode])?;
                self.events.modes += 1;
            }
            _ => {
                let priority = PRIORITIES[random.below(PRIORITIES.len())];
                self.node.set(name, &["--priority", priority])?;
                self.events.priorities += 1;
            }
        }
        std::thread::sleep(Duration::from_millis(50 + random.below(350) as u64));
        self.look_for_starved()
    }

    /// Gives everybody its entitlement of `mix`; who gives goes before who takes, so that no promise is made
    /// twice.
    fn share_out(&mut self, mix: [u32; 3]) -> Result<()> {
        let mut order: Vec<usize> = (0..TENANTS.len()).collect();
        order.sort_by_key(|&tenant| i64::from(mix[tenant]) - i64::from(self.mix[tenant]));
        for tenant in order {
            let compute = format!("{}%", mix[tenant]);
            self.node.set(TENANTS[tenant].0, &["--compute", &compute])?;
        }
        self.mix = mix;
        Ok(())
    }

    fn look_for_starved(&mut self) -> Result<()> {
        let mut starved = Vec::new();
        for ((name, _), runner) in TENANTS.iter().zip(&mut self.runners) {
            runner.keep_ms(KEPT_MS)?;
            if starves(&runner.work()?, now_ns()) {
                starved.push(format!("{name} after {:?}", self.mix));
            }
        }
        if !starved.is_empty() && !self.starved_before {
            // A recording explains a measurement and is none.
            if let Err(error) = self.record_starved() {
                eprintln!("  soak: what the arbiter does while somebody starves: {error:#}");
            }
        }
        self.starved_before = !starved.is_empty();
        self.events.starved.extend(starved);
        Ok(())
    }

    /// What `fcsp status` and `fcsp trace` say while somebody starves, into the logs.
    fn record_starved(&self) -> Result<()> {
        let number = self.events.starved.len() + 1;
        for (what, arguments) in [
            ("status", &["status", "--json"][..]),
            (
                "trace",
                &[
                    "trace",
                    "--json",
                    "--events",
                    "all",
                    "--seconds",
                    STARVED_TRACE_S,
                ],
            ),
        ] {
            let said = self.node.fcsp(arguments)?.stdout;
            let path = self
                .bench
                .site
                .log_file(&format!("starved-{number}-{what}"));
            std::fs::write(&path, said)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// Everything as it was at the beginning.
    fn calm(&mut self) -> Result<()> {
        for (name, _) in TENANTS {
            self.node
                .set(name, &["--mode", "balanced", "--priority", "normal"])?;
        }
        self.share_out(MIXES[0])?;
        std::thread::sleep(SETTLE);
        Ok(())
    }

    fn judge(
        mut self,
        seed: u64,
        seconds: u64,
        alone: &[f64],
        before: &Holdings,
        result: &mut SuiteResult,
    ) -> Result<()> {
        let from_ns = now_ns();
        std::thread::sleep(Duration::from_secs(JUDGED_S));
        let to_ns = now_ns();
        let mut curves = Vec::new();
        for (runner, alone) in self.runners.iter_mut().zip(alone) {
            curves.push(runner.work()?.scaled(1.0 / alone));
        }
        let shares = shares_per_window(&curves, from_ns, to_ns, 1_000 * NS_PER_MS);
        let entitled = MIXES[0].map(|pct| f64::from(pct) / 100.0);
        let (_, worst_points) =
            share_error_points(&shares, &entitled).context("nothing ran at the end")?;
        let after = Holdings::settled(before, &self.node, self.runners.iter())?;
        let events = &self.events;
        let what = format!(
            "{seconds} s of {} kills, {} changes of limits, {} of modes, {} of priorities (seed {seed})",
            events.kills, events.limits, events.modes, events.priorities
        );
        result.row(Row::number(
            format!("{what}: share error then, largest of 1 s windows"),
            worst_points,
            "points",
            Bar::AtMost(SHARE_ERROR_MAX_POINTS),
        ));
        result.row(after.row(before, &format!("{what}: what is left")));
        result.row(Row::fact(
            format!(
                "{what}: everybody made progress in every {} s",
                STARVED_MS / 1_000
            ),
            match events.starved.as_slice() {
                [] => "yes".to_owned(),
                starved => crate::result::quote(starved),
            },
            events.starved.is_empty(),
        ));
        result.details.push(json!({
            "seed": seed, "events": events, "shares_at_the_end": shares, "before": before, "after": after,
        }));
        for runner in self.runners {
            runner.kill()?;
        }
        Ok(())
    }
}

/// Whether a program that has run for as long made no progress in the last [`STARVED_MS`].
fn starves(work: &Cumulative, now_ns: u64) -> bool {
    let from_ns = now_ns.saturating_sub(STARVED_MS * NS_PER_MS);
    let known = work
        .span_ns()
        .is_some_and(|(first_ns, _)| first_ns <= from_ns);
    known && work.at(now_ns) <= work.at(from_ns)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_makes_no_progress_for_long_is_starved() {
        let ms = |ms: u64| ms * NS_PER_MS;
        let stopped = Cumulative::new([(0, 0), (ms(1_000), 500), (ms(9_000), 500)]);
        assert!(!starves(&stopped, ms(2_500)));
        assert!(starves(&stopped, ms(3_500)));
        // Of one that has just started nothing is known.
        let young = Cumulative::new([(ms(8_900), 0), (ms(9_000), 0)]);
        assert!(!starves(&young, ms(9_000)));
    }

    #[test]
    fn no_mix_promises_more_than_there_is() {
        assert!(MIXES.iter().all(|mix| mix.iter().sum::<u32>() == 100));
    }
}
