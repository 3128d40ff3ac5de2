//! One case, carried out: its two processes, and the rows that came of them.
//!
//! Each step asks both and judges. What fails under FCSP while the native program goes on is a miss;
//! where the native program fails there is nothing to compare with, and that is an error.

use anyhow::{Context, Error, Result};
use fcsp_hw_tests::clock::now_ns;
use serde_json::{Value, json};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};

use super::actor::Actor;
use super::cases::{Case, Speed};
use super::judge::{self, Pair};
use super::protocol::{Digest, Opening, Pace, Results, Views};
use crate::bench::Bench;
use crate::result::{Row, SuiteResult, Verdict};
use crate::suites::witness::Witness;

/// Turns of each program.
const TURNS: usize = 12;
/// Turns in a brief run.
const TURNS_QUICK: usize = 4;
const TURN_S: f64 = 0.2;
/// The most turns of a case that goes on until it is steady: a pair takes 24 s.
const TURNS_MAX: usize = 60;
/// Of the ratio of a pair: its standard error. Five such pairs tell theirs to 0.34 %.
const STEADY_ERROR: f64 = 0.006;

/// Why a case came to an end before its last step.
enum Stop {
    /// The native program failed.
    Native(Error),
    /// The program under FCSP failed.
    Fcsp(Error),
    /// It cannot run here.
    Missing(String),
}

/// What runs.
struct Both {
    native: Option<Actor>,
    fcsp: Actor,
    expected: Vec<Digest>,
}

/// A case on its way.
pub struct Trial<'a> {
    case: &'a Case,
    /// Of its own: beside tenants that worked a moment ago it would be kept within their reach, which costs something.
    run_dir: PathBuf,
    running: Option<Both>,
    rows: Vec<Row>,
    details: Vec<Value>,
}

impl<'a> Trial<'a> {
    /// Starts both programs, and waits for neither.
    pub fn start(bench: &Bench, case: &'a Case, scripts: &Path) -> Result<Self> {
        let run_dir = bench.site.fresh_run_dir()?;
        Ok(Self {
            case,
            running: Some(Both {
                native: Some(Actor::start(bench, case, false, scripts, &run_dir)?),
                fcsp: Actor::start(bench, case, true, scripts, &run_dir)?,
                expected: Vec::new(),
            }),
            run_dir,
            rows: Vec::new(),
            details: Vec::new(),
        })
    }

    /// Whether it still goes on.
    pub fn goes_on(&self) -> bool {
        self.running.is_some()
    }

    /// Where a neighbour of the program under FCSP belongs.
    pub fn run_dir(&self) -> &Path {
        &self.run_dir
    }

    /// Whether it asks about memory.
    pub fn has_quota(&self) -> bool {
        !self.case.quotas.is_empty()
    }

    /// Waits until both are ready.
    pub fn open(&mut self) {
        self.step("start", |it, both| {
            match both.native()?.open().map_err(Stop::Native)? {
                Opening::Missing(reason) => return Err(Stop::Missing(reason)),
                Opening::Ready(version) => {
                    it.details
                        .push(json!({ "case": it.case.name, "framework": version }));
                }
            }
            match both.fcsp.open().map_err(Stop::Fcsp)? {
                Opening::Ready(_) => Ok(()),
                // The native program found everything.
                Opening::Missing(reason) => Err(Stop::Fcsp(Error::msg(reason))),
            }
        });
    }

    /// Compares results while nobody else is active.
    pub fn compare(&mut self) {
        self.step("result", |it, both| {
            let native: Results = both.native()?.ask("digest").map_err(Stop::Native)?;
            let found: Results = both.fcsp.ask("digest").map_err(Stop::Fcsp)?;
            let measure = format!("{}: same result as native", it.case.title);
            it.rows
                .push(judge::same(measure, &native.digests, &found.digests, true));
            it.details
                .push(json!({ "case": it.case.name, "native": native, "fcsp": found }));
            both.expected = native.digests;
            Ok(())
        });
    }

    /// Compares speed, turn by turn, who goes first alternating; then with further pairs of processes,
    /// if the case wants them, each of which shares the device with nobody.
    pub fn race(&mut self, bench: &Bench, scripts: &Path) {
        if self.case.speed == Speed::None {
            return;
        }
        let question = format!("turn {TURN_S} {}", quiet_cpus());
        let least = bench.either(TURNS, TURNS_QUICK);
        let most = match self.case.until_steady {
            true => bench.either(TURNS_MAX, least),
            false => least,
        };
        let turns = least..=most;
        self.step("speed", |it, both| {
            let native = both.native.as_mut().context("it has ended");
            let native = native.map_err(Stop::Native)?;
            let mut pairs = vec![take_turns(native, &mut both.fcsp, &question, &turns)?];
            for _ in 1..bench.either(it.case.pairs, 1) {
                let run_dir = bench.site.fresh_run_dir().map_err(Stop::Native)?;
                let start = |fcsp| Actor::start(bench, it.case, fcsp, scripts, &run_dir);
                let mut native = start(false).map_err(Stop::Native)?;
                let mut fcsp = start(true).map_err(Stop::Fcsp)?;
                native.open().map_err(Stop::Native)?;
                fcsp.open().map_err(Stop::Fcsp)?;
                pairs.push(take_turns(&mut native, &mut fcsp, &question, &turns)?);
                native.finish().map_err(Stop::Native)?;
                fcsp.finish().map_err(Stop::Fcsp)?;
            }
            it.rows.extend(judge::speed(it.case, &pairs));
            it.details
                .push(json!({ "case": it.case.name, "turns": pairs }));
            Ok(())
        });
    }

    /// Compares results while a neighbour keeps the device busy, so that all work waits for its turn.
    pub fn compare_beside(&mut self) {
        self.step("result beside a saturating tenant", |it, both| {
            let found: Results = both.fcsp.ask("beside").map_err(Stop::Fcsp)?;
            let measure = format!("{}: same result beside a saturating tenant", it.case.title);
            it.rows
                .push(judge::same(measure, &both.expected, &found.digests, false));
            Ok(())
        });
    }

    /// Lets the native program end; what follows is about FCSP alone.
    pub fn dismiss_native(&mut self) {
        self.step("end of the native program", |_, both| {
            let native = both.native.take().map_or(Ok(()), Actor::finish);
            native.map_err(Stop::Native)
        });
    }

    /// Lets the program ask for memory without end, while nobody else moves.
    pub fn press(&mut self, witness: &mut Witness) {
        if !self.has_quota() {
            self.end();
            return;
        }
        let mut pressed = None;
        self.step("quota", |it, both| {
            let from_ns = now_ns();
            let found: Views = both.fcsp.ask("quota").map_err(Stop::Fcsp)?;
            let to_ns = now_ns();
            it.rows.extend(judge::quota(it.case, &found.views));
            it.details
                .push(json!({ "case": it.case.name, "views": found }));
            pressed = Some((from_ns, to_ns, found.views));
            Ok(())
        });
        self.end();
        // What it gave back by ending is what it held.
        if let Some((from_ns, to_ns, views)) = pressed {
            let row = witness.peak_above_now(from_ns, to_ns).map_or_else(
                |error| Row {
                    verdict: Verdict::Error,
                    ..Row::info(
                        format!("{}: seen from outside", self.case.title),
                        format!("{error:#}"),
                    )
                },
                |held_bytes| judge::outside(self.case, &views, held_bytes),
            );
            self.rows.push(row);
        }
    }

    fn end(&mut self) {
        if let Some(both) = self.running.take()
            && let Err(error) = both.fcsp.finish()
        {
            self.stopped("end", Stop::Fcsp(error));
        }
    }

    /// Hands over what was found.
    pub fn report(self, result: &mut SuiteResult) {
        result.add_rows(self.rows);
        result.details.extend(self.details);
    }

    /// Does one thing with both programs; if that fails, they are killed and the case is over.
    fn step(&mut self, what: &str, act: impl FnOnce(&mut Self, &mut Both) -> Result<(), Stop>) {
        let Some(mut both) = self.running.take() else {
            return;
        };
        match act(self, &mut both) {
            Ok(()) => self.running = Some(both),
            Err(stop) => {
                drop(both);
                self.stopped(what, stop);
            }
        }
    }

    fn stopped(&mut self, what: &str, stop: Stop) {
        let title = self.case.title;
        let (verdict, measure, text) = match stop {
            Stop::Missing(reason) => (Verdict::Skipped, title.to_owned(), reason),
            Stop::Native(error) => (
                Verdict::Error,
                format!("{title}: {what}"),
                format!("the native program failed: {error:#}"),
            ),
            Stop::Fcsp(error) => (
                Verdict::Miss,
                format!("{title}: {what}"),
                format!("failed, natively it did not: {error:#}"),
            ),
        };
        let bar = if verdict == Verdict::Miss {
            "holds".into()
        } else {
            String::new()
        };
        self.rows.push(Row {
            verdict,
            bar,
            ..Row::info(measure, text)
        });
    }
}

/// Turns of both, one right after the other, who goes first alternating: the least of `turns`, and more up to the
/// most until what they tell is steady.
fn take_turns(
    native: &mut Actor,
    fcsp: &mut Actor,
    question: &str,
    turns: &RangeInclusive<usize>,
) -> Result<Vec<Pair>, Stop> {
    let mut pairs = Vec::new();
    for turn in 0..*turns.end() {
        if turn >= *turns.start() && judge::error(&pairs).is_some_and(|it| it <= STEADY_ERROR) {
            break;
        }
        let mut native = || -> Result<Pace, Stop> { native.ask(question).map_err(Stop::Native) };
        let mut fcsp = || -> Result<Pace, Stop> { fcsp.ask(question).map_err(Stop::Fcsp) };
        pairs.push(if turn & 1 == 0 {
            let native = native()?;
            Pair {
                native,
                fcsp: fcsp()?,
            }
        } else {
            let fcsp = fcsp()?;
            Pair {
                native: native()?,
                fcsp,
            }
        });
    }
    Ok(pairs)
}

impl Both {
    fn native(&mut self) -> Result<&mut Actor, Stop> {
        let native = self.native.as_mut().context("the native program has ended");
        native.map_err(Stop::Native)
    }
}

/// The processors on which both take their turns: the last four.
fn quiet_cpus() -> String {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}-{}", cpus.saturating_sub(4), cpus - 1)
}

#[cfg(test)]
#[path = "trial_tests.rs"]
mod tests;
