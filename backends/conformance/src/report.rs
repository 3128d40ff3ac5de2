//! What a suite found: [`Report`].

use std::fmt;

/// How one check ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// As it must be.
    Passed,
    /// Not as it must be; says what was seen.
    Failed(String),
    /// Could not be looked at; says why.
    Skipped(String),
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// Whether it does.
    pub outcome: Outcome,
}

/// What a suite found, in the order it looked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Its checks.
    pub checks: Vec<Check>,
}

impl Report {
    pub(crate) fn add(&mut self, name: &'static str, result: Result<(), String>) {
        let outcome = match result {
            Ok(()) => Outcome::Passed,
            Err(seen) => Outcome::Failed(seen),
        };
        self.checks.push(Check { name, outcome });
    }

    pub(crate) fn skip(&mut self, name: &'static str, reason: impl Into<String>) {
        let outcome = Outcome::Skipped(reason.into());
        self.checks.push(Check { name, outcome });
    }

    /// True if no check failed. One that was skipped did not.
    pub fn passed(&self) -> bool {
        self.failures().next().is_none()
    }

    /// Names of the checks that failed.
    pub fn failures(&self) -> impl Iterator<Item = &'static str> {
        self.checks
            .iter()
            .filter(|check| matches!(check.outcome, Outcome::Failed(_)))
            .map(|check| check.name)
    }

    /// Names of the checks that were skipped.
    pub fn skipped(&self) -> impl Iterator<Item = &'static str> {
        self.checks
            .iter()
            .filter(|check| matches!(check.outcome, Outcome::Skipped(_)))
            .map(|check| check.name)
    }
}

/// A table: outcome, name, and what was seen where that matters.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for check in &self.checks {
            match &check.outcome {
                Outcome::Passed => writeln!(f, "  passed   {}", check.name)?,
                Outcome::Failed(seen) => writeln!(f, "  FAILED   {}: {seen}", check.name)?,
                Outcome::Skipped(reason) => writeln!(f, "  skipped  {}: {reason}", check.name)?,
            }
        }
        Ok(())
    }
}

/// `Ok` if `holds`, else what was seen.
pub(crate) fn ensure(holds: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if holds { Ok(()) } else { Err(seen()) }
}
