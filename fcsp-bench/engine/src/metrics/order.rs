//! The order in which metrics run. Reports have the catalogue's.
//!
//! Metrics that need the same processes follow each other, and what no later one needs ends: starting a process takes the
//! longer the more of them have the device open. What times single calls of one process, or the start of one, comes while
//! there are few.

use super::overhead::TOGETHER;
use crate::lab::Lab;
use crate::system::{Priority, Tenant};
use fcsp_bench_report::catalogue::Definition;

/// Processes that are kept from block to block and from metric to metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Set {
    /// The process that is alone, of each system.
    Solo,
    /// Native's own, for what loads reach alone.
    NativeAlone,
    /// Tenants with that compute, of each system.
    Group(&'static [u32]),
    /// Processes of one tenant, of each system.
    Family,
    /// A tenant of high priority and one of low priority, of each system.
    Urgent,
}

use Set::{Family, Group, NativeAlone, Solo, Urgent};

const ONE: Set = Group(&[100]);
const HALF: Set = Group(&[50]);
const EXCHANGED: Set = Group(&[25, 75]);
const HALVES: Set = Group(&[50, 50]);
const THIRDS: Set = Group(&[33, 33, 33]);
const QUARTERS: Set = Group(&[25, 25, 25, 25]);
const UNEQUAL: Set = Group(&[50, 25, 25]);
const STAIRS: Set = Group(&[10, 20, 30, 40]);

/// What the checks need, before any metric.
pub(crate) const CHECKS: Set = EXCHANGED;

/// Every metric, with what it needs of all systems; not what it starts and ends itself in each block.
const ORDER: &[(&str, &[Set])] = &[
    ("IS-004", &[EXCHANGED, NativeAlone]),
    ("OH-004", &[]),
    ("OH-001", &[Solo]),
    ("OH-005", &[Solo]),
    ("OH-007", &[Solo]),
    ("LLM-005", &[Solo]),
    ("SCHED-002", &[Solo]),
    ("OH-002", &[Solo]),
    ("OH-003", &[Solo]),
    ("LLM-002", &[Solo]),
    ("LLM-007", &[Solo]),
    ("IS-002", &[Solo]),
    ("OH-010", &[Solo]),
    ("LLM-001", &[Solo]),
    ("LLM-003", &[Solo]),
    ("LLM-004", &[Solo]),
    ("LLM-006", &[Solo]),
    ("PCIE-001", &[Solo]),
    ("PCIE-002", &[Solo]),
    ("PCIE-004", &[Solo]),
    ("LLM-008", &[Solo]),
    ("ERR-003", &[Solo]),
    ("OH-008", &[Solo, HALF]),
    ("IS-003", &[HALF, NativeAlone]),
    ("LLM-010", &[ONE]),
    ("NCCL-001", &[ONE]),
    ("NCCL-002", &[ONE]),
    ("NCCL-003", &[ONE]),
    ("NCCL-004", &[ONE]),
    ("IS-001", &[ONE]),
    // Before those that keep its process on one processor.
    ("OH-009", &[ONE]),
    ("FRAG-001", &[ONE]),
    ("FRAG-002", &[ONE]),
    ("FRAG-003", &[ONE]),
    ("ERR-001", &[ONE]),
    ("ERR-002", &[ONE]),
    ("IS-005", &[]),
    ("IS-010", &[]),
    ("OH-006", &[Family]),
    ("SCHED-004", &[Urgent]),
    ("SCHED-001", &[HALVES]),
    ("SCHED-003", &[HALVES]),
    ("CACHE-001", &[HALVES]),
    ("CACHE-004", &[HALVES]),
    ("CACHE-002", &[HALVES]),
    ("CACHE-003", &[HALVES, NativeAlone]),
    ("PCIE-003", &[HALVES, NativeAlone]),
    ("LLM-009", &[HALVES]),
    ("IS-009", &[HALVES, NativeAlone]),
    ("BW-004", &[HALVES, NativeAlone]),
    ("BW-001", &[HALVES, QUARTERS, NativeAlone]),
    ("BW-003", &[HALVES, QUARTERS, NativeAlone]),
    ("IS-006", &[HALVES, THIRDS, QUARTERS, NativeAlone]),
    ("IS-007", &[UNEQUAL]),
    ("BW-002", &[UNEQUAL]),
    ("IS-008", &[STAIRS, NativeAlone]),
];

/// What a metric needs; a quick run has no groups of three.
pub(crate) fn needs(id: &str, quick: bool) -> impl Iterator<Item = Set> {
    let found = ORDER.iter().find(|(known, _)| *known == id);
    let needs = found.map_or(&[] as &[Set], |(_, needs)| needs);
    needs
        .iter()
        .copied()
        .filter(move |set| !(quick && *set == THIRDS))
}

/// These metrics as they run.
pub(crate) fn ordered(chosen: &[&'static Definition]) -> Vec<&'static Definition> {
    let place = |it: &&Definition| ORDER.iter().position(|(id, _)| *id == it.id);
    let mut ordered = chosen.to_vec();
    ordered.sort_by_key(place);
    ordered
}

impl Set {
    /// How many processes it has of so many systems.
    pub(crate) fn processes(self, systems: usize) -> usize {
        match self {
            Solo => systems,
            NativeAlone => 1,
            Group(percents) => percents.len() * systems,
            Family => TOGETHER * systems,
            Urgent => 2 * systems,
        }
    }

    /// Whether a group of these tenants of that system belongs to it.
    pub(crate) fn has(self, lab: &Lab, system: usize, tenants: &[Tenant]) -> bool {
        match self {
            Solo => false,
            NativeAlone => system == 0 && tenants == lab.tenants(&[100]),
            Group(percents) => tenants == lab.tenants(percents),
            Family => tenants == family(lab),
            Urgent => tenants == urgent(lab),
        }
    }
}

/// Processes of one tenant.
pub(super) fn family(lab: &Lab) -> Vec<Tenant> {
    let one = Tenant {
        name: "shared".into(),
        ..lab.tenants(&[100]).remove(0)
    };
    vec![one; TOGETHER]
}

/// A tenant of high priority and one of low priority.
pub(super) fn urgent(lab: &Lab) -> Vec<Tenant> {
    lab.tenants(&[50, 50])
        .into_iter()
        .zip([Priority::High, Priority::Low])
        .map(|(tenant, priority)| Tenant { priority, ..tenant })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcsp_bench_report::catalogue;

    #[test]
    fn every_metric_is_in_the_order_once() {
        let mut ordered: Vec<&str> = ORDER.iter().map(|(id, _)| *id).collect();
        let mut defined: Vec<&str> = catalogue::all().map(|it| it.id).collect();
        ordered.sort_unstable();
        defined.sort_unstable();
        assert_eq!(ordered, defined);
    }

    #[test]
    fn whoever_needs_a_group_of_several_follows_another_who_does() {
        for set in [
            EXCHANGED, HALF, HALVES, THIRDS, QUARTERS, UNEQUAL, STAIRS, ONE, Solo,
        ] {
            let places: Vec<usize> = (0..ORDER.len())
                .filter(|place| ORDER[*place].1.contains(&set))
                .collect();
            let last = places.len() - 1;
            assert_eq!(places[last] - places[0], last, "{set:?}: {places:?}");
        }
    }

    #[test]
    fn metrics_are_chosen_in_any_order_and_run_in_this() {
        let chosen = ["OH-001", "IS-004", "IS-008"].map(|id| catalogue::find(id).expect("known"));
        let ids: Vec<&str> = ordered(&chosen).iter().map(|it| it.id).collect();
        assert_eq!(ids, ["IS-004", "OH-001", "IS-008"]);
    }
}
