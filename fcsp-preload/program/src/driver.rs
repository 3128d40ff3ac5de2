//! What is asked of a vendor's driver, as the program has it loaded: [`Driver`].
//!
//! A preload library implements these traits for one type without a value, by its hook table's functions: never by
//! its own exports of the same names. Everything here is generic over that type, so that it is compiled into the
//! library as if it had been written there. Handles and addresses are numbers where nobody looks behind them.
//!
//! Nothing here waits for the device but what says so.

use core::ffi::CStr;
use core::fmt;

use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::Attachment;
use fcsp_gate::{Handle, StreamDriver};

use crate::device::Device;
use crate::transfer::{Kind, Place};

/// A stream of the driver `D`.
pub type StreamOf<D> = <<D as Codes>::Streams as StreamDriver>::Stream;
/// What functions of the driver `D` return.
pub type CodeOf<D> = <<D as Codes>::Streams as StreamDriver>::Code;

/// The driver that one preload library stands before.
pub trait Driver: Codes + Devices + Queues + Transfers + Meter + Pools + GraphMemory {}

impl<D: Codes + Devices + Queues + Transfers + Meter + Pools + GraphMemory> Driver for D {}

/// The driver's words.
pub trait Codes: 'static {
    /// Its streams, as the gate uses them.
    type Streams: StreamDriver;
    /// The value of that type.
    const STREAMS: Self::Streams;
    /// Done.
    const SUCCESS: CodeOf<Self>;
    /// What was asked about is not over.
    const NOT_READY: CodeOf<Self>;
    /// What a program gets when its quota has not as much left.
    const OUT_OF_MEMORY: CodeOf<Self>;
    /// What it gets when a device cannot be limited and must be.
    const NOT_PERMITTED: CodeOf<Self>;
}

/// Why a device is not described.
#[derive(Debug)]
pub enum Undescribed {
    /// The driver has no such device, or is not initialised: a program that goes on all the same is
    /// refused by the driver itself.
    Absent,
    /// It is there, and the driver does not say what it is; its code.
    Nameless(i64),
}

impl fmt::Display for Undescribed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("the driver has no such device"),
            Self::Nameless(code) => {
                write!(f, "the driver does not say what device it is ({code})")
            }
        }
    }
}

/// Devices, by the ordinals they have in this process.
pub trait Devices {
    /// Who made them.
    const VENDOR: Vendor;

    /// The calling thread's device, if it has one. With a driver whose calls name their device no thread has.
    fn current_ordinal() -> Option<i32> {
        None
    }

    /// True if a thread that has chosen no device may have another one than the only one attached. A library in which
    /// every thread's device was attached when its context was made need not ask.
    #[inline(always)]
    fn threads_may_differ() -> bool {
        false
    }

    /// The device's identity as the management library writes it: all that it takes to find its region.
    ///
    /// # Errors
    /// If the driver does not say.
    fn id(ordinal: i32) -> Result<String, Undescribed>;

    /// Everything about the device with that identity: what a region says of its device once it is made.
    ///
    /// # Errors
    /// If the driver does not say.
    fn describe(ordinal: i32, id: String) -> Result<DeviceInfo, Undescribed>;

    /// Memory that the device has, bytes.
    fn total_bytes(ordinal: i32) -> Option<u64>;

    /// Whether what this process does on the device runs beside the work of other processes.
    fn sharing_mode(ordinal: i32) -> SharingMode;

    /// Percent of the device, 1 to 99, that this process can use at all; `None` if all, or if nobody knows.
    fn partition_percent() -> Option<u32> {
        None
    }

    /// Tells the operator how the device with that identity is shared now that this process is on it.
    fn tell_sharing(attachment: &Attachment, id: &str);

    /// True while this process has a context on the device, as far as is known.
    fn has_context(ordinal: i32) -> bool;

    /// True if to wait for all in the calling thread's context is to wait for all of this process on its device.
    fn is_only_context() -> bool;
}

/// Streams, and what is put into them. A driver whose calls name every queue they use, and nothing of whose threads is
/// bound to a device, has no default streams, no contexts and no captures, and leaves what is asked of them as it is here.
pub trait Queues: Codes {
    /// The default stream of a context, by a name that works in every call.
    const LEGACY: StreamOf<Self> = <StreamOf<Self> as Handle>::NULL;
    /// The calling thread's default stream.
    const PER_THREAD: StreamOf<Self> = <StreamOf<Self> as Handle>::NULL;

    /// True for the default stream of a context by its own name. (Null means that too, as a rule.)
    #[inline(always)]
    fn is_legacy(stream: StreamOf<Self>) -> bool {
        stream == Self::LEGACY
    }

    /// The calling thread's context, as an even number; 0 if it has none.
    fn home() -> u64 {
        0
    }

    /// Runs `call` where `home` is the calling thread's context. False if that cannot be, else what it says.
    fn within_home(_home: u64, _call: impl FnOnce() -> bool) -> bool {
        false
    }

    /// Ordinal of the device of a created stream.
    fn ordinal_of_stream(_stream: StreamOf<Self>) -> Option<i32> {
        None
    }

    /// A new stream in the current context that waits for no other.
    fn new_stream() -> Option<StreamOf<Self>> {
        None
    }

    /// A new event that need not note the time, in the current context.
    fn new_event() -> Option<u64> {
        None
    }

    /// Records an event of [`new_event`](Self::new_event).
    fn record(_event: u64, _stream: StreamOf<Self>) -> bool {
        false
    }

    /// Makes `stream` wait for what such an event marks.
    fn wait_event(_stream: StreamOf<Self>, _event: u64) -> bool {
        false
    }

    /// Waits for all in `stream`; `PER_THREAD` says what the null stream means. `None` if the driver cannot.
    fn wait_for_stream<const PER_THREAD: bool>(_stream: StreamOf<Self>) -> Option<CodeOf<Self>> {
        None
    }

    /// Waits for all in the calling thread's context. `None` if the driver cannot.
    fn wait_for_all() -> Option<CodeOf<Self>> {
        None
    }

    /// True if what is put into `stream` goes into a graph, or if the driver will not say.
    fn is_capturing<const PER_THREAD: bool>(_stream: StreamOf<Self>) -> bool {
        false
    }

    /// A thread's way with captures.
    type CaptureMode: Copy;

    /// Lets the calling thread's calls disturb no capture from now on; gives the way it had before.
    fn relax_captures() -> Option<Self::CaptureMode> {
        None
    }

    /// Gives the calling thread a way it had before.
    fn restore_captures(_mode: Self::CaptureMode) {}

    /// What the names of kernels of the vendor's collective libraries begin with, in the source.
    const COLLECTIVES: &[&[u8]];

    /// Name of the kernel with that handle. A driver that only copies a name out says it when the program looks the kernel
    /// up ([`crate::kernels::looked_up`]).
    fn kernel_name(_kernel: u64) -> Option<&'static CStr> {
        None
    }
}

/// Copies and fills.
pub trait Transfers {
    /// From here on a copy or fill takes more of the device's time than its start does.
    const LARGE_BYTES: u64;
    /// What a small one costs, nanoseconds.
    const SMALL_NS: u64;
    /// Pageable memory up to this is copied aside before an asynchronous call returns, without waiting for the stream.
    const STAGED_BYTES_MAX: u64;

    /// Device time of so many bytes, before it is learnt, nanoseconds.
    fn guess_ns(kind: Kind, bytes: u64) -> u64;

    /// Where an address lies; what the driver does not know is plain host memory.
    fn place_of(address: u64) -> Place;
}

/// What the process uses of a device by the management library.
pub trait Meter {
    /// A device of the management library.
    type Handle: Copy;

    /// What the first context on a device is expected to take, before one was measured.
    const CONTEXT_BYTES_GUESS: u64;
    /// What is charged beyond what was seen: what the driver may take for itself before the next look.
    const GROWTH_BYTES: u64;

    /// Finds the device with that identity; starts the library, which may take milliseconds.
    fn handle_of(id: &str) -> Option<Self::Handle>;

    /// Bytes that this process uses there. `None` if the library does not say, or does not know the process.
    fn process_bytes(handle: Self::Handle) -> Option<u64>;

    /// Whether the library shows what this process uses, and not what another uses in its place.
    fn shows_process(device: &Device) -> bool;
}

/// Memory pools, which stream-ordered allocations come from, by their handles. A driver without them has nothing to add.
pub trait Pools: Codes {
    /// What a pool grows by, at least. A power of two.
    const GRANULE_BYTES: u64 = 2 << 20;
    /// Blocks of the memory of pools are multiples of this.
    const BLOCK_ALIGN_BYTES: u64 = 512;

    /// Bytes that a pool has of its device.
    fn pool_reserved(_pool: u64) -> Option<u64> {
        None
    }

    /// Bytes that are allocated from it.
    fn pool_used(_pool: u64) -> Option<u64> {
        None
    }

    /// Makes a pool give back what it does not use.
    fn trim_pool(_pool: u64) {}

    /// A device's own pool.
    fn default_pool(_ordinal: i32) -> Option<u64> {
        None
    }

    /// The pool that stream-ordered allocations come from on a device, now.
    fn current_pool(_ordinal: i32) -> Option<u64> {
        None
    }

    /// Pool and bytes of the block at `address`, if it is a pool's.
    fn block_at(_address: u64) -> Option<(u64, u64)> {
        None
    }

    /// Frees what was allocated at `address` in the order of `stream`. False if the driver refuses.
    fn free_in_order<const PER_THREAD: bool>(_address: u64, _stream: StreamOf<Self>) -> bool {
        false
    }
}

/// Memory of graphs. A driver whose graphs allocate nothing has nothing to add.
pub trait GraphMemory {
    /// Bytes that the driver has for graphs on a device.
    fn graphs_reserved(_ordinal: i32) -> Option<u64> {
        None
    }

    /// Makes it give back what no graph needs.
    fn trim_graphs(_ordinal: i32) {}

    /// Tells `each` device and bytes of every allocation node of `graph`, and of graphs within it. What the driver
    /// does not tell is left out.
    fn allocation_nodes(_graph: u64, _each: &mut dyn FnMut(i32, u64)) {}
}
