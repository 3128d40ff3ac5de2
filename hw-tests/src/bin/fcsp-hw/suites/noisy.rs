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
    let neighbours: [(&str, &Program); 4] = [
        ("that saturates with 0.5 ms kernels", &SATURATE_COARSE),
        ("that launches kernels of 2 µs", &LAUNCH_STORM),
        ("that copies within the device's memory", &COPY_DEVICE),
        ("that copies from and to pinned memory", &COPY_HOST),
    ];
    for (what, neighbour) in neighbours {
        result.attempt(what, |result| beside(bench, what, neighbour, result));
    }
    Ok(())
}

fn beside(bench: &Bench, what: &str, other: &Program, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(4.05, 2.05);
    let alone = bench.alone(&SATURATE)?;
    let mut kept = Vec::new();
    for fcsp in [true, false] {
        let tenant = |name, program| {
            if fcsp {
                bench.limited(name, Limits::share(ENTITLED_PCT), program, seconds)
            } else {
                bench.native(name, program, seconds)
            }
        };
        let reports = bench.together(
            &[tenant("victim", &SATURATE), tenant("other", other)],
            seconds,
        )?;
        let (from_ns, to_ns) = measured_part(&reports)?;
        let rate = reports[0].work.rate(from_ns, to_ns) / alone.rate;
        kept.push(rate / (f64::from(ENTITLED_PCT) / 100.0));
        if fcsp {
            result.row(Row::number(
                format!("half of the device beside one {what}: of the entitlement"),
                kept[0],
                "",
                Bar::AtLeast(KEPT_MIN),
            ));
        } else {
            result.row(Row::info(
                format!("the same with the driver's slicing, beside one {what}"),
                format!("{:.3}", kept[1]),
            ));
        }
        if bench.quick {
            break;
        }
    }
    result.details.push(json!({
        "neighbour": other.name, "of_the_entitlement": kept.first(), "slicing": kept.get(1),
        "alone_rate": alone.rate,
    }));
    Ok(())
}
