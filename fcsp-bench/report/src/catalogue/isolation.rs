//! What tenants feel of each other, and whether limits are what they say.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "IS-001",
        name: "Memory Limit Accuracy",
        category: Category::Isolation,
        unit: "%",
        better: Better::Higher,
        measures: "How much of its limit a tenant can have, and whether it can have more.",
        how: "A process with a limit (an eighth of the device, 4 GiB at most) allocates until it is refused, \
            afresh for each way that a driver has to allocate (plain, pitched, in stream order, by handles \
            and mappings, arrays, managed). The value is the least that any of them got, context included, \
            in percent of the limit. Where any got more than its limit by over a block of 2 MiB, or was \
            never refused, the metric has failed and names the call.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 1,
            per_block: 6,
            of: "ways to allocate",
        },
        differs: "The public suite divides what the driver says the total is by the limit that it believes to be set. \
            An unlimited native run scores 93 %.",
        native: None,
        ideal: Ideal::Value(100.0),
        ideal_reason: "A partition has its memory and no more.",
        needs: &[],
    },
    Definition {
        id: "IS-002",
        name: "Memory Limit Enforcement Time",
        category: Category::Isolation,
        unit: "us",
        better: Better::Lower,
        measures: "How long it takes to be refused.",
        how: "A process asks for 64 MiB more than it is told is free, on a device with much left, plainly, \
            pitched, in stream order and by handle. Only the refused call is timed, on a processor that is \
            awake, and each way for 30 ms at most; the value is the geometric mean of the ways' medians. \
            Natively the limit is the device's memory.",
        plan: Plan {
            blocks: 20,
            quick_blocks: 4,
            per_block: 4000,
            of: "refusals at most",
        },
        differs: "The public suite times the driver's refusal of more than the device has, which no layer needs to be \
            there for.",
        native: Some(Against {
            of: "the time of a refused call",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's driver refuses as it does without one.",
        needs: &[],
    },
    Definition {
        id: "IS-003",
        name: "SM Utilization Accuracy",
        category: Category::Isolation,
        unit: "%",
        better: Better::Higher,
        measures: "How near a lone tenant's use of the device is to its limit.",
        how: "One tenant with a hard compute limit of 25 %, 50 % and 75 % in turn runs saturating kernels for \
            250 ms. What it used is its rate over native's. The value is 100 less the mean distance from the \
            limit in percent of the limit, so that too much is as wrong as too little. For systems that lend \
            what is idle this is not run.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 1,
            per_block: 3,
            of: "limits for 250 ms",
        },
        differs: "The public suite has the ratio upside down, and an unlimited native run scores 99.9 %.",
        native: None,
        ideal: Ideal::Value(100.0),
        ideal_reason: "A partition has its multiprocessors. That their number comes in steps is another matter.",
        needs: &[],
    },
    Definition {
        id: "IS-004",
        name: "SM Limit Response Time",
        category: Category::Isolation,
        unit: "ms",
        better: Better::Lower,
        measures: "How soon a changed limit holds.",
        how: "Two tenants with 25 % and 75 % saturate, and exchange their limits while they run, there and \
            back. The value is the median over all changes of the time from the change to the first moment (in \
            steps of 10 ms) from which the next 100 ms, taken together, give both their new limit within 5 % of \
            it. A system that cannot change a limit of a running program has not run this.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 1,
            per_block: 2,
            of: "changes",
        },
        differs: "The public suite watches a burst after idling; no limit is changed.",
        native: None,
        ideal: Ideal::Nothing { half_at: 100.0 },
        ideal_reason: "At once, by definition; real partitions cannot be changed at all while a program runs. 100 ms count \
            as half: the window in which shares are judged.",
        needs: &[],
    },
    Definition {
        id: "IS-005",
        name: "Cross-Tenant Memory Isolation",
        category: Category::Isolation,
        unit: "bool",
        better: Better::Pass,
        measures: "Whether one tenant can read what another has in memory, or had.",
        how: "A tenant writes a random pattern into 256 MiB. A process of another tenant tries to read it by \
            its address and, after the owner has freed it, after it has ended and after it was killed with \
            SIGKILL, by its IPC handle and in 256 MiB of fresh allocations. A pass is that no word of the \
            pattern was seen.",
        plan: Plan {
            blocks: 1,
            quick_blocks: 1,
            per_block: 9,
            of: "attempts",
        },
        differs: "The public suite passes a raw address to another process, where it means nothing: it always passes. \
            These attempts can fail, and do where a driver does not clear memory.",
        native: None,
        ideal: Ideal::Pass,
        ideal_reason: "A partition's memory is its own, and cleared before it is another's.",
        needs: &[],
    },
    Definition {
        id: "IS-006",
        name: "Cross-Tenant Compute Isolation",
        category: Category::Isolation,
        unit: "%",
        better: Better::Higher,
        measures: "The least that any tenant gets of what it is entitled to while all saturate.",
        how: "Two, three and four tenants with equal limits, each a process, run saturating kernels at the same \
            time for 400 ms, begun together. Each one's rate over its share of native's rate alone; the value is \
            the least of all, in percent. Natively the same processes without limits. A quick run has no group \
            of three.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 3,
            of: "groups for 400 ms",
        },
        differs: "The public suite's load does not saturate the device, so that nobody is in anybody's way.",
        native: Some(Against {
            of: "the least tenant's rate over its share",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(100.0),
        ideal_reason: "Each partition does its part of what the device does, whatever the others do.",
        needs: &[],
    },
    Definition {
        id: "IS-007",
        name: "QoS Consistency",
        category: Category::Isolation,
        unit: "ratio",
        better: Better::Lower,
        measures: "How even a tenant's pace is beside neighbours.",
        how: "A tenant with half of the device runs steps of some 1 ms beside two saturating neighbours with \
            a quarter each. The value is the coefficient of variation of its rate in windows of 100 ms over \
            0.75 s; p99 of a step and the mean of the longest twentieth of steps stand beside it. In a full run a \
            span of each system comes first that does not count.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1,
            of: "spans of 750 ms",
        },
        differs: "The public suite has one process and no neighbour.",
        native: Some(Against {
            of: "the mean of the longest twentieth of steps beside the neighbours",
            better: Better::Lower,
        }),
        ideal: Ideal::NothingOf { whole: 1.0 },
        ideal_reason: "A partition's pace does not depend on others. A coefficient of 1 or more is worth nothing: pace and \
            its spread are then alike.",
        needs: &[],
    },
    Definition {
        id: "IS-008",
        name: "Fairness Index",
        category: Category::Isolation,
        unit: "ratio",
        better: Better::Higher,
        measures: "How nearly tenants get in proportion to their limits.",
        how: "Processes with limits of 10, 20, 30 and 40 % saturate the device at the same time for 0.65 s. \
            The value is Jain's index of throughput over limit: 1 where all got exactly their proportion, a \
            quarter where one got everything. Natively the same processes, which then get what the driver \
            gives.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1,
            of: "spans of 650 ms",
        },
        differs: "The public suite runs streams of one process one after another, so that nobody competes: always \
            about 1.",
        native: Some(Against {
            of: "the index",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(1.0),
        ideal_reason: "Partitions are in proportion by definition.",
        needs: &[],
    },
    Definition {
        id: "IS-009",
        name: "Noisy Neighbor Impact",
        category: Category::Isolation,
        unit: "%",
        better: Better::Lower,
        measures: "The most that a neighbour's bad manners take from a tenant, beyond what is the neighbour's.",
        how: "A tenant with half of the device, beside one neighbour with the other half that is in turn: \
            computing without end, streaming memory, copying over PCIe, and launching as fast as it can. What \
            the tenant's rate lacks of half of native's rate alone, in percent; never below 0. The value is that \
            of the worst neighbour; each stands beside it.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 4,
            of: "neighbours for 380 ms",
        },
        differs: "The public suite has a load that does not saturate and calls all the loss noise, although half of \
            the device is the neighbour's by right.",
        native: Some(Against {
            of: "the tenant's rate beside the worst neighbour",
            better: Better::Higher,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "What a neighbour does in its partition is not felt in another.",
        needs: &[],
    },
    Definition {
        id: "IS-010",
        name: "Fault Isolation",
        category: Category::Isolation,
        unit: "bool",
        better: Better::Pass,
        measures: "Whether a tenant goes on when another fails.",
        how: "A tenant saturates the device; beside it a process of another tenant in turn writes to an illegal \
            address, is killed with SIGKILL inside an allocation, and is killed inside a launch, at moments that \
            vary by a millisecond. A pass is that the tenant saw no error and never stood for half of the second \
            that it is watched, that the faulting program was told, and that another process of the dead one's \
            tenant can have nine tenths of what that had free within 5 s.",
        plan: Plan {
            blocks: 1,
            quick_blocks: 1,
            per_block: 3,
            of: "faults",
        },
        differs: "The public suite's fault is a failed allocation in the same process, which harms nobody: it always \
            passes.",
        native: None,
        ideal: Ideal::Pass,
        ideal_reason: "A fault ends with its partition.",
        needs: &[],
    },
];
