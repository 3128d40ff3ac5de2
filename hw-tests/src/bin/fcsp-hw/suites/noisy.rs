//! What a neighbour costs a tenant of what it is entitled to, whatever the neighbour does.

use anyhow::Result;
use serde_json::json;

use crate::bench::{Bench, measured_part};
use crate::programs::{COPY_DEVICE, COPY_HOST, LAUNCH_STORM, Program, SATURATE, SATURATE_COARSE};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::Limits;

const ENTITLED_PCT: u32 = 50;
/// Of the entitlement.
const KEPT_MIN: f64 = 0.98;

/// Four kinds of neighbours, of half of the device like the one that is looked at.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    // What the driver's slicing makes of kernels beside kernels is known from the suite of that name.
    let neighbours: [(&str, &Program, bool); 4] = [
        (
            "that saturates with 0.5 ms kernels",
            &SATURATE_COARSE,
            false,
        ),
        ("that launches kernels of 2 µs", &LAUNCH_STORM, false),
        ("that copies within the device's memory", &COPY_DEVICE, true),
        ("that copies from and to pinned memory", &COPY_HOST, true),
    ];
    for (what, neighbour, natively) in neighbours {
        result.attempt(what, |result| {
            beside(bench, what, neighbour, true, result)?;
            if natively && !bench.quick {
                beside(bench, what, neighbour, false, result)?;
            }
            Ok(())
        });
    }
    Ok(())
}

fn beside(
    bench: &Bench,
    what: &str,
    other: &Program,
    fcsp: bool,
    result: &mut SuiteResult,
) -> Result<()> {
    let seconds = bench.either(3.05, 2.05);
    let alone = bench.alone(&SATURATE)?;
    let tenant = |name, program| {
        if fcsp {
            bench.limited(name, Limits::share(ENTITLED_PCT), program, seconds)
        } else {
            bench.native(name, program, seconds)
        }
    };
    let tenants = [tenant("victim", &SATURATE), tenant("other", other)];
    let reports = bench.together(&tenants, seconds)?;
    let (from_ns, to_ns) = measured_part(&reports)?;
    let rate = reports[0].work.rate(from_ns, to_ns) / alone.rate;
    let kept = rate / (f64::from(ENTITLED_PCT) / 100.0);
    let (who, bar) = if fcsp {
        ("", Bar::AtLeast(KEPT_MIN))
    } else {
        (", driver's slicing", Bar::None)
    };
    result.row(Row::number(
        format!("half of the device beside one {what}{who}: of the entitlement"),
        kept,
        "",
        bar,
    ));
    result.details.push(json!({
        "neighbour": other.name, "fcsp": fcsp, "of_the_entitlement": kept, "alone_rate": alone.rate,
    }));
    Ok(())
}
