//! Events and their pools.
//!
//! An event is a word in its pool's memory: 0 reset, 1 signalled. Queues wait for it and write it, and so does the
//! host. Times are kept beside it, by events of the model that each command records anew.

use crate::border::{Outcome, put, rc, read, require};
use crate::device;
use crate::driver::{Gpu, gpus, notice};
use crate::handles::{CONTEXTS, EVENTS, POOLS, get, take};
use fcsp_sim::{
    Comparison, EventId, EventStatus, Gate, Op, PreciseWait, Queues, Width, export, now_ns,
};
use level_zero_sys::*;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::AtomicU32;
use std::sync::atomic::Ordering::{Acquire, Release};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What an event takes of its pool: a line of the cache.
const EVENT_BYTES: u64 = 64;
/// Between two looks of a thread that waits: at least, at most, and in between the time it has waited divided by
/// [`POLL_BACKOFF`], so that no wait gets much longer by it.
const POLL_NS_MIN: u64 = 5_000;
const POLL_NS_MAX: u64 = 100_000;
const POLL_BACKOFF: u64 = 32;

/// A pool.
pub struct Pool {
    base: u64,
    bytes: u64,
    /// The file behind its memory, if it is this process's.
    file: Option<OwnedFd>,
    timed: bool,
}

/// An event.
pub struct Event {
    pool: Arc<Pool>,
    address: u64,
    times: Option<Mutex<Times>>,
}

/// When the command that signals an event began and ended.
#[derive(Default)]
struct Times {
    /// The model's events, and whose they are.
    marks: Option<(&'static Queues, EventId, EventId)>,
}

impl Pool {
    fn create(count: u32, timed: bool) -> Result<Self, ze_result_t> {
        let bytes = u64::from(count) * EVENT_BYTES;
        // SAFETY: the name is a NUL-terminated literal.
        let fd = unsafe { libc::memfd_create(c"fcsp-sim-events".as_ptr(), libc::MFD_CLOEXEC) };
        require(fd >= 0, rc::OUT_OF_HOST_MEMORY)?;
        // SAFETY: just created, owned by nobody else.
        let file = unsafe { OwnedFd::from_raw_fd(fd) };
        // SAFETY: an open descriptor of a memory file.
        let sized = unsafe { libc::ftruncate(fd, bytes as i64) } == 0;
        require(sized, rc::OUT_OF_HOST_MEMORY)?;
        let base = export::Extent::own(0, fd, 0, bytes)
            .map()
            .map_err(|_| rc::OUT_OF_HOST_MEMORY)?;
        Ok(Self {
            base,
            bytes,
            file: Some(file),
            timed,
        })
    }

    /// A pool of another process, whose memory was mapped.
    pub fn opened(base: u64, bytes: u64) -> Self {
        Self {
            base,
            bytes,
            file: None,
            timed: false,
        }
    }

    /// The file behind it and its length, unless another process made it.
    pub fn file(&self) -> Option<(RawFd, u64)> {
        Some((self.file.as_ref()?.as_raw_fd(), self.bytes))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        for queues in gpus().iter().filter_map(Gpu::queues_in_use) {
            queues.forget_memory(self.base..self.base + self.bytes);
        }
        // SAFETY: mapped when it was made; its events are gone, and no queue refers to it any more.
        unsafe { export::unmap(self.base, self.bytes) };
    }
}

impl Event {
    fn word(&self) -> &AtomicU32 {
        // SAFETY: an aligned word of the pool's memory, which is mapped while `self.pool` lives.
        unsafe { AtomicU32::from_ptr(self.address as *mut u32) }
    }

    /// Whether it is signalled.
    pub fn signalled(&self) -> bool {
        self.word().load(Acquire) != 0
    }

    /// The operation that sets it, or resets it.
    pub fn write(&self, value: u64) -> Op {
        Op::Write {
            address: self.address,
            width: Width::Bits32,
            value,
        }
    }

    /// The operation that waits for it.
    pub fn wait(&self) -> Op {
        Op::Wait(Gate {
            address: self.address,
            width: Width::Bits32,
            comparison: Comparison::Equal,
            value: 1,
            mask: u64::MAX,
        })
    }

    /// Events of the model to record at begin and end of the command that signals it; none if nobody asked for times.
    pub fn marks(&self, queues: &'static Queues) -> Option<(EventId, EventId)> {
        let mut times = self
            .times
            .as_ref()?
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        match times.marks {
            Some((of, begin, end)) if std::ptr::eq(of, queues) => Some((begin, end)),
            _ => {
                times.forget();
                let (begin, end) = (queues.create_event(), queues.create_event());
                times.marks = Some((queues, begin, end));
                Some((begin, end))
            }
        }
    }

    /// When the command that signalled it began and ended, in nanoseconds; nothing if it has not ended, or nobody asked.
    pub fn times_ns(&self) -> Option<(u64, u64)> {
        let times = self
            .times
            .as_ref()?
            .lock()
            .unwrap_or_else(|e| e.into_inner());
        let (queues, begin, end) = times.marks?;
        let reached = |event| match queues.event_status(event) {
            Ok(EventStatus::Reached { time_ns }) => Some(time_ns),
            _ => None,
        };
        Some((reached(begin)?, reached(end)?))
    }
}

impl Times {
    fn forget(&mut self) {
        if let Some((queues, begin, end)) = self.marks.take() {
            for event in [begin, end] {
                // Nobody else closes them.
                let _ = queues.close_event(event);
            }
        }
    }
}

impl Drop for Times {
    fn drop(&mut self) {
        self.forget();
    }
}

/// Waits until `ready`, for at most so many nanoseconds; `u64::MAX` is for ever.
pub fn wait_until(timeout_ns: u64, ready: impl Fn() -> bool) -> Outcome {
    let began_ns = now_ns();
    let mut precise = None;
    loop {
        notice();
        if ready() {
            return Ok(());
        }
        let waited_ns = now_ns() - began_ns;
        let left_ns = timeout_ns.saturating_sub(waited_ns);
        require(left_ns > 0, rc::NOT_READY)?;
        precise.get_or_insert_with(PreciseWait::begin);
        let pause_ns = (waited_ns / POLL_BACKOFF).clamp(POLL_NS_MIN, POLL_NS_MAX);
        std::thread::sleep(Duration::from_nanos(pause_ns.min(left_ns)));
    }
}

/// The events of an array.
///
/// # Safety
/// `events` is null or has `count` handles.
pub unsafe fn events(
    count: u32,
    events: *mut ze_event_handle_t,
) -> Result<Vec<Arc<Event>>, ze_result_t> {
    require(count == 0 || !events.is_null(), rc::INVALID_SIZE)?;
    (0..count as usize)
        // SAFETY: within the array, by the caller's contract.
        .map(|index| get(&EVENTS, unsafe { *events.add(index) }))
        .collect()
}

/// `zeEventPoolCreate`.
pub unsafe fn create_pool(
    context: ze_context_handle_t,
    desc: *const ze_event_pool_desc_t,
    count: u32,
    devices: *mut ze_device_handle_t,
    place: *mut ze_event_pool_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let desc = unsafe { read(desc) }?;
    require(desc.count > 0, rc::INVALID_SIZE)?;
    for index in 0..if devices.is_null() { 0 } else { count as usize } {
        // SAFETY: within the array, by the caller's contract.
        device::gpu(unsafe { *devices.add(index) })?;
    }
    use ze_event_pool_flag_t as F;
    let timed =
        F::ZE_EVENT_POOL_FLAG_KERNEL_TIMESTAMP.0 | F::ZE_EVENT_POOL_FLAG_KERNEL_MAPPED_TIMESTAMP.0;
    let pool = Pool::create(desc.count, desc.flags & timed != 0)?;
    // SAFETY: checked above.
    unsafe { put(place, POOLS.insert(pool) as ze_event_pool_handle_t) }
}

/// `zeEventPoolDestroy`. Its memory goes with its last event.
pub unsafe fn destroy_pool(pool: ze_event_pool_handle_t) -> Outcome {
    take(&POOLS, pool).map(drop)
}

/// `zeEventCreate`.
pub unsafe fn create(
    pool: ze_event_pool_handle_t,
    desc: *const ze_event_desc_t,
    place: *mut ze_event_handle_t,
) -> Outcome {
    let pool = get(&POOLS, pool)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let index = u64::from(unsafe { read(desc) }?.index);
    require(
        (index + 1) * EVENT_BYTES <= pool.bytes,
        rc::INVALID_ARGUMENT,
    )?;
    let event = Event {
        address: pool.base + index * EVENT_BYTES,
        times: pool.timed.then(Mutex::default),
        pool: Arc::clone(&pool),
    };
    if event.pool.file.is_some() {
        event.word().store(0, Release);
    }
    // SAFETY: checked above.
    unsafe { put(place, EVENTS.insert(event) as ze_event_handle_t) }
}

/// `zeEventDestroy`.
pub unsafe fn destroy(event: ze_event_handle_t) -> Outcome {
    take(&EVENTS, event).map(drop)
}

/// `zeEventHostSignal`.
pub unsafe fn host_signal(event: ze_event_handle_t) -> Outcome {
    get(&EVENTS, event)?.word().store(1, Release);
    Ok(())
}

/// `zeEventHostReset`.
pub unsafe fn host_reset(event: ze_event_handle_t) -> Outcome {
    get(&EVENTS, event)?.word().store(0, Release);
    Ok(())
}

/// `zeEventHostSynchronize`.
pub unsafe fn host_synchronize(event: ze_event_handle_t, timeout_ns: u64) -> Outcome {
    let event = get(&EVENTS, event)?;
    wait_until(timeout_ns, || event.signalled())
}

/// `zeEventQueryStatus`.
pub unsafe fn query_status(event: ze_event_handle_t) -> Outcome {
    // SAFETY: the same contract.
    unsafe { host_synchronize(event, 0) }
}

/// What a program reads of an event's times.
pub fn timestamps(begin_ns: u64, end_ns: u64) -> ze_kernel_timestamp_result_t {
    let data = ze_kernel_timestamp_data_t {
        kernelStart: begin_ns,
        kernelEnd: end_ns,
    };
    ze_kernel_timestamp_result_t {
        global: data,
        context: data,
    }
}

/// `zeEventQueryKernelTimestamp`.
pub unsafe fn query_timestamp(
    event: ze_event_handle_t,
    place: *mut ze_kernel_timestamp_result_t,
) -> Outcome {
    let event = get(&EVENTS, event)?;
    require(event.times.is_some(), rc::INVALID_ARGUMENT)?;
    notice();
    require(event.signalled(), rc::NOT_READY)?;
    let (begin_ns, end_ns) = event.times_ns().ok_or(rc::NOT_READY)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, timestamps(begin_ns, end_ns)) }
}
