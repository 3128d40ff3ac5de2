//! The L2 cache among tenants.

use super::{Against, Better, Category, Definition, Ideal, Need, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "CACHE-001",
        name: "L2 Cache Hit Rate",
        category: Category::Cache,
        unit: "%",
        better: Better::Higher,
        measures: "How many of a tenant's reads the L2 cache serves beside a neighbour.",
        how: "A tenant with half of the device reads a working set of a quarter of the L2 cache again and again, \
            beside a neighbour that streams. The device's own counters of the tenant's kernels give hits over \
            reads.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 1,
            per_block: 20,
            of: "kernels",
        },
        differs: "The public suite guesses from timings of one process. Where counters may not be read, this is not \
            run.",
        native: Some(Against {
            of: "the hit rate",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(100.0),
        ideal_reason: "The set fits into the tenant's part, and partitions have their own parts.",
        needs: &[Need::Counters],
    },
    Definition {
        id: "CACHE-002",
        name: "Cache Eviction Rate",
        category: Category::Cache,
        unit: "%",
        better: Better::Lower,
        measures: "How much of a tenant's working set neighbours push out.",
        how: "The tenant of CACHE-001 reads its set, the neighbour has a turn, the tenant reads it once more: \
            misses of that pass over its reads, in percent, by the device's own counters, less the same without \
            a neighbour.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 1,
            per_block: 20,
            of: "passes",
        },
        differs: "As CACHE-001.",
        native: Some(Against {
            of: "misses of the second pass",
            better: Better::Lower,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "A neighbour cannot push anything out of another partition's part.",
        needs: &[Need::Counters],
    },
    Definition {
        id: "CACHE-003",
        name: "Working Set Collision Impact",
        category: Category::Cache,
        unit: "%",
        better: Better::Lower,
        measures: "How much slower a tenant is because a neighbour's working set and its own do not both fit.",
        how: "A tenant with half of the device reads a set of 60 % of the L2 cache for 250 ms; so does a \
            neighbour. What its rate lacks of the same pair with sets of 10 %, where both fit, in percent; \
            so that what turns cost cancels.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 1,
            per_block: 2,
            of: "pairs for 250 ms",
        },
        differs: "The public suite's two sets belong to one process.",
        native: Some(Against {
            of: "the tenant's rate with colliding sets",
            better: Better::Higher,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "Each partition has its own part. A set that does not fit into it is no fault of a neighbour.",
        needs: &[],
    },
    Definition {
        id: "CACHE-004",
        name: "Cache Contention Overhead",
        category: Category::Cache,
        unit: "%",
        better: Better::Lower,
        measures: "How much longer a dependent read takes beside a neighbour that is hard on the cache.",
        how: "A tenant chases pointers through a set of a quarter of the L2 cache, each read timed by the \
            device's clock inside the kernel, beside a neighbour that fills memory as large as the cache. \
            The median read less the same without a neighbour, in percent of that. Reads during which the \
            kernel was interrupted (over 20,000 cycles) are left out.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 1,
            per_block: 200,
            of: "chases",
        },
        differs: "Streams of one process there.",
        native: Some(Against {
            of: "the time of a dependent read beside the neighbour",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 100.0 },
        ideal_reason: "A neighbour has no way to another partition's part. 100 % count as half: reads take twice as long.",
        needs: &[],
    },
];
