//! Limits that change while programs run: by `fcsp set`, by an edited policy file, and a quota that is set
//! below what is in use.

use anyhow::{Context, Result, bail};
use fcsp_hw_tests::clock::{NS_PER_MS, now_ns};
use fcsp_hw_tests::record::{Attempt, Outcome};
use fcsp_hw_tests::stats::{Cumulative, mean, median};
use serde_json::json;
use std::path::Path;
use std::time::Duration;

use crate::bench::Bench;
use crate::cast::Cast;
use crate::node::Node;
use crate::programs::{Program, SATURATE_DEEP};
use crate::result::{Bar, Row, SuiteResult};
use crate::tenant::{Limits, Sharing, Tenant};

/// Shares of the two tenants in percent, in turn.
const SHARES: [[u32; 2]; 2] = [[25, 75], [60, 40]];
/// One round of turns among tenants that hardly ever wait: a shorter window holds a part of a turn, and no share.
const WINDOW_NS: u64 = 25 * NS_PER_MS;
/// How far the share of a window may be off.
const TOLERANCE: f64 = 0.05;
/// So many in a row must hold it.
const WINDOWS: u64 = 4;
const STEP_NS: u64 = NS_PER_MS;
const HOLDS_WITHIN_MS: f64 = 50.0;
/// The end of the time from one change to the next, a multiple of all rounds.
const SETTLED_NS: u64 = 200 * NS_PER_MS;
/// From one change to the next; an odd one, so that the changes fall on different points of a round.
const BETWEEN: Duration = Duration::from_millis(407);
const SETTLE: Duration = Duration::from_millis(1_500);

/// Holds 2 GiB, works, and asks for more.
const GROW: Program = Program {
    name: "grow",
    args: &["grow", "--bytes", "2G", "--sample-ms", "1"],
};
const QUOTA_BYTES: u64 = 8 << 30;
/// A request that was made when a command had not returned may be answered either way.
const IN_FORCE_NS: u64 = 5 * NS_PER_MS;
/// Of the speed before.
const UNHARMED_MIN: f64 = 0.97;

/// All three.
pub fn run(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    result.attempt("fcsp set", |result| {
        changes(bench, By::Command, "fcsp set", result)
    });
    result.attempt("policy file", |result| {
        changes(bench, By::File, "an edited policy file", result)
    });
    result.attempt("quota below use", |result| quota(bench, result));
    Ok(())
}

/// What changes the shares.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Command,
    File,
}

/// Changes the shares of two running programs to and fro.
fn changes(bench: &Bench, by: By, how: &str, result: &mut SuiteResult) -> Result<()> {
    let count = bench.either(20, 6);
    let seconds = SETTLE.as_secs_f64() + f64::from(count) * 0.5 + 1.0;
    let alone = bench.alone(&SATURATE_DEEP)?;
    let policy = bench.site.scratch_file("limits-policy.toml");
    write_policy(&policy, SHARES[0])?;
    let tenants: Vec<Tenant> = [("a", SHARES[0][0]), ("b", SHARES[0][1])]
        .map(|(name, pct)| {
            let command = bench.command(&SATURATE_DEEP, seconds, &["--sample-ms", "1"]);
            match by {
                By::Command => Tenant::new(name, Sharing::Fcsp(Limits::share(pct)), command),
                By::File => Tenant::new(name, Sharing::Fcsp(Limits::from_policy()), command)
                    .with_env("FCSP_POLICY", &policy),
            }
        })
        .into();
    let mut cast = Cast::assemble(&bench.site, &tenants)?;
    cast.start()?;
    std::thread::sleep(SETTLE);
    let mut made = Vec::new();
    for change in 1..=count {
        let shares = SHARES[change as usize % 2];
        let told_ns = match by {
            By::Command => set(&Node::new(&bench.site, cast.run_dir()), shares)?,
            By::File => {
                let told_ns = now_ns();
                write_policy(&policy, shares)?;
                told_ns
            }
        };
        made.push((told_ns, shares));
        std::thread::sleep(BETWEEN);
    }
    let reports = cast.finish(seconds)?;
    let curves = [0, 1].map(|i: usize| reports[i].work.scaled(1.0 / alone.rate));
    judge_changes(&curves, &made, how, result)
}

/// Both tenants by the command, the one that gives first; when the second command was started.
fn set(node: &Node, shares: [u32; 2]) -> Result<u64> {
    let mut order = [("a", shares[0]), ("b", shares[1])];
    if shares[0] > SHARES[0][0] {
        order.reverse();
    }
    let mut told_ns = 0;
    for (name, pct) in order {
        told_ns = now_ns();
        node.set(name, &["--compute", &format!("{pct}%")])?;
    }
    Ok(told_ns)
}

/// Writes beside and renames, as editors do.
fn write_policy(path: &Path, shares: [u32; 2]) -> Result<()> {
    let text = format!(
        "[[tenant]]\nname = \"a\"\ncompute = \"{}%\"\n\n[[tenant]]\nname = \"b\"\ncompute = \"{}%\"\n",
        shares[0], shares[1]
    );
    let beside = path.with_extension("new");
    std::fs::write(&beside, text)
        .and_then(|()| std::fs::rename(&beside, path))
        .with_context(|| format!("cannot write {}", path.display()))
}

/// Whether the first of two tenants has `share` in the window from `t_ns`.
fn holds(curves: &[Cumulative; 2], t_ns: u64, share: f64) -> bool {
    let [a, b] = [0, 1].map(|i: usize| curves[i].rate(t_ns, t_ns + WINDOW_NS));
    // A window without work holds nothing: what is not a number compares as not within.
    (a / (a + b) - share).abs() <= TOLERANCE
}

/// The moment from `told_ns` on from which the next [`WINDOWS`] windows hold `share` for the first of two
/// tenants, all of them before `until_ns`.
fn holds_from(curves: &[Cumulative; 2], told_ns: u64, until_ns: u64, share: f64) -> Option<u64> {
    let end_ns = curves[0].span_ns()?.1.min(curves[1].span_ns()?.1);
    let last_ns = end_ns.min(until_ns).checked_sub(WINDOWS * WINDOW_NS)?;
    (told_ns..=last_ns)
        .step_by(STEP_NS as usize)
        .find(|from_ns| (0..WINDOWS).all(|i| holds(curves, from_ns + i * WINDOW_NS, share)))
}

/// The part of the windows just before the changes that do not hold what was long in force: what the
/// tolerance is too narrow for, whatever changes.
fn noise(curves: &[Cumulative; 2], made: &[(u64, [u32; 2])]) -> f64 {
    let mut outside = Vec::new();
    for (i, &(told_ns, _)) in made.iter().enumerate() {
        let before = i.checked_sub(1).map_or(SHARES[0], |i| made[i].1);
        let share = f64::from(before[0]) / 100.0;
        for window in 1..=WINDOWS {
            let t_ns = told_ns.saturating_sub(window * WINDOW_NS);
            outside.push(f64::from(u8::from(!holds(curves, t_ns, share))));
        }
    }
    mean(&outside)
}

fn judge_changes(
    curves: &[Cumulative; 2],
    made: &[(u64, [u32; 2])],
    how: &str,
    result: &mut SuiteResult,
) -> Result<()> {
    let end_ns = curves[0].span_ns().map_or(0, |span| span.1);
    let (mut took_ms, mut never) = (Vec::new(), 0);
    for (i, &(told_ns, shares)) in made.iter().enumerate() {
        let next_ns = made.get(i + 1).map_or(end_ns, |next| next.0);
        let from_ns = holds_from(curves, told_ns, next_ns, f64::from(shares[0]) / 100.0);
        never += usize::from(from_ns.is_none());
        // One that never held took longer than there was time for it.
        let took_ns = from_ns.unwrap_or(next_ns).saturating_sub(told_ns);
        took_ms.push(took_ns as f64 / NS_PER_MS as f64);
    }
    let middle = median(&took_ms).context("nothing was changed")?;
    let longest = took_ms.iter().copied().fold(0.0, f64::max);
    let noise = noise(curves, made);
    result.row(Row::number(
        format!(
            "25/75 to 60/40 and back by {how}: until the next windows of 25 ms hold it, the longest of {} ({never} \
             never did; median {middle:.1} ms; {:.1} % of the windows before a change do not hold what was there)",
            took_ms.len(),
            noise * 100.0
        ),
        longest,
        "ms",
        Bar::AtMost(HOLDS_WITHIN_MS),
    ));
    result.row(Row::number(
        format!(
            "25/75 to 60/40 and back by {how}: off in the last 200 ms before the next change, mean"
        ),
        settled_error(curves, made),
        "points",
        Bar::None,
    ));
    result
        .details
        .push(json!({ "by": how, "held_after_ms": took_ms, "never": never, "noise": noise }));
    Ok(())
}

/// How far the share of the first is from what was said, in the time before the next change in which it should
/// long be in force: the mean over the changes, in points.
fn settled_error(curves: &[Cumulative; 2], made: &[(u64, [u32; 2])]) -> f64 {
    let errors: Vec<f64> = made
        .windows(2)
        .map(|pair| {
            let ((_, shares), (next_ns, _)) = (pair[0], pair[1]);
            let [a, b] = [0, 1].map(|i: usize| curves[i].rate(next_ns - SETTLED_NS, next_ns));
            100.0 * (a / (a + b) - f64::from(shares[0]) / 100.0).abs()
        })
        .collect();
    mean(&errors)
}

/// When the quota of the growing program was lowered and raised: before and after each command.
struct Lowered {
    lowered_ns: (u64, u64),
    raised_ns: (u64, u64),
}

/// Below what the program holds; then back.
fn quota(bench: &Bench, result: &mut SuiteResult) -> Result<()> {
    let seconds = 5.0;
    let command = bench.command(&GROW, seconds, &[]);
    let tenant = Tenant::new("a", Sharing::Fcsp(Limits::quota(QUOTA_BYTES)), command);
    let mut cast = Cast::assemble(&bench.site, &[tenant])?;
    cast.start()?;
    let run_dir = cast.run_dir().to_owned();
    let timed = |memory: &str| -> Result<(u64, u64)> {
        let before_ns = now_ns();
        Node::new(&bench.site, &run_dir).set("a", &["--memory", memory])?;
        Ok((before_ns, now_ns()))
    };
    std::thread::sleep(SETTLE);
    let lowered_ns = timed("1GiB")?;
    std::thread::sleep(SETTLE);
    let raised_ns = timed("8GiB")?;
    let reports = cast.finish(seconds)?;
    let Outcome::Grow { attempts } = reports[0].outcome()? else {
        bail!("the program reported something else");
    };
    let lowered = Lowered {
        lowered_ns,
        raised_ns,
    };
    judge_quota(&reports[0].work, attempts, &lowered, result)
}

fn judge_quota(
    work: &Cumulative,
    attempts: &[Attempt],
    when: &Lowered,
    result: &mut SuiteResult,
) -> Result<()> {
    let counted = |from_ns: u64, to_ns: u64, granted: bool| {
        let within = attempts
            .iter()
            .filter(|it| it.t_ns >= from_ns && it.t_ns < to_ns);
        within.filter(|it| it.granted == granted).count()
    };
    let low = (
        when.lowered_ns.1,
        when.raised_ns.0.saturating_sub(IN_FORCE_NS),
    );
    let (granted, refused) = (counted(low.0, low.1, true), counted(low.0, low.1, false));
    result.row(Row::fact(
        "a quota set below use refuses new allocations at once",
        format!("{refused} refused, {granted} granted while it was in force"),
        granted == 0 && refused > 0,
    ));
    let before = counted(0, when.lowered_ns.0.saturating_sub(IN_FORCE_NS), false);
    let after = counted(when.raised_ns.1, u64::MAX, false);
    let again = counted(when.raised_ns.1, u64::MAX, true);
    result.row(Row::fact(
        "raised again, it grants again; nothing was refused before it was lowered",
        format!("{before} refused before; {again} granted and {after} refused after"),
        before == 0 && after == 0 && again > 0,
    ));
    let half = NS_PER_MS * 500;
    let rate_before = work.rate(
        when.lowered_ns.0.saturating_sub(2 * half),
        when.lowered_ns.0,
    );
    let rate_low = work.rate(when.lowered_ns.1, when.raised_ns.0);
    result.row(Row::number(
        "the program works on under the lowered quota: its speed, of before",
        rate_low / rate_before,
        "",
        Bar::AtLeast(UNHARMED_MIN),
    ));
    result.details.push(json!({
        "run": "quota below use", "refused_while_low": refused, "granted_while_low": granted,
        "rate_before": rate_before, "rate_while_low": rate_low,
    }));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;

    /// Two tenants in rounds of 25 ms; the first has 25 % until `at_ms`, then 60 %.
    fn rounds(at_ms: u64) -> [Cumulative; 2] {
        let mut work = [0, 0];
        let mut points = [Vec::new(), Vec::new()];
        for step in 0..10_000 {
            let ms = step / 10;
            let turn = if ms < at_ms { 0.25 } else { 0.6 };
            let first = (step % 250) as f64 / 250.0 < turn;
            for i in 0..2 {
                points[i].push((step * NS_PER_MS / 10, work[i]));
            }
            work[usize::from(!first)] += NS_PER_MS / 10;
        }
        points.map(Cumulative::new)
    }

    #[test]
    fn a_change_is_timed_from_when_it_was_told_to_when_every_window_holds_it() {
        let curves = rounds(475);
        let told_ns = 440 * NS_PER_MS;
        let from_ns = holds_from(&curves, told_ns, u64::MAX, 0.6).expect("it holds");
        // A window that begins a little earlier is within the tolerance.
        let after_ms = (from_ns - told_ns) / NS_PER_MS;
        assert!((15..=36).contains(&after_ms), "{after_ms}");
        assert_eq!(holds_from(&curves, told_ns, u64::MAX, 0.4), None);
        let next_ns = from_ns + 3 * WINDOW_NS;
        assert_eq!(
            holds_from(&curves, told_ns, next_ns, 0.6),
            None,
            "not for long"
        );
    }

    #[test]
    fn what_was_said_is_compared_with_what_was_had_at_the_end() {
        let (curves, ms) = (rounds(475), |ms: u64| ms * NS_PER_MS);
        let kept = settled_error(&curves, &[(ms(440), [60, 40]), (ms(850), [25, 75])]);
        assert!(kept < 0.5, "{kept}");
        let ignored = settled_error(&curves, &[(ms(440), [25, 75]), (ms(850), [60, 40])]);
        assert!((34.5..=35.5).contains(&ignored), "{ignored}");
    }

    #[test]
    fn what_the_tolerance_is_too_narrow_for_is_told() {
        let curves = rounds(475);
        let steady = noise(&curves, &[(440 * NS_PER_MS, [60, 40])]);
        assert_eq!(steady, 0.0);
        let moved = noise(&curves, &[(640 * NS_PER_MS, [60, 40])]);
        assert_eq!(moved, 1.0, "it changed by itself before");
    }

    #[test]
    fn a_change_that_never_holds_is_a_miss() {
        let mut result = SuiteResult::default();
        let (curves, made) = (
            rounds(475),
            [(440 * NS_PER_MS, [60, 40]), (700 * NS_PER_MS, [25, 75])],
        );
        judge_changes(&curves, &made, "test", &mut result).expect("two changes");
        assert_eq!(result.rows[0].verdict, Verdict::Miss);
        assert!(
            result.rows[0].measure.contains("1 never did"),
            "{}",
            result.rows[0]
        );
        let mut result = SuiteResult::default();
        judge_changes(&curves, &made[..1], "test", &mut result).expect("one change");
        assert_eq!(result.rows[0].verdict, Verdict::Pass, "{}", result.rows[0]);
    }

    #[test]
    fn one_allocation_granted_over_a_lowered_quota_is_a_miss() {
        let judged = |granted_late: bool, harmed: bool| {
            let ms = |ms: u64| ms * NS_PER_MS;
            let attempts: Vec<Attempt> = (0..300)
                .map(|i| Attempt {
                    t_ns: ms(10 * i),
                    granted: !(1_000..2_000).contains(&(10 * i)) || (granted_late && i == 150),
                })
                .collect();
            let slow = |t: u64| if harmed { t.min(1_000 + t / 10) } else { t };
            let work = Cumulative::new((0..3_000).map(|t| (ms(t), ms(slow(t)))));
            let when = Lowered {
                lowered_ns: (ms(998), ms(1_000)),
                raised_ns: (ms(2_000), ms(2_002)),
            };
            let mut result = SuiteResult::default();
            judge_quota(&work, &attempts, &when, &mut result).expect("judged");
            let verdicts = result.rows.iter().map(|row| row.verdict);
            verdicts.collect::<Vec<_>>()
        };
        use Verdict::{Miss, Pass};
        // The request at the very moment of the change counts for nobody.
        assert_eq!(judged(false, false), [Pass, Pass, Pass]);
        assert_eq!(judged(true, false), [Miss, Pass, Pass]);
        assert_eq!(judged(false, true), [Pass, Pass, Miss]);
    }
}
