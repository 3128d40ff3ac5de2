//! The load programs that suites use, by name.

/// A mode of `fcsp-load` with the arguments that make it what it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Program {
    /// For tables.
    pub name: &'static str,
    /// Mode and arguments, without what every program gets.
    pub args: &'static [&'static str],
}

/// 250 µs kernels on a stream of its own: smooth enough for 100 ms windows.
pub const SATURATE: Program = Program {
    name: "250 µs",
    args: &["saturate", "--kernel-us", "250"],
};

/// 100 µs kernels: fine enough to see milliseconds.
pub const SATURATE_FINE: Program = Program {
    name: "100 µs",
    args: &["saturate", "--kernel-us", "100", "--ahead-ms", "20"],
};

/// 100 µs kernels, so far ahead that it hardly ever waits.
pub const SATURATE_DEEP: Program = Program {
    name: "100 µs, far ahead",
    args: &["saturate", "--kernel-us", "100"],
};

/// Kernels of very different lengths on the legacy default stream.
pub const SATURATE_MIXED: Program = Program {
    name: "0.1, 0.25 and 5 ms on the default stream",
    args: &[
        "saturate",
        "--kernel-us",
        "100,250,5000",
        "--stream",
        "default",
    ],
};

/// Per-thread default stream through the per-thread variants, found as the CUDA runtime does.
pub const SATURATE_PER_THREAD: Program = Program {
    name: "250 µs on the per-thread stream",
    args: &[
        "saturate",
        "--kernel-us",
        "250",
        "--stream",
        "per-thread",
        "--resolve",
        "procaddr",
    ],
};

/// Several streams in one process, by the extensible launch call.
pub const SATURATE_MULTI: Program = Program {
    name: "0.1 and 0.25 ms on 4 streams",
    args: &[
        "saturate",
        "--kernel-us",
        "100,250",
        "--stream",
        "multi:4",
        "--api",
        "launch-ex",
    ],
};

/// Cooperative launches.
pub const SATURATE_COOPERATIVE: Program = Program {
    name: "250 µs, cooperative",
    args: &["saturate", "--kernel-us", "250", "--api", "cooperative"],
};

/// Graphs of 2 ms.
pub const SATURATE_GRAPH: Program = Program {
    name: "graphs of 20 × 100 µs",
    args: &[
        "saturate",
        "--kernel-us",
        "100",
        "--api",
        "graph",
        "--graph-kernels",
        "20",
    ],
};

/// Graphs of 2 ms on the legacy default stream, found as the CUDA runtime does.
pub const SATURATE_GRAPH_DEFAULT: Program = Program {
    name: "graphs of 40 × 50 µs on the default stream",
    args: &[
        "saturate",
        "--kernel-us",
        "50",
        "--api",
        "graph",
        "--graph-kernels",
        "40",
        "--stream",
        "default",
        "--resolve",
        "procaddr",
    ],
};

/// Kernels of a library, by their own handles.
pub const SATURATE_LIBRARY: Program = Program {
    name: "250 µs, a library's kernel",
    args: &["saturate", "--kernel-us", "250", "--api", "library"],
};

/// Launches as before CUDA 4.
pub const SATURATE_OLD: Program = Program {
    name: "250 µs, as before CUDA 4",
    args: &["saturate", "--kernel-us", "250", "--api", "old"],
};

/// Launches with attributes.
pub const SATURATE_ATTRIBUTES: Program = Program {
    name: "250 µs, with priority and programmatic launch",
    args: &["saturate", "--kernel-us", "250", "--api", "attributes"],
};

/// Launches in clusters of blocks.
pub const SATURATE_CLUSTER: Program = Program {
    name: "250 µs, in clusters",
    args: &["saturate", "--kernel-us", "250", "--api", "cluster"],
};

/// Graphs of 2 and 1 ms in turn, by an update before each launch.
pub const SATURATE_GRAPH_UPDATE: Program = Program {
    name: "updated graphs of 20 × 100 µs",
    args: &[
        "saturate",
        "--kernel-us",
        "100",
        "--api",
        "graph-update",
        "--graph-kernels",
        "20",
    ],
};

/// Fills in place of kernels.
pub const SATURATE_FILL: Program = Program {
    name: "fills of 100 µs",
    args: &["saturate", "--kernel-us", "100", "--api", "fill"],
};

/// Copies inside the device in place of kernels.
pub const SATURATE_COPY: Program = Program {
    name: "copies inside the device of 100 µs",
    args: &["saturate", "--kernel-us", "100", "--api", "copy"],
};

/// A CPU-bound decoder: 150 kernels of 10 µs, 25 µs of CPU before each, a wait per step.
pub const DECODE: Program = Program {
    name: "decode",
    args: &["decode"],
};

/// A decoder whose step is one graph of 150 kernels of 10 µs, with 1 ms of CPU between.
pub const DECODE_GRAPH: Program = Program {
    name: "graph decode",
    args: &["decode", "--api", "graph", "--cpu-us", "1000"],
};

/// One 100 µs kernel at a time.
pub const PINGPONG: Program = Program {
    name: "ping-pong 100 µs",
    args: &["pingpong"],
};

/// 500 µs kernels.
pub const SATURATE_COARSE: Program = Program {
    name: "500 µs",
    args: &["saturate", "--kernel-us", "500"],
};

/// A server: every 4 ms and what it takes a request, one kernel, waited for.
pub const REQUESTS: Program = Program {
    name: "requests of 500 µs",
    args: &[
        "decode",
        "--kernels",
        "1",
        "--kernel-us",
        "500",
        "--cpu-us",
        "4000",
    ],
};

/// A context and 256 MiB.
pub const IDLE: Program = Program {
    name: "idle",
    args: &["idle", "--bytes", "256M"],
};

/// 50 µs kernels.
pub const SATURATE_SHORT: Program = Program {
    name: "50 µs",
    args: &["saturate", "--kernel-us", "50"],
};

/// 250 µs kernels that keep the arithmetic of every multiprocessor busy with half of its threads.
pub const SATURATE_COMPUTE: Program = Program {
    name: "250 µs of arithmetic",
    args: &[
        "saturate",
        "--kernel-us",
        "250",
        "--blocks-per-multiprocessor",
        "4",
    ],
};

/// 250 µs kernels that keep the memory busy with fewer than half of the threads.
pub const SATURATE_MEMORY: Program = Program {
    name: "250 µs of reading memory",
    args: &[
        "saturate",
        "--kernel-us",
        "250",
        "--api",
        "read",
        "--blocks-per-multiprocessor",
        "3",
    ],
};

/// 5 ms kernels.
pub const SATURATE_LONG: Program = Program {
    name: "5 ms",
    args: &["saturate", "--kernel-us", "5000"],
};

/// 2 µs kernels, as fast as they can be submitted.
pub const LAUNCH_STORM: Program = Program {
    name: "2 µs",
    args: &["saturate", "--kernel-us", "2", "--ahead-ms", "1"],
};

/// Copies within the device's memory.
pub const COPY_DEVICE: Program = Program {
    name: "copies of 256 MiB on the device",
    args: &["copy", "--way", "device"],
};

/// Copies over the bus, in both directions at once.
pub const COPY_HOST: Program = Program {
    name: "copies of 256 MiB from and to pinned memory",
    args: &["copy", "--way", "host"],
};

/// Makes a context and ends.
pub const VISIT: Program = Program {
    name: "visit",
    args: &["idle", "--sample-ms", "0"],
};
