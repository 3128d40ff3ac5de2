//! What is measured, one question a file.

mod alone;
mod attach;
mod contended;
mod cpu;
mod decoder;
mod fairness;
mod frameworks;
mod kill;
mod latency;
mod leftovers;
mod limits;
mod noisy;
mod overhead;
mod past;
mod peers;
mod programs;
mod python;
mod quota;
mod reclaim;
mod restarts;
mod shares;
mod slicing;
mod soak;
mod starts;
mod strict;
mod together;
mod torch_pair;
mod two_jobs;
mod witness;

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
    /// The names of its parts, where they can be run alone (`--case`).
    pub cases: fn() -> Vec<&'static str>,
    /// Whether it runs only if it is named: it takes minutes, and what it needs is not everywhere.
    pub on_request: bool,
    /// Whether it can be run on AMD's devices.
    pub hip: bool,
    /// Whether it can be run with the load program for Level Zero.
    pub ze: bool,
}

impl Suite {
    /// A suite that runs as a whole and with all others.
    const fn whole(
        name: &'static str,
        about: &'static str,
        run: fn(&Bench, &mut SuiteResult) -> Result<()>,
    ) -> Self {
        Self {
            name,
            about,
            run,
            cases: Vec::new,
            on_request: false,
            hip: false,
            ze: false,
        }
    }

    /// The same, on AMD's devices as well.
    const fn and_hip(self) -> Self {
        Self { hip: true, ..self }
    }

    /// The same, with the load program for Level Zero as well.
    const fn and_ze(self) -> Self {
        Self { ze: true, ..self }
    }

    /// The same, only if it is named.
    const fn on_request(self) -> Self {
        Self {
            on_request: true,
            ..self
        }
    }
}

/// All suites, in the order in which they run.
pub const ALL: &[Suite] = &[
    Suite::whole(
        "shares",
        "do saturating tenants get what they are entitled to, every second?",
        shares::uniform,
    )
    .and_hip()
    .and_ze(),
    Suite::whole(
        "streams",
        "also with mixed kernels on every kind of stream, and with every way to submit work?",
        shares::streams,
    )
    .and_hip(),
    Suite::whole(
        "mixtures",
        "which of the programs of `streams` does a total lack?",
        shares::mixtures,
    )
    .on_request(),
    Suite::whole(
        "graphs",
        "also when the work comes as graphs?",
        shares::graphs,
    )
    .and_hip(),
    Suite::whole(
        "slicing",
        "what does the driver's own time-slicing give? (baseline, no FCSP)",
        slicing::run,
    )
    .and_hip(),
    Suite::whole(
        "decoder",
        "does a CPU-bound decoder keep its pace beside others?",
        decoder::run,
    )
    .and_hip(),
    Suite::whole(
        "latency",
        "how long does one small kernel wait beside a saturating tenant?",
        latency::run,
    )
    .and_hip(),
    Suite::whole(
        "strict",
        "does a strict tenant alone get exactly its share, smoothly?",
        strict::run,
    )
    .and_hip()
    .and_ze(),
    Suite::whole(
        "alone",
        "does one active tenant of three get the whole device?",
        alone::run,
    )
    .and_hip(),
    Suite::whole(
        "fairness",
        "do 2, 4, 8 and 64 tenants get what they are entitled to in proportion?",
        fairness::run,
    )
    .and_hip(),
    Suite::whole(
        "reclaim",
        "how soon does a tenant that rested have its part again?",
        reclaim::run,
    ),
    Suite::whole("limits", "how soon do changed limits hold?", limits::run),
    Suite::whole(
        "noisy",
        "what does a neighbour cost a tenant of its entitlement?",
        noisy::run,
    ),
    Suite::whole(
        "cpu",
        "how much processor time does FCSP use, and does it rest?",
        cpu::run,
    )
    .and_hip(),
    Suite::whole("quota", "is the memory quota ever exceeded?", quota::run).and_hip(),
    Suite::whole(
        "kill",
        "how soon do the others have what a killed tenant held?",
        kill::run,
    )
    .and_hip()
    .and_ze(),
    Suite::whole(
        "overhead",
        "what does FCSP add to single calls?",
        overhead::run,
    ),
    Suite::whole(
        "python",
        "what does it cost PyTorch programs that are alone?",
        python::run,
    )
    .and_hip()
    .on_request(),
    Suite::whole(
        "pytorch-pair",
        "does PyTorch decoding keep its pace beside PyTorch training?",
        torch_pair::run,
    )
    .and_hip()
    .on_request(),
    Suite::whole(
        "restarts",
        "do programs that come and go leave anything behind, or hold up others?",
        restarts::run,
    )
    .and_hip()
    .on_request(),
    Suite::whole(
        "starts",
        "how long do programs take to start, alone and many at once?",
        starts::run,
    )
    .and_hip()
    .and_ze()
    .on_request(),
    Suite::whole(
        "soak",
        "is everything in order after kills and changes of every limit?",
        soak::run,
    )
    .and_hip()
    .on_request(),
    Suite::whole(
        "peers",
        "what do the driver's slicing, MPS and other libraries make of the same?",
        peers::run,
    )
    .on_request(),
    Suite {
        name: "together",
        about: "under MPS, do programs that gain by running together do so, and does nobody have less?",
        run: together::run,
        cases: together::names,
        on_request: true,
        hip: false,
        ze: false,
    },
    Suite::whole(
        "two-jobs",
        "do two training jobs on the same two devices lose nothing, and never stall?",
        two_jobs::run,
    )
    .and_hip()
    .on_request(),
    Suite {
        name: "frameworks",
        about: "do frameworks do under a quota what they do natively, as fast?",
        run: frameworks::run,
        cases: frameworks::names,
        on_request: true,
        hip: true,
        ze: true,
    },
    Suite {
        name: "programs",
        about: "do CUDA programs, family by family of calls, and the vendor's tools behave as natively?",
        run: programs::run,
        cases: programs::names,
        on_request: true,
        hip: false,
        ze: false,
    },
];
