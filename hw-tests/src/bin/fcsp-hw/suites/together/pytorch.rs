//! PyTorch that decodes beside PyTorch that trains: `torch_pair` under MPS, round by round.

use anyhow::Result;
use serde_json::json;
use std::cell::RefCell;
use std::time::{Duration, Instant};

use super::cases::PYTORCH_BOUNDS;
use super::judge::{self, Beside, Found, Look, Side};
use super::{LookResult, Stage, Way};
use crate::node::Node;
use crate::result::{Row, SuiteResult};
use crate::suites::python;
use crate::suites::torch_pair::group::{Group, Turn, play};
use crate::suites::torch_pair::rounds::{
    Round, median_alone, median_both, of_alone, of_others_alone,
};
use crate::suites::torch_pair::{baselines, set_mode};
use crate::tenant::Limits;

/// In results.
pub const TITLE: &str = "PyTorch decode beside training";
const SHARE_PCT: u32 = 50;
/// A turn of both. Before what counts, programs find their pace, and FCSP finds out what running together gives them.
const TURN: Turn = Turn {
    lead_s: 1.5,
    seconds: 1.2,
    tail_s: 0.1,
};

/// Alone natively, alone and both under plain MPS, alone and both under MPS with FCSP, round by round.
pub fn run(stage: &Stage, result: &mut SuiteResult) -> Result<()> {
    let bench = stage.bench;
    if let Some(reason) = python::missing(bench)? {
        result.row(Row::skipped(TITLE, reason));
        return Ok(());
    }
    let scripts = python::unpack(bench)?;
    let began = Instant::now();
    let run_dir = || bench.site.fresh_run_dir();
    let limits = || Limits::share(SHARE_PCT);
    let fcsp_dir = run_dir()?;
    let node = Node::new(&bench.site, &fcsp_dir);
    let native = Group::start(bench, &scripts, &run_dir()?, |tenant| tenant)?;
    let raw = Group::start(bench, &scripts, &run_dir()?, |tenant| {
        stage.dress(Way::Raw, tenant, limits())
    })?;
    let fcsp = Group::start(bench, &scripts, &fcsp_dir, |tenant| {
        stage.dress(Way::Fcsp, tenant, limits())
    })?;
    let rounds = bench.either(4, 2);
    let look: RefCell<LookResult> = RefCell::new(Err("nobody looked".into()));
    let mut groups = [
        native,
        raw.meeting(TURN),
        fcsp.meeting(TURN)
            .traced(bench, &fcsp_dir)
            .unlimited_alone(|mode| set_mode(&node, mode))
            .watched_by(|round| {
                if round + 1 == rounds {
                    let after_s = TURN.lead_s + TURN.seconds / 2.0;
                    let seen = stage.look(&fcsp_dir, Duration::from_secs_f64(after_s));
                    // Turns are counted from the first round on.
                    *look.borrow_mut() = seen.map(|it| Look {
                        after_s: began.elapsed().as_secs_f64(),
                        ..it
                    });
                }
            }),
    ];
    for group in &mut groups {
        group.prepare()?;
    }
    let [native, raw, fcsp] = play(&mut groups, rounds)?;
    for group in groups {
        group.finish()?;
    }

    let beside = |rounds: &[Round]| -> Result<Beside> {
        let reached = of_alone(rounds)?;
        let p99_ms = median_both(rounds, |it| it.p99_ms);
        Ok(Beside {
            sides: [0, 1].map(|side: usize| Side {
                of_alone: reached.sides[side].median,
                p99_ms: Some(p99_ms[side]),
            }),
            share_error_max_points: None,
        })
    };
    let found = Found {
        title: TITLE,
        entitled_pct: [SHARE_PCT, SHARE_PCT],
        alone_p99_ms: median_alone(&fcsp, |it| it.p99_ms).map(Some),
        raw: Some(beside(&raw)?),
        fcsp: beside(&fcsp)?,
        look: look.into_inner(),
        in_turns: None,
    };
    result.add_rows(judge::rows(&found, PYTORCH_BOUNDS));
    for (what, rounds) in [("plain MPS", &raw), ("MPS with FCSP", &fcsp)] {
        result.row(Row::info(
            format!("{TITLE}, {what}: alone with nothing limited, of native alone"),
            baselines(rounds, &native)?,
        ));
        let reached = of_others_alone(rounds, &native)?;
        let [decode, train] = reached.sides.map(|it| it.median);
        let (total, quartiles) = (reached.sum.median, reached.sum.quartiles());
        result.row(Row::info(
            format!("{TITLE}, {what}: each of native alone"),
            format!("{decode:.3} and {train:.3}, total {total:.3} ({quartiles})"),
        ));
    }
    result.details.push(json!({
        "pair": TITLE, "native": native, "plain_mps": raw, "fcsp": fcsp, "look": found.look.as_ref().ok(),
    }));
    eprintln!(
        "  {}: {:.0} s",
        super::PYTORCH,
        began.elapsed().as_secs_f64()
    );
    Ok(())
}
