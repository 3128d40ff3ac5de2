//! What a worker needs of a driver, in words of no vendor's: [`Driver`], and one implementation for each interface.
//!
//! A handle means something only to the driver that gave it out; a worker has one driver from its first task to its end.
//! Single calls are timed, so between a worker and the vendor's function there is one call through a table and nothing
//! else; calls of some nanoseconds are made in a loop behind it ([`Driver::repeat`]).
//!
//! Nothing is called from another thread than the one that opened the driver.

mod api;
mod cuda;
mod hip;
mod names;
mod trouble;
mod ze;

pub use names::Vendor;
pub(crate) use trouble::{Refusal, Trouble};

use crate::protocol::{Cheap, Way};
use std::ffi::{CStr, c_void};

/// A result of a driver.
pub(crate) type Done<T> = Result<T, Trouble>;

/// An address that kernels and copies know.
pub(crate) type Address = u64;

macro_rules! handles {
    ($($(#[$doc:meta])* $name:ident,)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(transparent)]
        pub(crate) struct $name(*mut c_void);
    )*};
}

handles! {
    /// Work in order: a stream, an immediate command list. One that records gives no work to the device.
    Queue,
    /// A kernel of the device in use.
    Kernel,
    /// A mark in a queue.
    Event,
    /// Recorded work that is submitted as a whole.
    Graph,
}

/// An argument of a kernel: its bytes, which are where it is, and how many there are.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Argument {
    value: u64,
    bytes: usize,
}

impl From<u32> for Argument {
    #[inline]
    fn from(value: u32) -> Self {
        Self {
            // Every machine with these devices has the low bytes first.
            value: u64::from(value),
            bytes: 4,
        }
    }
}

impl From<u64> for Argument {
    #[inline]
    fn from(value: u64) -> Self {
        Self { value, bytes: 8 }
    }
}

/// Most arguments that a kernel has.
const ARGUMENTS_MAX: usize = 8;

/// Pointers to the arguments, as CUDA and HIP want them. They live as long as the arguments; those behind the last are never
/// followed. Without a loop or a branch: this is inside what is timed.
#[inline]
fn pointers(arguments: &[Argument]) -> [*mut c_void; ARGUMENTS_MAX] {
    let first = arguments.as_ptr();
    std::array::from_fn(|at| first.wrapping_add(at).cast_mut().cast())
}

/// The shape of a launch: blocks by dimension, and threads of each.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// Blocks.
    pub(crate) blocks: [u32; 2],
    /// Threads of a block.
    pub(crate) threads: u32,
}

/// What is known of the device, besides its memory.
#[derive(Clone, Debug, Default)]
pub(crate) struct Facts {
    /// As the driver names it.
    pub(crate) name: String,
    /// Devices that the process can use.
    pub(crate) devices: u32,
    /// The interface and its version: `CUDA 13.0`.
    pub(crate) interface: String,
    /// What it is made of, in the vendor's units: multiprocessors, compute units, Xe cores.
    pub(crate) multiprocessors: u32,
    /// What code has to be compiled for, as the vendor names it.
    pub(crate) architecture: String,
    /// The last cache before memory.
    pub(crate) cache_bytes: u64,
    /// How long the context took to make, once the driver was loaded.
    pub(crate) context_ns: u64,
}

/// Host memory that the device reaches.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pinned {
    /// For the host.
    pub(crate) host: *mut c_void,
    /// For the device.
    pub(crate) device: Address,
}

/// Device memory, whatever way it came.
#[derive(Debug)]
pub(crate) enum Block {
    /// From the driver's allocator; managed and pitched memory too.
    Plain(Address),
    /// From a pool, in the order of a queue.
    Pool(Address),
    /// Physical memory with addresses of its own.
    Virtual {
        /// The physical memory.
        handle: u64,
        /// Where it is mapped.
        address: Address,
        /// Its size.
        bytes: usize,
    },
    /// An array or image, which has no address.
    Array(*mut c_void),
}

/// Bytes of a row of pitched memory and of an array: wide enough that no driver pads it.
const ROW_BYTES: u64 = 64 << 10;

/// Where kernels' times go.
pub(crate) enum Stamps {
    /// Into host memory, by the kernel itself: two words each.
    Words(Pinned),
    /// Into events, by the device.
    Events {
        /// What they belong to.
        pool: *mut c_void,
        /// One for each kernel.
        events: Vec<Event>,
    },
}

/// What a worker needs of a driver. None of it is called but by the thread that opened it.
pub(crate) trait Driver {
    /// What is known of the device.
    fn facts(&self) -> Done<Facts>;

    /// Free and total bytes, as programs ask for both.
    fn memory_info(&self) -> Done<(u64, u64)>;

    /// Total bytes, as the device's properties have it.
    fn stated_bytes(&self) -> Done<u64>;

    /// Makes another device of the process the one in use; at first it is the first one.
    fn use_device(&self, ordinal: u32) -> Done<()> {
        match ordinal {
            0 => Ok(()),
            _ => Err(Trouble::lacking("only the first device can be used")),
        }
    }

    /// A kernel for the device in use.
    fn kernel(&self, name: &CStr) -> Done<Kernel>;

    /// Blocks of so many threads that the device holds at once.
    fn blocks_at_once(&self, kernel: Kernel, threads: u32) -> Done<u32>;

    /// Launches a kernel.
    ///
    /// # Errors
    /// Of a block with more threads than any has, [`Refusal::Shape`].
    fn launch(
        &self,
        kernel: Kernel,
        queue: Queue,
        shape: Shape,
        arguments: &[Argument],
    ) -> Done<()>;

    /// A queue that waits for no other.
    fn queue(&self) -> Done<Queue>;

    /// Gives it back; nothing is under way on it.
    fn end_queue(&self, queue: Queue) -> Done<()>;

    /// Waits for everything that was submitted to it.
    fn wait(&self, queue: Queue) -> Done<()>;

    /// Waits for everything that was submitted to the device in use.
    fn synchronize(&self) -> Done<()>;

    /// An event without times. The wait for it sleeps where the driver can do that.
    fn event(&self) -> Done<Event>;

    /// Marks what was submitted so far.
    fn mark(&self, event: Event, queue: Queue) -> Done<()>;

    /// Waits until what was marked is done.
    fn wait_event(&self, event: Event) -> Done<()>;

    /// Where to submit what is to be recorded, so that it becomes a graph for that queue.
    fn record(&self, queue: Queue) -> Done<Queue>;

    /// What was recorded.
    fn recorded(&self, recording: Queue) -> Done<Graph>;

    /// Submits it.
    fn launch_graph(&self, graph: Graph, queue: Queue) -> Done<()>;

    /// Gives it back; nothing of it is under way.
    fn end_graph(&self, graph: Graph) -> Done<()>;

    /// Asks for memory in that way.
    fn allocate(&self, way: Way, bytes: u64, queue: Queue) -> Done<Block>;

    /// Gives it back.
    fn free(&self, block: Block, queue: Queue) -> Done<()>;

    /// Makes pools give back what they do not use.
    fn trim(&self) -> Done<()>;

    /// Host memory that is pinned.
    fn pin(&self, bytes: usize) -> Done<Pinned>;

    /// Gives it back.
    fn unpin(&self, pinned: Pinned) -> Done<()>;

    /// Fills memory with words, and waits.
    fn fill(&self, address: Address, word: u32, words: u64) -> Done<()>;

    /// Fills memory with zeros in the order of a queue.
    fn fill_async(&self, address: Address, bytes: u64, queue: Queue) -> Done<()>;

    /// Copies inside the device in the order of a queue.
    fn copy_inside(&self, to: Address, from: Address, bytes: u64, queue: Queue) -> Done<()>;

    /// Copies to the device, in the order of a queue or, without one, at once. Host memory may be of any kind.
    ///
    /// # Safety
    /// `from` has that many bytes until the copy is done.
    unsafe fn copy_in(
        &self,
        to: Address,
        from: *const c_void,
        bytes: u64,
        queue: Option<Queue>,
    ) -> Done<()>;

    /// Copies from the device, in the order of a queue or, without one, at once. Where there is no memory of this process
    /// at `from`, the driver says so or nothing is copied.
    ///
    /// # Safety
    /// `to` has that many bytes until the copy is done.
    unsafe fn copy_out(
        &self,
        to: *mut c_void,
        from: Address,
        bytes: u64,
        queue: Option<Queue>,
    ) -> Done<()>;

    /// What another process needs to open memory.
    fn share(&self, address: Address) -> Done<Vec<u8>>;

    /// Opens memory of another process.
    fn open_shared(&self, handle: &[u8]) -> Done<Address>;

    /// Ends that.
    fn close_shared(&self, address: Address) -> Done<()>;

    /// Makes a cheap call so often; the event has passed and the queue is empty.
    fn repeat(&self, call: Cheap, times: u32, event: Event, queue: Queue) -> Done<()>;

    /// Room for the times of so many kernels.
    fn stamps(&self, count: usize) -> Done<Stamps> {
        let pinned = self.pin(count * 16)?;
        // SAFETY: that many bytes, just allocated.
        unsafe { pinned.host.cast::<u8>().write_bytes(0, count * 16) };
        Ok(Stamps::Words(pinned))
    }

    /// Launches `kernels.stamped`, or a kernel like it, so that its times go to that place.
    fn launch_stamped(
        &self,
        stamps: &Stamps,
        at: usize,
        kernel: Kernel,
        queue: Queue,
        shape: Shape,
        iters: u32,
    ) -> Done<()> {
        let Stamps::Words(pinned) = stamps else {
            return Err(Trouble::new("these times are another driver's"));
        };
        let place = pinned.device + at as u64 * 16;
        self.launch(kernel, queue, shape, &[iters.into(), place.into()])
    }

    /// The kernel that [`Driver::launch_stamped`] takes.
    fn stamped(&self) -> &'static CStr {
        c"fcsp_stamped"
    }

    /// When the first so many began and ended, in nanoseconds of a clock that all processes on the device share. Nothing
    /// is under way; the room is given back.
    fn times(&self, stamps: Stamps, count: usize) -> Done<Vec<(u64, u64)>> {
        let Stamps::Words(pinned) = stamps else {
            return Err(Trouble::new("these times are another driver's"));
        };
        let ns_per_tick = self.ns_per_tick()?;
        let ns = |ticks: u64| (ticks as f64 * ns_per_tick) as u64;
        let times = (0..count)
            .map(|at| {
                // SAFETY: within what was allocated; every kernel that writes to it is done.
                let [begin, end] =
                    unsafe { pinned.host.cast::<[u64; 2]>().add(at).read_volatile() };
                (ns(begin), ns(end))
            })
            .collect();
        self.unpin(pinned)?;
        Ok(times)
    }

    /// What a tick of the clock that `fcsp_stamped` reads is.
    fn ns_per_tick(&self) -> Done<f64> {
        Ok(1.0)
    }
}

/// Loads a vendor's driver and opens its first device, up to where a program can submit work.
pub(crate) fn open(vendor: Vendor) -> Done<Box<dyn Driver>> {
    Ok(match vendor {
        Vendor::Nvidia => Box::new(cuda::Cuda::open()?),
        Vendor::Amd => Box::new(hip::Hip::open()?),
        Vendor::Intel => Box::new(ze::Ze::open()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_lead_to_the_bytes_of_the_arguments() {
        let arguments = [7_u32.into(), u64::MAX.into(), 9_u64.into()];
        let pointers = pointers(&arguments);
        // SAFETY: the first three lead to the arguments above.
        unsafe {
            assert_eq!(pointers[0].cast::<u32>().read(), 7);
            assert_eq!(pointers[1].cast::<u64>().read(), u64::MAX);
            assert_eq!(pointers[2].cast::<u64>().read(), 9);
        }
        assert_eq!(
            arguments.map(|argument: Argument| argument.bytes),
            [4, 8, 8]
        );
    }
}
