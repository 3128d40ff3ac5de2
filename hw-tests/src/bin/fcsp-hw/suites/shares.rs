//! Saturating tenants against their entitlements.

use anyhow::Result;
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::{Alone, Bench};
use crate::programs::{
    Program, SATURATE, SATURATE_ATTRIBUTES, SATURATE_CLUSTER, SATURATE_COOPERATIVE, SATURATE_COPY,
    SATURATE_FILL, SATURATE_GRAPH, SATURATE_GRAPH_DEFAULT, SATURATE_GRAPH_UPDATE, SATURATE_LIBRARY,
    SATURATE_MIXED, SATURATE_MULTI, SATURATE_OLD, SATURATE_PER_THREAD,
};
use crate::result::{Bar, Row, SuiteResult};
use crate::site::Vendor;
use crate::tenant::{Limits, Tenant};

/// Length of a short run, in seconds.
const FAMILY_SECONDS: f64 = 4.05;

/// One run: a tenant each, with its entitlement in percent.
type Mix<'a> = &'a [(u32, &'a Program)];

/// The same 250 µs kernels everywhere; also judged by the smoothness of 100 ms windows.
pub fn uniform(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let mixes: [Mix; 3] = [
        &[(25, &SATURATE), (75, &SATURATE)],
        &[(25, &SATURATE), (35, &SATURATE), (40, &SATURATE)],
        &[(10, &SATURATE), (90, &SATURATE)],
    ];
    for mix in mixes {
        result.attempt(&title(mix), |result| {
            let shared = measure(long(bench), bench, mix, result)?;
            let worst = shared.cv_100ms.iter().copied().fold(0.0, f64::max);
            result.row(Row::number(
                format!("{}: largest CV of 100 ms windows", title(mix)),
                worst,
                "",
                Bar::AtMost(0.02),
            ));
            Ok(())
        });
    }
    Ok(())
}

/// Different kernel lengths, streams and launch calls beside each other.
pub fn streams(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let all: [Mix; 3] = [
        &[(25, &SATURATE_MIXED), (75, &SATURATE_MULTI)],
        &[
            (25, &SATURATE_PER_THREAD),
            (35, &SATURATE_MIXED),
            (40, &SATURATE_MULTI),
        ],
        &[(10, &SATURATE_COOPERATIVE), (90, &SATURATE_PER_THREAD)],
    ];
    let some = &all[bench.either(0, 1)..bench.either(3, 2)];
    run(long(bench), bench, some, result);
    families(bench, result);
    Ok(())
}

/// The programs that are mixed above, two of them and three of one: which of them is it that a total lacks?
pub fn mixtures(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let (thread, mixed, multi) = (&SATURATE_PER_THREAD, &SATURATE_MIXED, &SATURATE_MULTI);
    let all: [Mix; 7] = [
        &[(50, thread), (50, mixed)],
        &[(50, mixed), (50, multi)],
        &[(50, thread), (50, multi)],
        &[(25, thread), (35, thread), (40, thread)],
        &[(25, mixed), (35, mixed), (40, mixed)],
        &[(25, multi), (35, multi), (40, multi)],
        &[(25, thread), (35, mixed), (40, multi)],
    ];
    run(FAMILY_SECONDS, bench, &all, result);
    Ok(())
}

/// Every other way to submit work, with a quarter beside kernels with the rest.
fn families(bench: &Bench, result: &mut SuiteResult) {
    let calls: &[&Program] = match bench.site.vendor {
        Vendor::Nvidia => &[
            &SATURATE_LIBRARY,
            &SATURATE_OLD,
            &SATURATE_ATTRIBUTES,
            &SATURATE_CLUSTER,
            &SATURATE_GRAPH_UPDATE,
        ],
        // It has no others.
        Vendor::Amd => &[&SATURATE_GRAPH_UPDATE],
        Vendor::Intel => &[],
    };
    // A simulated device moves memory with the processors that it and its programs run on.
    let memory: &[&Program] = match (bench.site.simulated, bench.site.vendor) {
        (false, Vendor::Nvidia) => &[&SATURATE_FILL, &SATURATE_COPY],
        _ => &[],
    };
    for family in calls.iter().chain(memory).take(bench.either(usize::MAX, 0)) {
        let mix: Mix = &[(25, family), (75, &SATURATE)];
        run(FAMILY_SECONDS, bench, &[mix], result);
    }
}

/// Graphs beside kernels, and beside graphs.
pub fn graphs(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let all: [Mix; 3] = [
        &[(25, &SATURATE_GRAPH), (75, &SATURATE)],
        &[(25, &SATURATE_MULTI), (75, &SATURATE_GRAPH_DEFAULT)],
        &[(10, &SATURATE_GRAPH), (90, &SATURATE_GRAPH_DEFAULT)],
    ];
    run(long(bench), bench, &all[..bench.either(3, 1)], result);
    Ok(())
}

fn run(seconds: f64, bench: &Bench, mixes: &[Mix], result: &mut SuiteResult) {
    for mix in mixes {
        result.attempt(&title(mix), |result| {
            measure(seconds, bench, mix, result).map(|_| ())
        });
    }
}

/// Length of a run that is not short, in seconds; in a quick run all are.
fn long(bench: &Bench) -> f64 {
    bench.either(8.05, FAMILY_SECONDS)
}

fn measure(seconds: f64, bench: &Bench, mix: Mix, result: &mut SuiteResult) -> Result<Shared> {
    let alone = alone_rates(bench, mix)?;
    let tenants: Vec<Tenant> = mix
        .iter()
        .zip('a'..)
        .map(|(&(pct, program), name)| {
            bench.limited(&name.to_string(), Limits::share(pct), program, seconds)
        })
        .collect();
    let reports = bench.together(&tenants, seconds)?;
    let entitled: Vec<f64> = mix.iter().map(|&(pct, _)| f64::from(pct)).collect();
    let shared = Shared::of(&reports, &entitled, &alone)?;

    let title = title(mix);
    result.row(Row::info(
        format!("{title}: mean shares, Jain's index"),
        format!("{}, {:.5}", shared.shares_text(), shared.jain),
    ));
    result.row(Row::number(
        format!("{title}: share error, mean over 1 s windows"),
        shared.share_error_mean_points,
        "points",
        Bar::AtMost(0.5),
    ));
    result.row(Row::number(
        format!("{title}: share error, largest of 1 s windows"),
        shared.share_error_max_points,
        "points",
        Bar::AtMost(1.0),
    ));
    result.row(Row::number(
        format!("{title}: total, of one alone"),
        shared.total,
        "",
        Bar::AtLeast(0.97),
    ));
    result.details.push(json!({
        "run": title,
        "programs": mix.iter().map(|(_, program)| program.name).collect::<Vec<_>>(),
        "alone_rates": alone.iter().map(|alone| alone.rate).collect::<Vec<_>>(),
        "shared": shared,
    }));
    Ok(shared)
}

fn alone_rates(bench: &Bench, mix: Mix) -> Result<Vec<Alone>> {
    mix.iter()
        .map(|(_, program)| bench.alone(program))
        .collect()
}

fn title(mix: Mix) -> String {
    let entitled: Vec<String> = mix.iter().map(|(pct, _)| pct.to_string()).collect();
    let mut names: Vec<&str> = mix.iter().map(|(_, program)| program.name).collect();
    names.dedup();
    format!("{} ({})", entitled.join("/"), names.join(" beside "))
}
