//! The course of events: one program alone, three together, one killed, one alone again.

use super::measure::{self, Sample, Span};
use super::program::{Outcome, Program};
use super::stage::Stage;
use super::view::{Row, Scene, State, View};
use crate::run::LimitArgs;
use anyhow::{Context, Result, bail};
use fcsp_core::policy::memory::show_bytes;
use fcsp_core::policy::{MemoryAmount, Mode, Share};
use fcsp_core::region::{Region, tenant};
use fcsp_core::sched::clock::{ms, now_ns};
use fcsp_core::sync::Ordering::Relaxed;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One of the three.
struct Part {
    name: &'static str,
    percent: u32,
    /// Quota, and what it asks for, in thirtieths of the memory given to the demo.
    quota: u64,
    asks: u64,
}

/// `a` outlives the others, `b` asks for more than its quota, `c` is killed.
const PARTS: [Part; 3] = [
    Part {
        name: "a",
        percent: 25,
        quota: 8,
        asks: 4,
    },
    Part {
        name: "b",
        percent: 35,
        quota: 10,
        asks: 14,
    },
    Part {
        name: "c",
        percent: 40,
        quota: 12,
        asks: 8,
    },
];
const A: usize = 0;
const B: usize = 1;
const C: usize = 2;

/// Memory the demo shares out at most; on a smaller device, nine tenths of what it has.
const MEMORY_BYTES: u64 = 30 << 30;
/// Nominal length of every kernel.
const KERNEL_NS: u64 = 250_000;
/// Shares are judged in windows of this length.
const WINDOW_NS: u64 = ms(1000);
/// Work after a change is not judged for this long: programs allocate first, and turns begin.
const SETTLE_NS: u64 = ms(400);
/// How often the picture is renewed.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait for the memory of a killed program.
const RECLAIM_MAX: Duration = Duration::from_secs(5);

/// What happened.
pub struct Played {
    /// The three, in the order of their names.
    pub tenants: Vec<TenantPlayed>,
    /// Largest difference from the entitlement in a window, percentage points; `None` if no window
    /// was long enough.
    pub share_error_max: Option<f64>,
    /// All three together against one program alone without FCSP.
    pub throughput_vs_alone: f64,
    /// From the kill until its memory was back and the others had gone on, milliseconds.
    pub reclaim_ms: Option<f64>,
    /// Shares of `a` and `b` after the kill, and what they are entitled to then.
    pub after_kill: Vec<(&'static str, f64, f64)>,
    /// The last one alone against one program alone without FCSP.
    pub last_vs_alone: f64,
    /// The name of the one that was alone at the end, and of the one that was killed.
    pub last_and_killed: (&'static str, &'static str),
}

/// What one tenant got.
pub struct TenantPlayed {
    /// Its name.
    pub name: &'static str,
    /// Share it was entitled to.
    pub entitled: f64,
    /// Share it received while all three ran.
    pub share: f64,
    /// Kernels it finished.
    pub launches: u64,
    /// Its quota.
    pub quota_bytes: u64,
    /// Most bytes it used at once.
    pub peak_bytes: u64,
    /// Allocations that were refused.
    pub refused: u64,
}

/// Plays everything; `seconds` are those with FCSP in force, the program alone comes before.
pub fn play(stage: &Stage, seconds: f64, view: &mut dyn View) -> Result<Played> {
    let alone_s = (seconds / 8.0).clamp(1.5, 4.0);
    view.event("one program alone, without FCSP, to compare with")?;
    let (alone_rate, total_bytes) = alone(stage, alone_s)?;
    let mut cast = Cast::start(stage, seconds, total_bytes)?;
    let [together_ns, killed_ns, end_ns] =
        [0.5, 0.75, 1.0].map(|part| cast.start_ns + (seconds * part * 1e9) as u64);
    let mut picture = Picture {
        view,
        alone_rate,
        end_ns,
    };

    picture
        .view
        .event("three tenants together; b will ask for more memory than its quota")?;
    cast.go_on("three together", together_ns, &mut picture)?;
    if cast.actors[B].refused > 0 {
        let quota = show_bytes(cast.actors[B].quota_bytes);
        picture
            .view
            .event(&format!("b was refused memory over its quota of {quota}"))?;
    }

    let kill_ns = now_ns();
    let freed_ns = cast.kill(C, &mut picture)?;
    cast.go_on("c is gone", killed_ns, &mut picture)?;
    cast.actors[B].program.wait_end()?;
    cast.actors[B].state = State::Ended;
    let b_gone_ns = now_ns();
    picture.view.event("b has ended; a is alone")?;
    cast.go_on("one alone", end_ns, &mut picture)?;
    cast.actors[A].program.wait_end()?;
    cast.actors[A].state = State::Ended;

    let spans = Spans {
        together: Span {
            from_ns: cast.start_ns,
            to_ns: kill_ns,
        }
        .without_first(SETTLE_NS),
        after_kill: Span {
            from_ns: kill_ns,
            to_ns: killed_ns,
        }
        .without_first(SETTLE_NS),
        last: Span {
            from_ns: b_gone_ns,
            to_ns: end_ns,
        }
        .without_first(SETTLE_NS),
    };
    cast.judge(alone_rate, kill_ns, freed_ns, &spans)
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

/// What the programs have in common on the command line.
fn arguments(command: &mut Command, stage: &Stage, mode: &str, seconds: f64) {
    let calibration = &stage.calibration;
    command.arg(mode);
    for (option, value) in [
        ("--seconds", seconds.to_string()),
        ("--start-at", "stdin".to_owned()),
        ("--sample-ms", "2".to_owned()),
        ("--kernel-us", (KERNEL_NS / 1000).to_string()),
        ("--iters-per-us", calibration.iters_per_us.to_string()),
        ("--blocks", calibration.grid_blocks.to_string()),
    ] {
        command.args([option, &value]);
    }
}

/// A moment of wall time, so many milliseconds from now.
fn unix_ms_in(delay_ms: u64) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_millis() as u64 + delay_ms
}

/// A tenant with its program.
struct Actor {
    part: &'static Part,
    program: Program,
    state: State,
    quota_bytes: u64,
    used_bytes: u64,
    peak_bytes: u64,
    refused: u64,
}

/// Stretches of time that are judged.
struct Spans {
    together: Span,
    after_kill: Span,
    last: Span,
}

/// What is shown, and until when.
struct Picture<'a> {
    view: &'a mut dyn View,
    alone_rate: f64,
    end_ns: u64,
}

/// The three and the region they share.
struct Cast {
    actors: Vec<Actor>,
    region: Region,
    start_ns: u64,
}

impl Cast {
    fn start(stage: &Stage, seconds: f64, total_bytes: u64) -> Result<Self> {
        let unit_bytes = (total_bytes / 10 * 9).min(MEMORY_BYTES) / 30;
        // `c` is killed at half time; should that fail, it does not go on for ever.
        let lasts_s = [seconds, seconds * 0.75, seconds];
        let mut actors = Vec::new();
        for (part, lasts_s) in PARTS.iter().zip(lasts_s) {
            let quota_bytes = part.quota * unit_bytes;
            let limits = LimitArgs {
                compute: Some(Share::from_percent(part.percent)),
                memory: Some(MemoryAmount::Bytes(quota_bytes)),
                mode: Some(Mode::Balanced),
                ..LimitArgs::default()
            };
            let mut command = stage.tenant(part.name, &limits)?;
            arguments(&mut command, stage, "hog", lasts_s);
            command.args(["--bytes", &(part.asks * unit_bytes).to_string()]);
            command.args(["--piece", &(unit_bytes / 4).max(1).to_string()]);
            actors.push(Actor {
                part,
                program: Program::start(&format!("tenant {}", part.name), &mut command)?,
                state: State::Running,
                quota_bytes,
                used_bytes: 0,
                peak_bytes: 0,
                refused: 0,
            });
        }
        for actor in &mut actors {
            actor.program.wait_ready()?;
        }
        let region = stage.region()?;
        let delay_ms = 200;
        let (start_ns, start_unix_ms) = (now_ns() + ms(delay_ms), unix_ms_in(delay_ms));
        for actor in &mut actors {
            actor.program.begin(start_unix_ms)?;
        }
        Ok(Self {
            actors,
            region,
            start_ns,
        })
    }

    /// Watches until `until_ns`.
    fn go_on(&mut self, phase: &str, until_ns: u64, picture: &mut Picture<'_>) -> Result<()> {
        loop {
            self.look();
            for actor in self
                .actors
                .iter_mut()
                .filter(|actor| actor.state == State::Running)
            {
                actor.program.check()?;
            }
            picture.view.draw(&self.scene(phase, picture))?;
            let left = Duration::from_nanos(until_ns.saturating_sub(now_ns()));
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(TICK));
        }
    }

    /// Reads what the tenants use. A tenant that is gone keeps what was read last.
    fn look(&mut self) {
        for actor in &mut self.actors {
            let Some(index) = tenant::find(&self.region, actor.part.name) else {
                actor.used_bytes = 0;
                continue;
            };
            let page = self.region.tenant(index);
            actor.used_bytes = page.used.bytes();
            actor.peak_bytes = actor.peak_bytes.max(page.memory.peak_bytes.load(Relaxed));
            actor.refused = actor.refused.max(page.memory.refused.load(Relaxed));
        }
    }

    /// Kills one and waits until the others have given back its memory; gives when that was.
    fn kill(&mut self, which: usize, picture: &mut Picture<'_>) -> Result<Option<u64>> {
        self.look();
        let actor = &mut self.actors[which];
        let name = actor.part.name;
        let held = show_bytes(actor.used_bytes);
        let kill_ns = now_ns();
        let freed_ns = actor.program.kill_and_watch(RECLAIM_MAX, || {
            // Nobody reclaims here: that is for the others.
            tenant::find(&self.region, name)
                .is_none_or(|index| self.region.tenant(index).used.bytes() == 0)
        })?;
        actor.state = State::Killed;
        let text = match freed_ns {
            Some(freed_ns) => format!(
                "{name} was killed with -9; its {held} were back after {:.1} ms",
                (freed_ns - kill_ns) as f64 / 1e6
            ),
            None => format!(
                "{name} was killed with -9; its {held} were NOT back after {} s",
                RECLAIM_MAX.as_secs()
            ),
        };
        picture.view.event(&text)?;
        Ok(freed_ns)
    }

    fn scene<'a>(&self, phase: &'a str, picture: &Picture<'_>) -> Scene<'a> {
        let traces: Vec<Vec<Sample>> = self.actors.iter().map(Actor::recent).collect();
        let samples: Vec<&[Sample]> = traces.iter().map(Vec::as_slice).collect();
        // Programs write in bursts; what all that run have written is as far as can be judged.
        let running = self
            .actors
            .iter()
            .zip(&traces)
            .filter(|(it, _)| it.state == State::Running);
        let known_ns = running
            .filter_map(|(_, trace)| Some(trace.last()?.t_ns))
            .min();
        let to_ns = known_ns.unwrap_or(self.start_ns);
        let span = Span {
            from_ns: to_ns
                .saturating_sub(WINDOW_NS)
                .max(self.start_ns.min(to_ns)),
            to_ns,
        };
        let shares = measure::shares(&samples, span);
        let total_rate: f64 = samples
            .iter()
            .map(|samples| measure::rate(samples, span))
            .sum();
        let now_ns = now_ns();
        Scene {
            phase,
            elapsed_s: now_ns.saturating_sub(self.start_ns) as f64 / 1e9,
            total_s: (picture.end_ns - self.start_ns) as f64 / 1e9,
            used_of_alone: total_rate / picture.alone_rate,
            rows: self
                .actors
                .iter()
                .zip(shares)
                .map(|(actor, share)| Row {
                    name: actor.part.name,
                    entitled: f64::from(actor.part.percent) / 100.0,
                    share: if actor.state == State::Running {
                        share
                    } else {
                        0.0
                    },
                    state: actor.state,
                    used_bytes: actor.used_bytes,
                    quota_bytes: actor.quota_bytes,
                    refused: actor.refused,
                })
                .collect(),
        }
    }

    fn judge(
        self,
        alone_rate: f64,
        kill_ns: u64,
        freed_ns: Option<u64>,
        spans: &Spans,
    ) -> Result<Played> {
        for actor in &self.actors {
            actor.check_outcome()?;
        }
        let traces: Vec<Vec<Sample>> = self
            .actors
            .iter()
            .map(|actor| actor.program.trace().samples.clone())
            .collect();
        let samples: Vec<&[Sample]> = traces.iter().map(Vec::as_slice).collect();
        let entitled: Vec<f64> = PARTS
            .iter()
            .map(|part| f64::from(part.percent) / 100.0)
            .collect();
        let shares = measure::shares(&samples, spans.together);
        let total: f64 = samples
            .iter()
            .map(|it| measure::rate(it, spans.together))
            .sum();
        let others = [samples[A], samples[B]];
        let resumed_ns = measure::progress_after(&others, kill_ns);
        let entitled_rest = entitled[A] + entitled[B];
        let after_kill = measure::shares(&others, spans.after_kill);
        Ok(Played {
            share_error_max: measure::share_error_max(
                &samples,
                &entitled,
                spans.together,
                WINDOW_NS,
            ),
            throughput_vs_alone: total / alone_rate,
            reclaim_ms: freed_ns
                .zip(resumed_ns)
                .map(|(freed_ns, resumed_ns)| (freed_ns.max(resumed_ns) - kill_ns) as f64 / 1e6),
            after_kill: [A, B]
                .into_iter()
                .zip(after_kill)
                .map(|(it, share)| (PARTS[it].name, entitled[it] / entitled_rest, share))
                .collect(),
            last_vs_alone: measure::rate(samples[A], spans.last) / alone_rate,
            last_and_killed: (PARTS[A].name, PARTS[C].name),
            tenants: self
                .actors
                .iter()
                .zip(shares)
                .zip(&samples)
                .map(|((actor, share), samples)| TenantPlayed {
                    name: actor.part.name,
                    entitled: f64::from(actor.part.percent) / 100.0,
                    share,
                    launches: samples.last().map_or(0, |last| last.work_ns / KERNEL_NS),
                    quota_bytes: actor.quota_bytes,
                    peak_bytes: actor.peak_bytes,
                    refused: actor.refused,
                })
                .collect(),
        })
    }
}

impl Actor {
    /// Its samples of the last seconds.
    fn recent(&self) -> Vec<Sample> {
        let trace = self.program.trace();
        let first = trace.samples.len().saturating_sub(2_000);
        trace.samples[first..].to_vec()
    }

    /// What the program itself says about its memory must be what the demo claims.
    fn check_outcome(&self) -> Result<()> {
        let name = self.part.name;
        let trace = self.program.trace();
        let Some(Outcome::Hog {
            asked_bytes,
            granted_bytes,
            refused,
        }) = trace.outcome
        else {
            if self.state == State::Killed {
                return Ok(());
            }
            bail!("tenant {name} has not said how it ended; are fcsp and fcsp-load of one build?");
        };
        let should_be_refused = self.part.asks > self.part.quota;
        if refused != should_be_refused || granted_bytes > self.quota_bytes {
            bail!(
                "tenant {name} asked for {}, has a quota of {} and got {}: the quota did not hold",
                show_bytes(asked_bytes),
                show_bytes(self.quota_bytes),
                show_bytes(granted_bytes)
            );
        }
        Ok(())
    }
}
