//! Collectives and copies between devices.

use super::{Against, Better, Category, Definition, Ideal, Need, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "NCCL-001",
        name: "AllReduce Latency",
        category: Category::Nccl,
        unit: "us",
        better: Better::Lower,
        measures: "The time of an AllReduce of 1 MiB.",
        how: "One process with two devices under the system's limits; NCCL's own AllReduce of 1 MiB of \
            single-precision numbers, timed from the call until both devices are done. 8 bytes and 256 MiB \
            stand beside it.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 100,
            of: "collectives",
        },
        differs: "The public suite calls no NCCL; it sums on one device.",
        native: Some(Against {
            of: "the time",
            better: Better::Lower,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "What a system adds to a collective should be nothing.",
        needs: &[Need::Gpus(2), Need::Nccl],
    },
    Definition {
        id: "NCCL-002",
        name: "AllGather Bandwidth",
        category: Category::Nccl,
        unit: "GB/s",
        better: Better::Higher,
        measures: "The bus bandwidth of an AllGather of 256 MiB.",
        how: "As NCCL-001. Bus bandwidth as NCCL's own tests define it: bytes over time, times (n - 1)/n.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 20,
            of: "collectives",
        },
        differs: "The public suite calls no NCCL.",
        native: Some(Against {
            of: "the bandwidth",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "What a system adds to a collective should be nothing.",
        needs: &[Need::Gpus(2), Need::Nccl],
    },
    Definition {
        id: "NCCL-003",
        name: "P2P GPU Bandwidth",
        category: Category::Nccl,
        unit: "GB/s",
        better: Better::Higher,
        measures: "Bytes a second from one device to another.",
        how: "One process with two devices sends 256 MiB from one to the other with NCCL (`ncclSend`, \
            `ncclRecv`), timed from the call until it is known to be done.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 20,
            of: "copies",
        },
        differs: "On one device the public suite copies within it and calls that P2P. Here that is not run.",
        native: Some(Against {
            of: "the bandwidth",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "What a system adds to a copy between devices should be nothing.",
        needs: &[Need::Gpus(2), Need::Nccl],
    },
    Definition {
        id: "NCCL-004",
        name: "Broadcast Bandwidth",
        category: Category::Nccl,
        unit: "GB/s",
        better: Better::Higher,
        measures: "The bus bandwidth of a Broadcast of 256 MiB.",
        how: "As NCCL-002; a broadcast's bus bandwidth is bytes over time.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 3,
            per_block: 20,
            of: "collectives",
        },
        differs: "The public suite calls no NCCL.",
        native: Some(Against {
            of: "the bandwidth",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "What a system adds to a collective should be nothing.",
        needs: &[Need::Gpus(2), Need::Nccl],
    },
];
