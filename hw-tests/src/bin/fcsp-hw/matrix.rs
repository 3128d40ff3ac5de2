//! What is expected where: `matrix.toml`.
//!
//! Owns: which expectation a row of results has on a device, and whether it was met. Does not own:
//! the bars themselves, which stand in the suites.

use anyhow::{Context, Result};
use fcsp_hw_tests::record::DeviceInfo;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::Path;

use crate::result::{Row, SuiteResult, Verdict};

/// The table this program was built with.
const OWN: &str = include_str!("../../../matrix.toml");

/// Whether a row is expected to meet its bar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// It is.
    Pass,
    /// It is not.
    Miss,
    /// Neither says anything about FCSP.
    Either,
}

/// An expectation that differs from "passes".
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    device: Option<String>,
    driver: Option<String>,
    suite: String,
    measure: Option<String>,
    expect: Expect,
    reason: String,
}

/// Devices that nobody has measured on, so that no row of theirs is a pass or a miss.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NotRun {
    /// Which devices.
    pub device: String,
    /// Why not.
    pub reason: String,
    /// What whoever has one may call.
    pub command: String,
}

impl fmt::Display for NotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            device,
            reason,
            command,
        } = self;
        write!(f, "{device}: not run: {reason}; `{command}`")
    }
}

/// The table.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Matrix {
    #[serde(default, rename = "case")]
    cases: Vec<Case>,
    #[serde(default)]
    not_run: Vec<NotRun>,
}

/// What the table says of a row that has a bar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expected {
    /// What was expected.
    pub expect: Expect,
    /// Why; nothing for the usual expectation.
    pub reason: Option<String>,
    /// Whether it came otherwise.
    pub surprising: bool,
}

impl Matrix {
    /// The table in `path`, or the one this program was built with.
    pub fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else {
            return Self::parse(OWN).context("the built-in matrix");
        };
        let text = std::fs::read_to_string(path);
        text.map_err(anyhow::Error::from)
            .and_then(|text| Self::parse(&text))
            .with_context(|| format!("the matrix {}", path.display()))
    }

    fn parse(text: &str) -> Result<Self> {
        let matrix: Self = toml::from_str(text)?;
        for case in &matrix.cases {
            anyhow::ensure!(
                crate::suites::ALL.iter().any(|it| it.name == case.suite),
                "there is no suite `{}`; `fcsp-hw list` names those there are",
                case.suite
            );
            anyhow::ensure!(
                !case.reason.trim().is_empty(),
                "a case of the suite `{}` has no reason",
                case.suite
            );
        }
        Ok(matrix)
    }

    /// Devices that nobody has measured on.
    pub fn not_run(&self) -> &[NotRun] {
        &self.not_run
    }

    /// Notes in each row of a suite that has a bar what was expected of it.
    pub fn judge(&self, device: &DeviceInfo, suite: &str, result: &mut SuiteResult) {
        for row in &mut result.rows {
            row.expected = self.expected(device, suite, row);
        }
    }

    fn expected(&self, device: &DeviceInfo, suite: &str, row: &Row) -> Option<Expected> {
        let passed = match row.verdict {
            Verdict::Pass => true,
            Verdict::Miss | Verdict::Error => false,
            Verdict::Info | Verdict::Skipped => return None,
        };
        let driver = device.driver_version.as_deref().unwrap_or("");
        let fits = |case: &&Case| {
            let device_fits = case
                .device
                .as_deref()
                .is_none_or(|it| device.name.contains(it));
            let driver_fits = case
                .driver
                .as_deref()
                .is_none_or(|it| driver.starts_with(it));
            let measure_fits = case
                .measure
                .as_deref()
                .is_none_or(|it| row.measure.contains(it));
            case.suite == suite && device_fits && driver_fits && measure_fits
        };
        let case = self.cases.iter().rfind(fits);
        let expect = case.map_or(Expect::Pass, |case| case.expect);
        Some(Expected {
            expect,
            reason: case.map(|case| case.reason.clone()),
            // What could not be measured is a surprise even where a miss would be none.
            surprising: row.verdict == Verdict::Error
                || match expect {
                    Expect::Pass => !passed,
                    Expect::Miss => passed,
                    Expect::Either => false,
                },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::result::Bar;

    fn device(name: &str, driver: &str) -> DeviceInfo {
        DeviceInfo {
            name: name.into(),
            interface_version: 13_000,
            driver_version: Some(driver.into()),
            simulated: false,
        }
    }

    fn rows() -> SuiteResult {
        let mut result = SuiteResult::default();
        result.row(Row::number("25/75: total", 0.5, "", Bar::AtLeast(0.95)));
        result.row(Row::number("25/75: error", 0.5, "points", Bar::AtMost(1.0)));
        result.row(Row::info("25/75: mean shares", "a half each"));
        result.attempt("10/90", |_| anyhow::bail!("no memory"));
        result
    }

    fn surprises(matrix: &Matrix, device: &DeviceInfo) -> Vec<Option<bool>> {
        let mut result = rows();
        matrix.judge(device, "shares", &mut result);
        let expected = result.rows.iter().map(|row| row.expected.as_ref());
        expected.map(|it| it.map(|it| it.surprising)).collect()
    }

    #[test]
    fn the_table_of_this_program_is_well_formed() {
        let matrix = Matrix::read(None).expect("well formed");
        let told: Vec<_> = matrix.not_run().iter().map(NotRun::to_string).collect();
        for vendor in ["amd", "intel"] {
            let command = format!("--vendor {vendor}");
            assert!(told.iter().any(|it| it.contains(&command)), "{told:?}");
        }
    }

    #[test]
    fn rows_are_expected_to_pass() {
        let matrix = Matrix::parse("").expect("no case is a table too");
        let found = surprises(&matrix, &device("NVIDIA H200", "580.159"));
        assert_eq!(found, [Some(true), Some(false), None, Some(true)]);
    }

    #[test]
    fn a_case_holds_for_its_device_driver_and_measure_only() {
        let matrix = Matrix::parse(
            "[[case]]\ndevice = 'H100'\ndriver = '570'\nsuite = 'shares'\nmeasure = 'total'\n\
             expect = 'miss'\nreason = 'an old driver'\n",
        )
        .expect("well formed");
        let old = surprises(&matrix, &device("NVIDIA H100", "570.1"));
        assert_eq!(old, [Some(false), Some(false), None, Some(true)]);
        let new = surprises(&matrix, &device("NVIDIA H100", "580.1"));
        assert_eq!(new, [Some(true), Some(false), None, Some(true)]);
    }

    #[test]
    fn an_unexpected_pass_is_a_surprise_and_the_last_case_decides() {
        let miss = "[[case]]\nsuite = 'shares'\nexpect = 'miss'\nreason = 'x'\n";
        let found = surprises(&Matrix::parse(miss).expect("ok"), &device("a", "1"));
        assert_eq!(found, [Some(false), Some(true), None, Some(true)]);
        let either = format!("{miss}[[case]]\nsuite = 'shares'\nexpect = 'either'\nreason = 'y'\n");
        let found = surprises(&Matrix::parse(&either).expect("ok"), &device("a", "1"));
        assert_eq!(found, [Some(false), Some(false), None, Some(true)]);
    }

    #[test]
    fn mistakes_in_a_table_are_named() {
        let case = |suite: &str, reason: &str, more: &str| {
            let text = format!(
                "[[case]]\nsuite = '{suite}'\nexpect = 'miss'\nreason = '{reason}'\n{more}"
            );
            format!("{:#}", Matrix::parse(&text).expect_err("a mistake"))
        };
        assert!(case("share", "x", "").contains("no suite `share`"));
        assert!(case("shares", " ", "").contains("no reason"));
        assert!(case("shares", "x", "devise = 'H200'").contains("devise"));
    }
}
