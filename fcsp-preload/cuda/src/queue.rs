//! Which stream is which queue in a program that knows nothing of us, for the gate in the stream.
//!
//! The gate itself (waits, writes, markers) is `fcsp_nvidia_queue`'s. Here is what it asks of this
//! program ([`Program`]): default streams of threads, contexts of other threads, captures that must
//! not be disturbed.
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
use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use cuda_sys::{
    CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUcontext, CUevent_flags, CUresult, CUstream,
    CUstream_flags,
};
use fcsp_core::backend::QueueId;
use fcsp_gate::{Gate, Surroundings};
use fcsp_nvidia_queue::{Streams, new_event};
use fcsp_preload::log;

use crate::capture::{self, Undisturbed};
use crate::device::Device;
use crate::driver::Cuda;
use crate::hooks::cuda;
use crate::memory::contexts;

const THREAD_STREAM: u64 = 1 << 63 | 1;
/// Threads whose default streams can be told apart; the rest run ungated.
const THREADS_MAX: usize = 256;

fn succeeded(result: CUresult) -> bool {
    result == CUresult::CUDA_SUCCESS
}

/// The gate of one device of this process.
#[inline]
pub fn gate(device: &Device) -> Gate<'_, Streams<Cuda>, Program> {
    Gate::new(&device.pages, Streams(Cuda), Program)
}

/// A stream as the core knows it. `None` for the default stream of one thread too many.
#[inline]
pub fn queue_of<const PER_THREAD: bool>(stream: CUstream) -> Option<QueueId> {
    let per_thread = stream == CU_STREAM_PER_THREAD || (PER_THREAD && stream.is_null());
    if per_thread {
        return thread_index().map(|index| QueueId(THREAD_STREAM | (index as u64) << 1));
    }
    if stream.is_null() || stream == CU_STREAM_LEGACY {
        let context = contexts::only().unwrap_or_else(current_context);
        return Some(QueueId(context.addr() as u64 | 1));
    }
    Some(QueueId(stream.addr() as u64))
}

/// The calling thread's context; null if it has none.
#[inline(never)]
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

#[inline(never)]
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
        let made = cuda::cuEventCreate
            .get()
            .and_then(|create| new_event(create, CUevent_flags::CU_EVENT_DISABLE_TIMING));
        event = made.unwrap_or(ptr::null_mut());
        thread.newest.store(event, Ordering::Release);
    }
    if !event.is_null()
        && let Some(record) = cuda::cuEventRecord.get()
    {
        // SAFETY: an event of ours, the calling thread's own stream.
        unsafe { record(event, CU_STREAM_PER_THREAD) };
    }
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

/// The program this library is loaded into.
#[derive(Clone, Copy, Debug)]
pub struct Program;

impl Surroundings<Streams<Cuda>> for Program {
    type Held = Undisturbed;

    fn hold(&self) -> Undisturbed {
        Undisturbed::enter()
    }

    fn within(&self, queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
        with_stream(queue, call)
    }

    fn behind(&self, queue: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
        let foreign = queue.0 & THREAD_STREAM == THREAD_STREAM
            && THREAD.get() != Some((queue.0 & !THREAD_STREAM) as usize >> 1);
        if foreign {
            join_thread_stream(queue, call)
        } else {
            with_stream(queue, call)
        }
    }

    fn not_mapped(&self, code: CUresult) {
        log::warn!(
            "the driver does not map the region ({}): threads wait in place of streams, which is slower; \
             put FCSP_RUN_DIR into memory, under /dev/shm",
            code.0
        );
    }
}
