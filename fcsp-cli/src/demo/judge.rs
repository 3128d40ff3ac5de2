//! What the demo comes to: from what was seen to what is reported.

use super::cast::{A, Actor, B, Cast, KERNEL_NS};
use super::measure::{self, Sample, Span};
use super::program::Outcome;
use super::view::State;
use anyhow::{Result, bail};
use fcsp_core::policy::memory::show_bytes;
use fcsp_core::sched::clock::ms;
use serde::Serialize;

/// Shares are judged in windows of this length.
const WINDOW_NS: u64 = ms(1000);
/// Work after a change is not judged for this long: programs allocate first, and turns begin.
pub const SETTLE_NS: u64 = ms(400);

/// What happened. Shares are fractions of what the tenants received together.
#[derive(Debug, Serialize)]
pub struct Played {
    /// The three, in the order of their names.
    pub tenants: Vec<TenantPlayed>,
    /// Largest difference from the entitlement in a window, percentage points; `None` if no window
    /// was long enough.
    pub share_error_max: Option<f64>,
    /// All three together against one program alone without FCSP.
    pub throughput_vs_alone: f64,
    /// From the kill until the memory of the killed one was back, milliseconds; `None` if it never
    /// was.
    pub reclaim_ms: Option<f64>,
    /// From the kill until one of the others was seen to go on, milliseconds; `None` if none did.
    pub resume_ms: Option<f64>,
    /// The others after the kill.
    pub after_kill: Vec<AfterKill>,
    /// The last one, alone, against one program alone without FCSP.
    pub last_vs_alone: f64,
}

/// What one tenant got while all three ran.
#[derive(Debug, Serialize)]
pub struct TenantPlayed {
    /// Its name.
    pub name: &'static str,
    /// Share it was entitled to.
    pub entitled: f64,
    /// Share it received.
    pub share: f64,
    /// Kernels it finished, to its end.
    pub launches: u64,
    /// Its quota.
    pub quota_bytes: u64,
    /// Most bytes it used at once.
    pub peak_bytes: u64,
    /// Allocations that were refused.
    pub refused: u64,
}

/// What one tenant got while one was gone.
#[derive(Debug, Serialize)]
pub struct AfterKill {
    /// Its name.
    pub name: &'static str,
    /// Share it was entitled to then.
    pub entitled: f64,
    /// Share it received.
    pub share: f64,
}

/// When what happened, nanoseconds of `CLOCK_MONOTONIC`.
pub struct Times {
    /// The three began.
    pub start_ns: u64,
    /// One was killed.
    pub kill_ns: u64,
    /// Its memory was back.
    pub freed_ns: Option<u64>,
    /// The second was about to end.
    pub second_ends_ns: u64,
    /// The second had ended.
    pub second_gone_ns: u64,
    /// The last was about to end.
    pub end_ns: u64,
}

impl Times {
    fn span(from_ns: u64, to_ns: u64) -> Span {
        Span {
            from_ns,
            to_ns: to_ns.max(from_ns),
        }
        .without_first(SETTLE_NS)
    }
}

/// Judges what the programs have reported.
pub fn judge(cast: &Cast, alone_rate: f64, times: &Times) -> Result<Played> {
    for actor in &cast.actors {
        check_memory(actor)?;
    }
    let traces: Vec<Vec<Sample>> = cast
        .actors
        .iter()
        .map(|actor| actor.program.trace().samples.clone())
        .collect();
    let samples: Vec<&[Sample]> = traces.iter().map(Vec::as_slice).collect();
    let entitled: Vec<f64> = cast
        .actors
        .iter()
        .map(|actor| actor.part.entitled())
        .collect();

    let together = Times::span(times.start_ns, times.kill_ns);
    let shares = measure::shares(&samples, together);
    let total: f64 = samples
        .iter()
        .map(|samples| measure::rate(samples, together))
        .sum();

    let others = [samples[A], samples[B]];
    let resumed_ns = measure::progress_after(&others, times.kill_ns);
    let since_kill_ms = |at_ns: u64| at_ns.saturating_sub(times.kill_ns) as f64 / 1e6;
    let after_kill = measure::shares(&others, Times::span(times.kill_ns, times.second_ends_ns));
    let last = Times::span(times.second_gone_ns, times.end_ns);
    Ok(Played {
        share_error_max: measure::share_error_max(&samples, &entitled, together, WINDOW_NS),
        throughput_vs_alone: total / alone_rate,
        reclaim_ms: times.freed_ns.map(since_kill_ms),
        resume_ms: resumed_ns.map(since_kill_ms),
        after_kill: [A, B]
            .into_iter()
            .zip(after_kill)
            .map(|(which, share)| AfterKill {
                name: cast.actors[which].part.name,
                entitled: entitled[which] / (entitled[A] + entitled[B]),
                share,
            })
            .collect(),
        last_vs_alone: measure::rate(samples[A], last) / alone_rate,
        tenants: cast
            .actors
            .iter()
            .zip(shares)
            .zip(&samples)
            .map(|((actor, share), samples)| TenantPlayed {
                name: actor.part.name,
                entitled: actor.part.entitled(),
                share,
                launches: samples.last().map_or(0, |last| last.work_ns / KERNEL_NS),
                quota_bytes: actor.quota_bytes,
                peak_bytes: actor.peak_bytes,
                refused: actor.refused,
            })
            .collect(),
    })
}

/// What the program itself says about its memory must be what the demo claims.
fn check_memory(actor: &Actor) -> Result<()> {
    let name = actor.part.name;
    let trace = actor.program.trace();
    let Some(Outcome::Hog {
        asked_bytes,
        granted_bytes,
        refused,
    }) = trace.outcome
    else {
        if actor.state == State::Killed {
            return Ok(());
        }
        bail!("tenant {name} has not said how it ended; are fcsp and fcsp-load of one build?");
    };
    if refused != actor.part.is_greedy() || granted_bytes > actor.quota_bytes {
        bail!(
            "tenant {name} asked for {}, has a quota of {} and got {}: that is not what its quota \
             allows",
            show_bytes(asked_bytes),
            show_bytes(actor.quota_bytes),
            show_bytes(granted_bytes)
        );
    }
    Ok(())
}
