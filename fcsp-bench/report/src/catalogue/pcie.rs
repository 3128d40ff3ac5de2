//! Copies between host and device.

use super::{Against, Better, Category, Definition, Ideal, Plan};

pub(super) const METRICS: &[Definition] = &[
    Definition {
        id: "PCIE-001",
        name: "Host-to-Device Bandwidth",
        category: Category::Pcie,
        unit: "GB/s",
        better: Better::Higher,
        measures: "Bytes a second from pinned host memory to the device.",
        how: "One process, alone, copies 64 MiB from pinned memory, timed from the call until the copy is \
            known to be done. 1 GB is 10^9 bytes. A simulated device copies 4 MiB.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 6,
            per_block: 10,
            of: "copies",
        },
        differs: "As the public suite does it.",
        native: Some(Against {
            of: "the bandwidth",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's copies have the whole bus when nobody else copies.",
        needs: &[],
    },
    Definition {
        id: "PCIE-002",
        name: "Device-to-Host Bandwidth",
        category: Category::Pcie,
        unit: "GB/s",
        better: Better::Higher,
        measures: "Bytes a second from the device to pinned host memory.",
        how: "As PCIE-001, the other way.",
        plan: Plan {
            blocks: 8,
            quick_blocks: 6,
            per_block: 10,
            of: "copies",
        },
        differs: "As the public suite does it.",
        native: Some(Against {
            of: "the bandwidth",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition's copies have the whole bus when nobody else copies.",
        needs: &[],
    },
    Definition {
        id: "PCIE-003",
        name: "PCIe Contention Impact",
        category: Category::Pcie,
        unit: "%",
        better: Better::Lower,
        measures: "How much of its part of the bus a tenant lacks while others copy.",
        how: "Two tenants with equal limits copy 16 MiB at a time from pinned memory at the same time for 140 \
            ms. What the lesser of them lacks of half of native's bandwidth alone, in percent; never below \
            0.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 1,
            of: "spans of 140 ms",
        },
        differs: "Streams of one process there; processes here, and the neighbour's half is no loss.",
        native: Some(Against {
            of: "the lesser tenant's bandwidth",
            better: Better::Higher,
        }),
        ideal: Ideal::NothingOf { whole: 100.0 },
        ideal_reason: "The bus is shared evenly; partitions do not divide it.",
        needs: &[],
    },
    Definition {
        id: "PCIE-004",
        name: "Pinned Memory Performance",
        category: Category::Pcie,
        unit: "ratio",
        better: Better::Higher,
        measures: "How much faster copies from pinned memory are than from pageable memory.",
        how: "One process, alone, copies 64 MiB from each in turn. The value is one bandwidth over the other; both \
            stand beside it.",
        plan: Plan {
            blocks: 6,
            quick_blocks: 3,
            per_block: 10,
            of: "copies of each kind",
        },
        differs: "As the public suite does it.",
        native: Some(Against {
            of: "the bandwidth from pinned memory",
            better: Better::Higher,
        }),
        ideal: Ideal::LikeNative,
        ideal_reason: "A partition copies as the device does.",
        needs: &[],
    },
];
