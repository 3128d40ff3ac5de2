//! What a system costs a program that is alone on the device.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "OH-001",
        name: "Kernel Launch Latency",
        category: Category::Overhead,
        unit: "us",
        better: Better::Lower,
        measures: "The time of the call that launches a kernel, seen by the thread that makes it.",
        how: "One process, alone and on one processor, launches an empty kernel of one block. Only \
            `cuLaunchKernel` is timed, not what follows. Sparse: the stream is empty at each launch; that median \
            is the value. Saturated: behind work that keeps the device busy, a hundred launches follow each \
            other without a wait; its percentiles stand beside it. Nothing is subtracted. Every three blocks the \
            process is a new one, since where it lies in memory counts too. So it is, every three to eight \
            blocks, in OH-002, OH-005 to OH-008, OH-010, LLM-002, LLM-004, LLM-005, SCHED-002 and FRAG-002.",
        plan: Plan {
            blocks: 30,
            quick_blocks: 6,
            per_block: 1000,
            of: "launches",
        },
        differs: "The public suite times launch and synchronization together. That is mostly the device's round trip, \
            in which some tens of nanoseconds of a layer vanish.",
        native: Some(Against {
            of: "the time of the launch call, sparse",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A hardware partition puts nothing between a program and its driver.",
        needs: &[],
    },
    Definition {
        id: "OH-002",
        name: "Memory Allocation Latency",
        category: Category::Overhead,
        unit: "us",
        better: Better::Lower,
        measures: "The time of `cuMemAlloc`.",
        how: "One process, alone, allocates 4 KiB, 64 KiB, 1 MiB, 16 MiB, 256 MiB and 1 GiB in turn and frees \
            each at once; after 64 MiB and more it waits 4 ms for each GiB, since a driver clears later what was \
            freed. A size's figure is the mean of the middle half of its times, which stands beside the value: \
            the geometric mean of the sizes.",
        plan: Plan {
            blocks: 30,
            quick_blocks: 6,
            per_block: 72,
            of: "allocations",
        },
        differs: "The public suite pools six sizes, whose times differ by a factor of a hundred, into one set: its \
            median is that of whichever size lies in the middle. Here each size has its own.",
        native: Some(Against {
            of: "the geometric mean of the sizes' times",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's driver allocates as it does without one.",
        needs: &[],
    },
    Definition {
        id: "OH-003",
        name: "Memory Free Latency",
        category: Category::Overhead,
        unit: "us",
        better: Better::Lower,
        measures: "The time of `cuMemFree`.",
        how: "The frees of OH-002, timed apart from the allocations, on an idle device so that nothing waits for a \
            kernel.",
        plan: Plan {
            blocks: 18,
            quick_blocks: 6,
            per_block: 72,
            of: "frees",
        },
        differs: "Sizes apart, as in OH-002.",
        native: Some(Against {
            of: "the geometric mean of the sizes' times",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's driver frees as it does without one.",
        needs: &[],
    },
    Definition {
        id: "OH-004",
        name: "Context Creation Overhead",
        category: Category::Overhead,
        unit: "us",
        better: Better::Lower,
        measures: "How much longer a fresh process takes until it has its first context.",
        how: "A fresh process for each sample loads the driver, initializes it and makes a context; timed from \
            before the driver is loaded to after the context is made. The value is the median over blocks of the \
            system's time less native's; it can be below 0. One process of native's before all others does not \
            count. Both whole times stand beside it.",
        plan: Plan {
            blocks: 20,
            quick_blocks: 3,
            per_block: 1,
            of: "processes",
        },
        differs: "The public suite resets the device in a loop in one process. What a layer does once for a process is \
            then not there, and a layer that swallows the reset wins by a factor of a thousand.",
        native: Some(Against {
            of: "the whole time, from loading the driver to the context",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 10000.0 },
        ideal_reason: "A partition adds nothing. 10 ms count as half: a context takes some 100 ms by itself, and nobody \
            notices a tenth.",
        needs: &[],
    },
    Definition {
        id: "OH-005",
        name: "API Interception Overhead",
        category: Category::Overhead,
        unit: "ns",
        better: Better::Lower,
        measures: "What a call costs more that is intercepted and merely passed on.",
        how: "One process, alone, calls cheap functions of the driver that a system may intercept \
            (`cuCtxGetDevice`, `cuCtxSetCurrent`, `cuEventQuery`, `cuStreamQuery`), a thousand times between \
            two looks at the clock. The value is the median over blocks of the mean over the functions less \
            native's; each function stands beside it. A function that a system does not intercept counts as \
            0.",
        plan: Plan {
            blocks: 27,
            quick_blocks: 6,
            per_block: 200,
            of: "times 1,000 calls",
        },
        differs: "The public suite times a call of the runtime library that never reaches the driver, so that no layer \
            is in it: it reports 38 ns natively, where the answer is 0.",
        native: Some(Against {
            of: "the time of a call",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 100.0 },
        ideal_reason: "A partition intercepts nothing. 100 ns count as half: the cheapest calls of the driver that do \
            something take as long.",
        needs: &[],
    },
    Definition {
        id: "OH-006",
        name: "Shared Region Lock Contention",
        category: Category::Overhead,
        unit: "us",
        better: Better::Lower,
        measures: "What an allocation costs more while other processes of the tenant allocate, beyond what that costs \
            natively.",
        how: "Four processes of one tenant, each with its own context and on a processor of its own (the same for \
            all systems), allocate and free 64 KiB from a memory pool of their own at once; then one of them alone. For four it is the mean of each one's median \
            pair. The value is the rise from one to four, less native's rise: what is left is the system's own \
            waiting.",
        plan: Plan {
            blocks: 10,
            quick_blocks: 3,
            per_block: 2,
            of: "spans of 130 ms",
        },
        differs: "The public suite starts threads of one process, which wait for the driver's own lock; it finds 2 ms \
            natively, where a layer's lock cannot be. Here processes meet nowhere but in the layer, and what the \
            driver adds is subtracted.",
        native: Some(Against {
            of: "the time of a pair while four processes allocate",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 1.0 },
        ideal_reason: "A partition shares nothing between processes. 1 us counts as half: an allocation from a pool takes \
            as long.",
        needs: &[],
    },
    Definition {
        id: "OH-007",
        name: "Memory Tracking Overhead",
        category: Category::Overhead,
        unit: "ns",
        better: Better::Lower,
        measures: "What keeping account of an allocation costs.",
        how: "One process, alone, allocates and frees 64 KiB in stream order from a pool that has it: the cheapest \
            allocation of a driver, so that the account is the largest part of the difference. The value is the \
            median over blocks of the time of a pair less native's.",
        plan: Plan {
            blocks: 36,
            quick_blocks: 6,
            per_block: 5000,
            of: "pairs of allocation and free",
        },
        differs: "The public suite clips its difference at 0 and reports 0 for everybody.",
        native: Some(Against {
            of: "the time of a pair",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 500.0 },
        ideal_reason: "A partition counts in hardware. 500 ns count as half: the driver's own allocation and free in stream \
            order take twice that.",
        needs: &[],
    },
    Definition {
        id: "OH-008",
        name: "Rate Limiter Overhead",
        category: Category::Overhead,
        unit: "ns",
        better: Better::Lower,
        measures: "What it costs a launch to be limited in compute.",
        how: "The launches of OH-001, one each 100 us, in a process whose tenant has a compute limit of 50 %, \
            less the same launches in a process of the same system whose tenant may use the whole device, so \
            that what interception costs cancels. Both take turns on one processor. That is the value: the \
            tenant uses next to nothing of its budget. With kernels that use half of it and all of it, where a \
            launch may have to wait, stand beside it.",
        plan: Plan {
            blocks: 16,
            quick_blocks: 3,
            per_block: 400,
            of: "launches",
        },
        differs: "The public suite reports the time of the whole launch, 1.2 us natively, where there is no limiter.",
        native: Some(Against {
            of: "the time of the launch call under a limit over that without one",
            better: Better::Lower,
        }),
        ideal: Ideal::Nothing { half_at: 200.0 },
        ideal_reason: "A partition limits by having fewer multiprocessors. 200 ns count as half: a tenth of the driver's \
            own launch.",
        needs: &[],
    },
    Definition {
        id: "OH-009",
        name: "NVML Polling Overhead",
        category: Category::Overhead,
        unit: "%",
        better: Better::Lower,
        measures: "The processor time that the system's own watching takes, of one core.",
        how: "A process that launches steadily and waits for its results, then one that has a context and \
            does nothing, are asked for their processor time (`getrusage`, all their threads) after 0.125 s, \
            less native's for the same work. The value is for the busy one, in percent of one core; the idle \
            one stands beside it. What a system's daemons take is not in it.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 2,
            of: "spans of 125 ms",
        },
        differs: "The public suite starts a thread of its own that polls NVML, and reports what that takes.",
        native: Some(Against {
            of: "the processor time of the same work",
            better: Better::Lower,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "A partition watches nothing.",
        needs: &[],
    },
    Definition {
        id: "OH-010",
        name: "Total Throughput Degradation",
        category: Category::Overhead,
        unit: "%",
        better: Better::Lower,
        measures: "How much less a program gets done that has the device to itself.",
        how: "One process on one processor, whose tenant may use the whole device, runs a mixed step (60 empty \
            kernels, one of 0.1 ms that fills the device, an allocation from a pool, copies both ways) as often \
            as it can for 120 ms. The value is what its rate lacks of native's, in percent, block by block; \
            below 0 where it is faster.",
        plan: Plan {
            blocks: 18,
            quick_blocks: 3,
            per_block: 1,
            of: "spans of 120 ms",
        },
        differs: "The public suite returns the constant 0; the figure that it prints as \"2.1 %\" is milliseconds.",
        native: Some(Against {
            of: "the rate of steps",
            better: Better::Higher,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "A partition that is the whole device loses nothing.",
        needs: &[],
    },
];
