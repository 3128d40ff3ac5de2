//! Which programs run beside each other, and what is asked of them.

use crate::programs::{
    DECODE, DECODE_GRAPH, Program, REQUESTS, SATURATE, SATURATE_COARSE, SATURATE_COMPUTE,
    SATURATE_MEMORY,
};

/// A bar for what a pair reached under MPS and FCSP. Sides are 0 and 1; "alone" is the same program natively.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The sum of what both reached, of alone.
    TotalAtLeast(f64),
    /// What one side reached, of alone.
    SideAtLeast(usize, f64),
    /// What the 99th percentile of one side's latencies has over that alone, in milliseconds.
    AddedP99MsAtMost(usize, f64),
    /// The same as a multiple of that alone.
    P99TimesAtMost(usize, f64),
    /// The largest deviation of a 1 s window from the entitlements, in points.
    ShareErrorAtMost(f64),
}

/// Two load programs.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// For `--case`, and the beginning of its tenants' names.
    pub name: &'static str,
    /// In results.
    pub title: &'static str,
    /// What runs.
    pub programs: [&'static Program; 2],
    /// Entitlements, percent.
    pub entitled_pct: [u32; 2],
    /// Priorities under FCSP.
    pub priorities: [&'static str; 2],
    /// Whether it also runs in turns, without MPS, which no other suite does.
    pub in_turns: bool,
    /// What is asked.
    pub bounds: &'static [Bound],
}

const EQUAL: Pair = Pair {
    name: "",
    title: "",
    programs: [&SATURATE, &SATURATE],
    entitled_pct: [50, 50],
    priorities: ["normal", "normal"],
    in_turns: true,
    bounds: &[],
};

/// The case of two PyTorch programs, which `pytorch.rs` carries out.
pub const PYTORCH: &str = "pytorch-beside";
/// Its bars; alone are the same processes, with nothing limited. Of plain MPS 1.95 of native processes alone were
/// measured (H200, driver 580.159, November 2026).
pub const PYTORCH_BOUNDS: &[Bound] = &[Bound::TotalAtLeast(1.9)];

/// All pairs of load programs, in the order in which they run. Of plain MPS totals of 1.54 and 1.42 were
/// measured for programs like those of the first two (H200, driver 580.159, November 2026).
pub const PAIRS: &[Pair] = &[
    Pair {
        name: "compute-memory",
        title: "compute beside memory",
        programs: [&SATURATE_COMPUTE, &SATURATE_MEMORY],
        bounds: &[Bound::TotalAtLeast(1.54)],
        ..EQUAL
    },
    Pair {
        name: "graph-decoders",
        title: "two graph decoders",
        programs: [&DECODE_GRAPH, &DECODE_GRAPH],
        bounds: &[Bound::TotalAtLeast(1.4)],
        ..EQUAL
    },
    Pair {
        name: "decoder-saturating",
        title: "decoder beside saturating",
        programs: [&DECODE, &SATURATE],
        bounds: &[
            Bound::SideAtLeast(0, 0.97),
            Bound::SideAtLeast(1, 0.55),
            Bound::AddedP99MsAtMost(0, 0.3),
        ],
        ..EQUAL
    },
    Pair {
        name: "two-decoders",
        title: "two decoders",
        programs: [&DECODE, &DECODE],
        bounds: &[Bound::SideAtLeast(0, 0.99), Bound::SideAtLeast(1, 0.99)],
        ..EQUAL
    },
    Pair {
        name: "high-priority",
        title: "high-priority requests beside saturating",
        programs: [&REQUESTS, &SATURATE_COARSE],
        priorities: ["high", "normal"],
        bounds: &[Bound::P99TimesAtMost(0, 1.2)],
        ..EQUAL
    },
    Pair {
        name: "25-75",
        title: "25/75 saturating",
        entitled_pct: [25, 75],
        in_turns: false,
        bounds: &[Bound::ShareErrorAtMost(1.0)],
        ..EQUAL
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own_and_a_bar() {
        for (at, pair) in PAIRS.iter().enumerate() {
            let earlier = &PAIRS[..at];
            assert!(
                earlier
                    .iter()
                    .all(|it| it.name != pair.name && it.title != pair.title)
            );
            assert!(pair.name != PYTORCH && !pair.bounds.is_empty());
            assert_eq!(pair.entitled_pct.iter().sum::<u32>(), 100, "{}", pair.name);
        }
    }
}
