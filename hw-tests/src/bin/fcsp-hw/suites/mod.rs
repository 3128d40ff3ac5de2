//! What is measured, one question a file.

mod alone;
mod decoder;
mod kill;
mod latency;
mod overhead;
mod python;
mod quota;
mod shares;
mod slicing;
mod strict;

use anyhow::Result;

use crate::bench::Bench;
use crate::result::SuiteResult;

/// A question and how it is answered.
#[derive(Debug)]
pub struct Suite {
    /// For `--only`, and the name of its result file.
    pub name: &'static str,
    /// What it asks.
    pub about: &'static str,
    /// How it finds out.
    pub run: fn(&Bench, &mut SuiteResult) -> Result<()>,
}

/// All suites, in the order in which they run.
pub const ALL: &[Suite] = &[
    Suite {
        name: "shares",
        about: "do saturating tenants get what they are entitled to, every second?",
        run: shares::uniform,
    },
    Suite {
        name: "streams",
        about: "also with mixed kernels on every kind of stream, and with every way to submit work?",
        run: shares::streams,
    },
    Suite {
        name: "graphs",
        about: "also when the work comes as graphs?",
        run: shares::graphs,
    },
    Suite {
        name: "slicing",
        about: "what does the driver's own time-slicing give? (baseline, no FCSP)",
        run: slicing::run,
    },
    Suite {
        name: "decoder",
        about: "does a CPU-bound decoder keep its pace beside others?",
        run: decoder::run,
    },
    Suite {
        name: "latency",
        about: "how long does one small kernel wait beside a saturating tenant?",
        run: latency::run,
    },
    Suite {
        name: "strict",
        about: "does a strict tenant alone get exactly its share, smoothly?",
        run: strict::run,
    },
    Suite {
        name: "alone",
        about: "does one active tenant of three get the whole device?",
        run: alone::run,
    },
    Suite {
        name: "quota",
        about: "is the memory quota ever exceeded?",
        run: quota::run,
    },
    Suite {
        name: "kill",
        about: "how soon do the others have what a killed tenant held?",
        run: kill::run,
    },
    Suite {
        name: "overhead",
        about: "what does FCSP add to single calls?",
        run: overhead::run,
    },
    Suite {
        name: "python",
        about: "what does it cost PyTorch programs that are alone?",
        run: python::run,
    },
];
