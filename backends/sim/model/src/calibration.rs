//! The numbers the simulated device runs on, and where each comes from.
//!
//! Owns: every constant that pretends to be hardware. Does not own: the ABI's constants
//! (attributes, error codes), which belong to the fake vendor libraries.
//!
//! Source of the times, unless said otherwise: one NVIDIA H200, driver 580.159, CUDA 13.0,
//! November 2026, the table in `docs/ARCHITECTURE.md`.

/// How long a context runs before another runnable one may take over.
///
/// With [`SWITCH_PREEMPT_NS`] this fits what was measured: total throughput of two and of three
/// saturating processes 0.902; 1 ms kernels of two end after 3.4 ms at p99 (measured 3.5), of three
/// after 5.8 ms (5.8); 0.1 ms kernels one at a time beside 5 ms kernels get 3.9 % (4 %); a decoder
/// beside a saturating neighbour does 155 steps a second and leaves it 0.68 (150 and 0.62), if the
/// processor's cost of calls is simulated too.
pub const SLICE_NS: u64 = 2_150_000;

/// Device time lost when a running context is preempted at the end of its slice.
pub const SWITCH_PREEMPT_NS: u64 = 233_000;

/// Device time lost when the device changes to another context because this one ran dry.
///
/// Exclusive hand-off at kernel boundaries costs about 0.1 ms.
pub const SWITCH_IDLE_NS: u64 = 100_000;

/// Physical memory a context takes before anything is allocated (518 MiB).
pub const CONTEXT_OVERHEAD_BYTES: u64 = 518 << 20;

/// What the board carries: the H200's 143 771 MiB.
pub const BOARD_MEMORY_BYTES: u64 = 143_771 << 20;

/// What the driver keeps for itself of [`BOARD_MEMORY_BYTES`] before any context exists.
pub const DRIVER_RESERVE_BYTES: u64 = 616 << 20;

/// Memory a program can see on AMD's device, an MI210: 64 GiB less what firmware and driver keep. Assumed, not measured.
pub const AMD_MEMORY_BYTES: u64 = (64 << 30) - (16 << 20);

/// Physical memory a process of AMD's device takes before anything is allocated. Assumed, not measured.
pub const AMD_CONTEXT_OVERHEAD_BYTES: u64 = 256 << 20;

/// Memory a program can see on Intel's device, a Max 1100: 48 GiB. Assumed, not measured.
pub const INTEL_MEMORY_BYTES: u64 = 48 << 30;

/// Physical memory a process of Intel's device takes before anything is allocated. Assumed, not measured.
pub const INTEL_CONTEXT_OVERHEAD_BYTES: u64 = 64 << 20;

/// How often the utilization that the management library reports changes.
pub const UTILIZATION_PERIOD_NS: u64 = 250_000_000;

/// Device time of one iteration of the `fcsp_work` kernel.
pub const SIM_NS_PER_ITER: u64 = 10;

/// Cycles of a read that depends on the one before: from the L2 cache, and from memory. Assumed, not measured.
pub const READ_CYCLES: [u64; 2] = [270, 640];

/// Cycles of a multiprocessor's clock in a microsecond (1.98 GHz, the H200's highest).
pub const CYCLES_PER_US: u64 = 1_980;

/// Operations a stream takes before the thread that submits waits.
pub const STREAM_DEPTH: u64 = 1024;

/// Half the width of the seeded jitter on every duration, in thousandths (10 is ±1 %).
pub const JITTER_PERMILLE: u64 = 10;

/// Bytes a copy between host and device moves per microsecond (PCIe 5 x16, some 50 GB/s).
pub const PCIE_BYTES_PER_US: u64 = 50_000;

/// Bytes a copy or fill inside the device moves per microsecond (HBM3e, some 2 TB/s each way).
pub const HBM_BYTES_PER_US: u64 = 2_000_000;

/// Device time of the smallest copy or fill.
pub const COPY_NS_MIN: u64 = 1_500;

/// What memory pools grow by: an allocation of 1 byte or of 3 MiB takes 32 MiB, one of 33 MiB takes 64, one of
/// 1000 MiB takes 1024 (probed on an H100, driver 580.159, November 2026).
pub const POOL_CHUNK_BYTES: u64 = 32 << 20;
