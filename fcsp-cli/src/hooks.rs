//! `fcsp hooks`: what the preload libraries do with each function of a vendor's libraries.
//!
//! The tables themselves live in the preload libraries, which the command must not be linked to: it
//! would intercept its own calls. It carries the text that a preload library's tests compare with them.

use crate::exit::Outcome;
use crate::table::{Align, Table};
use serde::Serialize;
use std::io::Write;

const CUDA: &str = include_str!("../../fcsp-preload/cuda/decisions.tsv");
const HIP: &str = include_str!("../../fcsp-preload/hip/decisions.tsv");
const ZE: &str = include_str!("../../fcsp-preload/ze/decisions.tsv");

/// Show what is done with each function of a vendor's libraries
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Decisions:
  account     charged or credited before the driver sees it
  gate        held back until the device may be used
  sync        waits for the device; the scheduler is told before
  virtualize  answered from the tenant's point of view
  forward     left to the driver
  gap         left to the driver, and should not be

A function that fails open goes to the driver when FCSP itself cannot handle it, as one that is
forwarded always does; one that fails closed returns the vendor's error. Every function that a driver exports is listed, whether or not
programs call it.

Examples:
  fcsp hooks | grep cuMem                       what happens to memory
  fcsp hooks --json | jq '.[] | select(.fails == \"closed\")'")]
pub struct Args {
    /// Whose libraries
    #[arg(long, value_enum, default_value = "cuda")]
    vendor: Vendor,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Vendor {
    Cuda,
    Hip,
    Ze,
}

/// One function.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Decision<'a> {
    library: &'a str,
    function: &'a str,
    decision: &'a str,
    /// `open` or `closed`.
    fails: &'a str,
    reason: &'a str,
}

impl<'a> Decision<'a> {
    /// Reads a line of the text; nothing if it has other columns.
    fn read(line: &'a str) -> Option<Self> {
        let mut columns = line.split('\t');
        let decision = Self {
            library: columns.next()?,
            function: columns.next()?,
            decision: columns.next()?,
            fails: columns.next()?,
            reason: columns.next()?,
        };
        columns.next().is_none().then_some(decision)
    }
}

fn decisions(text: &str) -> Vec<Decision<'_>> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(Decision::read)
        .collect()
}

/// Runs the subcommand.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let decisions = match args.vendor {
        Vendor::Cuda => decisions(CUDA),
        Vendor::Hip => decisions(HIP),
        Vendor::Ze => decisions(ZE),
    };
    let text = if args.json {
        serde_json::to_string_pretty(&decisions)? + "\n"
    } else {
        show(&decisions)
    };
    std::io::stdout().write_all(text.as_bytes())?;
    Ok(Outcome::Good)
}

fn show(decisions: &[Decision]) -> String {
    let columns = ["LIBRARY", "FUNCTION", "DECISION", "FAILS", "REASON"];
    let mut table = Table::new(&columns.map(|name| (name, Align::Left)));
    for it in decisions {
        table.row([it.library, it.function, it.decision, it.fails, it.reason].map(str::to_owned));
    }
    table.render(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_are_told_by_function() {
        let all = decisions(CUDA);
        let of = |name| {
            let found = all.iter().find(|it| it.function == name);
            found.map(|it| (it.library, it.decision, it.fails))
        };
        let alloc = ("libcuda", "account", "closed");
        assert_eq!(of("cuMemAlloc_v2"), Some(alloc));
        let launch = ("libcuda", "gate", "open");
        assert_eq!(of("cuLaunchKernel"), Some(launch));
        assert_eq!(of("cuInit"), Some(("libcuda", "forward", "open")));
        let memory = ("libnvidia-ml", "virtualize", "open");
        assert_eq!(of("nvmlDeviceGetMemoryInfo"), Some(memory));
    }

    #[test]
    fn every_vendors_text_is_read() {
        for (text, function) in [
            (CUDA, "cuMemAlloc_v2"),
            (HIP, "hipMalloc"),
            (ZE, "zeMemAllocDevice"),
        ] {
            let lines = text.lines().filter(|line| !line.starts_with('#')).count();
            let all = decisions(text);
            assert_eq!(all.len(), lines);
            let found = all.iter().find(|it| it.function == function);
            assert_eq!(found.map(|it| it.decision), Some("account"), "{function}");
        }
    }
}
