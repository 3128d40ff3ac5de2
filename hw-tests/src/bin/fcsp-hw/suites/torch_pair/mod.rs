//! PyTorch that decodes beside PyTorch that trains, equal shares: with FCSP and with the driver's slicing,
//! each against itself alone.
//!
//! Virtual processors are of very different speed from one moment to the next, and two processes of one program differ
//! by some percent for as long as they live. So there are many short rounds instead of few long turns, and who runs
//! beside another is held against the same process alone just before and just after.

pub mod group;
pub mod rounds;

use anyhow::{Context, Result};
use serde_json::json;

use self::group::{Group, Turn, WORKLOADS, play};
use self::rounds::{OfAlone, Round, alone_of, median_alone, median_both, of_alone};
use super::python;
use crate::bench::Bench;
use crate::node::Node;
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

const DECODE_MIN: f64 = 0.9;
const SUM_MIN: f64 = 1.57;
const SHARE_PCT: u32 = 50;

/// A turn of both with the driver's slicing.
const SLICING: Turn = Turn {
    lead_s: 0.2,
    seconds: 0.5,
    tail_s: 0.1,
};
/// A turn of both under FCSP, which watches their turns for 0.3 s before it tries anything else.
const SHARED: Turn = Turn {
    lead_s: 0.5,
    ..SLICING
};

/// Alone and together, natively and with FCSP, round by round.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if let Some(reason) = python::missing(bench)? {
        result.row(Row::skipped("PyTorch decode beside training", reason));
        return Ok(());
    }
    let scripts = python::unpack(bench)?;
    let limited = |tenant| Tenant {
        sharing: Sharing::Fcsp(Limits::share(SHARE_PCT)),
        ..tenant
    };
    let native_dir = bench.site.fresh_run_dir()?;
    let native = Group::start(bench, &scripts, &native_dir, |tenant| tenant)?;
    let fcsp_dir = bench.site.fresh_run_dir()?;
    let fcsp = Group::start(bench, &scripts, &fcsp_dir, limited)?;
    let node = Node::new(&bench.site, &fcsp_dir);
    let mut groups = [
        native.meeting(SLICING),
        fcsp.meeting(SHARED)
            .traced(bench, &fcsp_dir)
            .unlimited_alone(|mode| set_mode(&node, mode)),
    ];
    for group in &mut groups {
        group.prepare()?;
    }
    let [native, fcsp] = play(&mut groups, bench.either(20, 6))?;
    for group in groups {
        group.finish()?;
    }
    judge(&native, &fcsp, result)
}

/// Puts both tenants of a group into a mode.
pub(super) fn set_mode(node: &Node, mode: &str) -> Result<()> {
    WORKLOADS
        .iter()
        .try_for_each(|tenant| node.set(tenant, &["--mode", mode]))
}

/// How processes under FCSP alone compare with native ones alone.
pub(super) fn baselines(fcsp: &[Round], native: &[Round]) -> Result<String> {
    let [decode, train] = alone_of(fcsp, native).context("nothing was measured alone")?;
    Ok(format!(
        "decode {:.3} ({}), training {:.3} ({})",
        decode.median,
        decode.quartiles(),
        train.median,
        train.quartiles()
    ))
}

fn judge(native: &[Round], fcsp: &[Round], result: &mut SuiteResult) -> Result<()> {
    let (shared, slicing) = (of_alone(fcsp)?, of_alone(native)?);
    let paces = |rounds: &[Round]| {
        let [decode, train] = median_both(rounds, |it| it.iterations_per_s);
        let [p99_ms, _] = median_both(rounds, |it| it.p99_ms);
        format!("decode {decode:.1} it/s, p99 {p99_ms:.2} ms; training {train:.1} it/s")
    };
    let quartiles = |of_alone: &OfAlone| {
        let [decode, train] = of_alone.sides;
        format!(
            "quartiles: decode {}, training {}, both {}",
            decode.quartiles(),
            train.quartiles(),
            of_alone.sum.quartiles()
        )
    };
    let count = shared.rounds.len();
    result.row(Row::number(
        format!(
            "PyTorch decode beside training: decode, of alone, median of {count} rounds (quartiles {}; {})",
            shared.sides[0].quartiles(),
            paces(fcsp)
        ),
        shared.sides[0].median,
        "",
        Bar::AtLeast(DECODE_MIN),
    ));
    result.row(Row::number(
        format!(
            "PyTorch decode beside training: both, of alone, median of {count} rounds (quartiles {}; training {:.3}, {})",
            shared.sum.quartiles(),
            shared.sides[1].median,
            shared.sides[1].quartiles()
        ),
        shared.sum.median,
        "",
        Bar::AtLeast(SUM_MIN),
    ));
    result.row(Row::info(
        "the same with the driver's slicing: each, of alone",
        format!(
            "{:.3} and {:.3}, both {:.3}; {}; {}",
            slicing.sides[0].median,
            slicing.sides[1].median,
            slicing.sum.median,
            quartiles(&slicing),
            paces(native)
        ),
    ));
    let [decode, train] = median_alone(native, |it| it.iterations_per_s);
    result.row(Row::info(
        format!(
            "alone under FCSP with nothing limited, of native alone (decode {decode:.1} it/s, training {train:.1} it/s)"
        ),
        baselines(fcsp, native)?,
    ));
    result.details.push(json!({
        "native": native, "fcsp": fcsp, "fcsp_of_alone": shared, "slicing_of_alone": slicing,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::rounds::tests::round;
    use super::*;
    use crate::result::Verdict;

    #[test]
    fn each_is_held_against_itself_alone() {
        let native = [
            round([190.0, 30.0], [150.0, 25.0]),
            round([210.0, 30.0], [150.0, 25.0]),
        ];
        // These processes happen to be slower than the native ones, also alone.
        let fcsp = |both: [f64; 2]| [round([171.0, 27.0], both), round([189.0, 27.0], both)];
        let mut result = SuiteResult::default();
        judge(&native, &fcsp([171.0, 17.1]), &mut result).expect("measured");
        assert!((result.rows[0].value.expect("a number") - 0.95).abs() < 1e-9);
        assert_eq!(result.rows[0].verdict, Verdict::Pass);
        assert!((result.rows[1].value.expect("a number") - 1.583).abs() < 0.001);
        assert_eq!(result.rows[1].verdict, Verdict::Pass);
        assert!(result.rows[2].measured.starts_with("0.750 and 0.833"));
        assert!(result.rows[3].measured.starts_with("decode 0.900"));
        judge(&native, &fcsp([153.0, 18.0]), &mut result).expect("measured");
        let verdicts = [result.rows[4].verdict, result.rows[5].verdict];
        assert_eq!(verdicts, [Verdict::Miss, Verdict::Miss]);
        assert!(judge(&native, &[], &mut result).is_err());
    }
}
