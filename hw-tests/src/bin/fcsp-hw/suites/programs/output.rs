//! What a program of `cuda/` printed, natively and under FCSP. Pure: lines in, rows out.

use std::collections::BTreeMap;

use crate::result::{Row, Verdict, quote};

/// A family of calls and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It gave this.
    Ok(String),
    /// A call failed.
    No(String),
}

/// What one run printed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Output {
    /// By family, in the order of names.
    pub families: BTreeMap<String, Outcome>,
    /// Whether the program came to its end.
    pub complete: bool,
}

impl Output {
    /// Reads lines; those of somebody else are left out.
    pub fn parse(lines: &[String]) -> Self {
        let mut output = Self::default();
        for line in lines {
            let told = line.split_once(' ').and_then(|(kind, rest)| {
                let (family, what) = rest.split_once(": ")?;
                Some((kind, family, what))
            });
            match told {
                Some(("ok", family, sum)) => {
                    output
                        .families
                        .insert(family.into(), Outcome::Ok(sum.into()));
                }
                Some(("no", family, reason)) => {
                    output
                        .families
                        .insert(family.into(), Outcome::No(reason.into()));
                }
                _ => output.complete |= line == "end",
            }
        }
        output
    }
}

/// Compares two runs of a program. A row for all families that are the same, one for each that is not,
/// and one for those that give nothing natively either.
pub fn compare(title: &str, native: &Output, found: &Output) -> Vec<Row> {
    let error = |text: String| {
        vec![Row {
            verdict: Verdict::Error,
            ..Row::info(title, text)
        }]
    };
    if !native.complete {
        return error("the native program did not come to its end".into());
    }
    let (mut rows, mut same, mut absent) = (Vec::new(), 0, Vec::new());
    for (family, expected) in &native.families {
        let measure = || format!("{title}: {family}");
        match (expected, found.families.get(family)) {
            (Outcome::No(reason), _) => absent.push(format!("{family}: {reason}")),
            (Outcome::Ok(_), None) => rows.push(Row::fact(measure(), "nothing printed", false)),
            (Outcome::Ok(_), Some(Outcome::No(reason))) => {
                rows.push(Row::fact(
                    measure(),
                    format!("{reason}; natively it works"),
                    false,
                ));
            }
            (Outcome::Ok(a), Some(Outcome::Ok(b))) if a != b => {
                let text = format!("{b} in place of {a}");
                rows.push(Row::fact(measure(), text, false));
            }
            (Outcome::Ok(_), Some(Outcome::Ok(_))) => same += 1,
        }
    }
    if absent.len() == native.families.len() {
        return error(format!("nothing works natively: {}", quote(&absent)));
    }
    if same > 0 {
        let text = format!(
            "{same} of {} families",
            native.families.len() - absent.len()
        );
        rows.insert(
            0,
            Row::fact(format!("{title}: same output as native"), text, true),
        );
    }
    if !found.complete {
        rows.push(Row::fact(
            format!("{title}: comes to its end"),
            "it did not",
            false,
        ));
    }
    if !absent.is_empty() {
        rows.push(Row::skipped(
            format!("{title}: what fails natively too"),
            quote(&absent),
        ));
    }
    rows
}

/// The families of `refuse.cu`, each with the bytes it held when it was refused.
pub fn refusals(title: &str, found: &Output, quota_bytes: u64) -> Vec<Row> {
    let mut rows: Vec<Row> = found
        .families
        .iter()
        .map(|(family, outcome)| {
            let (text, holds) = match outcome {
                Outcome::Ok(sum) => match u64::from_str_radix(sum, 16) {
                    Ok(bytes) => {
                        let text = format!("{} of {} MiB", bytes >> 20, quota_bytes >> 20);
                        (text, bytes > 0 && bytes <= quota_bytes)
                    }
                    Err(_) => (format!("{sum} is no number"), false),
                },
                Outcome::No(reason) => (reason.clone(), false),
            };
            Row::fact(format!("{title}: {family}"), text, holds)
        })
        .collect();
    if !found.complete || rows.is_empty() {
        rows.push(Row::fact(
            format!("{title}: comes to its end"),
            "it did not",
            false,
        ));
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(text: &str) -> Output {
        let lines: Vec<String> = text.lines().map(str::to_owned).collect();
        Output::parse(&lines)
    }

    fn verdicts(native: &str, found: &str) -> Vec<Verdict> {
        let rows = compare("p", &output(native), &output(found));
        rows.iter().map(|row| row.verdict).collect()
    }

    const GOOD: &str = "begin\nok two words: ff\nok b: 01\nend";

    #[test]
    fn families_are_read_with_their_checksums_and_reasons() {
        let read = output("begin\nok two words: ff\nsomething else\nno b: call: gave 2\nend");
        assert_eq!(read.families["two words"], Outcome::Ok("ff".into()));
        assert_eq!(read.families["b"], Outcome::No("call: gave 2".into()));
        assert!(read.complete);
        assert!(!output("begin\nok a: 1").complete);
    }

    #[test]
    fn equal_outputs_are_one_pass() {
        assert_eq!(verdicts(GOOD, GOOD), [Verdict::Pass]);
    }

    #[test]
    fn each_family_that_differs_is_a_miss_of_its_own() {
        use Verdict::{Miss, Pass};
        assert_eq!(
            verdicts(GOOD, "ok two words: fe\nok b: 01\nend"),
            [Pass, Miss]
        );
        assert_eq!(
            verdicts(GOOD, "no two words: x\nok b: 01\nend"),
            [Pass, Miss]
        );
        assert_eq!(verdicts(GOOD, "ok b: 01\nend"), [Pass, Miss]);
        assert_eq!(verdicts(GOOD, "ok two words: ff\nok b: 01"), [Pass, Miss]);
        assert_eq!(verdicts(GOOD, ""), [Miss, Miss, Miss]);
    }

    #[test]
    fn what_fails_natively_is_no_pass() {
        let native = "ok a: 1\nno b: unsupported\nend";
        assert_eq!(verdicts(native, native), [Verdict::Pass, Verdict::Skipped]);
        let nothing = "no b: unsupported\nend";
        assert_eq!(verdicts(nothing, nothing), [Verdict::Error]);
        assert_eq!(verdicts("end", GOOD), [Verdict::Error]);
        assert_eq!(verdicts("ok a: 1", GOOD), [Verdict::Error]);
        assert_eq!(verdicts("", ""), [Verdict::Error]);
    }

    #[test]
    fn a_refusal_holds_something_and_no_more_than_the_quota() {
        let rows = |text: &str| -> Vec<Verdict> {
            let rows = refusals("r", &output(text), 1 << 30);
            rows.iter().map(|row| row.verdict).collect()
        };
        use Verdict::{Miss, Pass};
        assert_eq!(rows("ok a: 0000000030000000\nend"), [Pass]);
        assert_eq!(rows("ok a: 0000000040000001\nend"), [Miss]);
        assert_eq!(rows("ok a: 0000000000000000\nend"), [Miss]);
        assert_eq!(rows("no a: never refused\nend"), [Miss]);
        assert_eq!(rows("ok a: 30000000"), [Pass, Miss]);
        assert_eq!(rows(""), [Miss]);
    }
}
