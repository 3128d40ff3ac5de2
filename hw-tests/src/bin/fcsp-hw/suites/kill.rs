//! A tenant is killed with SIGKILL; the others take over what it held.
//!
//! Two tenants run throughout. A third enters again and again, runs beside them for a moment and is
//! killed, at a different point of the cycle each time. With three the two get two thirds of the
//! device; what they lack of the whole of it after the kill, at that third, is how long they went on as
//! if the dead one were still there. Work is counted and not the first moment without a hole looked
//! for: a hole that anything on a busy host makes counts for what it cost, not for when it came.

use anyhow::{Result, ensure};
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use fcsp_hw_tests::stats::{Cumulative, median};
use serde_json::json;
use std::time::Duration;

use crate::bench::{Bench, measured_part};
use crate::cast::{Cast, Reported};
use crate::programs::SATURATE_FINE;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// Over this long after a kill the survivors' work is counted: several cycles of the lease.
const OVER_NS: u64 = 60 * NS_PER_MS;
/// Of what two tenants do, what a third one that runs beside them takes.
const THIRD: f64 = 1.0 / 3.0;
/// The third runs this long, plus some, before it is killed.
const BESIDE: Duration = Duration::from_millis(400);
/// Until the next one enters.
const AFTER: Duration = Duration::from_millis(250);

/// With FCSP, and natively for comparison.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let resumed = measure(bench, true, result)?;
    let worst = resumed.iter().copied().fold(0.0, f64::max);
    result.row(Row::info(
        "one of three killed: the others resume after, in order of the kills",
        text(&resumed),
    ));
    for (which, ms) in [
        ("median", median(&resumed).unwrap_or(worst)),
        ("longest", worst),
    ] {
        result.row(Row::number(
            format!("one of three killed: the others resume, {which}"),
            ms,
            "ms",
            Bar::AtMost(10.0),
        ));
    }
    if !bench.quick {
        let native = measure(bench, false, result)?;
        result.row(Row::info(
            "the same with the driver's slicing",
            text(&native),
        ));
    }
    Ok(())
}

fn text(resumed_ms: &[f64]) -> String {
    let each: Vec<String> = resumed_ms.iter().map(|ms| format!("{ms:.0}")).collect();
    format!("{} ms", each.join(", "))
}

/// How long after each kill the survivors had the device to themselves, in milliseconds.
fn measure(bench: &Bench, fcsp: bool, result: &mut SuiteResult) -> Result<Vec<f64>> {
    let kills = bench.either(if fcsp { 5 } else { 3 }, 3);
    // Setting up a program takes a second or so on real hardware; the survivors stay for all.
    let seconds = 2.0 + 3.0 * f64::from(kills);
    let sharing = |pct| {
        if fcsp {
            Sharing::Fcsp(Limits::share(pct))
        } else {
            Sharing::Native
        }
    };
    let tenant = |name: &str, pct, seconds: f64| {
        let command = bench.command(&SATURATE_FINE, seconds, &["--sample-ms", "1"]);
        Tenant::new(name, sharing(pct), command)
    };
    let mut cast = Cast::assemble(
        &bench.site,
        &[tenant("a", 33, seconds), tenant("b", 33, seconds)],
    )?;
    cast.start()?;
    std::thread::sleep(Duration::from_millis(1_500));
    let alone_until_ns = now_ns();

    let mut killed_ns = Vec::new();
    for kill in 0..kills {
        cast.enter(&tenant("c", 34, 60.0))?;
        cast.await_ready()?;
        cast.start_last()?;
        // An odd step, so that the kills fall on different points of any cycle.
        std::thread::sleep(BESIDE + Duration::from_micros(1_700) * kill);
        killed_ns.push(cast.kill_last()?);
        std::thread::sleep(AFTER);
    }
    let reports = cast.finish(seconds)?;
    judge(&reports, alone_until_ns, &killed_ns, fcsp, result)
}

fn judge(
    reports: &[Reported],
    alone_until_ns: u64,
    killed_ns: &[u64],
    fcsp: bool,
    result: &mut SuiteResult,
) -> Result<Vec<f64>> {
    let (from_ns, to_ns) = measured_part(reports)?;
    let both = Cumulative::sum(
        &reports
            .iter()
            .map(|reported| &reported.work)
            .collect::<Vec<_>>(),
    );
    let before = both.rate(from_ns, alone_until_ns);
    ensure!(before > 0.0, "the survivors had no time to themselves");
    let lacks_ms = |at_ns: u64| {
        let lacked = before - both.rate(at_ns, at_ns + OVER_NS);
        lacked.max(0.0) / (before * THIRD) * OVER_NS as f64 / NS_PER_MS as f64
    };
    // What this measure says where nobody was killed.
    let noise_ms: Vec<f64> = (from_ns..alone_until_ns.saturating_sub(OVER_NS))
        .step_by(OVER_NS as usize)
        .map(lacks_ms)
        .collect();
    let (mut resumed_ms, mut rests_ms) = (Vec::new(), Vec::new());
    let mut beside = Vec::new();
    for &killed_ns in killed_ns.iter().filter(|&&at| at + 2 * OVER_NS < to_ns) {
        beside.push(both.rate(killed_ns - 200 * NS_PER_MS, killed_ns));
        resumed_ms.push(lacks_ms(killed_ns));
        rests_ms
            .push(both.longest_rest_ns(killed_ns, killed_ns + OVER_NS) as f64 / NS_PER_MS as f64);
    }
    ensure!(
        !resumed_ms.is_empty(),
        "no tenant was killed while the survivors still ran: setting one up took too long"
    );
    // Else there was nothing to regain, and the figures below would flatter.
    let largest = beside.iter().copied().fold(0.0, f64::max) / before;
    let who = if fcsp { "" } else { ", driver's slicing" };
    result.row(Row::fact(
        format!("the tenant that is killed had its part before{who}"),
        format!("the others had at most {largest:.2} of what they have without it"),
        largest < 0.8,
    ));
    result.details.push(json!({
        "fcsp": fcsp, "rate_of_two": before, "lacked_without_a_kill_ms": noise_ms,
        "rate_of_two_beside_third": beside, "resumed_ms": resumed_ms, "longest_rest_ms": rests_ms, "kills": killed_ns.len(),
    }));
    Ok(resumed_ms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::curve;

    /// Half of the device, a third of it from 3 s until `resumes_ms`.
    fn survivor(name: &str, resumes_ms: u64) -> Reported {
        let mut work_ns = 0.0;
        curve(
            name,
            6,
            (0..=6_000).map(move |ms| {
                let at = (ms * NS_PER_MS, work_ns as u64);
                let beside = (3_000..resumes_ms).contains(&ms);
                work_ns += 1e6 * if beside { 1.0 / 3.0 } else { 0.5 };
                at
            }),
        )
    }

    #[test]
    fn resumption_is_timed_from_the_kill() {
        let mut result = SuiteResult::default();
        let survivors = [survivor("a", 4_025), survivor("b", 4_025)];
        let killed_ns = 4_000 * NS_PER_MS;
        let resumed_ms = judge(
            &survivors,
            2_000 * NS_PER_MS,
            &[killed_ns],
            true,
            &mut result,
        )
        .expect("one kill within the curve");
        // A third is missing for 25 ms.
        assert!((24.0..=26.0).contains(&resumed_ms[0]), "{resumed_ms:?}");
        assert_eq!(result.rows[0].verdict, crate::result::Verdict::Pass);
    }

    #[test]
    fn a_third_that_never_had_its_part_is_reported() {
        let mut result = SuiteResult::default();
        let survivors = [survivor("a", 0), survivor("b", 0)];
        judge(
            &survivors,
            2_000 * NS_PER_MS,
            &[4_000 * NS_PER_MS],
            true,
            &mut result,
        )
        .expect("one kill within the curve");
        assert_eq!(result.rows[0].verdict, crate::result::Verdict::Miss);
    }
}
