//! What the run and its workers say to each other: a task a line on the worker's stdin, an answer a line on its stdout.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Work that goes on for a while and whose progress is counted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "load", rename_all = "snake_case")]
pub(crate) enum Load {
    /// Keeps the device busy with kernels of that length, up to 20 ms ahead. Progress: nominal nanoseconds of the device.
    Kernels {
        /// Length of each.
        us: f64,
    },
    /// Kernels one after the other, the thread waiting for each `kernels` of them and computing `cpu_us` in between, as a
    /// program that generates tokens does. Progress: nominal nanoseconds.
    Steps {
        /// Kernels of a step.
        kernels: u32,
        /// Length of each.
        us: f64,
        /// Processor time between two steps.
        cpu_us: f64,
        /// As one graph, or launched one by one.
        graph: bool,
    },
    /// Reads a buffer of that size again and again, `pass_bytes` a kernel. Progress: bytes.
    Read {
        /// Size of the buffer, a multiple of 16.
        buffer_bytes: u64,
        /// Read by each kernel.
        pass_bytes: u64,
    },
    /// Copies one after the other. Progress: bytes.
    Copy {
        /// Size of each.
        bytes: u64,
        /// From the host to the device, or back.
        to_device: bool,
        /// From pinned memory.
        pinned: bool,
    },
    /// Launches kernels that end at once, as fast as it can. Progress: launches.
    Launches,
    /// Allocates that much and frees it, as fast as it can. Progress: pairs.
    Allocations {
        /// How.
        way: Way,
        /// Size of each.
        bytes: u64,
    },
    /// Fills or copies memory inside the device. Progress: passes.
    Inside {
        /// How much at once.
        bytes: u64,
        /// Fill, or copy.
        fill: bool,
    },
    /// Steps of a mixed kind: short kernels, a long one, an allocation, copies both ways. Progress: steps.
    Mixed,
    /// Steps of 4 to 32 kernels of that length, after a seed; the answer has `size_4` to `size_32` in the place of `step_us`.
    /// Progress: nominal nanoseconds.
    Batches {
        /// Length of a kernel.
        us: f64,
        /// Of the sequence.
        seed: u64,
    },
    /// Makes no call. Progress: none.
    Idle,
}

/// A cheap call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Cheap {
    /// Which device is the thread's.
    CurrentDevice,
    /// Make the device, or the context, that is the thread's the thread's.
    SetCurrent,
    /// Whether an event has passed; it has.
    EventQuery,
    /// Whether a queue is empty; it is.
    QueueQuery,
    /// How much memory is free.
    MemoryInfo,
}

/// A way to ask for device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Way {
    /// From the driver's allocator: `cuMemAlloc`.
    Plain,
    /// In rows that the driver may pad: `cuMemAllocPitch`.
    Pitch,
    /// From a pool in the order of a queue: `cuMemAllocAsync`.
    Pool,
    /// Physical memory, mapped: `cuMemCreate`.
    Virtual,
    /// An array or image: `cuArrayCreate`.
    Array,
    /// Memory that moves between host and device: `cuMemAllocManaged`.
    Managed,
}

impl Way {
    /// All of them.
    pub(crate) const ALL: [Way; 6] = [
        Way::Plain,
        Way::Pitch,
        Way::Pool,
        Way::Virtual,
        Way::Array,
        Way::Managed,
    ];
}

/// What a worker is asked to do. Lengths of time are microseconds unless they say otherwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "task", rename_all = "snake_case")]
pub(crate) enum Task {
    /// Tell what it sees of the device: `total_bytes`, `free_bytes`, `context_us`, `init_us` and so on.
    Describe,
    /// Measure how many rounds of `fcsp_work` take a microsecond: `iters_per_us`.
    Calibrate,
    /// From now on, a microsecond of device time is so many rounds.
    Pace {
        /// Rounds a microsecond.
        iters_per_us: f64,
    },
    /// Stay on one processor from now on, which is the same for all that have this place.
    Pin {
        /// 0 for the last processor that it may use; each further place is another one before it.
        place: usize,
    },
    /// Time the launch call alone: `launch_us`. With `busy`, behind work that keeps the queue filled.
    Launch {
        /// Calls.
        count: u32,
        /// Whether work is in front.
        busy: bool,
    },
    /// Time the launch call of kernels of that length, one in each period and each waited for: `launch_us`.
    LaunchPaced {
        /// Calls.
        count: u32,
        /// Length of a kernel; 0 is an empty one.
        kernel_us: f64,
        /// From one to the next.
        every_us: f64,
    },
    /// From the return of the launch call until its kernel has written to host memory: `begin_us`.
    Begin {
        /// Launches.
        count: u32,
    },
    /// Kernels that come at random moments, from the launch until they are done: `arrival_us`.
    Arrivals {
        /// Kernels.
        count: u32,
        /// Length of each.
        kernel_us: f64,
        /// Between two, on average.
        every_us: f64,
        /// Of the moments.
        seed: u64,
        /// Moment after which no further one comes; 0 for none.
        to_ns: u64,
    },
    /// Saturate with kernels whose begin and end by the device's clock are noted: points of begin and end.
    Stamped {
        /// Length of each.
        kernel_us: f64,
        /// Moment of the shared clock to begin at.
        from_ns: u64,
        /// Moment to end at.
        to_ns: u64,
    },
    /// Reads that depend on each other: for each kernel `read_cycles` of a read on average and `hit_percent`, the part that
    /// the cache served; `hit_cycles`, and where that was found out `cache_cycles` and `memory_cycles` of a read.
    Chase {
        /// Size of the set.
        bytes: u64,
        /// Times that each kernel reads all of it.
        passes: u32,
        /// Kernels.
        count: u32,
        /// Cycles of a read that the cache served, at most; 0 to find it out.
        hit_cycles: u32,
        /// Pause before each kernel, after another one that brings the set into the cache; 0 for neither.
        pause_us: f64,
        /// Moment before which kernels do not count; 0 for none.
        from_ns: u64,
        /// Moment after which nothing counts, however few kernels there were; 0 for none.
        until_ns: u64,
    },
    /// Allocate and free so often: `alloc_us`, `free_us`.
    Allocate {
        /// How.
        way: Way,
        /// Size of each.
        bytes: u64,
        /// Pairs.
        count: u32,
    },
    /// Make a cheap call many times: one `call_ns` for each 1000.
    Call {
        /// Which.
        call: Cheap,
        /// Thousands of calls.
        thousands: u32,
    },
    /// Allocate until refused or `most_bytes` are reached, then free all: `granted_bytes`, `used_bytes` before, `refused`.
    Fill {
        /// How.
        way: Way,
        /// Where to stop in any case.
        most_bytes: u64,
    },
    /// Ask for that much more than is free, so often; whether it was refused as out of memory each time: `refused`,
    /// `refusal_us`.
    Refuse {
        /// How.
        way: Way,
        /// Beyond what is free.
        beyond_bytes: u64,
        /// Requests.
        count: u32,
    },
    /// Hold that much from a pool: by how much it makes less free, `charged_bytes`.
    Pool {
        /// How much.
        bytes: u64,
    },
    /// Get what a load needs: memory, a graph.
    Prepare {
        /// What.
        load: Load,
    },
    /// The load that was prepared between two moments; progress as points, `wall_us`, of that `cpu_us` on
    /// processors and `queued_us` in a queue for one, `step_us` for loads that wait.
    Run {
        /// Moment of the shared clock to begin at; 0 is now.
        from_ns: u64,
        /// Steps that end before are not kept.
        counts_from_ns: u64,
        /// Moment to end at.
        to_ns: u64,
    },
    /// Grow and shrink as the key-value caches of requests do: `rate` in allocations a second, for that way.
    CacheTrace {
        /// How.
        way: Way,
        /// Size of a block.
        block_bytes: u64,
        /// Allocations.
        count: u32,
        /// Most blocks held at once.
        held_max: u32,
    },
    /// Attention of so many heads: `pass_us` each, `tflops`; `wrong` counts results that are not what they must be.
    Attention {
        /// Heads.
        heads: u32,
        /// Length of the sequence, a multiple of 128.
        rows: u32,
        /// Passes.
        count: u32,
    },
    /// Kernels that leave most of the device free, on so many streams at once: `pass_us`.
    Streams {
        /// Streams.
        streams: u32,
        /// Kernels on each.
        kernels: u32,
        /// Length of each alone.
        us: f64,
        /// Blocks of each.
        blocks: u32,
        /// Passes, at most.
        count: u32,
        /// Moment before which passes do not count; 0 for none.
        from_ns: u64,
        /// Moment after which no further pass begins; 0 for none.
        to_ns: u64,
    },
    /// Decode as a language model does: a prefill, then tokens, each of many kernels and ended by a copy to the host:
    /// `first_us`, `token_us`.
    Decode {
        /// Kernels of a token.
        kernels: u32,
        /// Length of each.
        us: f64,
        /// Tokens after the first.
        tokens: u32,
        /// A token's kernels as one graph, or launched one by one.
        graph: bool,
    },
    /// Matrix products by cuBLAS: `half_us` and `single_us`.
    Products {
        /// Rows and columns.
        size: u32,
        /// Products of each kind.
        count: u32,
    },
    /// Copies, each waited for: `copy_us`.
    Copies {
        /// Size of each.
        bytes: u64,
        /// From the host to the device, or back.
        to_device: bool,
        /// From pinned memory.
        pinned: bool,
        /// Copies.
        count: u32,
    },
    /// Fill the memory with blocks of mixed sizes, free every other one, and look what can be had then: `new_bytes`,
    /// `free_bytes`, `largest_bytes`, `again_bytes` after all was freed; `clean_us` and `fragmented_us` of allocations.
    Fragment {
        /// Fill up to that much.
        most_bytes: u64,
        /// Of the mixture.
        seed: u64,
    },
    /// Let a kernel write to memory that is nobody's: `status`, `detect_us`, and what the program was told (text `told`).
    Fault,
    /// Run out of memory in every way, and of threads: `proper`, 1 for each way in which the program was told so by the
    /// driver's own code, was charged nothing and could go on; names of the others in the text `improper`.
    RunOut,
    /// Allocate that much and run a kernel, then free it.
    Work {
        /// How much.
        bytes: u64,
    },
    /// Write a pattern into that much memory: `address`, and `handle` (text) where the memory can be shared.
    Mark {
        /// How much.
        bytes: u64,
        /// The pattern.
        word: u32,
    },
    /// Free what was marked.
    Unmark,
    /// Allocate that much and count words of the pattern in it before anything is written: `found`, `words`.
    Search {
        /// How much.
        bytes: u64,
        /// The pattern.
        word: u32,
    },
    /// Try to read another program's memory: `by_address`, `by_handle` (1 where the
    /// pattern was read).
    Peek {
        /// Its address.
        address: u64,
        /// What it could hand to others.
        handle: String,
        /// The pattern that is in it.
        word: u32,
    },
    /// Work of that length on one device, then half of it on each of two with an AllReduce of the parts: `one_us`, `two_us`.
    Scaling {
        /// Length on one device.
        us: f64,
        /// Of the parts.
        bytes: u64,
        /// Steps of each kind.
        count: u32,
    },
    /// An AllReduce, AllGather, Broadcast or a copy between devices of this process.
    Collective {
        /// Which.
        kind: Collective,
        /// Bytes of each device.
        bytes: u64,
        /// Repetitions.
        count: u32,
    },
}

/// A collective between the devices of one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Collective {
    /// `ncclAllReduce`.
    AllReduce,
    /// `ncclAllGather`.
    AllGather,
    /// `ncclBroadcast`.
    Broadcast,
    /// `ncclSend` and `ncclRecv` between two devices.
    PeerToPeer,
}

/// What came of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Answer {
    /// What went wrong; nothing if all is well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<String>,
    /// Whether [`Answer::error`] is only that something is not there.
    #[serde(default)]
    pub(crate) lacking: bool,
    /// Figures, by what they are.
    #[serde(default)]
    pub(crate) numbers: BTreeMap<String, Vec<f64>>,
    /// Texts, by what they are.
    #[serde(default)]
    pub(crate) texts: BTreeMap<String, String>,
    /// Moments of the shared clock and progress by then.
    #[serde(default)]
    pub(crate) points: Vec<(u64, u64)>,
}

impl Answer {
    /// What went wrong.
    pub(crate) fn of(trouble: crate::driver::Trouble) -> Self {
        Self {
            error: Some(trouble.message),
            lacking: trouble.lacking,
            ..Self::default()
        }
    }

    /// With a figure more.
    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        self.numbers.entry(name.into()).or_default().push(value);
        self
    }

    /// With figures more.
    pub(crate) fn with_all(mut self, name: &str, values: Vec<f64>) -> Self {
        self.numbers.entry(name.into()).or_default().extend(values);
        self
    }

    /// With a text more.
    pub(crate) fn with_text(mut self, name: &str, text: impl Into<String>) -> Self {
        self.texts.insert(name.into(), text.into());
        self
    }
}
