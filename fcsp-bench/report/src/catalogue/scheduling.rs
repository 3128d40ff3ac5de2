//! Hand-overs from one tenant to another, and arrivals.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "SCHED-001",
        name: "Context Switch Latency",
        category: Category::Scheduling,
        unit: "us",
        better: Better::Lower,
        measures: "How long the device does nothing when it goes from one tenant to another.",
        how: "Two tenants with equal limits run saturating kernels that note when they begin and end by the \
            device's clock, of 200 us each. A quarter of 0.65 s passes before anything counts, and in a \
            full run a whole block of each system. The time while \
            both have work, less that of all kernels with the gaps that follow each other within a tenant (the \
            mean of the middle half of those), over the number of times that the device went from one to the \
            other: so a tenant may be interrupted within a kernel, as it is natively by the driver's time \
            slices.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 100,
            of: "hand-overs",
        },
        differs: "The public suite times switching of streams in one process, where no context changes.",
        native: Some(Against {
            of: "the time of a hand-over",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 250.0 },
        ideal_reason: "Partitions do not take turns. 250 us count as half: what a preemptive switch of the driver costs \
            (measured, H200).",
        needs: &[],
    },
    Definition {
        id: "SCHED-002",
        name: "Kernel Launch Overhead",
        category: Category::Scheduling,
        unit: "us",
        better: Better::Lower,
        measures: "How long after the launch call has returned the kernel begins.",
        how: "One process, alone, launches a kernel on an idle stream that writes a word of host memory, and \
            watches that word. Timed from the return of the launch call, so that OH-001 and this do not count \
            the same time twice.",
        plan: Plan {
            blocks: 18,
            quick_blocks: 6,
            per_block: 500,
            of: "launches",
        },
        differs: "The public suite times launch and synchronization, as its OH-001 does.",
        native: Some(Against {
            of: "the time from the return of the call to the kernel's write",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's kernels begin as the device's do.",
        needs: &[],
    },
    Definition {
        id: "SCHED-003",
        name: "Stream Concurrency Efficiency",
        category: Category::Scheduling,
        unit: "%",
        better: Better::Higher,
        measures: "How much of the work of eight streams runs at the same time beside a neighbour.",
        how: "A tenant with half of the device runs kernels of at most 0.3 ms that fill a sixteenth of it each, \
            10 on one stream, then 10 on each of eight, in turn for 0.5 s beside a neighbour that saturates; \
            0.16 s before them do not count. The value is the median throughput of eight over eight times that \
            of one, in percent, and 100 at the most.",
        plan: Plan {
            blocks: 12,
            quick_blocks: 3,
            per_block: 100,
            of: "rounds or so",
        },
        differs: "The public suite has no neighbour, and drops samples below 0.",
        native: Some(Against {
            of: "the throughput of eight streams beside the neighbour",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "Streams of one program run together in a partition too.",
        needs: &[],
    },
    Definition {
        id: "SCHED-004",
        name: "Preemption Latency",
        category: Category::Scheduling,
        unit: "ms",
        better: Better::Lower,
        measures: "How long an urgent tenant waits for a device that a lesser one keeps busy.",
        how: "A tenant of low priority saturates the device with kernels of 1 ms. Every 4 ms or so for 0.6 s, \
            half to one and a half times that after the last one's end and evenly spread over that, one of high \
            priority launches a kernel of 0.1 ms; the first quarter does not count. From launch to end, less the \
            kernel's own 0.1 ms. The value is the median; p99, and the time on an idle device, stand beside it. \
            Systems without priorities give both equal ones. Natively: two processes.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 75,
            of: "arrivals or so",
        },
        differs: "The public suite has two streams of one process, and drops negative differences.",
        native: Some(Against {
            of: "the mean time from launch to end",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 2.5 },
        ideal_reason: "An urgent partition is never waited for. 2.5 ms count as half: one time slice of the driver \
            (measured, H200).",
        needs: &[],
    },
];
