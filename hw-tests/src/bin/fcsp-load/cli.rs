//! The command line.

use anyhow::{Result, anyhow};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;
use std::str::FromStr;

use crate::api::Resolve;
use crate::modes;
use crate::stream::StreamKind;
use crate::submit::LaunchApi;

/// A plain CUDA driver API program that keeps a device busy in a known way and reports, as JSON
/// lines, how much of it it got.
#[derive(Debug, Parser)]
#[command(name = "fcsp-load", version)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub mode: Mode,
}

/// One kind of program.
#[derive(Debug, Subcommand)]
pub enum Mode {
    /// Measure how many rounds of the work kernel take a microsecond; prints one JSON object
    Calibrate(modes::calibrate::Options),
    /// Submit kernels as fast as they can be submitted
    Saturate(modes::saturate::Options),
    /// Launch many small kernels with CPU work between, and wait for each step's result
    Decode(modes::decode::Options),
    /// Launch one kernel at a time and wait for it
    Pingpong(modes::pingpong::Options),
    /// Rest, begin again and wait for the first kernel, again and again
    Resume(modes::resume::Options),
    /// Copy large pieces of memory as fast as they can be copied
    Copy(modes::copy::Options),
    /// Hold memory, keep the device busy and ask for a little more memory again and again
    Grow(modes::grow::Options),
    /// Allocate and free at random until refused, from several threads
    AllocRace(modes::alloc_race::Options),
    /// Ask for more memory than there is, then work on
    Hog(modes::hog::Options),
    /// Measure what single driver calls cost
    Overhead(modes::overhead::Options),
    /// Hold a context, and memory if asked to, and do nothing
    Idle(modes::idle::Options),
    /// Sample the device's memory use through NVML, without a context of its own
    Watch(modes::watch::Options),
}

/// What every mode understands.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Device ordinal
    #[arg(long, default_value_t = 0)]
    pub device: i32,
    /// How the driver's functions are found
    #[arg(long, value_enum, default_value = "dlsym")]
    pub resolve: Resolve,
    /// How long to go on
    #[arg(long, default_value_t = 5.0)]
    pub seconds: f64,
    /// Time between two samples of the counter; 0 for none
    #[arg(long, default_value_t = 10.0)]
    pub sample_ms: f64,
    /// Latencies of this first part are not counted
    #[arg(long, default_value_t = 500.0)]
    pub warmup_ms: f64,
    /// When to begin: Unix milliseconds, `stdin` to read them from there, or `now`
    #[arg(long, default_value = "now")]
    pub start_at: StartAt,
    /// Where the lines go, instead of stdout
    #[arg(long)]
    pub output: Option<PathBuf>,
    /// Rounds of the work kernel per microsecond, from `calibrate`; measured first if not given
    #[arg(long)]
    pub iters_per_us: Option<f64>,
    /// Blocks in a grid, from `calibrate`; one wave of this device if not given
    #[arg(long)]
    pub blocks: Option<u32>,
    /// Blocks in a grid on each multiprocessor, in place of all that fit: enough to keep its arithmetic
    /// busy, and so few that there is room for others' beside them
    #[arg(long)]
    pub blocks_per_multiprocessor: Option<u32>,
}

/// Where work goes and how, for modes that launch kernels.
#[derive(Debug, Clone, Args)]
pub struct Launching {
    /// Streams: default, created, per-thread, per-thread-handle, multi:<count>
    #[arg(long, default_value = "created")]
    pub stream: StreamKind,
    /// Driver call
    #[arg(long, value_enum, default_value = "launch")]
    pub api: LaunchApi,
    /// Kernels in a graph, for `--api graph`
    #[arg(long, default_value_t = 20)]
    pub graph_kernels: usize,
}

/// When the measured part begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// As soon as everything is set up.
    Now,
    /// At a moment of wall time.
    UnixMs(u64),
    /// At a moment of wall time that is read from stdin after the header was written.
    Stdin,
}

impl FromStr for StartAt {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "now" => Ok(StartAt::Now),
            "stdin" => Ok(StartAt::Stdin),
            other => other
                .parse()
                .map(StartAt::UnixMs)
                .map_err(|_| anyhow!("`{other}` is neither `now`, `stdin` nor Unix milliseconds")),
        }
    }
}

/// Parses a size like `4096`, `64K`, `16M` or `8G` (powers of 1024).
pub fn parse_bytes(text: &str) -> Result<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let shift = match text[digits.len()..].to_ascii_uppercase().as_str() {
        "" | "B" => 0,
        "K" => 10,
        "M" => 20,
        "G" => 30,
        "T" => 40,
        unit => return Err(anyhow!("`{unit}` is no unit of bytes; K, M, G and T are")),
    };
    digits
        .parse::<u64>()
        .ok()
        .and_then(|value| value.checked_mul(1 << shift))
        .ok_or_else(|| anyhow!("`{text}` is no size; write one like 4096, 64K or 8G"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes_have_units_of_1024() {
        assert_eq!(parse_bytes("64K").ok(), Some(65_536));
        assert_eq!(parse_bytes("8g").ok(), Some(8 << 30));
        assert_eq!(parse_bytes("17").ok(), Some(17));
        for wrong in ["", "K", "8X", "-1", "99999999999T"] {
            assert!(parse_bytes(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_start_is_a_moment_or_a_promise_of_one() {
        assert_eq!("now".parse::<StartAt>().ok(), Some(StartAt::Now));
        assert_eq!("17".parse::<StartAt>().ok(), Some(StartAt::UnixMs(17)));
        assert!("soon".parse::<StartAt>().is_err());
    }
}
