//! The L2 cache among tenants.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "CACHE-001",
        name: "L2 Cache Hit Rate",
        category: Category::Cache,
        unit: "%",
        better: Better::Higher,
        measures: "How many of a tenant's reads the L2 cache serves beside a neighbour.",
        how: "A tenant with half of the device reads a working set of a quarter of the L2 cache again and again, \
            a chain of dependent reads on each multiprocessor, beside a neighbour that fills memory as large as \
            the cache. Each read is timed by the device's clock inside the kernel. The tenant first finds out, \
            alone, what a read from the cache and one from memory take; less than the middle of both is a hit. \
            That takes no permission, which the device's performance counters would. Beside the neighbour it \
            reads for 0.39 s, after 0.16 s that do not count. The value is hits over reads, each kernel alike; \
            reads during which the kernel was interrupted (over 20,000 cycles) are left out. Where the tenant \
            does not come to read its set once, in four tries that take longer and longer, the metric failed; so in \
            CACHE-002 and CACHE-004.",
        plan: Plan {
            blocks: 12,
            quick_blocks: 3,
            per_block: 500,
            of: "kernels or so",
        },
        differs: "The public suite times whole copies of one process and has a constant for what a miss costs.",
        native: Some(Against {
            of: "the hit rate",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(100.0),
        ideal_reason: "The set fits into the tenant's part, and partitions have their own parts.",
        needs: &[],
    },
    Definition {
        id: "CACHE-002",
        name: "Cache Eviction Rate",
        category: Category::Cache,
        unit: "%",
        better: Better::Lower,
        measures: "How much of a tenant's working set neighbours push out.",
        how: "The tenant of CACHE-001 reads its set, does nothing for 5 ms, which the neighbour has, and reads it once \
            more: misses of that pass over its reads, in percent, told by time as in CACHE-001, less the same without \
            a neighbour; never below 0.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 20,
            of: "passes or so",
        },
        differs: "As CACHE-001.",
        native: Some(Against {
            of: "misses of the second pass",
            better: Better::Lower,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "A neighbour cannot push anything out of another partition's part.",
        needs: &[],
    },
    Definition {
        id: "CACHE-003",
        name: "Working Set Collision Impact",
        category: Category::Cache,
        unit: "%",
        better: Better::Lower,
        measures: "How much slower a tenant is because a neighbour's working set and its own do not both fit.",
        how: "A tenant with half of the device reads a set of 60 % of the L2 cache for 260 ms; so does a \
            neighbour. What its rate lacks of the same pair with sets of 10 %, where both fit, in percent, \
            beyond what a lone program natively lacks with the larger set; so that what turns cost cancels, and what \
            the cache itself does with large sets. Never below 0.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 2,
            of: "pairs for 260 ms",
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
        how: "The reads of CACHE-001, beside the same neighbour: the median kernel's mean read less the same without a \
            neighbour, in percent of that. Reads during which the kernel was interrupted (over 20,000 cycles) are \
            left out.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1000,
            of: "kernels or so",
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
