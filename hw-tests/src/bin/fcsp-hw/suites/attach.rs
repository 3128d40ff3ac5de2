//! What FCSP adds to making a context, which is when a process is attached.
//!
//! Two ways. From outside: native and preloaded processes in turn, and how long the same call took in each. A
//! real driver takes a tenth of a second for it and never twice the same time, so this tells only what is
//! large. From inside: the library's own clock, as it writes it into its log. A few more processes tell how
//! long each step of it takes.

use anyhow::{Context, Result};
use fcsp_hw_tests::stats::median;
use serde_json::json;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::child::Child;
use crate::programs::VISIT;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const PAIRS: usize = 20;
const TOLD_STEPS: usize = 5;
const ADDED_US_MAX: f64 = 100.0;
const ENDS_WITHIN: Duration = Duration::from_secs(60);
/// What stands before and after the time in the log.
const TOLD: (&str, &str) = ("attached in ", " us");
/// What stands before the lengths of steps, and ends with their line.
const STEPS: [&str; 2] = ["attached: ", "context made: "];

/// Twenty pairs, who goes first alternating.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let run_dir = bench.site.fresh_run_dir()?;
    // Makes the region, and brings the driver's files into memory.
    visit(bench, true, &run_dir, "info")?;
    let (mut native_us, mut fcsp_us, mut own_us) = (Vec::new(), Vec::new(), Vec::new());
    for pair in 0..bench.either(PAIRS, 5) {
        for fcsp in [pair & 1 == 0, pair & 1 != 0] {
            let seen = visit(bench, fcsp, &run_dir, "info")?;
            if fcsp {
                fcsp_us.push(seen.context_us);
                own_us.push(
                    seen.attached_us
                        .context("the log tells no time of attaching")?,
                );
            } else {
                native_us.push(seen.context_us);
            }
        }
    }
    judge(&native_us, &fcsp_us, &own_us, result)?;
    let mut steps = Vec::new();
    for _ in 0..TOLD_STEPS {
        steps.extend(visit(bench, true, &run_dir, "debug")?.steps);
    }
    result
        .details
        .push(json!({ "run": "attach, step by step, us", "steps": steps }));
    Ok(())
}

/// What a process told.
struct Seen {
    context_us: f64,
    attached_us: Option<f64>,
    steps: Vec<String>,
}

fn visit(bench: &Bench, fcsp: bool, run_dir: &Path, log_level: &str) -> Result<Seen> {
    let (name, sharing) = if fcsp {
        ("attach", Sharing::Fcsp(Limits::share(50)))
    } else {
        ("attach-native", Sharing::Native)
    };
    let command = bench.bare_command(&VISIT, 0.0, &[]);
    let tenant = Tenant::new(name, sharing, command).with_env("FCSP_LOG", log_level);
    let log = bench.site.log_file(name);
    let mut child = Child::spawn(name, tenant.to_command(&bench.site, run_dir), &log)?;
    let deadline = Instant::now() + ENDS_WITHIN;
    let header = child.wait_header(deadline)?;
    child.start_at(0)?;
    child.finish(deadline)?;
    let said = std::fs::read_to_string(&log)?;
    Ok(Seen {
        context_us: header.context_ns as f64 / 1e3,
        attached_us: told_us(&said),
        steps: told_steps(&said),
    })
}

fn told_us(log: &str) -> Option<f64> {
    let (_, rest) = log.split_once(TOLD.0)?;
    rest.split_once(TOLD.1)?.0.parse().ok()
}

fn told_steps(log: &str) -> Vec<String> {
    let told = |line: &str| {
        let at = STEPS.iter().find_map(|it| line.find(it))?;
        Some(line[at..].to_owned())
    };
    log.lines().filter_map(told).collect()
}

fn judge(
    native_us: &[f64],
    fcsp_us: &[f64],
    own_us: &[f64],
    result: &mut SuiteResult,
) -> Result<()> {
    let middle = |values: &[f64]| median(values).context("no process was started");
    let off_us: Vec<f64> = {
        let middle = middle(native_us)?;
        native_us.iter().map(|us| (us - middle).abs()).collect()
    };
    result.row(Row::number(
        format!(
            "cuDevicePrimaryCtxRetain, added, from outside ({} pairs; native {:.0} us, half of them within {:.0} \
             us of that)",
            native_us.len(),
            middle(native_us)?,
            middle(&off_us)?
        ),
        middle(fcsp_us)? - middle(native_us)?,
        "us",
        Bar::AtMost(ADDED_US_MAX),
    ));
    let most = own_us.iter().copied().fold(0.0, f64::max);
    result.row(Row::number(
        format!("process attach, by the library's own clock, p50 (longest {most:.0} us)"),
        middle(own_us)?,
        "us",
        Bar::AtMost(ADDED_US_MAX),
    ));
    result.details.push(json!({
        "run": "attach", "native_us": native_us, "fcsp_us": fcsp_us, "own_us": own_us,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    #[test]
    fn the_time_is_found_in_the_log() {
        let log = "fcsp: info: tenant a on GPU-1, slot 0, attached in 83 us\nmore in 9 us";
        assert_eq!(told_us(log), Some(83.0));
        assert_eq!(told_us("nothing"), None);
    }

    #[test]
    fn steps_are_found_in_the_log() {
        let log = "fcsp: info: tenant a on GPU-1, slot 0, attached in 83 us\n\
                   fcsp: debug: attached: identity 3, slot 9 us\n\
                   fcsp: debug: context made: asked 1, by the driver 90 us\n";
        assert_eq!(
            told_steps(log),
            [
                "attached: identity 3, slot 9 us",
                "context made: asked 1, by the driver 90 us"
            ]
        );
    }

    #[test]
    fn what_is_added_is_the_difference_of_the_middles() {
        let mut result = SuiteResult::default();
        let (native, fcsp) = ([900.0, 1_000.0, 5_000.0], [1_150.0, 1_090.0, 1_300.0]);
        judge(&native, &fcsp, &[80.0, 90.0, 200.0], &mut result).expect("three pairs");
        assert_eq!(result.rows[0].value, Some(150.0));
        assert_eq!(result.rows[0].verdict, Verdict::Miss);
        assert_eq!(result.rows[1].value, Some(90.0));
        assert_eq!(result.rows[1].verdict, Verdict::Pass);
    }
}
