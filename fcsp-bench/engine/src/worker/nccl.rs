//! Collectives between all devices of the process, by NCCL or RCCL, which is opened if it is there and never linked.

use super::gpu::Gpu;
use super::libraries;
use crate::driver::{Address, Kernel, Queue, Trouble};
use crate::protocol::{Answer, Collective};
use fcsp_measure::clock::now_ns;
use std::ffi::{c_int, c_void};

type Comm = *mut c_void;
/// `ncclFloat` and `ncclSum` of nccl.h.
const FLOAT: c_int = 7;
const SUM: c_int = 0;
/// Devices that take part: what is measured is named for two.
const DEVICES_MAX: u32 = 2;

/// Functions of nccl.h.
struct Functions {
    init_all: unsafe extern "C" fn(*mut Comm, c_int, *const c_int) -> c_int,
    group_start: unsafe extern "C" fn() -> c_int,
    group_end: unsafe extern "C" fn() -> c_int,
    all_reduce:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, Queue) -> c_int,
    all_gather:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, Comm, Queue) -> c_int,
    broadcast:
        unsafe extern "C" fn(*const c_void, *mut c_void, usize, c_int, c_int, Comm, Queue) -> c_int,
    send: unsafe extern "C" fn(*const c_void, usize, c_int, c_int, Comm, Queue) -> c_int,
    recv: unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, Comm, Queue) -> c_int,
    // Last: the functions point into it.
    _library: libloading::Library,
}

/// A device that takes part.
struct Rank {
    ordinal: u32,
    queue: Queue,
    /// `fcsp_work` in this device's context.
    work: Kernel,
    comm: Comm,
}

/// What a rank sends from and receives in.
type Buffers = (Address, Address);

impl Rank {
    /// Makes its device's context current.
    fn enter(&self, gpu: &Gpu) -> Result<(), Trouble> {
        gpu.driver.use_device(self.ordinal)
    }

    /// Launches work that fills its device.
    fn work(&self, gpu: &Gpu, iters: u32) -> Result<(), Trouble> {
        self.enter(gpu)?;
        gpu.launch_in(self.work, self.queue, iters)
    }
}

/// All devices of the process.
pub(crate) struct Ring {
    functions: Functions,
    ranks: Vec<Rank>,
}

impl Functions {
    fn open(gpu: &Gpu) -> Result<Self, Trouble> {
        let library = libraries::collectives(gpu.vendor)?.open(gpu.simulated)?;
        macro_rules! get {
            ($name:literal) => {
                // SAFETY: the field it goes to has the type that nccl.h declares.
                *unsafe { library.get(concat!($name, "\0").as_bytes()) }
                    .map_err(|error| Trouble::new(format!("NCCL lacks a function: {error}")))?
            };
        }
        Ok(Self {
            init_all: get!("ncclCommInitAll"),
            group_start: get!("ncclGroupStart"),
            group_end: get!("ncclGroupEnd"),
            all_reduce: get!("ncclAllReduce"),
            all_gather: get!("ncclAllGather"),
            broadcast: get!("ncclBroadcast"),
            send: get!("ncclSend"),
            recv: get!("ncclRecv"),
            _library: library,
        })
    }
}

impl Ring {
    fn open(gpu: &Gpu) -> Result<Self, Trouble> {
        let count = gpu.driver.facts()?.devices;
        if count < 2 {
            return Err(Trouble::lacking("needs 2 GPUs"));
        }
        let count = count.min(DEVICES_MAX);
        let functions = Functions::open(gpu)?;
        let mut ranks = Vec::new();
        for ordinal in 0..count {
            gpu.driver.use_device(ordinal)?;
            ranks.push(Rank {
                ordinal,
                queue: gpu.driver.queue()?,
                work: gpu.driver.kernel(c"fcsp_work")?,
                comm: std::ptr::null_mut(),
            });
        }
        let ordinals: Vec<c_int> = (0..count as c_int).collect();
        let mut comms = vec![std::ptr::null_mut(); ranks.len()];
        // SAFETY: as many places and ordinals as the count says.
        let status =
            unsafe { (functions.init_all)(comms.as_mut_ptr(), count as c_int, ordinals.as_ptr()) };
        ok("ncclCommInitAll", status)?;
        for (rank, comm) in ranks.iter_mut().zip(comms) {
            rank.comm = comm;
        }
        Ok(Self { functions, ranks })
    }

    /// All ranks' parts of one collective.
    fn submit(&self, kind: Collective, words: usize, buffers: &[Buffers]) -> Result<(), Trouble> {
        let f = &self.functions;
        // SAFETY: throughout: buffers of each rank's device that are large enough, live communicators and streams, and
        // every call between start and end of the group.
        unsafe {
            ok("ncclGroupStart", (f.group_start)())?;
            for (index, (rank, buffers)) in self.ranks.iter().zip(buffers).enumerate() {
                let (from, to) = (buffers.0 as *const c_void, buffers.1 as *mut c_void);
                let (comm, stream) = (rank.comm, rank.queue);
                match (kind, index) {
                    (Collective::AllReduce, _) => ok(
                        "ncclAllReduce",
                        (f.all_reduce)(from, to, words, FLOAT, SUM, comm, stream),
                    )?,
                    (Collective::AllGather, _) => ok(
                        "ncclAllGather",
                        (f.all_gather)(from, to, words / self.ranks.len(), FLOAT, comm, stream),
                    )?,
                    (Collective::Broadcast, _) => ok(
                        "ncclBroadcast",
                        (f.broadcast)(from, to, words, FLOAT, 0, comm, stream),
                    )?,
                    (Collective::PeerToPeer, 0) => {
                        ok("ncclSend", (f.send)(from, words, FLOAT, 1, comm, stream))?
                    }
                    (Collective::PeerToPeer, 1) => {
                        ok("ncclRecv", (f.recv)(to, words, FLOAT, 0, comm, stream))?
                    }
                    (Collective::PeerToPeer, _) => {}
                }
            }
            ok("ncclGroupEnd", (f.group_end)())
        }
    }

    /// One collective, until every rank's part is done.
    fn collect(
        &self,
        gpu: &Gpu,
        kind: Collective,
        bytes: u64,
        buffers: &[Buffers],
    ) -> Result<(), Trouble> {
        self.submit(kind, (bytes / 4) as usize, buffers)?;
        for rank in &self.ranks {
            rank.enter(gpu)?;
            gpu.wait(rank.queue)?;
        }
        Ok(())
    }
}

fn ok(name: &str, status: c_int) -> Result<(), Trouble> {
    match status {
        0 => Ok(()),
        status => Err(Trouble::new(format!("{name} failed with status {status}"))),
    }
}

/// One collective again and again, each waited for: `collective_us`, and `devices`.
pub(crate) fn measure(
    gpu: &Gpu,
    ring: &mut Option<Ring>,
    kind: Collective,
    bytes: u64,
    count: u32,
) -> Result<Answer, Trouble> {
    on_all(gpu, ring, bytes, |ring, buffers| {
        let mut collective_us = Vec::with_capacity(count as usize);
        for pass in 0..=count {
            let began_ns = now_ns();
            ring.collect(gpu, kind, bytes, buffers)?;
            // The first one makes the connections.
            if pass > 0 {
                collective_us.push((now_ns() - began_ns) as f64 / 1e3);
            }
        }
        Ok(Answer::default()
            .with_all("collective_us", collective_us)
            .with("devices", ring.ranks.len() as f64))
    })
}

/// A step of compute on one device, and split over two: half on each, then the sum of both parts.
pub(crate) fn scaling(
    gpu: &Gpu,
    ring: &mut Option<Ring>,
    us: f64,
    bytes: u64,
    count: u32,
) -> Result<Answer, Trouble> {
    on_all(gpu, ring, bytes, |ring, buffers| {
        let (whole, part) = (gpu.iters(us)?, gpu.iters(us / ring.ranks.len() as f64)?);
        let mut answer = Answer::default();
        for pass in 0..=count {
            let began_ns = now_ns();
            ring.ranks[0].work(gpu, whole)?;
            gpu.wait(ring.ranks[0].queue)?;
            let one_ns = now_ns();
            for rank in &ring.ranks {
                rank.work(gpu, part)?;
            }
            ring.collect(gpu, Collective::AllReduce, bytes, buffers)?;
            // The first one makes the connections.
            if pass > 0 {
                answer = answer
                    .with("one_us", (one_ns - began_ns) as f64 / 1e3)
                    .with("two_us", (now_ns() - one_ns) as f64 / 1e3);
            }
        }
        Ok(answer)
    })
}

/// Does something with all devices and two buffers of that size on each. Afterwards the first device's context is current
/// again, which all other tasks expect, and the buffers are gone.
fn on_all(
    gpu: &Gpu,
    ring: &mut Option<Ring>,
    bytes: u64,
    act: impl FnOnce(&Ring, &[Buffers]) -> Result<Answer, Trouble>,
) -> Result<Answer, Trouble> {
    let result = (|| {
        if ring.is_none() {
            *ring = Some(Ring::open(gpu)?);
        }
        let ring = ring
            .as_ref()
            .ok_or_else(|| Trouble::new("NCCL was opened and is not there"))?;
        let mut buffers = Vec::new();
        for rank in &ring.ranks {
            rank.enter(gpu)?;
            buffers.push((gpu.allocate(bytes)?, gpu.allocate(bytes)?));
        }
        let answer = act(ring, &buffers)?;
        for (rank, (from, to)) in ring.ranks.iter().zip(buffers) {
            rank.enter(gpu)?;
            gpu.free(from)?;
            gpu.free(to)?;
        }
        Ok(answer)
    })();
    gpu.driver.use_device(0)?;
    result
}
