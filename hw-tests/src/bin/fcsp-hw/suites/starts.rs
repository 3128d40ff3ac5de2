//! What it takes to start many programs at once: does a driver open a device for several side by side, or one after
//! another, and does FCSP add to it?
//!
//! `fcsp bench` starts dozens of processes; how many of them open the device at once is to be chosen by this.

use anyhow::Result;
use fcsp_hw_tests::stats::median;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::child::Child;
use crate::programs::VISIT;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// How many start at once.
const CROWDS: [usize; 6] = [1, 2, 4, 8, 16, 32];
const ENDS_WITHIN: Duration = Duration::from_secs(120);

/// Each crowd natively and under FCSP, several times.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let run_dir = bench.site.fresh_run_dir()?;
    // Makes the region, and brings the driver's files into memory.
    crowd(bench, true, 1, &run_dir)?;
    for count in CROWDS {
        let repeats = bench.either(CROWDS[CROWDS.len() - 1] / count, 1).min(5);
        let mut took = [Vec::new(), Vec::new()];
        for _ in 0..repeats {
            for (fcsp, took) in [false, true].into_iter().zip(&mut took) {
                took.push(crowd(bench, fcsp, count, &run_dir)?);
            }
        }
        for (how, took) in ["natively", "under FCSP"].into_iter().zip(&took) {
            let middle = |of: fn(&Took) -> Duration| {
                let seconds: Vec<f64> = took.iter().map(|it| of(it).as_secs_f64()).collect();
                median(&seconds).unwrap_or(f64::NAN)
            };
            result.row(Row::number(
                format!(
                    "{count} at once {how}: until the last has its context, for each of them ({:.2} s in all, \
                     and {:.2} s until all have ended)",
                    middle(|it| it.started),
                    middle(|it| it.ended)
                ),
                middle(|it| it.started) / count as f64 * 1e3,
                "ms",
                Bar::None,
            ));
        }
        let seconds = |of: fn(&Took) -> Duration| {
            took.each_ref().map(|took| {
                let took = took.iter().map(|it| of(it).as_secs_f64());
                took.collect::<Vec<_>>()
            })
        };
        result.details.push(json!({
            "run": "starts", "at_once": count, "natively_then_under_fcsp": {
                "started_s": seconds(|it| it.started), "ended_s": seconds(|it| it.ended),
            },
        }));
    }
    Ok(())
}

/// What a crowd took.
struct Took {
    /// From the first start to the last context.
    started: Duration,
    /// From the first word to end to the last end.
    ended: Duration,
}

fn crowd(bench: &Bench, fcsp: bool, count: usize, run_dir: &Path) -> Result<Took> {
    let began = Instant::now();
    let deadline = began + ENDS_WITHIN;
    let mut members = (0..count)
        .map(|i| {
            let name = format!("s{i}");
            let sharing = if fcsp {
                Sharing::Fcsp(Limits::share(100.0 / count as f64))
            } else {
                Sharing::Native
            };
            let command = bench.bare_command(&VISIT, 0.0, &[]);
            let tenant = Tenant::new(&name, sharing, command);
            let log = bench.site.log_file(&name);
            Child::spawn(&name, tenant.to_command(&bench.site, run_dir), &log)
        })
        .collect::<Result<Vec<_>>>()?;
    for member in &mut members {
        member.wait_header(deadline)?;
    }
    let started = began.elapsed();
    let told = Instant::now();
    for member in &mut members {
        member.start_at(0)?;
    }
    for member in members {
        member.finish(deadline)?;
    }
    Ok(Took {
        started,
        ended: told.elapsed(),
    })
}
