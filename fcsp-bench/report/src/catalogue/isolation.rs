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
        how: "A process with a limit of a quarter of the device allocates until it is refused, afresh for each way \
            that a driver has to allocate (plain, pitched, arrays, in stream order, from a pool, by handles and \
            mappings, managed, inside a graph). The value is the least that any of them got, context included, \
            in percent of the limit. Where any got more than its limit by over a block of 2 MiB, the metric has \
            failed and names the call.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 2,
            per_block: 8,
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
        how: "A process that has used its limit but for 16 MiB, on a device with much left, asks for 64 MiB with \
            each way to allocate. Only the refused call is timed. Natively the limit is the device's memory.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 6,
            per_block: 100,
            of: "refusals",
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
        how: "One tenant with a hard compute limit of 25 %, 50 % and 75 % in turn runs saturating kernels for 2 s. \
            What it used is its rate over native's; the share of time in which its kernels ran, by their own \
            clock, stands beside it. The value is 100 less the mean distance from the limit in percent of the \
            limit, so that too much is as wrong as too little. Systems that lend what is idle are asked not to, \
            if they can be; else this is not run.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 2,
            per_block: 3,
            of: "limits for 2 s",
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
        how: "A tenant with a saturating load has its limit changed from 25 % to 75 % and back while it runs. The \
            kernels' own clock gives its rate in windows of 10 ms. The value is the median time from the change \
            until all windows of the next 100 ms are within 5 % of the new limit. A system that cannot change a \
            limit of a running program has not run this.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 2,
            per_block: 4,
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
        how: "Three attempts by a process of another tenant: to open an IPC handle that was made for somebody \
            else, to import a shareable handle that it was not given, and to find a pattern of 256 MiB in fresh \
            allocations after the owner has freed it, after it has ended and after it was killed. A pass is no \
            byte of the pattern and no handle opened.",
        plan: Plan {
            blocks: 1,
            quick_blocks: 1,
            per_block: 5,
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
            time for 2 s, begun together. Each one's rate over its share of native's rate alone; the value is \
            the least of all, in percent. Natively the same processes without limits.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 2,
            per_block: 3,
            of: "groups for 2 s",
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
        how: "A tenant with half of the device runs steps of some 1 ms beside two saturating neighbours with a \
            quarter each. The value is the coefficient of variation of its rate in windows of 100 ms over 3 s; \
            p99 of a step stands beside it.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 2,
            per_block: 1,
            of: "spans of 3 s",
        },
        differs: "The public suite has one process and no neighbour.",
        native: Some(Against {
            of: "p99 of a step beside the neighbours",
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
        how: "Processes with limits of 10, 20, 30 and 40 % saturate the device at the same time for 3 s. The value \
            is Jain's index of throughput over limit: 1 where all got exactly their proportion, a quarter where \
            one got everything. Natively the same processes, which then get what the driver gives.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 2,
            per_block: 1,
            of: "spans of 3 s",
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
            blocks: 30,
            quick_blocks: 2,
            per_block: 4,
            of: "neighbours for 300 ms",
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
        how: "A tenant computes and checks its results; beside it a process of another tenant in turn reads an \
            illegal address, runs into a trap, is killed with SIGKILL inside an allocation, and is killed inside \
            a launch. A pass is that the tenant saw no error and no wrong result, never stood for over a second, \
            and that what the dead held is free again within 5 s.",
        plan: Plan {
            blocks: 1,
            quick_blocks: 1,
            per_block: 4,
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
