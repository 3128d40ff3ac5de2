//! Programs that run together under MPS: what each of a pair reaches with FCSP, beside plain MPS and turns,
//! against itself alone, all in this run.
//!
//! One daemon serves the whole suite, started by `fcsp mps start`; each run under FCSP has a run directory of
//! its own and the policy `sharing = "concurrent"`. While such a run goes on, `fcsp status` is asked whether
//! the device is shared that way, since nothing here would say anything about running together if not.

mod cases;
mod judge;
mod pytorch;

use anyhow::Result;
use fcsp_hw_tests::stats::mean;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use self::cases::{PAIRS, PYTORCH, Pair};
use self::judge::{Beside, Found, Look, Side};
use crate::analysis::Shared;
use crate::bench::{Alone, Bench};
use crate::cast::{Cast, Reported};
use crate::mps::Mps;
use crate::node::Node;
use crate::result::{Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// What the operator wants of the device.
const POLICY: &str = "sharing = \"concurrent\"\n";

/// The names of the cases.
pub fn names() -> Vec<&'static str> {
    let pairs = PAIRS.iter().map(|pair| pair.name);
    pairs.chain([PYTORCH]).collect()
}

/// All cases, or those that were asked for.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let mps = match Mps::start(&bench.site, &bench.site.fresh_run_dir()?)? {
        Ok(mps) => mps,
        Err(reason) => {
            result.row(Row::skipped("programs together under MPS", reason));
            return Ok(());
        }
    };
    let policy = bench.site.scratch_file("concurrent.toml");
    std::fs::write(&policy, POLICY)?;
    let stage = Stage { bench, mps, policy };
    for pair in PAIRS.iter().filter(|pair| bench.selects(pair.name)) {
        let began = Instant::now();
        result.attempt(pair.title, |result| stage.measure(pair, result));
        eprintln!("  {}: {:.0} s", pair.name, began.elapsed().as_secs_f64());
    }
    if bench.selects(PYTORCH) {
        result.attempt(pytorch::TITLE, |result| pytorch::run(&stage, result));
    }
    Ok(())
}

/// How two programs share the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// MPS, no FCSP.
    Raw,
    /// Both.
    Fcsp,
    /// FCSP, no MPS.
    InTurns,
}

impl Way {
    fn text(self) -> &'static str {
        match self {
            Self::Raw => "plain MPS",
            Self::Fcsp => "MPS with FCSP",
            Self::InTurns => "in turns",
        }
    }
}

impl Pair {
    /// A pair in one way, in results.
    fn label(&self, way: Way) -> String {
        format!("{}, {}", self.title, way.text())
    }
}

/// What all cases share.
struct Stage<'a> {
    bench: &'a Bench,
    mps: Mps,
    policy: PathBuf,
}

impl Stage<'_> {
    /// A native program, made to run in that way.
    fn dress(&self, way: Way, tenant: Tenant, limits: Limits) -> Tenant {
        let limited = |tenant| Tenant {
            sharing: Sharing::Fcsp(limits),
            ..tenant
        };
        match way {
            Way::Raw => self.mps.serve(tenant),
            Way::InTurns => limited(tenant),
            Way::Fcsp => {
                let tenant = self.mps.serve(limited(tenant));
                tenant.with_env("FCSP_POLICY", &self.policy)
            }
        }
    }

    /// Looks, after some time, at how the programs of a run directory share the device.
    fn look(&self, run_dir: &Path, after: Duration) -> LookResult {
        let began = Instant::now();
        std::thread::sleep(after);
        let region = Node::new(&self.bench.site, run_dir).region();
        let region = region.map_err(|error| format!("fcsp status: {error:#}"))?;
        Ok(Look {
            sharing: region.device.sharing,
            because: region.device.sharing_because,
            handoffs: region.handoffs,
            after_s: began.elapsed().as_secs_f64(),
        })
    }

    /// A pair in every way.
    fn measure(&self, pair: &Pair, result: &mut SuiteResult) -> Result<()> {
        let bench = self.bench;
        let short_s = bench.either(3.05, 2.05);
        // Processors drift: alone is before and after.
        let before = self.alone(pair)?;
        let raw = self.beside(pair, Way::Raw, short_s, result);
        let fcsp = self.beside(pair, Way::Fcsp, bench.either(8.05, 3.05), result);
        let in_turns = match pair.in_turns {
            true => self.beside(pair, Way::InTurns, short_s, result),
            false => None,
        };
        let after = self.alone(pair)?;
        let alone = [0, 1].map(|side: usize| Baseline::of([before[side], after[side]]));

        let mut compare = |ran: Option<Ran>| {
            let ran = ran?;
            let mut beside = None;
            result.attempt(&pair.label(ran.way), |result| {
                beside = Some(self.compare(pair, &ran, &alone, result)?);
                Ok(())
            });
            Some((beside?, ran.look))
        };
        let raw = compare(raw).map(|it| it.0);
        let in_turns = compare(in_turns).map(|it| it.0);
        // What could not be run, or compared, has its row already.
        if let Some((fcsp, look)) = compare(fcsp) {
            let found = Found {
                title: pair.title,
                entitled_pct: pair.entitled_pct,
                alone_p99_ms: [0, 1].map(|side: usize| alone[side].p99_ms),
                raw,
                fcsp,
                look,
                in_turns,
            };
            result.add_rows(judge::rows(&found, pair.bounds));
        }
        Ok(())
    }

    /// Each of a pair natively, without MPS.
    fn alone(&self, pair: &Pair) -> Result<[Alone; 2]> {
        let [a, b] = pair.programs;
        let first = self.bench.alone_now(a)?;
        let second = if a == b {
            first
        } else {
            self.bench.alone_now(b)?
        };
        Ok([first, second])
    }

    /// Both of a pair at once; nothing, and a row that says why, if that fails.
    fn beside(&self, pair: &Pair, way: Way, seconds: f64, result: &mut SuiteResult) -> Option<Ran> {
        let mut ran = None;
        result.attempt(&pair.label(way), |_| {
            let tenants = [0, 1].map(|side: usize| {
                let limits = Limits {
                    priority: pair.priorities[side],
                    ..Limits::share(pair.entitled_pct[side])
                };
                let name = ["a", "b"][side];
                let native = self.bench.native(name, pair.programs[side], seconds);
                self.dress(way, native, limits)
            });
            let mut cast = Cast::assemble(&self.bench.site, &tenants)?;
            cast.start()?;
            let look = match way {
                Way::Fcsp => self.look(cast.run_dir(), Duration::from_secs_f64(seconds / 2.0)),
                Way::Raw | Way::InTurns => Err("nobody looked".into()),
            };
            ran = Some(Ran {
                way,
                reports: cast.finish(seconds)?,
                look,
            });
            Ok(())
        });
        ran
    }

    fn compare(
        &self,
        pair: &Pair,
        ran: &Ran,
        alone: &[Baseline; 2],
        result: &mut SuiteResult,
    ) -> Result<Beside> {
        let entitled_pct = pair.entitled_pct.map(f64::from);
        let shared = Shared::of(&ran.reports, &entitled_pct, &alone.map(|it| it.alone))?;
        let mut sides = Vec::new();
        for (side, reported) in ran.reports.iter().enumerate() {
            let here = self.bench.reached(reported)?;
            let of_alone = match (here.steps_per_s, alone[side].alone.steps_per_s) {
                (Some(here), Some(alone)) if alone > 0.0 => here / alone,
                _ => shared.progress[side],
            };
            sides.push(Side {
                of_alone,
                p99_ms: p99_ms(&here),
            });
        }
        let beside = Beside {
            sides: [sides[0], sides[1]],
            share_error_max_points: Some(shared.share_error_max_points),
        };
        result.details.push(json!({
            "pair": pair.name,
            "programs": pair.programs.map(|program| program.name),
            "way": ran.way.text(),
            "look": ran.look.as_ref().ok(),
            "alone_rates": alone.map(|it| it.alone.rate),
            "alone_steps_per_s": alone.map(|it| it.alone.steps_per_s),
            "alone_p99_ms": alone.map(|it| it.p99_ms),
            "beside": beside,
            "shared": shared,
        }));
        Ok(beside)
    }
}

/// What was seen, or why nothing was.
type LookResult = Result<Look, String>;

/// A pair that has run.
struct Ran {
    way: Way,
    reports: Vec<Reported>,
    look: LookResult,
}

/// A program alone, before and after what it is compared with.
#[derive(Debug, Clone, Copy)]
struct Baseline {
    alone: Alone,
    p99_ms: Option<f64>,
}

impl Baseline {
    fn of(times: [Alone; 2]) -> Self {
        let of_both = |value: fn(&Alone) -> Option<f64>| {
            let values: Vec<f64> = times.iter().filter_map(value).collect();
            (!values.is_empty()).then(|| mean(&values))
        };
        Self {
            alone: Alone {
                rate: of_both(|it| Some(it.rate)).unwrap_or(0.0),
                steps_per_s: of_both(|it| it.steps_per_s),
                latency: None,
            },
            p99_ms: of_both(p99_ms),
        }
    }
}

fn p99_ms(reached: &Alone) -> Option<f64> {
    Some(reached.latency?.p99_ns as f64 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn alone_is_the_mean_of_before_and_after() {
        let alone = |rate, steps_per_s| Alone {
            rate,
            steps_per_s,
            latency: None,
        };
        let both = Baseline::of([alone(0.9, Some(200.0)), alone(1.0, Some(210.0))]);
        assert_eq!(both.alone.rate, 0.95);
        assert_eq!(both.alone.steps_per_s, Some(205.0));
        assert_eq!(both.p99_ms, None);
    }
}
