//! The course of events: one program alone, three together, one killed, one alone again.

use super::cast::{A, B, C, Cast, Picture, arguments, unix_ms_in};
use super::judge::{self, Played, SETTLE_NS, Times};
use super::measure::{self, Span};
use super::program::Program;
use super::stage::Stage;
use super::view;
use anyhow::{Context, Result, bail};
use fcsp_core::policy::memory::show_bytes;
use fcsp_core::sched::clock::now_ns;
use std::io::{self, Write};

/// Parts of the time after which the third is killed and the second ends.
pub const KILL_AFTER: f64 = 0.5;
/// See [`KILL_AFTER`].
pub const SECOND_ENDS_AFTER: f64 = 0.75;

/// Plays everything; `seconds` are those with FCSP in force, the program alone comes before.
pub fn play(stage: &Stage, seconds: f64) -> Result<Played> {
    writeln!(
        io::stdout(),
        "* one program alone, without FCSP, to compare with"
    )?;
    let (alone_rate, total_bytes) = alone(stage, (seconds / 8.0).clamp(1.5, 4.0))?;
    let mut cast = Cast::start(stage, seconds, total_bytes)?;
    // Not before: a picture takes the keyboard, and listens to it only while it moves.
    let mut view = view::open();
    let start_ns = cast.start_ns;
    let [kill_due_ns, second_ends_ns, end_ns] =
        [KILL_AFTER, SECOND_ENDS_AFTER, 1.0].map(|part| start_ns + (seconds * part * 1e9) as u64);
    let mut picture = Picture {
        view: view.as_mut(),
        alone_rate,
        end_ns,
    };

    picture
        .view
        .event("three tenants together; b asks for more memory than its quota")?;
    cast.go_on("three together", kill_due_ns, &mut picture)?;
    let greedy = &cast.actors[B];
    if greedy.refused > 0 {
        let quota = show_bytes(greedy.quota_bytes);
        picture
            .view
            .event(&format!("b was refused memory over its quota of {quota}"))?;
    }

    let kill_ns = now_ns();
    let freed_ns = cast.kill(C, &mut picture)?;
    cast.go_on("c is gone", second_ends_ns, &mut picture)?;
    cast.end(B)?;
    let second_gone_ns = now_ns();
    picture.view.event("b has ended; a is alone")?;
    cast.go_on("one alone", end_ns, &mut picture)?;
    cast.end(A)?;
    let times = Times {
        start_ns,
        kill_ns,
        freed_ns,
        second_ends_ns,
        second_gone_ns,
        end_ns,
    };
    judge::judge(&cast, alone_rate, &times)
}

/// Runs one program alone without FCSP; gives its rate and the device's memory.
fn alone(stage: &Stage, seconds: f64) -> Result<(f64, u64)> {
    let mut command = stage.native()?;
    arguments(&mut command, stage, "saturate", seconds);
    let mut program = Program::start("the program alone", &mut command)?;
    program.wait_ready()?;
    program.begin(unix_ms_in(50))?;
    program.wait_end()?;
    let trace = program.trace();
    let ends = trace.samples.first().zip(trace.samples.last());
    let (first, last) = ends.context("the program alone reported no work")?;
    let span = Span {
        from_ns: first.t_ns,
        to_ns: last.t_ns,
    }
    .without_first(SETTLE_NS);
    let rate = measure::rate(&trace.samples, span);
    if rate <= 0.0 {
        bail!("the program alone did no work in {seconds} s");
    }
    Ok((rate, trace.total_bytes.unwrap_or(0)))
}
