//! Many processes and threads against one quota, and one program that wants too much.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::record::Outcome;
use serde_json::json;

use crate::bench::Bench;
use crate::cast::{Cast, Reported};
use crate::programs::Program;
use crate::result::{Bar, Row, SuiteResult};
use crate::site::Vendor;
use crate::tenant::{Limits, Sharing, Tenant};

const RACE: Program = Program {
    name: "race",
    args: &["alloc-race", "--threads", "8", "--ops", "1000000"],
};
const WATCH: Program = Program {
    name: "watch",
    args: &["watch", "--sample-ms", "2"],
};
const HOG: Program = Program {
    name: "hog",
    args: &["hog"],
};

const PROCESSES: u64 = 8;
/// Room for the contexts of eight processes, half a GiB each, and for a race beside them.
const RACE_QUOTA_BYTES: u64 = 16 << 30;
const HOG_QUOTA_BYTES: u64 = 8 << 30;

/// Each raced by itself: every way to get device memory.
const FAMILIES: [&str; 10] = [
    "malloc",
    "pitch",
    "managed",
    "async",
    "from-pool",
    "create",
    "map",
    "array",
    "mipmap",
    "graph",
];
/// The same in HIP.
const HIP_FAMILIES: [&str; 9] = [
    "malloc",
    "pitch",
    "managed",
    "async",
    "from-pool",
    "create",
    "map",
    "array",
    "array-3d",
];
const FAMILY_SECONDS: f64 = 1.5;

/// All of it.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    result.attempt("the race", |result| race(bench, result));
    let families: &[&str] = match bench.site.vendor {
        Vendor::Nvidia => &FAMILIES,
        Vendor::Amd => &HIP_FAMILIES,
        Vendor::Intel => &[],
    };
    for family in families {
        result.attempt(family, |result| race_of(bench, family, result));
    }
    result.attempt("the hog", |result| hog(bench, result));
    Ok(())
}

/// What came of a race.
struct Raced {
    /// Most in use beyond what was before any of them, contexts included, and what their contexts were.
    used_bytes: u64,
    contexts_bytes: u64,
    /// Most that the programs held together, by their own common count.
    held_bytes: u64,
    allocations: u64,
    refusals: u64,
    reads: u64,
}

/// Eight processes against one quota, each with eight threads, watched by a witness outside every tenant.
fn run_race(
    bench: &Bench,
    family: Option<&str>,
    seconds: f64,
    result: &mut SuiteResult,
) -> Result<Raced> {
    // It looks at the device before any of them is there.
    let witness = Tenant::new(
        "witness",
        Sharing::Native,
        bench.command(&WATCH, seconds, &[]),
    );
    let mut cast = Cast::assemble(&bench.site, &[witness])?;
    let name = family.unwrap_or("all");
    let ledger = bench.site.scratch_file(&format!("quota-ledger-{name}"));
    let ledger = ledger.to_str().context("scratch paths are plain text")?;
    for seed in 1..=PROCESSES {
        let seed = seed.to_string();
        let mut extra = vec!["--ledger", ledger, "--seed", &seed];
        if let Some(family) = family {
            extra.extend(["--family", family]);
        }
        let command = bench.command(&RACE, seconds, &extra);
        let sharing = Sharing::Fcsp(Limits::quota(RACE_QUOTA_BYTES));
        cast.enter(&Tenant::new("a", sharing, command))?;
    }
    cast.await_ready()?;
    cast.start()?;
    let reports = cast.finish(seconds)?;

    let Outcome::Watch {
        first_bytes,
        start_bytes,
        peak_bytes,
        reads,
    } = *reports[0].outcome()?
    else {
        bail!("the witness reported something else");
    };
    let mut races = Vec::new();
    for reported in &reports[1..] {
        let Outcome::AllocRace(race) = reported.outcome()? else {
            bail!("{} reported something else than its race", reported.name);
        };
        races.push(race);
    }
    let held_bytes = races.iter().filter_map(|race| race.ledger_peak_bytes).max();
    let raced = Raced {
        used_bytes: peak_bytes.saturating_sub(first_bytes),
        contexts_bytes: start_bytes.saturating_sub(first_bytes),
        held_bytes: held_bytes.context("no process kept the ledger")?,
        allocations: races.iter().map(|race| race.allocations).sum(),
        refusals: races.iter().map(|race| race.refusals).sum(),
        reads,
    };
    result.details.push(json!({
        "run": "race", "family": name, "quota_bytes": RACE_QUOTA_BYTES, "together_peak_bytes": raced.held_bytes,
        "outside_first_bytes": first_bytes, "outside_start_bytes": start_bytes, "outside_peak_bytes": peak_bytes, "races": races,
    }));
    Ok(raced)
}

fn race(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let raced = run_race(bench, None, bench.either(6.0, 3.0), result)?;
    result.row(Row::info(
        "8 processes × 8 threads, quota 16 GiB",
        format!(
            "{} allocations, {} refusals, {} looks from outside",
            raced.allocations, raced.refusals, raced.reads
        ),
    ));
    result.row(Row::fact(
        "the race reached the quota (it was refused and held more than half)",
        format!(
            "{} refusals, {} at most",
            raced.refusals,
            gib(raced.held_bytes)
        ),
        raced.refusals > 0 && raced.held_bytes > RACE_QUOTA_BYTES / 2,
    ));
    result.row(Row::number(
        "bytes over the quota, by the tenants' own common count",
        raced.held_bytes.saturating_sub(RACE_QUOTA_BYTES) as f64,
        "bytes",
        Bar::AtMost(0.0),
    ));
    result.row(Row::info(
        "seen by the management library from outside: eight contexts, then at most",
        format!("{}, {}", gib(raced.contexts_bytes), gib(raced.used_bytes)),
    ));
    result.row(Row::number(
        "bytes over the quota, by the management library from outside, contexts included",
        raced.used_bytes.saturating_sub(RACE_QUOTA_BYTES) as f64,
        "bytes",
        Bar::AtMost(0.0),
    ));
    Ok(())
}

/// The race with one way to get memory only.
fn race_of(bench: &Bench, family: &str, result: &mut SuiteResult) -> Result<()> {
    let raced = run_race(bench, Some(family), FAMILY_SECONDS, result)?;
    result.row(Row::number(
        format!(
            "{family} alone: bytes over the quota by the management library from outside ({} allocations, {} refusals, {} held and {} seen at most)",
            raced.allocations,
            raced.refusals,
            gib(raced.held_bytes),
            gib(raced.used_bytes)
        ),
        raced.used_bytes.saturating_sub(RACE_QUOTA_BYTES) as f64,
        "bytes",
        Bar::AtMost(0.0),
    ));
    Ok(())
}

fn hog(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let seconds = 1.5;
    for family in ["malloc", "async", "create"] {
        let bytes = (HOG_QUOTA_BYTES * 2).to_string();
        let extra = ["--bytes", bytes.as_str(), "--family", family];
        let command = bench.command(&HOG, seconds, &extra);
        let tenant = Tenant::new("a", Sharing::Fcsp(Limits::quota(HOG_QUOTA_BYTES)), command);
        let reports = bench.together(&[tenant], seconds)?;
        judge_hog(bench, family, &reports[0], result)?;
    }
    Ok(())
}

fn judge_hog(
    bench: &Bench,
    family: &str,
    reported: &Reported,
    result: &mut SuiteResult,
) -> Result<()> {
    let Outcome::Hog(hog) = reported.outcome()? else {
        bail!("the hog reported something else");
    };
    let rate = bench.reached(reported)?.rate;
    result.row(Row::fact(
        format!("{family}: refused at the quota, goes on after a free"),
        format!(
            "granted {}, {}, {}, works at {rate:.2}",
            gib(hog.granted_bytes),
            if hog.refused {
                "refused"
            } else {
                "never refused"
            },
            if hog.recovered {
                "recovered"
            } else {
                "not recovered"
            },
        ),
        hog.refused && hog.recovered && hog.granted_bytes <= HOG_QUOTA_BYTES && rate > 0.5,
    ));
    result.row(Row::fact(
        format!("{family}: the driver tells the quota as all there is"),
        format!(
            "{} and {} bytes, {} free at the refusal",
            hog.total_bytes, reported.header.total_bytes, hog.free_at_refusal_bytes
        ),
        hog.total_bytes == HOG_QUOTA_BYTES && reported.header.total_bytes == HOG_QUOTA_BYTES,
    ));
    result
        .details
        .push(json!({ "run": "hog", "family": family, "hog": hog, "rate": rate }));
    Ok(())
}

fn gib(bytes: u64) -> String {
    format!("{:.3} GiB", bytes as f64 / f64::from(1 << 30))
}
