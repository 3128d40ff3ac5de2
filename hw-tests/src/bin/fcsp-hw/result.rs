//! What a suite found: rows, each a measure held against its bar.

use anyhow::Context;
use serde::Serialize;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use crate::matrix::Expected;

/// Whether a measure is where it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// At the bar or better.
    Pass,
    /// Not.
    Miss,
    /// There is no bar: a baseline, or context for another row.
    Info,
    /// Not measured, for the reason given.
    Skipped,
    /// Could not be measured.
    Error,
}

/// The bar of a measure.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bar {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// None.
    None,
}

impl Bar {
    fn verdict(self, measured: f64) -> Verdict {
        let met = match self {
            Bar::AtLeast(bar) => measured >= bar,
            Bar::AtMost(bar) => measured <= bar,
            Bar::None => return Verdict::Info,
        };
        // A measure that is not a number meets no bar, since no comparison with it holds.
        if met { Verdict::Pass } else { Verdict::Miss }
    }
}

/// One measure.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured, of what.
    pub measure: String,
    /// The value as a person reads it.
    pub measured: String,
    /// The value itself, where there is one.
    pub value: Option<f64>,
    /// The bar as a person reads it.
    pub bar: String,
    /// The comparison.
    pub verdict: Verdict,
    /// What `matrix.toml` expects, if there is a bar.
    pub expected: Option<Expected>,
}

impl Row {
    /// A number with a unit (may be empty) against a bar.
    pub fn number(measure: impl Into<String>, value: f64, unit: &str, bar: Bar) -> Self {
        let with_unit = |value: f64| {
            let digits = if value.abs() >= 1_000.0 {
                0
            } else if value.abs() >= 100.0 {
                1
            } else {
                3
            };
            let space = if unit.is_empty() { "" } else { " " };
            format!("{value:.digits$}{space}{unit}")
        };
        Self {
            measure: measure.into(),
            measured: with_unit(value),
            value: Some(value),
            bar: match bar {
                Bar::AtLeast(bar) => format!("≥ {}", with_unit(bar)),
                Bar::AtMost(bar) => format!("≤ {}", with_unit(bar)),
                Bar::None => String::new(),
            },
            verdict: bar.verdict(value),
            expected: None,
        }
    }

    /// A statement that holds or does not.
    pub fn fact(measure: impl Into<String>, measured: impl Into<String>, holds: bool) -> Self {
        Self {
            measure: measure.into(),
            measured: measured.into(),
            value: None,
            bar: "holds".into(),
            verdict: if holds { Verdict::Pass } else { Verdict::Miss },
            expected: None,
        }
    }

    /// Context without a bar.
    pub fn info(measure: impl Into<String>, measured: impl Into<String>) -> Self {
        Self {
            measure: measure.into(),
            measured: measured.into(),
            value: None,
            bar: String::new(),
            verdict: Verdict::Info,
            expected: None,
        }
    }

    /// Something that was not measured.
    pub fn skipped(measure: impl Into<String>, reason: impl Into<String>) -> Self {
        Self {
            verdict: Verdict::Skipped,
            ..Self::info(measure, reason)
        }
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Pass => "PASS",
            Verdict::Miss => "MISS",
            Verdict::Info => "info",
            Verdict::Skipped => "skip",
            Verdict::Error => "ERROR",
        };
        write!(f, "{verdict:5} {}: {}", self.measure, self.measured)?;
        if !self.bar.is_empty() {
            write!(f, " (bar {})", self.bar)?;
        }
        match &self.expected {
            Some(expected) if expected.surprising => write!(f, ", UNEXPECTED")?,
            Some(Expected {
                reason: Some(reason),
                ..
            }) if self.verdict != Verdict::Pass => write!(f, ", expected: {reason}")?,
            _ => {}
        }
        Ok(())
    }
}

/// Why something was not measured once somebody had asked for the end.
pub const INTERRUPTED: &str = "the run was interrupted before it";

/// The first few of many texts, for one cell of a table.
pub fn quote(texts: &[String]) -> String {
    const QUOTED_MAX: usize = 3;
    let mut text = texts[..texts.len().min(QUOTED_MAX)].join("; ");
    if texts.len() > QUOTED_MAX {
        text.push_str(&format!("; {} more", texts.len() - QUOTED_MAX));
    }
    text
}

/// All a suite found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SuiteResult {
    /// What goes into the summary.
    pub rows: Vec<Row>,
    /// What was behind it: windows, rates, latencies.
    pub details: Vec<serde_json::Value>,
    /// Where rows are written as they come.
    #[serde(skip)]
    journal: Option<Arc<File>>,
}

impl SuiteResult {
    /// Of nothing yet. Rows are also written to `journal` as they come, so that a run that is killed has lost none.
    pub fn with_journal(journal: &Path) -> anyhow::Result<Self> {
        let file = File::create(journal)
            .with_context(|| format!("cannot write to {}", journal.display()))?;
        Ok(Self {
            journal: Some(Arc::new(file)),
            ..Self::default()
        })
    }

    /// Carries out one part of a suite; if that fails, says so in a row, and the others go on.
    pub fn attempt(&mut self, part: &str, run: impl FnOnce(&mut Self) -> anyhow::Result<()>) {
        if let Err(error) = run(self) {
            self.row(Row {
                verdict: Verdict::Error,
                ..Row::info(part, format!("{error:#}"))
            });
        }
    }

    /// Adds a row.
    pub fn row(&mut self, row: Row) {
        if let Some(mut journal) = self.journal.as_deref() {
            // The report has it too: this is for runs that never come to make one.
            let _ = writeln!(journal, "{row}");
        }
        self.rows.push(row);
    }

    /// Adds several.
    pub fn add_rows(&mut self, rows: impl IntoIterator<Item = Row>) {
        for row in rows {
            self.row(row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_met_at_its_value_and_never_by_nan() {
        assert_eq!(Bar::AtLeast(0.95).verdict(0.95), Verdict::Pass);
        assert_eq!(Bar::AtMost(1.0).verdict(1.01), Verdict::Miss);
        assert_eq!(Bar::AtMost(1.0).verdict(f64::NAN), Verdict::Miss);
        assert_eq!(Bar::AtLeast(1.0).verdict(f64::NAN), Verdict::Miss);
        assert_eq!(Bar::None.verdict(1.0), Verdict::Info);
    }

    #[test]
    fn a_part_that_fails_is_an_error_beside_the_rows_of_the_others() {
        let mut result = SuiteResult::default();
        result.attempt("first", |_| anyhow::bail!("no device"));
        result.attempt("second", |result| {
            result.row(Row::info("x", "1"));
            Ok(())
        });
        let verdicts: Vec<_> = result.rows.iter().map(|row| row.verdict).collect();
        assert_eq!(verdicts, [Verdict::Error, Verdict::Info]);
        assert_eq!(result.rows[0].measured, "no device");
    }

    #[test]
    fn rows_are_written_as_they_come() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let journal = dir.path().join("rows");
        let mut result = SuiteResult::with_journal(&journal).expect("writable");
        result.row(Row::info("x", "1"));
        let read = || std::fs::read_to_string(&journal).expect("readable");
        assert_eq!(read(), "info  x: 1\n");
        result.attempt("y", |_| anyhow::bail!("no device"));
        assert_eq!(read(), "info  x: 1\nERROR y: no device\n");
    }

    #[test]
    fn of_many_texts_a_few_are_quoted() {
        let texts: Vec<String> = ["a", "b", "c", "d", "e"].map(String::from).into();
        assert_eq!(quote(&texts), "a; b; c; 2 more");
        assert_eq!(quote(&texts[..3]), "a; b; c");
        assert_eq!(quote(&[]), "");
    }

    #[test]
    fn rows_show_value_unit_and_bar() {
        let row = Row::number("launch, added", 31.2, "ns", Bar::AtMost(50.0));
        assert_eq!(
            row.to_string(),
            "PASS  launch, added: 31.200 ns (bar ≤ 50.000 ns)"
        );
    }
}
