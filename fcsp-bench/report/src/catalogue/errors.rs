//! What comes after faults.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "ERR-001",
        name: "Error Detection Latency",
        category: Category::Errors,
        unit: "us",
        better: Better::Lower,
        measures: "How soon a program hears of its own fault.",
        how: "A process launches a kernel that writes to an illegal address, and synchronizes: from launch to \
            the error. Another process for each sample, since one that had a fault is of no use any more. A driver \
            may take one of two times that are far apart (100 or 150 ms, H200), by chance: the value is the \
            shortest of a block's three faults, the median over blocks. The mean of all stands beside it. A quick \
            run has one fault in a block.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 3,
            of: "faults",
        },
        differs: "The public suite's fault is an allocation that is too large; no kernel is involved.",
        native: Some(Against {
            of: "the shortest time from launch to the error",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's faults are reported as the device's are.",
        needs: &[],
    },
    Definition {
        id: "ERR-002",
        name: "Error Recovery Time",
        category: Category::Errors,
        unit: "us",
        better: Better::Lower,
        measures: "How soon after a fault the tenant can work again, with all its memory.",
        how: "After the fault of ERR-001, and after a SIGKILL in the midst of work: from the end of the \
            process until a fresh process of the same tenant has allocated half of the limit and run a \
            kernel. After a fault it is the mean of those of ERR-001's block. Less the same after an orderly end, \
            which a quick run measures once.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 2,
            of: "faults",
        },
        differs: "The public suite frees and allocates again in the same process.",
        native: Some(Against {
            of: "the whole time, from the end of the process to the kernel's",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 100000.0 },
        ideal_reason: "A fault leaves nothing behind. 100 ms count as half: what a fresh context takes anyway.",
        needs: &[],
    },
    Definition {
        id: "ERR-003",
        name: "Graceful Degradation Score",
        category: Category::Errors,
        unit: "%",
        better: Better::Higher,
        measures: "In how many ways of running out a program is told so properly and can go on.",
        how: "For each way to allocate of IS-001 but arrays, whose height the driver bounds, and for a launch \
            with too many threads: the call must give the driver's own code for it, the context must still \
            run a kernel, what was asked for must not be charged, and a smaller request must succeed. The \
            value is how many of all do, in the worst block.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 6,
            of: "ways to run out",
        },
        differs: "The public suite tries one allocation.",
        native: Some(Against {
            of: "how many do",
            better: Better::Higher,
        }),
        ideal: Ideal::Value(100.0),
        ideal_reason: "A partition says what the driver says.",
        needs: &[],
    },
];
