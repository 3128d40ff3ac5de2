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
    /// How many processes a block starts one after the other.
    pub(crate) starts: u32,
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
            starts: 0,
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
    use fcsp_bench_report::catalogue;

    #[test]
    fn every_metric_of_the_catalogue_has_its_measure_in_order() {
        let defined: Vec<&str> = catalogue::all().map(|definition| definition.id).collect();
        let measured: Vec<&str> = all().map(|measure| measure.id).collect();
        assert_eq!(measured, defined);
    }
}
