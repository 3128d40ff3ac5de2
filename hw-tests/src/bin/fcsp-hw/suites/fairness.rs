//! Many tenants: is what each gets in proportion to what it is entitled to, and is nobody left waiting?

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::{NS_PER_MS, NS_PER_S, now_ns};
use fcsp_hw_tests::stats::jain_weighted;
use serde_json::json;
use std::time::Duration;

use crate::analysis::Shared;
use crate::bench::{Bench, measured_part};
use crate::cast::{Cast, Reported};
use crate::node::Node;
use crate::programs::{
    Program, SATURATE, SATURATE_COARSE, SATURATE_FINE, SATURATE_LONG, SATURATE_SHORT,
};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Tenant};

/// One run: a tenant each, with its entitlement in percent.
type Mix<'a> = &'a [(f64, &'a Program)];

const JAIN_MIN: f64 = 0.999;
/// Tenants of the crowd.
const CROWD: usize = 64;
/// What one process takes of the host's memory, a real driver's and the simulated one's, generously.
const HOST_BYTES_EACH: u64 = 600 << 20;
const HOST_BYTES_EACH_SIMULATED: u64 = 32 << 20;
/// Beyond the time in which everybody else had a turn.
const STALL_MS_MAX: f64 = 50.0;

/// Two, four, eight and 64 tenants.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let eighth = 12.5;
    let mixes: [Mix; 3] = [
        &[(30.0, &SATURATE_SHORT), (70.0, &SATURATE_LONG)],
        &[
            (10.0, &SATURATE_SHORT),
            (20.0, &SATURATE),
            (30.0, &SATURATE_COARSE),
            (40.0, &SATURATE_LONG),
        ],
        &[
            (eighth, &SATURATE_SHORT),
            (eighth, &SATURATE_FINE),
            (eighth, &SATURATE),
            (eighth, &SATURATE_COARSE),
            (eighth, &SATURATE_LONG),
            (eighth, &SATURATE_SHORT),
            (eighth, &SATURATE),
            (eighth, &SATURATE_COARSE),
        ],
    ];
    for mix in mixes {
        result.attempt(&title(mix), |result| shares(bench, mix, result));
    }
    result.attempt("64 tenants", |result| crowd(bench, result));
    Ok(())
}

fn title(mix: Mix) -> String {
    let mut entitled: Vec<String> = mix.iter().map(|(pct, _)| pct.to_string()).collect();
    entitled.dedup();
    let each = if entitled.len() == 1 { "each " } else { "" };
    format!(
        "{} tenants ({each}{}), kernels of 0.05 to 5 ms",
        mix.len(),
        entitled.join("/")
    )
}

fn shares(bench: &Bench, mix: Mix, result: &mut SuiteResult) -> Result<()> {
    let seconds = bench.either(5.05, 3.05);
    let alone: Vec<_> = mix
        .iter()
        .map(|(_, program)| bench.alone(program))
        .collect::<Result<_>>()?;
    let tenants: Vec<Tenant> = mix
        .iter()
        .zip('a'..)
        .map(|(&(pct, program), name)| {
            bench.limited(&name.to_string(), Limits::share(pct), program, seconds)
        })
        .collect();
    let reports = bench.together(&tenants, seconds)?;
    let entitled: Vec<f64> = mix.iter().map(|&(pct, _)| pct).collect();
    let shared = Shared::of(&reports, &entitled, &alone)?;
    let title = title(mix);
    result.row(Row::number(
        format!(
            "{title}: weighted Jain's index (shares {})",
            shared.shares_text()
        ),
        shared.jain,
        "",
        Bar::AtLeast(JAIN_MIN),
    ));
    let (mean_bar, max_bar) = if mix.len() == 8 {
        (Bar::AtMost(0.5), Bar::AtMost(1.0))
    } else {
        (Bar::None, Bar::None)
    };
    result.row(Row::number(
        format!("{title}: share error, mean over 1 s windows"),
        shared.share_error_mean_points,
        "points",
        mean_bar,
    ));
    result.row(Row::number(
        format!("{title}: share error, largest of 1 s windows"),
        shared.share_error_max_points,
        "points",
        max_bar,
    ));
    result.row(Row::number(
        format!("{title}: total, of one alone"),
        shared.total,
        "",
        Bar::None,
    ));
    result.details.push(json!({
        "run": title,
        "programs": mix.iter().map(|(_, program)| program.name).collect::<Vec<_>>(),
        "shared": shared,
    }));
    Ok(())
}

/// 64 tenants of one process each, as nobody should do it, and some will.
fn crowd(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    if let Some(reason) = too_small(bench)? {
        result.row(Row::skipped("64 tenants", reason));
        return Ok(());
    }
    let seconds = bench.either(6.05, 4.05);
    let alone = bench.alone(&SATURATE)?;
    let tenants: Vec<Tenant> = (0..CROWD)
        .map(|i| {
            let limits = Limits::share(100.0 / CROWD as f64);
            let mut tenant = bench.limited(&format!("t{i}"), limits, &SATURATE, seconds);
            tenant.command.extend(["--sample-ms".into(), "2".into()]);
            tenant
        })
        .collect();
    let mut cast = Cast::assemble(&bench.site, &tenants)?;
    cast.start()?;
    // The first second, in which all find their pace, is not looked at.
    std::thread::sleep(Duration::from_millis(1_000));
    let run_dir = cast.run_dir().to_owned();
    let node = Node::new(&bench.site, &run_dir);
    let (before, from_ns) = (node.region()?.handoffs, now_ns());
    std::thread::sleep(Duration::from_secs_f64(seconds - 1.5));
    let (after, to_ns) = (node.region()?.handoffs, now_ns());
    let reports = cast.finish(seconds)?;
    let round_ms = round_ms(after - before, to_ns - from_ns);
    judge_crowd(&reports, round_ms, alone.rate, result)
}

/// The time in which everybody had a turn.
fn round_ms(handoffs: u64, in_ns: u64) -> f64 {
    CROWD as f64 * in_ns as f64 / NS_PER_MS as f64 / handoffs.max(1) as f64
}

fn judge_crowd(
    reports: &[Reported],
    round_ms: f64,
    alone_rate: f64,
    result: &mut SuiteResult,
) -> Result<()> {
    let (from_ns, to_ns) = measured_part(reports)?;
    let from_ns = from_ns + NS_PER_S / 2;
    let rates: Vec<f64> = reports
        .iter()
        .map(|reported| reported.work.rate(from_ns, to_ns) / alone_rate)
        .collect();
    let stalls_ms: Vec<f64> = reports
        .iter()
        .map(|reported| reported.work.longest_rest_ns(from_ns, to_ns) as f64 / NS_PER_MS as f64)
        .collect();
    let longest_ms = stalls_ms.iter().copied().reduce(f64::max);
    let longest_ms = longest_ms.context("nobody reported")?;
    let even = vec![1.0; rates.len()];
    result.row(Row::number(
        format!("{} tenants: Jain's index", rates.len()),
        jain_weighted(&rates, &even).unwrap_or(f64::NAN),
        "",
        Bar::AtLeast(JAIN_MIN),
    ));
    result.row(Row::number(
        format!(
            "{} tenants: longest stall of anybody beyond a round of all ({longest_ms:.1} ms; a round takes \
             {round_ms:.1} ms by the turns handed over)",
            rates.len()
        ),
        (longest_ms - round_ms).max(0.0),
        "ms",
        Bar::AtMost(STALL_MS_MAX),
    ));
    result.row(Row::number(
        format!("{} tenants: total, of one alone", rates.len()),
        rates.iter().sum(),
        "",
        Bar::None,
    ));
    result.details.push(json!({
        "run": "crowd", "round_ms": round_ms, "progress": rates, "longest_stalls_ms": stalls_ms,
    }));
    Ok(())
}

/// Why 64 programs do not fit here, if they do not.
fn too_small(bench: &Bench) -> Result<Option<String>> {
    let each = if bench.site.simulated {
        HOST_BYTES_EACH_SIMULATED
    } else {
        HOST_BYTES_EACH
    };
    let info = std::fs::read_to_string("/proc/meminfo")?;
    let available = available_bytes(&info).context("/proc/meminfo tells no MemAvailable")?;
    let needed = each * CROWD as u64;
    Ok((available < needed).then(|| {
        format!(
            "{} MiB of memory are available, and 64 programs may take {} MiB",
            available >> 20,
            needed >> 20
        )
    }))
}

fn available_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::{curve, steady};
    use crate::result::Verdict;

    /// A tenant of the crowd that does not move from 2 s for `stall_ms`.
    fn stalled(stall_ms: u64) -> Reported {
        let mut work_ns = 0;
        curve(
            "a",
            5,
            (0..=5_000).map(move |ms| {
                let at = (ms * NS_PER_MS, work_ns);
                if !(2_000..2_000 + stall_ms).contains(&ms) {
                    work_ns += 15_000;
                }
                at
            }),
        )
    }

    #[test]
    fn a_stall_counts_beyond_a_round() {
        let judged = |stall_ms| {
            let mut result = SuiteResult::default();
            let reports = [stalled(stall_ms), steady("b", 0.015, 5)];
            judge_crowd(&reports, 42.0, 1.0, &mut result).expect("5 s");
            result
        };
        let fine = judged(80);
        assert_eq!(fine.rows[1].verdict, Verdict::Pass, "{}", fine.rows[1]);
        let stalls = judged(200);
        assert_eq!(stalls.rows[1].verdict, Verdict::Miss);
        let beyond = stalls.rows[1].value.expect("a number");
        assert!((157.0..161.0).contains(&beyond), "{beyond}");
    }

    #[test]
    fn one_that_gets_half_is_unfair() {
        let mut result = SuiteResult::default();
        let reports = [steady("a", 0.01, 5), steady("b", 0.02, 5)];
        judge_crowd(&reports, 42.0, 1.0, &mut result).expect("5 s");
        assert_eq!(result.rows[0].verdict, Verdict::Miss);
    }

    #[test]
    fn a_round_is_a_turn_of_each() {
        assert_eq!(round_ms(640, NS_PER_S), 100.0);
    }

    #[test]
    fn memory_is_read_in_bytes() {
        let text = "MemTotal: 9 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(available_bytes(text), Some(2 << 20));
        assert_eq!(available_bytes("MemTotal: 9 kB\n"), None);
    }
}
