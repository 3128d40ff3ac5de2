//! Idle capacity that is taken back: a tenant rests, another has the whole device, the first begins
//! again.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::record::Outcome;
use fcsp_hw_tests::stats::Quantiles;
use serde_json::json;

use crate::bench::Bench;
use crate::programs::{Program, SATURATE_COARSE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// Rests, then submits 20 kernels of 0.5 ms; the first is timed.
const RESUME: Program = Program {
    name: "begins again",
    args: &["resume", "--sample-ms", "0"],
};
/// Beyond alone.
const ADDED_P99_MS_MAX: f64 = 1.0;
/// How long the tenant rests that is judged first.
const REST_MS: u64 = 1_000;
/// How long the others do: twice what it takes to count as idle.
const SHORT_REST_MS: u64 = 400;
/// What a repetition takes beyond its rest.
const WORKS_S: f64 = 0.1;

/// Alone, beside a saturating tenant without a priority and with a high one, and natively beside the same.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let few = bench.either(20, 6);
    let (_, alone) = measure(bench, None, SHORT_REST_MS, few)?;
    result.row(Row::info(
        "alone, native: from the first submission after a rest to the end of its kernel",
        text(&alone),
    ));
    let mut measured = vec![("alone", alone)];
    for (priority, rest_ms) in [("normal", REST_MS), ("high", SHORT_REST_MS)] {
        result.attempt(priority, |result| {
            let repetitions = bench.either(50, 12);
            let (newcomer_ns, beside) =
                measure(bench, Some(Some(priority)), rest_ms, repetitions)?;
            result.row(Row::info(
                format!("{priority} priority, its very first kernel, beside the same"),
                format!("{:.3} ms", newcomer_ns as f64 / 1e6),
            ));
            result.row(Row::number(
                format!(
                    "{priority} priority, after {rest_ms} ms, beside 0.5 ms kernels of a tenant that had everything: \
                     added to p99 ({}; alone {})",
                    text(&beside),
                    text(&alone)
                ),
                (beside.p99_ns as f64 - alone.p99_ns as f64) / 1e6,
                "ms",
                Bar::AtMost(ADDED_P99_MS_MAX),
            ));
            measured.push((priority, beside));
            Ok(())
        });
    }
    let (_, slicing) = measure(bench, Some(None), SHORT_REST_MS, few)?;
    result.row(Row::info(
        "the same with the driver's slicing",
        text(&slicing),
    ));
    measured.push(("slicing", slicing));
    result.details.push(json!({ "first_kernel": measured }));
    Ok(())
}

fn text(latency: &Quantiles) -> String {
    format!(
        "p50 {:.3} ms, p99 {:.3} ms of {}",
        latency.p50_ns as f64 / 1e6,
        latency.p99_ns as f64 / 1e6,
        latency.count
    )
}

/// With a saturating neighbour if there is `beside`: with FCSP at that priority, else natively. First the very
/// first kernel of the program: nobody knew that it would come, and it takes nothing back.
fn measure(
    bench: &Bench,
    beside: Option<Option<&'static str>>,
    rest_ms: u64,
    repetitions: usize,
) -> Result<(u64, Quantiles)> {
    let repetition_s = rest_ms as f64 / 1e3 + WORKS_S;
    let seconds = (repetitions + 1) as f64 * repetition_s + 1.0;
    let (count, rest) = ((repetitions + 1).to_string(), rest_ms.to_string());
    let resume = ["--repetitions", count.as_str(), "--rest-ms", rest.as_str()];
    let tenant = |name: &str, program, priority: Option<&'static str>, extra: &[&str]| {
        let sharing = match priority {
            Some(priority) => Sharing::Fcsp(Limits {
                priority,
                ..Limits::share(50)
            }),
            None => Sharing::Native,
        };
        Tenant::new(name, sharing, bench.command(program, seconds, extra))
    };
    let priority = beside.flatten();
    let mut tenants = vec![tenant("a", &RESUME, priority, &resume)];
    if beside.is_some() {
        let normal = priority.map(|_| "normal");
        tenants.push(tenant("b", &SATURATE_COARSE, normal, &[]));
    }
    let reports = bench.together(&tenants, seconds)?;
    let Outcome::Resume { first_ns } = reports[0].outcome()? else {
        bail!("the program reported something else");
    };
    let (newcomer_ns, again_ns) = first_ns.split_first().context("it never began")?;
    let again = Quantiles::of(&mut again_ns.to_vec()).context("it never began again")?;
    Ok((*newcomer_ns, again))
}
