//! A report as a file of JSON.
//!
//! Each system carries what the public suite has in its files (`gpu`, and its metrics with their `stats`), and its scores.
//! Both are made anew from the report whenever it is written, and ignored when it is read.

use crate::model::{Cut, FORMAT, Gpu, Report, System};
use crate::scores::{self, Scores};
use serde::Serialize;
use serde_json::Value;
use serde_json::error::Category;
use serde_json::ser::{Formatter, PrettyFormatter};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Why a file is no report that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file itself.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// What is in it.
    #[error("{}: {error}", path.display())]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: ParseError,
    },
}

/// Why a text is no report that can be read.
#[derive(Debug, thiserror::Error)]
pub enum ParseError {
    /// Nothing at all.
    #[error("it is empty; was the run ended before it was written?")]
    Empty,
    /// It begins well, and ends too early.
    #[error("it ends in the middle, at line {line}; was it copied or written only in part?")]
    Truncated {
        /// The last line.
        line: usize,
    },
    /// No JSON.
    #[error("it is not JSON: {0}")]
    NotJson(serde_json::Error),
    /// A file of the public suite.
    #[error(
        "it is a result of the public suite (of {system:?}), which has no pairs and no samples; run `fcsp bench --json FILE` instead"
    )]
    PublicSuite {
        /// The system it names.
        system: String,
    },
    /// JSON of something else.
    #[error("it is JSON, but no report of `fcsp bench`: it has no `format` and `systems`")]
    Foreign,
    /// A report of another version.
    #[error(
        "it is a report of format {found}, written by fcsp {version}; this fcsp reads format {FORMAT}"
    )]
    OtherFormat {
        /// Its format.
        found: u64,
        /// The version that wrote it.
        version: String,
    },
    /// A report with something missing or wrong in it.
    #[error("it is a report of `fcsp bench`, but damaged: {0}")]
    Damaged(serde_json::Error),
}

impl Report {
    /// Reads a report from its file.
    ///
    /// # Errors
    ///
    /// Where the file cannot be read, or is no report of this format.
    pub fn read(path: &Path) -> Result<Self, ReadError> {
        let path = path.to_owned();
        match std::fs::read(&path) {
            Ok(bytes) => Self::parse(&bytes).map_err(|error| ReadError::Content { path, error }),
            Err(error) => Err(ReadError::File { path, error }),
        }
    }

    /// Reads a report from the content of its file.
    ///
    /// # Errors
    ///
    /// Where it is no report of this format.
    pub fn parse(json: &[u8]) -> Result<Self, ParseError> {
        if json.trim_ascii().is_empty() {
            return Err(ParseError::Empty);
        }
        let value: Value =
            serde_json::from_slice(json).map_err(|error| match error.classify() {
                Category::Eof => ParseError::Truncated { line: error.line() },
                _ => ParseError::NotJson(error),
            })?;
        let (Some(format), true) = (
            value.get("format").and_then(Value::as_u64),
            value.get("systems").is_some_and(Value::is_array),
        ) else {
            return Err(foreign(&value));
        };
        if format != u64::from(FORMAT) {
            let version = value.get("fcsp_version").and_then(Value::as_str);
            return Err(ParseError::OtherFormat {
                found: format,
                version: version.unwrap_or("unknown").to_owned(),
            });
        }
        // From the text and not from the value, so that an error names its line.
        serde_json::from_slice(json).map_err(ParseError::Damaged)
    }

    /// The content of its file.
    pub fn to_json(&self) -> String {
        let mut bytes = Vec::new();
        let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, Lines::default());
        Written::of(self)
            .serialize(&mut serializer)
            .expect("a report has string keys only, and memory takes all");
        bytes.push(b'\n');
        String::from_utf8(bytes).expect("JSON is UTF-8")
    }

    /// Writes the report to a file, whole or not at all: what was there stays until the new one is complete.
    ///
    /// # Errors
    ///
    /// Where the folder or the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut unfinished = path.as_os_str().to_owned();
        unfinished.push(format!(".{}.tmp", std::process::id()));
        let written = std::fs::write(&unfinished, self.to_json())
            .and_then(|()| std::fs::rename(&unfinished, path));
        if written.is_err() {
            // It may never have come to be; the error that counts is the first.
            let _ = std::fs::remove_file(&unfinished);
        }
        written
    }
}

/// What JSON is that is no report.
fn foreign(value: &Value) -> ParseError {
    match (value.get("benchmark_version"), value.get("system_name")) {
        (Some(_), Some(system)) => ParseError::PublicSuite {
            system: system.as_str().unwrap_or_default().to_owned(),
        },
        _ => ParseError::Foreign,
    }
}

/// A report with what is added for those who read its file. The fields are [`Report`]'s.
#[derive(Serialize)]
struct Written<'a> {
    format: u32,
    fcsp_version: &'a str,
    started: &'a str,
    quick: bool,
    only: &'a [String],
    duration_seconds: f64,
    simulated: bool,
    interrupted: bool,
    cut: &'a [Cut],
    gpu: &'a Gpu,
    score_formula: &'static str,
    systems: Vec<WrittenSystem<'a>>,
}

impl<'a> Written<'a> {
    fn of(report: &'a Report) -> Self {
        // Taken apart, so that a field that is added to a report cannot be forgotten here.
        let Report {
            format,
            fcsp_version,
            started,
            quick,
            only,
            duration_seconds,
            simulated,
            interrupted,
            cut,
            gpu,
            systems,
        } = report;
        Self {
            format: *format,
            fcsp_version,
            started,
            quick: *quick,
            only,
            duration_seconds: *duration_seconds,
            simulated: *simulated,
            interrupted: *interrupted,
            cut,
            gpu,
            score_formula: scores::FORMULA,
            systems: systems
                .iter()
                .map(|system| WrittenSystem {
                    simulated: *simulated,
                    gpu: PublicGpu::of(gpu),
                    scores: scores::of_system(system),
                    system,
                })
                .collect(),
        }
    }
}

#[derive(Serialize)]
struct WrittenSystem<'a> {
    simulated: bool,
    gpu: PublicGpu<'a>,
    scores: Scores,
    #[serde(flatten)]
    system: &'a System,
}

/// The public suite's `gpu`.
#[derive(Serialize)]
struct PublicGpu<'a> {
    name: &'a str,
    compute_capability: &'a str,
    /// MiB, whatever its name says.
    total_memory_mb: u64,
    sm_count: u32,
}

impl<'a> PublicGpu<'a> {
    fn of(gpu: &'a Gpu) -> Self {
        Self {
            name: &gpu.name,
            compute_capability: &gpu.compute_capability,
            total_memory_mb: gpu.memory_bytes >> 20,
            sm_count: gpu.multiprocessors,
        }
    }
}

/// A line for each field down to those of a metric, and no more: hundreds of samples stand in one line.
#[derive(Default)]
struct Lines {
    pretty: PrettyFormatter<'static>,
    depth: usize,
}

/// Report, its systems, a system, its metrics, a metric.
const LINES_DEPTH: usize = 5;

impl Lines {
    fn apart(&self) -> bool {
        self.depth <= LINES_DEPTH
    }
}

impl Formatter for Lines {
    fn begin_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.apart() {
            return self.pretty.begin_array(writer);
        }
        writer.write_all(b"[")
    }

    fn end_array<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < LINES_DEPTH {
            return self.pretty.end_array(writer);
        }
        writer.write_all(b"]")
    }

    fn begin_array_value<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.apart() {
            return self.pretty.begin_array_value(writer, first);
        }
        writer.write_all(if first { b"" } else { b", " })
    }

    fn end_array_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.apart() {
            return self.pretty.end_array_value(writer);
        }
        Ok(())
    }

    fn begin_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth += 1;
        if self.apart() {
            return self.pretty.begin_object(writer);
        }
        writer.write_all(b"{")
    }

    fn end_object<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.depth -= 1;
        if self.depth < LINES_DEPTH {
            return self.pretty.end_object(writer);
        }
        writer.write_all(b"}")
    }

    fn begin_object_key<W: ?Sized + Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        if self.apart() {
            return self.pretty.begin_object_key(writer, first);
        }
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }

    fn end_object_value<W: ?Sized + Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.apart() {
            return self.pretty.end_object_value(writer);
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
