//! The same saturating 25/75 under the driver's slicing, under plain MPS, under other preload libraries that
//! were named on the command line, and under FCSP.

use anyhow::Result;
use fcsp_hw_tests::clock::NS_PER_MS;
use serde_json::json;

use crate::analysis::Shared;
use crate::bench::{Bench, Peer, measured_part};
use crate::mps::Mps;
use crate::programs::{Program, SATURATE, SATURATE_GRAPH};
use crate::result::{Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const ENTITLED_PCT: [u32; 2] = [25, 75];
/// Kernels, and the same work as graphs.
const PROGRAMS: [&Program; 2] = [&SATURATE, &SATURATE_GRAPH];

/// A row for each, of each kind of work.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    result.attempt("the driver's slicing", |result| {
        row(bench, "the driver's slicing", native, result)
    });
    result.attempt("MPS", |result| mps(bench, result));
    for peer in &bench.asked.peers {
        result.attempt(&peer.name, |result| {
            row(
                bench,
                &peer.name,
                |tenant, pct| under(bench, peer, tenant, pct),
                result,
            )
        });
    }
    result.attempt("FCSP", |result| row(bench, "FCSP", fcsp, result));
    Ok(())
}

fn mps(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if bench.site.simulated {
        result.row(Row::skipped(
            "MPS",
            "the simulated device is no MPS server's",
        ));
        return Ok(());
    }
    let mps = match Mps::start(&bench.site, &bench.site.fresh_run_dir()?)? {
        Ok(mps) => mps,
        Err(reason) => {
            result.row(Row::skipped("MPS", reason));
            return Ok(());
        }
    };
    row(bench, "MPS", |tenant, _| mps.serve(tenant), result)
}

fn native(tenant: Tenant, _: u32) -> Tenant {
    tenant
}

fn fcsp(tenant: Tenant, pct: u32) -> Tenant {
    Tenant {
        sharing: Sharing::Fcsp(Limits::share(pct)),
        ..tenant
    }
}

/// A tenant under another library, with the variables that were given for it.
fn under(bench: &Bench, peer: &Peer, tenant: Tenant, pct: u32) -> Tenant {
    let variables = bench.asked.peer_env.iter();
    variables.fold(
        tenant.with_env("LD_PRELOAD", &peer.preload),
        |tenant, (key, value)| tenant.with_env(key, value.replace("{pct}", &pct.to_string())),
    )
}

fn row(
    bench: &Bench,
    who: &str,
    limited: impl Fn(Tenant, u32) -> Tenant,
    result: &mut SuiteResult,
) -> Result<()> {
    for program in PROGRAMS {
        let seconds = bench.either(8.05, 3.05);
        let alone = bench.alone(program)?;
        let tenants: Vec<Tenant> = ENTITLED_PCT
            .iter()
            .zip('a'..)
            .map(|(&pct, name)| limited(bench.native(&name.to_string(), program, seconds), pct))
            .collect();
        let reports = bench.together(&tenants, seconds)?;
        let shared = Shared::of(&reports, &ENTITLED_PCT.map(f64::from), &[alone, alone])?;
        let (from_ns, to_ns) = measured_part(&reports)?;
        let stalls_ms = [0, 1].map(|i: usize| {
            reports[i].work.longest_rest_ns(from_ns, to_ns) as f64 / NS_PER_MS as f64
        });
        result.row(Row::info(
            format!("{who}, 25/75 of {}", program.name),
            format!(
                "shares {}, off by {:.2} points (mean), {:.2} (most); total {:.3}; CV of 100 ms {:.3} and {:.3}; \
                 longest stalls {:.0} and {:.0} ms",
                shared.shares_text(),
                shared.share_error_mean_points,
                shared.share_error_max_points,
                shared.total,
                shared.cv_100ms[0],
                shared.cv_100ms[1],
                stalls_ms[0],
                stalls_ms[1],
            ),
        ));
        result.details.push(json!({
            "who": who, "program": program.name, "shared": shared, "longest_stalls_ms": stalls_ms,
        }));
    }
    Ok(())
}
