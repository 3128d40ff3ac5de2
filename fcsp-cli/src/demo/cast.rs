//! The three tenants with their programs, and the region they share.

use super::measure::{self, Sample, Span};
use super::play::SECOND_ENDS_AFTER;
use super::program::Program;
use super::stage::Stage;
use super::view::{Row, Scene, State, View};
use crate::run::LimitArgs;
use anyhow::Result;
use fcsp_core::policy::memory::show_bytes;
use fcsp_core::policy::{MemoryAmount, Mode, Share};
use fcsp_core::region::{Region, tenant};
use fcsp_core::sched::clock::{ms, now_ns};
use fcsp_core::sync::Ordering::Relaxed;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One of the three.
pub struct Part {
    /// Its name.
    pub name: &'static str,
    percent: u32,
    /// Quota, and what it asks for, in thirtieths of the memory given to the demo.
    quota: u64,
    asks: u64,
}

impl Part {
    /// Share it is entitled to while all three are active.
    pub fn entitled(&self) -> f64 {
        f64::from(self.percent) / 100.0
    }

    /// Whether it asks for more memory than its quota.
    pub fn is_greedy(&self) -> bool {
        self.asks > self.quota
    }
}

/// `a` outlives the others, `b` asks for more than its quota, `c` is killed.
pub const PARTS: [Part; 3] = [
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
/// Index of `a`.
pub const A: usize = 0;
/// Index of `b`.
pub const B: usize = 1;
/// Index of `c`.
pub const C: usize = 2;

/// Memory the demo shares out at most; on a smaller device, nine tenths of what it has.
const MEMORY_BYTES: u64 = 30 << 30;
/// Nominal length of every kernel.
pub const KERNEL_NS: u64 = 250_000;
/// What is shown is what was received during this time.
const SHOWN_NS: u64 = ms(1000);
/// How often the picture is renewed.
const TICK: Duration = Duration::from_millis(100);
/// How long to wait for the memory of a killed program.
const RECLAIM_MAX: Duration = Duration::from_secs(5);

/// A tenant with its program.
pub struct Actor {
    /// What it is to do.
    pub part: &'static Part,
    /// Its program.
    pub program: Program,
    /// How the program is.
    pub state: State,
    /// Its quota.
    pub quota_bytes: u64,
    /// Memory it used when it was last looked at.
    pub used_bytes: u64,
    /// Most memory it ever used.
    pub peak_bytes: u64,
    /// Allocations that were refused.
    pub refused: u64,
}

/// The three and the region they share.
pub struct Cast {
    /// The three, in the order of [`PARTS`].
    pub actors: Vec<Actor>,
    region: Region,
    /// When they began.
    pub start_ns: u64,
}

/// What is shown, and what is needed to show it.
pub struct Picture<'a> {
    /// Where.
    pub view: &'a mut dyn View,
    /// What a program alone without FCSP gets done.
    pub alone_rate: f64,
    /// When all is over.
    pub end_ns: u64,
}

impl Cast {
    /// Starts the three and lets them begin together; the whole lasts `seconds`.
    pub fn start(stage: &Stage, seconds: f64, total_bytes: u64) -> Result<Self> {
        let unit_bytes = (total_bytes / 10 * 9).min(MEMORY_BYTES) / 30;
        // `c` is killed at half time; should that fail, it does not go on for ever.
        let lasts_s = [seconds, seconds * SECOND_ENDS_AFTER, seconds];
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
    pub fn go_on(&mut self, phase: &str, until_ns: u64, picture: &mut Picture<'_>) -> Result<()> {
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
    pub fn kill(&mut self, which: usize, picture: &mut Picture<'_>) -> Result<Option<u64>> {
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

    /// Waits until the program of one has ended by itself.
    pub fn end(&mut self, which: usize) -> Result<()> {
        let actor = &mut self.actors[which];
        actor.program.wait_end()?;
        actor.state = State::Ended;
        Ok(())
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
            from_ns: to_ns.saturating_sub(SHOWN_NS).max(self.start_ns.min(to_ns)),
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
                    entitled: actor.part.entitled(),
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
}

impl Actor {
    /// Its samples of the last seconds.
    fn recent(&self) -> Vec<Sample> {
        let trace = self.program.trace();
        let first = trace.samples.len().saturating_sub(2_000);
        trace.samples[first..].to_vec()
    }
}

/// What the programs have in common on the command line.
pub fn arguments(command: &mut Command, stage: &Stage, mode: &str, seconds: f64) {
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
pub fn unix_ms_in(delay_ms: u64) -> u64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    now.as_millis() as u64 + delay_ms
}
