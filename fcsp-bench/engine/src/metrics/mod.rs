//! How each metric is measured: a function for one block of one system. What it is, is in the catalogue.

mod bandwidth;
mod cache;
mod errors;
mod faults;
mod fragmentation;
mod isolation;
mod language;
mod nccl;
pub(crate) mod order;
mod overhead;
mod pcie;
mod scheduling;

use crate::failure::Failure;
use crate::system::System;
use crate::turn::{Block, Turn};

/// How one metric is measured.
pub(crate) struct Measure {
    /// Its id in the catalogue.
    pub(crate) id: &'static str,
    /// How long a block of one system takes in a full run and in a quick one, start-up of processes not counted.
    pub(crate) seconds: [f64; 2],
    /// How many processes a block of a full run starts one after the other, and of a quick one.
    pub(crate) starts: [u32; 2],
    /// Whether a full run begins with a block of each system that does not count: what a system has yet to learn of the
    /// load is no part of what it gives.
    pub(crate) learns: bool,
    /// Blocks of a full run that the processes it keeps live for, since where one lies in memory counts too; 0 for all.
    pub(crate) lives: u32,
    /// Which systems it is for; else why not.
    pub(crate) who: fn(&System) -> Result<(), &'static str>,
    /// Which limits must be in force for it to mean anything.
    pub(crate) needs: Needs,
    /// What becomes of a block's value.
    pub(crate) value: Value,
    /// One block.
    pub(crate) block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
}

/// Limits that a metric stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// None.
    Nothing,
    /// That of memory.
    Memory,
    /// That of compute.
    Compute,
}

/// From a block's value to the metric's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// As it is: the median of the blocks.
    Own,
    /// The median of all blocks' samples: of few a block, the blocks' own would jump between steps.
    OfSamples,
    /// As it is: the worst block counts, since one failure is one too many.
    Worst,
    /// Less native's.
    LessNative,
    /// What the compared figure lacks of native's, in percent.
    LackPercent,
}

/// Every system.
fn everyone(_: &System) -> Result<(), &'static str> {
    Ok(())
}

/// Those with limits.
fn limited(system: &System) -> Result<(), &'static str> {
    match system.is_native() {
        true => Err("the device alone has no limits"),
        false => Ok(()),
    }
}

impl Measure {
    /// A metric of every system, whose blocks start no processes and whose processes live for the whole of it.
    const fn new(
        id: &'static str,
        seconds: [f64; 2],
        needs: Needs,
        value: Value,
        block: fn(&mut Turn<'_>) -> Result<Block, Failure>,
    ) -> Self {
        Self {
            id,
            seconds,
            starts: [0; 2],
            learns: false,
            lives: 0,
            who: everyone,
            needs,
            value,
            block,
        }
    }

    /// How long a block takes.
    pub(crate) fn block_seconds(&self, quick: bool) -> f64 {
        self.seconds[usize::from(quick)]
    }

    /// How many blocks of each system come before the first that counts.
    pub(crate) fn uncounted(&self, quick: bool) -> u32 {
        u32::from(self.learns && !quick)
    }

    /// Whether that block begins with new processes in place of those that were kept.
    pub(crate) fn renews(&self, block: u32, quick: bool) -> bool {
        !quick && self.lives > 0 && block > 0 && block.is_multiple_of(self.lives)
    }
}

/// All measures, in the catalogue's order.
pub(crate) fn all() -> impl Iterator<Item = &'static Measure> {
    [
        overhead::MEASURES,
        isolation::MEASURES,
        language::MEASURES,
        bandwidth::MEASURES,
        cache::MEASURES,
        pcie::MEASURES,
        nccl::MEASURES,
        scheduling::MEASURES,
        fragmentation::MEASURES,
        errors::MEASURES,
    ]
    .into_iter()
    .flatten()
}

/// The measure of a metric.
pub(crate) fn find(id: &str) -> Option<&'static Measure> {
    all().find(|measure| measure.id == id)
}

/// Ids of the metrics that stand on such a limit.
pub(crate) fn needing(needs: Needs) -> Vec<String> {
    all()
        .filter(|measure| measure.needs == needs)
        .map(|measure| measure.id.to_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::system::{Mode, Preload};
    use fcsp_bench_report::catalogue;

    #[test]
    fn every_metric_of_the_catalogue_has_its_measure_in_order() {
        let defined: Vec<&str> = catalogue::all().map(|definition| definition.id).collect();
        let measured: Vec<&str> = all().map(|measure| measure.id).collect();
        assert_eq!(measured, defined);
    }

    #[test]
    fn processes_live_for_so_many_blocks_of_a_full_run() {
        let measure = |lives| Measure {
            lives,
            ..Measure::new("", [0.0; 2], Needs::Nothing, Value::Own, |_| {
                Ok(Block::default())
            })
        };
        let renewed = |lives, quick| -> Vec<u32> {
            (0..10)
                .filter(|block| measure(lives).renews(*block, quick))
                .collect()
        };
        assert_eq!(renewed(3, false), [3, 6, 9]);
        assert_eq!(renewed(3, true), [0; 0], "a quick run has no time for it");
        assert_eq!(renewed(0, false), [0; 0], "they are for all blocks");
    }

    #[test]
    fn a_full_run_begins_with_a_block_that_does_not_count_where_systems_learn() {
        let learning = all().filter(|it| it.uncounted(false) == 1);
        let ids: Vec<&str> = learning.map(|it| it.id).collect();
        assert_eq!(ids, ["IS-007", "LLM-009", "SCHED-001"]);
        assert!(all().all(|it| it.uncounted(true) == 0));
    }

    #[test]
    fn processes_are_renewed_where_the_document_says_it() {
        let renewing: Vec<_> = all().filter(|it| it.lives > 0).collect();
        let ids: Vec<&str> = renewing.iter().map(|it| it.id).collect();
        let said = [
            "OH-001",
            "OH-002",
            "OH-005",
            "OH-006",
            "OH-007",
            "OH-008",
            "OH-010",
            "LLM-002",
            "LLM-004",
            "LLM-005",
            "SCHED-002",
            "FRAG-002",
        ];
        assert_eq!(ids, said);
        assert_eq!(renewing[0].lives, 3);
        for measure in renewing {
            assert!((3..=8).contains(&measure.lives), "{}", measure.id);
            let plan = catalogue::find(measure.id).map(|it| it.plan.blocks);
            let renews = |blocks| (0..blocks).any(|block| measure.renews(block, false));
            assert!(plan.is_some_and(renews), "{} is too short", measure.id);
            let kept = order::needs(measure.id, false).count();
            assert!(kept > 0, "{} keeps nothing", measure.id);
        }
    }

    #[test]
    fn what_has_no_limits_or_only_some_is_not_measured_by_them() {
        let preload = Preload {
            library: "".into(),
            variables: Vec::new(),
        };
        let directory = tempfile::tempdir().expect("a temporary directory");
        let peer = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).expect("written");
            System::peer(name, &path).expect("a good file")
        };
        for (system, not_measured) in [
            (System::native(), &["IS-001", "IS-003", "IS-004"] as &[&str]),
            (System::native_again(), &["IS-001", "IS-003", "IS-004"]),
            (System::fcsp(Mode::Strict, &preload), &[]),
            (System::fcsp(Mode::Balanced, &preload), &["IS-003"]),
            (System::fcsp(Mode::Adaptive, &preload), &["IS-003"]),
            (peer("hard", "hard_limit = true"), &["IS-004"]),
            (peer("lends", ""), &["IS-003", "IS-004"]),
        ] {
            let ids: Vec<&str> = all()
                .filter(|it| (it.who)(&system).is_err())
                .map(|it| it.id)
                .collect();
            assert_eq!(ids, not_measured, "{}", system.name());
        }
    }
}
