//! What is left of memory after use.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "FRAG-001",
        name: "Fragmentation Index",
        category: Category::Fragmentation,
        unit: "%",
        better: Better::Lower,
        measures: "How much of the free memory cannot be had in one piece.",
        how: "One process fills three quarters of its limit (an eighth of the device, 4 GiB at most) with \
            blocks of mixed sizes from a seed, frees every other one, and looks by bisection for the largest \
            allocation up to what it freed that succeeds. The value is 100 x (1 - largest / freed).",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1,
            of: "bisections",
        },
        differs: "The public suite's search never ends where allocations do not fail.",
        native: Some(Against {
            of: "the largest allocation",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "What the driver itself scatters is no fault of a partition.",
        needs: &[],
    },
    Definition {
        id: "FRAG-002",
        name: "Allocation Latency Degradation",
        category: Category::Fragmentation,
        unit: "ratio",
        better: Better::Lower,
        measures: "How much slower allocations are in fragmented memory.",
        how: "The median allocation of 1 MiB between the blocks of FRAG-001 over the median of the same process \
            before any were made, on one processor.",
        plan: Plan {
            blocks: 32,
            quick_blocks: 3,
            per_block: 480,
            of: "allocations",
        },
        differs: "As FRAG-001.",
        native: Some(Against {
            of: "the time of an allocation in fragmented memory",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's driver allocates as it does without one.",
        needs: &[],
    },
    Definition {
        id: "FRAG-003",
        name: "Memory Compaction Efficiency",
        category: Category::Fragmentation,
        unit: "%",
        better: Better::Higher,
        measures: "How much of its memory a tenant can have again after all was freed.",
        how: "A process allocates until it is refused, then does as FRAG-001 up to its whole limit, frees \
            everything, trims its pools and allocates until it is refused again. The value is what it got, \
            in percent of what it got when it was new: what is missing has been lost or is still charged.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1,
            of: "refills",
        },
        differs: "The public suite compacts nothing and always passes.",
        native: Some(Against {
            of: "the part that could be had again",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(100.0),
        ideal_reason: "What is freed is free.",
        needs: &[],
    },
];
