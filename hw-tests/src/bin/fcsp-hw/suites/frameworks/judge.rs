//! Holds what a case gave under FCSP against what it gave natively. Pure: answers in, rows out.

use fcsp_hw_tests::stats::{median, median_error};

use super::cases::{Case, Speed};
use super::protocol::{Digest, Pace, Value, View};
use crate::result::{Bar, Row, quote};

/// How much of native speed a program keeps.
const SPEED_AT_LEAST: f64 = 0.99;
/// The part of what it sees that JAX takes in advance.
const POOL_PART: f64 = 0.75;
/// Pools are of whole pages.
const POOL_TOLERANCE: f64 = 0.01;

/// A turn of each, one right after the other.
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct Pair {
    /// Without FCSP.
    pub native: Pace,
    /// With it.
    pub fcsp: Pace,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.fcsp.rate() / self.native.rate()
    }
}

fn ratios(turns: &[Pair]) -> Vec<f64> {
    turns.iter().map(Pair::ratio).collect()
}

/// The standard error of the ratio that these turns of one pair of processes tell; none for a single turn.
pub fn error(turns: &[Pair]) -> Option<f64> {
    median_error(&ratios(turns))
}

/// Whether `found` is what the native program gave. Beside a neighbour a case may leave out some
/// quantities, so only alone must all of them be there.
pub fn same(measure: String, native: &[Digest], found: &[Digest], all: bool) -> Row {
    let mut differing = Vec::new();
    let (mut exact, mut tolerances) = (0, Vec::new());
    for digest in found {
        let Some(other) = native.iter().find(|it| it.name == digest.name) else {
            differing.push(format!("{}: native has none", digest.name));
            continue;
        };
        match compare(&other.value, &digest.value) {
            Ok(None) => exact += 1,
            Ok(Some(rtol)) => tolerances.push(rtol),
            Err(what) => differing.push(format!("{}: {what}", digest.name)),
        }
    }
    let absent = native
        .iter()
        .filter(|it| !found.iter().any(|digest| digest.name == it.name));
    if all {
        differing.extend(absent.map(|it| format!("{}: native only", it.name)));
    }
    if found.is_empty() {
        differing.push("no result".into());
    }
    let text = if differing.is_empty() {
        let within = tolerances.iter().copied().fold(0.0, f64::max);
        match (exact, tolerances.len()) {
            (exact, 0) => format!("{exact} equal to the bit"),
            (0, close) => format!("{close} within {within:e}"),
            (exact, close) => format!("{exact} equal to the bit, {close} within {within:e}"),
        }
    } else {
        quote(&differing)
    };
    Row::fact(measure, text, differing.is_empty())
}

/// The tolerance within which two values agree (none: to the bit), or how they differ.
fn compare(native: &Value, found: &Value) -> Result<Option<f64>, String> {
    match (native, found) {
        (Value::Exact { exact: a }, Value::Exact { exact: b }) if a == b => Ok(None),
        (Value::Exact { exact: a }, Value::Exact { exact: b }) => {
            Err(format!("{} in place of {}", short(b), short(a)))
        }
        (Value::Close { values: a, rtol }, Value::Close { values: b, .. }) => {
            if a.len() != b.len() || a.is_empty() {
                return Err(format!("{} numbers in place of {}", b.len(), a.len()));
            }
            let largest = a.iter().fold(0.0, |most: f64, it| most.max(it.abs()));
            let apart = |(a, b): (&f64, &f64)| (a - b).abs() > rtol * largest;
            match a.iter().zip(b).find(|&pair| apart(pair)) {
                None => Ok(Some(*rtol)),
                Some((a, b)) => Err(format!("{b} in place of {a}, tolerance {rtol:e}")),
            }
        }
        _ => Err("compared in another way".into()),
    }
}

/// The beginning of a text, for a cell of a table.
fn short(text: &str) -> String {
    const CHARS_MAX: usize = 60;
    match text.char_indices().nth(CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// The speed of a case against native, by the turns of one or several pairs of processes: the median
/// over the pairs of each one's median. Two processes of one program differ for as long as they live, by
/// where their code and data came to lie, so more turns of one pair say no more.
pub fn speed(case: &Case, pairs: &[Vec<Pair>]) -> Option<Row> {
    let of_pair = |turns: &Vec<Pair>| median(&ratios(turns));
    let ratios: Vec<f64> = pairs.iter().filter_map(of_pair).collect();
    let turns = || pairs.iter().flatten();
    let rates: Vec<f64> = turns().map(|turn| turn.native.rate()).collect();
    let (ratio, rate) = median(&ratios).zip(median(&rates))?;
    let bar = match case.speed {
        Speed::Judged => Bar::AtLeast(SPEED_AT_LEAST),
        Speed::Told => Bar::None,
        Speed::None => return None,
    };
    let all = turns().map(Pair::ratio);
    let (least, most) = all.fold((f64::INFINITY, 0.0_f64), |(least, most), ratio| {
        (least.min(ratio), most.max(ratio))
    });
    let several = match ratios.as_slice() {
        [_] => String::new(),
        several => {
            let each: Vec<String> = several.iter().map(|it| format!("{it:.3}")).collect();
            format!(
                " of {} pairs of processes, {}",
                several.len(),
                each.join(", ")
            )
        }
    };
    // Of several pairs by how they differ among each other, in which their turns' error is contained.
    let error = match pairs {
        [only] => self::error(only),
        _ => median_error(&ratios),
    };
    let error = error.map_or(String::new(), |it| {
        format!("; standard error {:.2} %", it * 100.0)
    });
    Some(Row::number(
        format!(
            "{}: speed, of native ({rate:.1} steps/s; {} turns{several}; {least:.3} to {most:.3}{error})",
            case.title,
            turns().count()
        ),
        ratio,
        "",
        bar,
    ))
}

/// What the program saw of its quota on each device.
pub fn quota(case: &Case, views: &[View]) -> Vec<Row> {
    let mut rows = Vec::new();
    if views.len() != case.quotas.len() {
        rows.push(Row::fact(
            format!("{}: looked at its quotas", case.title),
            format!("{} of {} devices", views.len(), case.quotas.len()),
            false,
        ));
    }
    for (view, &quota_bytes) in views.iter().zip(case.quotas) {
        let on = if case.quotas.len() > 1 {
            format!(" on device {}", view.device)
        } else {
            String::new()
        };
        if !view.totals.is_empty() {
            let told = view.totals.iter();
            let told: Vec<String> = told
                .map(|(by, bytes)| format!("{by} {}", mib(*bytes)))
                .collect();
            rows.push(Row::fact(
                format!("{}: the total it sees{on} is the quota", case.title),
                format!("{}; quota {}", told.join(", "), mib(quota_bytes)),
                view.totals.values().all(|&bytes| bytes == quota_bytes),
            ));
        }
        if let Some(pool_bytes) = view.pool_bytes {
            let expected = quota_bytes as f64 * POOL_PART;
            rows.push(Row::fact(
                format!(
                    "{}: the pool it takes in advance{on} is 75 % of the quota",
                    case.title
                ),
                format!("{}; quota {}", mib(pool_bytes), mib(quota_bytes)),
                (pool_bytes as f64 - expected).abs() <= expected * POOL_TOLERANCE,
            ));
        }
        let refused = view.refused.as_deref();
        rows.push(Row::fact(
            format!(
                "{}: asking beyond{on} gives its own out-of-memory error, and it goes on",
                case.title
            ),
            format!(
                "{}, holding {} then; {}",
                refused.map_or("never refused".into(), |error| format!(
                    "refused with {error}"
                )),
                mib(view.held_bytes),
                if view.recovered {
                    "went on"
                } else {
                    "did not go on"
                },
            ),
            refused.is_some() && view.recovered && view.held_bytes <= quota_bytes,
        ));
    }
    rows
}

/// The most that the program held of the first device, as somebody outside counted. Less than what it
/// says itself cannot be, so that the count is wrong then.
pub fn outside(case: &Case, views: &[View], held_bytes: u64) -> Row {
    let quota_bytes = case.quotas[0];
    let own_bytes = views.first().map_or(0, |view| view.held_bytes);
    Row::fact(
        format!(
            "{}: seen from outside it stays within the quota",
            case.title
        ),
        format!("{} at most; quota {}", mib(held_bytes), mib(quota_bytes)),
        (own_bytes.max(1)..=quota_bytes).contains(&held_bytes),
    )
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / (1 << 20) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Verdict;
    use std::slice::from_ref;

    const QUOTA_BYTES: u64 = 8 << 30;

    fn case(speed: Speed) -> Case {
        Case {
            speed,
            quotas: &[QUOTA_BYTES],
            ..Case::new("test", "Test", "test.py", &[])
        }
    }

    fn exact(name: &str, text: &str) -> Digest {
        Digest {
            name: name.into(),
            value: Value::Exact { exact: text.into() },
        }
    }

    fn close(name: &str, values: &[f64]) -> Digest {
        Digest {
            name: name.into(),
            value: Value::Close {
                values: values.into(),
                rtol: 1e-3,
            },
        }
    }

    fn verdict(native: &[Digest], found: &[Digest], all: bool) -> Verdict {
        same("x".into(), native, found, all).verdict
    }

    #[test]
    fn equal_results_pass_and_one_bit_does_not() {
        let native = [exact("a", "ff"), close("b", &[100.0, 0.01])];
        let near = [exact("a", "ff"), close("b", &[100.05, 0.02])];
        assert_eq!(verdict(&native, &near, true), Verdict::Pass);
        assert_eq!(
            verdict(&native, &[exact("a", "fe"), near[1].clone()], true),
            Verdict::Miss
        );
        let far = [exact("a", "ff"), close("b", &[100.2, 0.01])];
        let row = same("x".into(), &native, &far, true);
        assert_eq!(row.verdict, Verdict::Miss);
        assert!(
            row.measured.contains("100.2 in place of 100"),
            "{}",
            row.measured
        );
    }

    #[test]
    fn results_that_are_absent_are_no_equal_ones() {
        let native = [exact("a", "ff"), exact("b", "ff")];
        assert_eq!(verdict(&native, &[], false), Verdict::Miss);
        assert_eq!(verdict(&[], &[], true), Verdict::Miss);
        assert_eq!(verdict(&native, &native[..1], true), Verdict::Miss);
        assert_eq!(verdict(&native, &native[..1], false), Verdict::Pass);
        assert_eq!(verdict(&native[..1], &native, false), Verdict::Miss);
        assert_eq!(
            verdict(&[close("a", &[])], &[close("a", &[])], true),
            Verdict::Miss
        );
        assert_eq!(
            verdict(&[close("a", &[1.0])], &[exact("a", "1")], true),
            Verdict::Miss
        );
    }

    #[test]
    fn speed_is_the_median_of_pairs_and_judged_where_the_case_says_so() {
        let pace = |iterations| Pace {
            iterations,
            seconds: 1.0,
        };
        let pair = |fcsp| Pair {
            native: pace(1000),
            fcsp: pace(fcsp),
        };
        let slow = vec![pair(900), pair(980), pair(1000)];
        let row = speed(&case(Speed::Judged), from_ref(&slow)).expect("three turns");
        assert_eq!((row.value, row.verdict), (Some(0.98), Verdict::Miss));
        let even = vec![pair(900), pair(995), pair(1000)];
        let row = speed(&case(Speed::Judged), from_ref(&even)).expect("three turns");
        assert_eq!(row.verdict, Verdict::Pass);
        let several = [slow.clone(), even, vec![pair(1010)]];
        let row = speed(&case(Speed::Judged), &several).expect("three pairs");
        assert_eq!((row.value, row.verdict), (Some(0.995), Verdict::Pass));
        assert!(
            row.measure.contains("7 turns of 3 pairs"),
            "{}",
            row.measure
        );
        // Pairs of 0.98, 0.995 and 1.01: 1.5 points apart.
        assert!(
            row.measure.contains("standard error 1.09 %"),
            "{}",
            row.measure
        );
        let row = speed(&case(Speed::Told), from_ref(&slow)).expect("three turns");
        assert_eq!(row.verdict, Verdict::Info);
        assert!(speed(&case(Speed::None), from_ref(&slow)).is_none());
        assert!(speed(&case(Speed::Judged), &[]).is_none());
    }

    fn view() -> View {
        View {
            device: 0,
            totals: [("driver".to_owned(), QUOTA_BYTES)].into(),
            pool_bytes: Some(QUOTA_BYTES / 4 * 3),
            held_bytes: 7 << 30,
            refused: Some("OutOfMemoryError".into()),
            recovered: true,
        }
    }

    fn misses(view: View) -> usize {
        let rows = quota(&case(Speed::None), &[view]);
        rows.iter()
            .filter(|row| row.verdict == Verdict::Miss)
            .count()
    }

    #[test]
    fn every_promise_about_the_quota_is_looked_at() {
        assert_eq!(misses(view()), 0);
        let mut wrong = view();
        wrong.totals.insert("properties".into(), 80 << 30);
        assert_eq!(misses(wrong), 1);
        let amiss: [fn(&mut View); 4] = [
            |it| it.refused = None,
            |it| it.recovered = false,
            |it| it.held_bytes = QUOTA_BYTES + 1,
            |it| it.pool_bytes = Some(60 << 30),
        ];
        for spoil in amiss {
            let mut wrong = view();
            spoil(&mut wrong);
            assert_eq!(misses(wrong), 1);
        }
    }

    #[test]
    fn a_device_that_was_not_looked_at_is_a_miss() {
        let rows = quota(&case(Speed::None), &[]);
        assert_eq!(rows[0].verdict, Verdict::Miss);
        let seen = |held_bytes| outside(&case(Speed::None), &[view()], held_bytes).verdict;
        assert_eq!(seen(QUOTA_BYTES), Verdict::Pass);
        assert_eq!(seen(QUOTA_BYTES + 1), Verdict::Miss);
        assert_eq!(
            seen((7 << 30) - 1),
            Verdict::Miss,
            "less than it held itself"
        );
    }
}
