//! The gate in the stream: CUDA's stream memory operations and events for [`StreamGate`].
//!
//! A stream is known to the core by a number:
//!
//! | number | stream |
//! |---|---|
//! | an even address | a created stream, by its handle |
//! | an address plus 1 | the legacy default stream of the context at that address |
//! | odd, the top bit set | the default stream of one thread, by that thread's index here |

use core::cell::Cell;
use core::ptr;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use cuda_sys::{
    CU_MEMHOSTREGISTER_DEVICEMAP, CU_MEMHOSTREGISTER_PORTABLE, CU_STREAM_LEGACY,
    CU_STREAM_PER_THREAD, CUcontext, CUevent, CUevent_flags, CUresult, CUstream, CUstream_flags,
    CUstreamWaitValue_flags,
};
use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};
use fcsp_preload::log;

use crate::capture::{self, Undisturbed};
use crate::hooks::cuda;

const THREAD_STREAM: u64 = 1 << 63 | 1;
/// Threads whose default streams can be told apart; the rest run ungated.
const THREADS_MAX: usize = 256;

fn succeeded(result: CUresult) -> bool {
    result == CUresult::CUDA_SUCCESS
}

/// The gate page as the device addresses it.
#[derive(Debug)]
pub struct Pages {
    page: &'static GatePage,
    /// Device address of the page; 0 before it is registered, [`REFUSED`] if it cannot be.
    address: AtomicU64,
}

/// No device address: the driver does not map the page, and asking costs too much to do it again.
const REFUSED: u64 = u64::MAX;

impl Pages {
    /// A page that the device does not know yet.
    pub fn new(page: &'static GatePage) -> Self {
        Self {
            page,
            address: AtomicU64::new(0),
        }
    }

    /// The context that pinned the page is gone: pin it anew when it is needed.
    pub fn forget(&self) {
        self.address.store(0, Ordering::Release);
    }

    /// Device address of a word in the page; pins the page the first time. Needs a current context.
    fn device_address(&self, word: &AtomicU32) -> Option<u64> {
        let start = ptr::from_ref(self.page).addr();
        let offset = ptr::from_ref(word).addr().wrapping_sub(start);
        debug_assert!(offset < PAGE_BYTES, "a word outside the gate page");
        let address = match self.address.load(Ordering::Acquire) {
            REFUSED => return None,
            0 => self.register()?,
            address => address,
        };
        Some(address + offset as u64)
    }

    #[cold]
    fn register(&self) -> Option<u64> {
        let host = ptr::from_ref(self.page).cast_mut().cast();
        let flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;
        let mut address = 0;
        // SAFETY: the page is mapped for the life of the process; nobody holds a Rust reference to
        // its contents other than through atomics.
        let registered = unsafe { cuda::cuMemHostRegister_v2.get()?(host, PAGE_BYTES, flags) };
        let known = succeeded(registered)
            || registered == CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
        // SAFETY: as above; the driver writes one address.
        let found = known
            && succeeded(unsafe {
                cuda::cuMemHostGetDevicePointer_v2.get()?(&mut address, host, 0)
            });
        if !found {
            log::warn!(
                "the driver does not map the region ({}): threads wait in place of streams, which is slower; \
                 put FCSP_RUN_DIR into memory, under /dev/shm",
                registered.0
            );
            // Without a context nothing can be registered; with the next it may.
            if registered != CUresult::CUDA_ERROR_INVALID_CONTEXT
                && registered != CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED
            {
                self.address.store(REFUSED, Ordering::Release);
            }
            return None;
        }
        self.address.store(address, Ordering::Release);
        Some(address)
    }
}

/// A stream as the core knows it. `None` for the default stream of one thread too many.
pub fn queue_of<const PER_THREAD: bool>(stream: CUstream) -> Option<QueueId> {
    let per_thread = stream == CU_STREAM_PER_THREAD || (PER_THREAD && stream.is_null());
    if per_thread {
        return thread_index().map(|index| QueueId(THREAD_STREAM | (index as u64) << 1));
    }
    if stream.is_null() || stream == CU_STREAM_LEGACY {
        return Some(QueueId(current_context().addr() as u64 | 1));
    }
    Some(QueueId(stream.addr() as u64))
}

/// The calling thread's context; null if it has none.
pub fn current_context() -> CUcontext {
    let mut context = ptr::null_mut();
    if let Some(get) = cuda::cuCtxGetCurrent.get() {
        // SAFETY: the driver writes one handle; on failure it stays null.
        unsafe { get(&mut context) };
    }
    context
}

/// What is known of a thread's default stream.
struct ThreadStream {
    /// Marks the newest work in it, so that another thread can wait for that work.
    newest: AtomicPtr<cuda_sys::CUevent_st>,
}

static THREADS: [ThreadStream; THREADS_MAX] = [const {
    ThreadStream {
        newest: AtomicPtr::new(ptr::null_mut()),
    }
}; THREADS_MAX];
static THREADS_USED: AtomicUsize = AtomicUsize::new(0);
/// Where another thread's default stream is waited for.
static HELPER: AtomicPtr<cuda_sys::CUstream_st> = AtomicPtr::new(ptr::null_mut());

thread_local! {
    static THREAD: Cell<Option<usize>> = const { Cell::new(None) };
}

fn thread_index() -> Option<usize> {
    if let Some(index) = THREAD.get() {
        return (index < THREADS_MAX).then_some(index);
    }
    let index = THREADS_USED.fetch_add(1, Ordering::AcqRel);
    THREAD.set(Some(index));
    (index < THREADS_MAX).then_some(index)
}

/// After a launch into the calling thread's default stream: leaves a mark that other threads can
/// wait for, once there are other threads with such streams.
pub fn launched_into_thread_stream() {
    if THREADS_USED.load(Ordering::Relaxed) < 2 {
        return;
    }
    let Some(thread) = THREAD.get().and_then(|index| THREADS.get(index)) else {
        return;
    };
    let mut event = thread.newest.load(Ordering::Acquire);
    if event.is_null() {
        event = new_event(CUevent_flags::CU_EVENT_DISABLE_TIMING).unwrap_or(ptr::null_mut());
        thread.newest.store(event, Ordering::Release);
    }
    if !event.is_null()
        && let Some(record) = cuda::cuEventRecord.get()
    {
        // SAFETY: an event of ours, the calling thread's own stream.
        unsafe { record(event, CU_STREAM_PER_THREAD) };
    }
}

fn new_event(flags: CUevent_flags) -> Option<CUevent> {
    let mut event = ptr::null_mut();
    // SAFETY: the driver writes one handle.
    let result = unsafe { cuda::cuEventCreate.get()?(&mut event, flags.0) };
    succeeded(result).then_some(event)
}

fn helper_stream() -> Option<CUstream> {
    let known = HELPER.load(Ordering::Acquire);
    if !known.is_null() {
        return Some(known);
    }
    let mut stream = ptr::null_mut();
    let flags = CUstream_flags::CU_STREAM_NON_BLOCKING.0;
    // SAFETY: the driver writes one handle.
    let result = unsafe { cuda::cuStreamCreate.get()?(&mut stream, flags) };
    if !succeeded(result) {
        return None;
    }
    HELPER.store(stream, Ordering::Release);
    Some(stream)
}

/// Runs `call` with the stream behind `queue`, as the calling thread must name it. False if it
/// cannot, or if the stream is being captured since it was used: what is written to it now would go into
/// the program's graph, or spoil it.
fn with_stream(queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
    let call = |stream| !capture::captures::<false>(stream) && call(stream);
    if queue.0 & THREAD_STREAM == THREAD_STREAM {
        let index = (queue.0 & !THREAD_STREAM) as usize >> 1;
        return THREAD.get() == Some(index) && call(CU_STREAM_PER_THREAD);
    }
    if queue.0 & 1 == 0 {
        return call(ptr::with_exposed_provenance_mut(queue.0 as usize));
    }
    let context = ptr::with_exposed_provenance_mut((queue.0 & !1) as usize);
    if context == current_context() {
        return call(CU_STREAM_LEGACY);
    }
    let (Some(push), Some(pop)) = (
        cuda::cuCtxPushCurrent_v2.get(),
        cuda::cuCtxPopCurrent_v2.get(),
    ) else {
        return false;
    };
    // SAFETY: a context the program had current when it used this stream; the driver checks it.
    if !succeeded(unsafe { push(context) }) {
        return false;
    }
    let done = call(CU_STREAM_LEGACY);
    let mut popped = ptr::null_mut();
    // SAFETY: takes off what was pushed above.
    unsafe { pop(&mut popped) };
    done
}

/// Makes another thread's default stream visible on the helper stream. False if it cannot.
fn join_thread_stream(queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
    let index = (queue.0 & !THREAD_STREAM) as usize >> 1;
    let newest = THREADS
        .get(index)
        .map_or(ptr::null_mut(), |t| t.newest.load(Ordering::Acquire));
    let (Some(helper), Some(wait)) = (helper_stream(), cuda::cuStreamWaitEvent.get()) else {
        return false;
    };
    // SAFETY: a stream and an event of ours.
    !newest.is_null() && succeeded(unsafe { wait(helper, newest, 0) }) && call(helper)
}

/// The gate of one device of this process.
#[derive(Clone, Copy, Debug)]
pub struct CudaGate<'a>(pub &'a Pages);

impl StreamGate for CudaGate<'_> {
    fn wait(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let _quiet = Undisturbed::enter();
        let Some(address) = self.0.device_address(word) else {
            return false;
        };
        let Some(wait) = cuda::cuStreamWaitValue32_v2.get() else {
            return false;
        };
        let flags = CUstreamWaitValue_flags::CU_STREAM_WAIT_VALUE_GEQ.0;
        with_stream(queue, |stream| {
            // SAFETY: the word is pinned for the life of the process.
            succeeded(unsafe { wait(stream, address, value, flags) })
        })
    }

    fn write(&self, queue: QueueId, word: &AtomicU32, value: u32) -> bool {
        let _quiet = Undisturbed::enter();
        let Some(address) = self.0.device_address(word) else {
            return false;
        };
        let Some(write) = cuda::cuStreamWriteValue32_v2.get() else {
            return false;
        };
        // SAFETY: the word is pinned for the life of the process, and written by the device only.
        let put = |stream| succeeded(unsafe { write(stream, address, value, 0) });
        let foreign = queue.0 & THREAD_STREAM == THREAD_STREAM
            && THREAD.get() != Some((queue.0 & !THREAD_STREAM) as usize >> 1);
        if foreign {
            join_thread_stream(queue, put)
        } else {
            with_stream(queue, put)
        }
    }

    fn marker(&self) -> Option<Marker> {
        let _quiet = Undisturbed::enter();
        new_event(CUevent_flags::CU_EVENT_DEFAULT)
            .map(|event| Marker(event.expose_provenance() as u64))
    }

    fn record(&self, marker: Marker, queue: QueueId) -> bool {
        let _quiet = Undisturbed::enter();
        let Some(record) = cuda::cuEventRecord.get() else {
            return false;
        };
        with_stream(queue, |stream| {
            // SAFETY: an event of ours; the driver checks that it fits the stream's context.
            succeeded(unsafe { record(event_of(marker), stream) })
        })
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let _quiet = Undisturbed::enter();
        let mut milliseconds = 0.0_f32;
        let (begin, end) = (event_of(begin), event_of(end));
        // SAFETY: events of ours; the driver writes one number.
        let result = unsafe {
            match (
                cuda::cuEventElapsedTime_v2.get(),
                cuda::cuEventElapsedTime.get(),
            ) {
                (Some(elapsed), _) => elapsed(&mut milliseconds, begin, end),
                (None, Some(elapsed)) => elapsed(&mut milliseconds, begin, end),
                (None, None) => CUresult::CUDA_ERROR_NOT_FOUND,
            }
        };
        match result {
            CUresult::CUDA_SUCCESS => Elapsed::Ns((f64::from(milliseconds.max(0.0)) * 1e6) as u64),
            CUresult::CUDA_ERROR_NOT_READY => Elapsed::Pending,
            _ => Elapsed::Lost,
        }
    }
}

fn event_of(marker: Marker) -> CUevent {
    ptr::with_exposed_provenance_mut(marker.0 as usize)
}
