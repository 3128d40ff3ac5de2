//! The bandwidth of device memory among tenants.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "BW-001",
        name: "Memory Bandwidth Isolation",
        category: Category::Bandwidth,
        unit: "%",
        better: Better::Higher,
        measures: "The least part of its bandwidth that a tenant gets while all stream memory.",
        how: "Two, then four processes with equal limits stream through 512 MiB each, far more than the L2 \
            cache, for 200 ms. Each one's bytes a second over its share of native's alone; the value is the \
            least, in percent.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 2,
            of: "groups for 200 ms",
        },
        differs: "The public suite's tenants are streams of one process, which no limit tells apart.",
        native: Some(Against {
            of: "the least tenant's bandwidth over its share",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(100.0),
        ideal_reason: "Partitions have memory controllers of their own.",
        needs: &[],
    },
    Definition {
        id: "BW-002",
        name: "Bandwidth Fairness Index",
        category: Category::Bandwidth,
        unit: "ratio",
        better: Better::Higher,
        measures: "How nearly tenants get bandwidth in proportion to their limits.",
        how: "Processes with limits of 50, 25 and 25 % stream memory at the same time for 0.4 s. The value is \
            Jain's index of bytes over limit.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1,
            of: "spans of 400 ms",
        },
        differs: "Streams of one process there; processes with limits here.",
        native: Some(Against {
            of: "the index",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(1.0),
        ideal_reason: "Partitions are in proportion by definition.",
        needs: &[],
    },
    Definition {
        id: "BW-003",
        name: "Memory Bus Saturation Point",
        category: Category::Bandwidth,
        unit: "ratio",
        better: Better::Higher,
        measures: "How much of the device's bandwidth its tenants have together once the bus is saturated.",
        how: "Two, then four processes with equal limits stream memory at the same time for 200 ms. The value \
            is the lesser total over native's alone; each total stands beside it.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 2,
            of: "groups for 200 ms",
        },
        differs: "The public suite counts streams of one process until the total grows no more. Where processes take \
            turns one saturates the bus by itself, so that number says nothing; what sharing costs the total \
            does.",
        native: Some(Against {
            of: "the least total of two or more",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(1.0),
        ideal_reason: "Partitions together have the bandwidth of the device.",
        needs: &[],
    },
    Definition {
        id: "BW-004",
        name: "Bandwidth Interference Impact",
        category: Category::Bandwidth,
        unit: "%",
        better: Better::Lower,
        measures: "The most that neighbours' memory traffic takes from a tenant's bandwidth, beyond what is theirs.",
        how: "A tenant with half of the device streams memory beside one neighbour that in turn copies and \
            fills 256 MiB inside the device. What the tenant lacks of half of native's bandwidth alone, in \
            percent; never below 0; the value is that of the worse neighbour.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 2,
            of: "neighbours for 200 ms",
        },
        differs: "Streams of one process there, and all the loss counts as interference.",
        native: Some(Against {
            of: "the tenant's bandwidth beside the worst neighbour",
            better: Better::Higher,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "Partitions have memory controllers of their own.",
        needs: &[],
    },
];
