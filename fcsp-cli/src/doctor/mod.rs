//! `fcsp doctor`: what is here, what is missing, and what to do about it.

mod amd;
mod devices;
mod host;
mod intel;
mod mps;
mod nvidia;
mod settings;

use crate::exit::Outcome;
use crate::install::Install;
use crate::regions::RunDirArg;
use anyhow::Result;
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// Check drivers, devices, the installation and the settings
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  fcsp doctor
  fcsp doctor --json | jq '.checks[] | select(.level != \"ok\")'

OK is well, WARN works with a limitation, FAIL does not work; the exit code is 1 if anything fails.")]
pub struct Args {
    /// One JSON object
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    run_dir: RunDirArg,
}

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it should be.
    Ok,
    /// It works, with a limitation.
    Warn,
    /// It does not work.
    Fail,
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it is.
    pub level: Level,
    /// What was found.
    pub found: String,
    /// What to do, where something is to be done.
    pub advice: Option<String>,
}

impl Check {
    /// As it should be.
    pub fn ok(name: impl Into<String>, found: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            level: Level::Ok,
            found: found.into(),
            advice: None,
        }
    }

    /// Works with a limitation.
    pub fn warn(
        name: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Warn,
            advice: Some(advice.into()),
            ..Self::ok(name, found)
        }
    }

    /// Does not work.
    pub fn fail(
        name: impl Into<String>,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            level: Level::Fail,
            ..Self::warn(name, found, advice)
        }
    }
}

#[derive(Serialize)]
struct Report {
    level: Level,
    checks: Vec<Check>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Outcome> {
    let install = Install::find()?;
    let mut checks = devices::checks(&install, &args.run_dir);
    checks.extend(host::checks(&install, &args.run_dir));
    checks.extend(settings::checks());
    let level = checks
        .iter()
        .map(|check| check.level)
        .max()
        .unwrap_or(Level::Ok);
    let report = Report { level, checks };
    let mut stdout = std::io::stdout();
    if args.json {
        writeln!(stdout, "{}", serde_json::to_string_pretty(&report)?)?;
    } else {
        let colour = stdout.is_terminal() && std::env::var_os("NO_COLOR").is_none();
        write!(stdout, "{}", render(&report, colour))?;
    }
    Ok(if level == Level::Fail {
        Outcome::Bad
    } else {
        Outcome::Good
    })
}

fn render(report: &Report, colour: bool) -> String {
    let mut text = String::new();
    let width = report
        .checks
        .iter()
        .map(|check| check.name.chars().count())
        .max()
        .unwrap_or(0);
    for check in &report.checks {
        let (word, code) = match check.level {
            Level::Ok => ("OK  ", "32"),
            Level::Warn => ("WARN", "33"),
            Level::Fail => ("FAIL", "31;1"),
        };
        let word = if colour {
            format!("\x1b[{code}m{word}\x1b[0m")
        } else {
            word.to_owned()
        };
        text.push_str(&format!("{word}  {:width$}  {}\n", check.name, check.found));
        if let Some(advice) = &check.advice {
            text.push_str(&format!("      {:width$}  -> {advice}\n", ""));
        }
    }
    let count = |level| {
        report
            .checks
            .iter()
            .filter(|check| check.level == level)
            .count()
    };
    text.push_str(&match (count(Level::Fail), count(Level::Warn)) {
        (0, 0) => "All is well.\n".to_owned(),
        (0, warnings) => format!("Works, with {warnings} remark(s).\n"),
        (failures, _) => format!("{failures} thing(s) do not work.\n"),
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_finding_has_its_line_and_its_advice() {
        let report = Report {
            level: Level::Fail,
            checks: vec![
                Check::ok("a", "fine"),
                Check::fail("longer", "gone", "bring it back"),
            ],
        };
        assert_eq!(
            render(&report, false),
            "OK    a       fine\nFAIL  longer  gone\n              -> bring it back\n\
             1 thing(s) do not work.\n"
        );
    }
}
