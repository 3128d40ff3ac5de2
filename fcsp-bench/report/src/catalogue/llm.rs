//! What language models do to a device.

use super::{Against, Better, Category, Definition, Ideal, Need, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "LLM-001",
        name: "Attention Kernel Throughput",
        category: Category::Llm,
        unit: "TFLOPS",
        better: Better::Higher,
        measures: "Floating-point operations a second of an attention kernel.",
        how: "One process, alone, runs a real attention (scores, online softmax over each row, weighted sum) \
            for 16 heads of 64 over 1,024 positions in single precision, and checks its results. Operations \
            are counted from the shapes: 4 x heads x positions squared x size of a head. Its speed is not \
            the point, the ratio is.",
        plan: Plan {
            blocks: 10,
            quick_blocks: 6,
            per_block: 20,
            of: "kernels",
        },
        differs: "The public suite counts 683 to 2,304 times the operations that it does: 2,400 TFLOPS on a card that \
            can do 60.",
        native: Some(Against {
            of: "the rate",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "The part of the device that a tenant has does what it does natively.",
        needs: &[],
    },
    Definition {
        id: "LLM-002",
        name: "KV Cache Allocation Speed",
        category: Category::Llm,
        unit: "alloc/s",
        better: Better::Higher,
        measures: "Allocations and frees a second of a cache that grows and shrinks.",
        how: "One process, alone, holds 64 blocks of 2 MiB, and a thousand times frees the oldest and allocates \
            another, as caches of sequences that end and grow do. The value is for plain allocations; a quarter \
            as many in stream order and by handles mapped into reserved addresses stand beside it.",
        plan: Plan {
            blocks: 30,
            quick_blocks: 6,
            per_block: 3,
            of: "traces of up to 1,000 pairs",
        },
        differs: "After a refusal the public suite frees pointers that were never set, and counts that.",
        native: Some(Against {
            of: "the rate",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's driver allocates as it does without one.",
        needs: &[],
    },
    Definition {
        id: "LLM-003",
        name: "Batch Size Scaling Efficiency",
        category: Category::Llm,
        unit: "ratio",
        better: Better::Higher,
        measures: "How throughput grows from a batch of 1 to one of 32.",
        how: "One process, alone, runs attention of 4 heads over 512 positions for batches of 1, 2, 4, 8, 16 \
            and 32. The value is the throughput at 32 over 32 times that at 1. It says something of the \
            kernel only; what a system does to it is the ratio.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 48,
            of: "steps",
        },
        differs: "The public suite gives the value alone, which is a property of its kernel and the same for every \
            system.",
        native: Some(Against {
            of: "throughput at a batch of 32",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition runs batches as the device does.",
        needs: &[],
    },
    Definition {
        id: "LLM-004",
        name: "Token Generation Latency",
        category: Category::Llm,
        unit: "ms",
        better: Better::Lower,
        measures: "The time from one token to the next.",
        how: "One process, alone, decodes as a model of real size does (300 kernels of 5 us a token): a \
            prefill with the work of eight tokens, then 40 tokens, each ended by a copy to the host as \
            sampling needs it. The value is the median between tokens when kernels are launched one by one; \
            p99, the time to the first token, and the same with the step captured in a graph stand beside \
            it.",
        plan: Plan {
            blocks: 9,
            quick_blocks: 3,
            per_block: 40,
            of: "tokens",
        },
        differs: "The public suite runs two tiny kernels: 7 us for a \"token\".",
        native: Some(Against {
            of: "the time between tokens, launched one by one",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition decodes as a device of its size does.",
        needs: &[],
    },
    Definition {
        id: "LLM-005",
        name: "Memory Pool Efficiency",
        category: Category::Llm,
        unit: "%",
        better: Better::Lower,
        measures: "What an allocation from a pool costs, in percent of a plain one.",
        how: "One process, alone, allocates and frees 1 MiB plainly and in stream order from a pool that has \
            it, in turn. The value is 100 times the median of the pool's pairs over that of the plain ones. \
            It also checks that 256 MiB held from a pool make as much less free; where they do not, the \
            metric has failed.",
        plan: Plan {
            blocks: 30,
            quick_blocks: 6,
            per_block: 3000,
            of: "pairs from the pool, and 100 plain ones",
        },
        differs: "The public suite subtracts one latency from the other, each with a synchronization in it, and never \
            looks at who is charged for the pool.",
        native: Some(Against {
            of: "the time of a pair from the pool",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's pools are the driver's own.",
        needs: &[],
    },
    Definition {
        id: "LLM-006",
        name: "Multi-Stream Performance",
        category: Category::Llm,
        unit: "%",
        better: Better::Higher,
        measures: "How much of the work of four streams runs at the same time.",
        how: "One process, alone, runs kernels that fill an eighth of the device each, on one stream, then on \
            four. The value is the throughput of four over four times that of one, in percent.",
        plan: Plan {
            blocks: 10,
            quick_blocks: 6,
            per_block: 10,
            of: "rounds of 4 × 50 kernels",
        },
        differs: "The public suite's kernel fills the device by itself, so that four streams have 25 % by \
            construction.",
        native: Some(Against {
            of: "the throughput of four streams",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "Streams of one program run together in a partition too.",
        needs: &[],
    },
    Definition {
        id: "LLM-007",
        name: "Large Tensor Allocation Time",
        category: Category::Llm,
        unit: "ms",
        better: Better::Lower,
        measures: "The time of an allocation of 1 GiB and more.",
        how: "One process, alone, allocates 1, 2, 4 and 8 GiB, as far as its limit allows, once each, and frees it at \
            once; then it waits 4 ms for each GiB, since a driver clears later what was freed, and an allocation \
            before that may have to wait. A block's value is the geometric mean of the sizes' times. Blocks are that \
            short, and many, since the same allocation takes one time for seconds and then, in all systems, another.",
        plan: Plan {
            blocks: 64,
            quick_blocks: 6,
            per_block: 4,
            of: "allocations",
        },
        differs: "As the public suite does it, with sizes apart.",
        native: Some(Against {
            of: "the geometric mean of the sizes' times",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's driver allocates as it does without one.",
        needs: &[],
    },
    Definition {
        id: "LLM-008",
        name: "Mixed Precision Throughput Ratio",
        category: Category::Llm,
        unit: "ratio",
        better: Better::Higher,
        measures: "How much faster matrix products in half precision are than in single precision.",
        how: "One process, alone, multiplies matrices of 2,048 in half precision on the tensor cores and in single \
            precision without them. The value is the rate of the first over the second; both stand beside it.",
        plan: Plan {
            blocks: 24,
            quick_blocks: 6,
            per_block: 10,
            of: "products of each kind",
        },
        differs: "The public suite multiplies single numbers, where half precision is no faster.",
        native: Some(Against {
            of: "the rate in half precision",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition has its tensor cores.",
        needs: &[Need::Cublas],
    },
    Definition {
        id: "LLM-009",
        name: "Dynamic Batching Latency Variance",
        category: Category::Llm,
        unit: "ratio",
        better: Better::Lower,
        measures: "How even the latency of a step is while batch sizes change.",
        how: "A tenant with half of the device runs steps whose size (4, 8, 16 or 32 kernels of 25 us) changes \
            from a seeded sequence, beside a neighbour that saturates, for 0.5 s; in a full run a block of each \
            system comes first that does not count. Where that gives fewer than 5 \
            steps of a size, as much time follows again, for 2 s in all at most; time does not count of which \
            the tenant waited more than half for a processor. The value is the coefficient of variation within \
            each size, averaged over sizes. What is compared is how long steps wait: their time less that of \
            their kernels, the mean of the longest twentieth.",
        plan: Plan {
            blocks: 12,
            quick_blocks: 3,
            per_block: 1,
            of: "spans of 500 ms",
        },
        differs: "The public suite takes the variation across sizes: a batch of 32 takes longer than one of 1, which \
            is no fault of a system.",
        native: Some(Against {
            of: "the mean of the longest twentieth of the steps' waits",
            better: Better::Lower,
        }),
        ideal: Ideal::NothingOf { whole: 1.0 },
        ideal_reason: "A partition's pace does not depend on others. A coefficient of 1 or more is worth nothing.",
        needs: &[],
    },
    Definition {
        id: "LLM-010",
        name: "Multi-GPU Scaling Factor",
        category: Category::Llm,
        unit: "ratio",
        better: Better::Higher,
        measures: "How much faster a step is on two devices than on one.",
        how: "One process computes 2 ms of work on one device, then half of it on each of two and sums 4 MiB \
            of both with NCCL, under the system's limits on both devices. The value is throughput on two \
            devices over one.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 50,
            of: "steps",
        },
        differs: "The public suite returns 1 on one device. Here that is not run.",
        native: Some(Against {
            of: "throughput on two devices",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "What a partition adds to a collective is nothing.",
        needs: &[Need::Gpus(2), Need::Nccl],
    },
];
