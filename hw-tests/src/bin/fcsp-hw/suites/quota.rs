//! Many processes and threads against one quota, and one program that wants too much.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::record::Outcome;
use serde_json::json;

use crate::bench::Bench;
use crate::cast::{Cast, Reported};
use crate::programs::Program;
use crate::result::{Bar, Row, SuiteResult};
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

/// Both.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    result.attempt("the race", |result| race(bench, result));
    result.attempt("the hog", |result| hog(bench, result));
    Ok(())
}

fn race(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(6.0, 3.0);
    // A witness outside every tenant, which looks at the device before any of them is there.
    let witness = Tenant::new(
        "witness",
        Sharing::Native,
        bench.command(&WATCH, seconds, &[]),
    );
    let mut cast = Cast::assemble(&bench.site, &[witness])?;
    let ledger = bench.site.scratch_file("quota-ledger");
    let ledger = ledger.to_str().context("scratch paths are plain text")?;
    for seed in 1..=PROCESSES {
        let seed = seed.to_string();
        let extra = ["--ledger", ledger, "--seed", &seed];
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
    let used_bytes = peak_bytes.saturating_sub(first_bytes);
    let mut races = Vec::new();
    for reported in &reports[1..] {
        let Outcome::AllocRace(race) = reported.outcome()? else {
            bail!("{} reported something else than its race", reported.name);
        };
        races.push(race);
    }
    let allocations: u64 = races.iter().map(|race| race.allocations).sum();
    let refusals: u64 = races.iter().map(|race| race.refusals).sum();
    let peak_together = races.iter().filter_map(|race| race.ledger_peak_bytes).max();
    let peak_together = peak_together.context("no process kept the ledger")?;

    result.row(Row::info(
        "8 processes × 8 threads, quota 16 GiB",
        format!("{allocations} allocations, {refusals} refusals, {reads} looks from outside"),
    ));
    result.row(Row::fact(
        "the race reached the quota (it was refused and held more than half)",
        format!("{refusals} refusals, {} at most", gib(peak_together)),
        refusals > 0 && peak_together > RACE_QUOTA_BYTES / 2,
    ));
    result.row(Row::number(
        "bytes over the quota, by the tenants' own common count",
        peak_together.saturating_sub(RACE_QUOTA_BYTES) as f64,
        "bytes",
        Bar::AtMost(0.0),
    ));
    result.row(Row::info(
        "seen by NVML from outside: eight contexts, then at most",
        format!(
            "{}, {}",
            gib(start_bytes.saturating_sub(first_bytes)),
            gib(used_bytes)
        ),
    ));
    result.row(Row::number(
        "bytes over the quota, by NVML from outside, contexts included",
        used_bytes.saturating_sub(RACE_QUOTA_BYTES) as f64,
        "bytes",
        Bar::AtMost(0.0),
    ));
    result.details.push(json!({
        "run": "race", "quota_bytes": RACE_QUOTA_BYTES, "together_peak_bytes": peak_together,
        "outside_first_bytes": first_bytes, "outside_start_bytes": start_bytes, "outside_peak_bytes": peak_bytes, "races": races,
    }));
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
        format!("{family}: cuMemGetInfo and cuDeviceTotalMem tell the quota"),
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
