//! The files that a report is written to.

use anyhow::{Context, Result, ensure};
use fcsp_bench_report::model::Report;
use fcsp_bench_report::{csv, html};
use std::path::{Path, PathBuf};

/// Where a report is to be written.
#[derive(Clone, Debug, clap::Args)]
pub struct Files {
    /// Also write everything to this file, as JSON
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Also write a page with charts to this file; it needs nothing else and works offline
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// Also write a line for each metric of each system to this file
    #[arg(long, value_name = "FILE")]
    pub csv: Option<PathBuf>,
}

impl Files {
    /// An error now rather than after a run: each file's directory must be there and writable.
    pub fn check(&self) -> Result<()> {
        for path in [&self.json, &self.html, &self.csv].into_iter().flatten() {
            let parent = match path.parent() {
                Some(parent) if !parent.as_os_str().is_empty() => parent,
                _ => Path::new("."),
            };
            ensure!(!path.is_dir(), "{} is a directory", path.display());
            tempfile::tempfile_in(parent)
                .map(drop)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        Ok(())
    }

    /// Writes all of them.
    pub fn write(&self, report: &Report) -> Result<()> {
        if let Some(path) = &self.json {
            report
                .write(path)
                .with_context(|| format!("{} cannot be written", path.display()))?;
        }
        if let Some(path) = &self.html {
            put(path, &html::render(report))?;
        }
        if let Some(path) = &self.csv {
            put(path, &csv::render(report))?;
        }
        Ok(())
    }
}

fn put(path: &Path, text: &str) -> Result<()> {
    std::fs::write(path, text).with_context(|| format!("{} cannot be written", path.display()))
}
