//! Which stream is which queue in a program that knows nothing of us, for the gate in the stream.
//!
//! The gate itself (waits, writes, markers) is [`fcsp_gate`]'s. Here is what it asks of this
//! program ([`Program`]): default streams of threads, contexts of other threads, captures that must
//! not be disturbed.
//!
//! A stream is known to the core by a number:
//!
//! | number | stream |
//! |---|---|
//! | an even address | a created stream, by its handle |
//! | an even number plus 1 | the default stream of the context that has the number |
//! | odd, the top bit set | the default stream of one thread, by that thread's index here |

use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fcsp_core::backend::QueueId;
use fcsp_gate::{Gate, Handle, Surroundings};
use fcsp_preload::log;

use crate::capture::{self, Undisturbed};
use crate::device::Device;
use crate::driver::{CodeOf, Driver, StreamOf};

const THREAD_STREAM: u64 = 1 << 63 | 1;
/// Threads whose default streams can be told apart; the rest run ungated.
const THREADS_MAX: usize = 256;
/// No event and no stream has this number.
const NONE: u64 = 0;

/// The gate of one device of this process.
#[inline]
pub fn gate<D: Driver>(device: &Device) -> Gate<'_, D::Streams, Program<D>> {
    Gate::new(&device.pages, D::STREAMS, Program(PhantomData))
}

/// True for the calling thread's default stream; `PER_THREAD` says what the null stream means.
#[inline(always)]
fn is_of_thread<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) -> bool {
    stream == D::PER_THREAD || (PER_THREAD && stream.is_null())
}

/// True for a default stream by whatever name.
#[inline(always)]
pub fn is_default<D: Driver>(stream: StreamOf<D>) -> bool {
    stream.is_null() || D::is_legacy(stream) || stream == D::PER_THREAD
}

/// A stream as the core knows it. `None` for the default stream of one thread too many.
#[inline]
pub fn queue_of<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) -> Option<QueueId> {
    if is_of_thread::<D, PER_THREAD>(stream) {
        return thread_index().map(|index| QueueId(THREAD_STREAM | (index as u64) << 1));
    }
    if stream.is_null() || D::is_legacy(stream) {
        return Some(QueueId(D::home() | 1));
    }
    Some(QueueId(stream.number()))
}

/// What is known of a thread's default stream.
struct ThreadStream {
    /// The event that marks the newest work in it, so that another thread can wait for that work.
    newest: AtomicU64,
}

static THREADS: [ThreadStream; THREADS_MAX] = [const {
    ThreadStream {
        newest: AtomicU64::new(NONE),
    }
}; THREADS_MAX];
static THREADS_USED: AtomicUsize = AtomicUsize::new(0);
/// Where another thread's default stream is waited for.
static HELPER: AtomicU64 = AtomicU64::new(NONE);

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

/// After a submission to `stream`: in the calling thread's default stream leaves a mark that other threads can
/// wait for, once there are other threads with such streams.
#[inline]
pub fn submitted<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) {
    if is_of_thread::<D, PER_THREAD>(stream) {
        submitted_to_thread_stream::<D>();
    }
}

fn submitted_to_thread_stream<D: Driver>() {
    if THREADS_USED.load(Ordering::Relaxed) < 2 {
        return;
    }
    let Some(thread) = THREAD.get().and_then(|index| THREADS.get(index)) else {
        return;
    };
    let mut event = thread.newest.load(Ordering::Acquire);
    if event == NONE {
        event = D::new_event().unwrap_or(NONE);
        thread.newest.store(event, Ordering::Release);
    }
    if event != NONE {
        // If the driver refuses, another thread waits for older work, and its segment's end is judged by time.
        let _recorded = D::record(event, D::PER_THREAD);
    }
}

fn helper_stream<D: Driver>() -> Option<StreamOf<D>> {
    let known = HELPER.load(Ordering::Acquire);
    if known != NONE {
        return Some(Handle::from_number(known));
    }
    let stream = D::new_stream()?;
    HELPER.store(stream.number(), Ordering::Release);
    Some(stream)
}

/// Runs `call` with the stream behind `queue`, as the calling thread must name it. False if it
/// cannot, or if the stream is being captured since it was used: what is written to it now would go into
/// the program's graph, or spoil it.
fn with_stream<D: Driver>(queue: QueueId, call: impl FnOnce(StreamOf<D>) -> bool) -> bool {
    let call = |stream| !capture::captures::<D, false>(stream) && call(stream);
    if queue.0 & THREAD_STREAM == THREAD_STREAM {
        let index = (queue.0 & !THREAD_STREAM) as usize >> 1;
        return THREAD.get() == Some(index) && call(D::PER_THREAD);
    }
    if queue.0 & 1 == 0 {
        return call(Handle::from_number(queue.0));
    }
    D::within_home(queue.0 & !1, || call(D::LEGACY))
}

/// Makes another thread's default stream visible on the helper stream. False if it cannot.
fn join_thread_stream<D: Driver>(queue: QueueId, call: impl FnOnce(StreamOf<D>) -> bool) -> bool {
    let index = (queue.0 & !THREAD_STREAM) as usize >> 1;
    let newest = THREADS
        .get(index)
        .map_or(NONE, |thread| thread.newest.load(Ordering::Acquire));
    let Some(helper) = helper_stream::<D>() else {
        return false;
    };
    newest != NONE && D::wait_event(helper, newest) && call(helper)
}

/// The program this library is loaded into.
#[derive(Debug)]
pub struct Program<D>(PhantomData<D>);

impl<D: Driver> Surroundings<D::Streams> for Program<D> {
    type Held = Undisturbed<D>;

    fn hold(&self) -> Undisturbed<D> {
        Undisturbed::enter()
    }

    fn within(&self, queue: QueueId, call: impl FnOnce(StreamOf<D>) -> bool) -> bool {
        with_stream::<D>(queue, call)
    }

    fn behind(&self, queue: QueueId, call: impl FnOnce(StreamOf<D>) -> bool) -> bool {
        let foreign = queue.0 & THREAD_STREAM == THREAD_STREAM
            && THREAD.get() != Some((queue.0 & !THREAD_STREAM) as usize >> 1);
        if foreign {
            join_thread_stream::<D>(queue, call)
        } else {
            with_stream::<D>(queue, call)
        }
    }

    fn not_mapped(&self, code: CodeOf<D>) {
        log::warn!(
            "the driver does not map the region ({code:?}): threads wait in place of streams, which is slower; \
             put FCSP_RUN_DIR into memory, under /dev/shm",
        );
    }
}
