//! Processor time that FCSP uses: while tenants contend, and while programs do nothing.

use anyhow::{Context, Result};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::bench::Bench;
use crate::cast::Cast;
use crate::programs::{IDLE, Program, SATURATE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Tenant};
use crate::threads::{self, Used};

/// Of one core, each program.
const CORE_PCT_MAX: f64 = 1.0;
/// The last look at what a new context took is some seconds after it was made.
const RESTS_AFTER: Duration = Duration::from_secs(8);
/// Longer than any period a sleeper might have.
const RESTS_FOR: Duration = Duration::from_secs(12);

/// Both.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    result.attempt("contending", |result| contending(bench, result));
    result.attempt("idle", |result| idle(bench, result));
    Ok(())
}

/// What each of three programs used in `during`, and how long that was.
fn observe(
    bench: &Bench,
    program: &Program,
    settle: Duration,
    during: Duration,
) -> Result<(Vec<Used>, Duration)> {
    let seconds = (settle + during).as_secs_f64() + 1.0;
    let tenants: Vec<Tenant> = ["a", "b", "c"]
        .map(|name| bench.limited(name, Limits::share(33), program, seconds))
        .into();
    let mut cast = Cast::assemble(&bench.site, &tenants)?;
    cast.start()?;
    std::thread::sleep(settle);
    let look = |cast: &Cast| -> Result<Vec<BTreeMap<u32, threads::Thread>>> {
        cast.pids().into_iter().map(threads::of_process).collect()
    };
    let began = Instant::now();
    let before = look(&cast)?;
    std::thread::sleep(during);
    let after = look(&cast)?;
    let took = began.elapsed();
    cast.finish(seconds)?;
    let used = before.iter().zip(&after);
    Ok((
        used.map(|(then, now)| Used::between(then, now)).collect(),
        took,
    ))
}

fn contending(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let during = Duration::from_secs(bench.either(5, 3));
    let (used, took) = observe(bench, &SATURATE, Duration::from_secs(1), during)?;
    let pct = |ns: u64| 100.0 * ns as f64 / took.as_nanos() as f64;
    let each: Vec<f64> = used.iter().map(|used| pct(used.cpu_ns_total())).collect();
    let most = each.iter().copied().reduce(f64::max);
    let by_name = |used: &Used| {
        let named = used.cpu_ns.iter();
        named
            .map(|(name, ns)| format!("{name} {:.2}", pct(*ns)))
            .collect::<Vec<_>>()
            .join(", ")
    };
    let threads: Vec<String> = used.iter().map(by_name).collect();
    result.row(Row::number(
        format!(
            "3 tenants contending: FCSP's threads, of a core, the most of a program ({})",
            threads.join("; ")
        ),
        most.context("no program ran")?,
        "%",
        Bar::AtMost(CORE_PCT_MAX),
    ));
    let wakeups: Vec<f64> = used
        .iter()
        .map(|used| used.wakeups_total() as f64 / took.as_secs_f64())
        .collect();
    result.row(Row::info(
        "3 tenants contending: wake-ups of FCSP's threads per second, each program",
        wakeups
            .iter()
            .map(|per_s| format!("{per_s:.0}"))
            .collect::<Vec<_>>()
            .join(", "),
    ));
    result.details.push(json!({
        "run": "contending", "core_pct": each, "wakeups_per_s": wakeups,
    }));
    Ok(())
}

fn idle(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let (used, took) = observe(bench, &IDLE, RESTS_AFTER, RESTS_FOR)?;
    judge_idle(&used, took, result);
    Ok(())
}

fn judge_idle(used: &[Used], took: Duration, result: &mut SuiteResult) {
    let mut awake: BTreeMap<&str, u64> = BTreeMap::new();
    for (name, wakeups) in used.iter().flat_map(|used| &used.wakeups) {
        if *wakeups > 0 {
            *awake.entry(name).or_default() += wakeups;
        }
    }
    let who: Vec<String> = awake
        .iter()
        .map(|(name, wakeups)| format!("{name} {wakeups}"))
        .collect();
    let who = if who.is_empty() {
        String::new()
    } else {
        format!(" ({})", who.join(", "))
    };
    let known = used.iter().all(|used| !used.wakeups.is_empty());
    result.row(Row::number(
        format!(
            "{} idle programs: wake-ups of FCSP's threads in {:.0} s{who}",
            used.len(),
            took.as_secs_f64()
        ),
        // Without threads of ours in every program nothing was measured.
        if known {
            used.iter().map(Used::wakeups_total).sum::<u64>() as f64
        } else {
            f64::NAN
        },
        "",
        Bar::AtMost(0.0),
    ));
    result
        .details
        .push(json!({ "run": "idle", "wakeups": awake }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    fn woken(name: &str, wakeups: u64) -> Used {
        Used {
            cpu_ns: BTreeMap::new(),
            wakeups: BTreeMap::from([(name.to_owned(), wakeups)]),
        }
    }

    #[test]
    fn one_wake_up_is_one_too_many_and_named() {
        let mut result = SuiteResult::default();
        let took = Duration::from_secs(12);
        judge_idle(
            &[woken("fcsp-usage", 1), woken("fcsp-usage", 0)],
            took,
            &mut result,
        );
        assert_eq!(result.rows[0].verdict, Verdict::Miss);
        assert!(result.rows[0].measure.contains("fcsp-usage 1"));
        judge_idle(&[woken("fcsp-usage", 0)], took, &mut result);
        assert_eq!(result.rows[1].verdict, Verdict::Pass);
    }

    #[test]
    fn a_program_without_threads_of_ours_proves_nothing() {
        let mut result = SuiteResult::default();
        let took = Duration::from_secs(12);
        judge_idle(&[Used::default()], took, &mut result);
        assert_eq!(result.rows[0].verdict, Verdict::Miss);
    }
}
