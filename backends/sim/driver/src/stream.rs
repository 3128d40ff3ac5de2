//! Streams: creation, waiting, memory words, host functions.

use crate::border::{self, Outcome, put, rc, require};
use crate::capture::{self, Membership};
use crate::context::{CONTEXTS, Context, cpu_cost, current};
use crate::driver::{Gpu, profile};
use crate::event::EVENTS;
use crate::graph::NodeKind;
use crate::handles::Table;
use crate::memory;
use crate::types::*;
use fcsp_sim::{Comparison, Effect, Gate, Op, StreamId, StreamKind, Width};
use std::ffi::{c_int, c_uint, c_void};
use std::sync::atomic::Ordering::{Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::sync::{Arc, Mutex};

/// `CU_STREAM_NON_BLOCKING`.
const NON_BLOCKING: c_uint = 1;

/// One stream.
pub struct Stream {
    /// Its device.
    pub gpu: &'static Gpu,
    /// Its context's group.
    pub group: u64,
    /// Its name in the model.
    pub id: StreamId,
    context: u64,
    flags: c_uint,
    priority: c_int,
    legacy: bool,
    unique: u64,
    /// Share of the device its kernels may use, in thousandths.
    share_permille: u64,
    /// Whether `membership` is worth a look.
    pub capturing: AtomicBool,
    /// The capture it takes part in.
    pub membership: Mutex<Option<Membership>>,
}

/// All created streams.
pub static STREAMS: Table<Stream> = Table::new(2);

static UNIQUE: AtomicU64 = AtomicU64::new(1);

impl Stream {
    /// A default stream, which belongs to whatever context it is asked of: the legacy one, or a
    /// thread's own.
    pub fn default(gpu: &'static Gpu, group: u64, id: StreamId, legacy: bool) -> Self {
        Self {
            gpu,
            group,
            id,
            context: 0,
            flags: 0,
            priority: 0,
            legacy,
            share_permille: 1000,
            unique: UNIQUE.fetch_add(1, Relaxed),
            capturing: AtomicBool::new(false),
            membership: Mutex::new(None),
        }
    }

    /// A number no other stream of the process has or had.
    pub fn order(&self) -> u64 {
        self.unique
    }

    /// Whether it is a context's legacy default stream.
    pub fn is_legacy(&self) -> bool {
        self.legacy
    }

    /// Submits operations; the stream may be closed meanwhile.
    pub fn submit(&self, ops: impl IntoIterator<Item = Op>) -> Outcome {
        self.gpu
            .queues()?
            .submit(self.id, ops)
            .map_err(|_| rc::INVALID_HANDLE)
    }

    /// Adds a node to the stream's capture, or else submits what it does.
    pub fn run(self: &Arc<Self>, mut node: NodeKind) -> Outcome {
        if capture::add(self, &node)? {
            return Ok(());
        }
        if let NodeKind::Kernel(kernel) = &mut node {
            kernel.duration_ns = kernel.duration_ns * 1000 / self.share_permille;
        }
        self.submit(node.ops())
    }

    /// Waits for everything submitted so far.
    pub fn wait(&self) -> Outcome {
        self.gpu
            .queues()?
            .wait_stream(self.id)
            .map_err(|_| rc::INVALID_HANDLE)
    }

    /// Fails, and spoils the capture, if the stream is being captured.
    pub fn refuse_capture(&self) -> Outcome {
        if self.capturing.load(Acquire) {
            capture::invalidate(self);
            return Err(rc::STREAM_CAPTURE_UNSUPPORTED);
        }
        Ok(())
    }
}

/// The stream a program means.
pub fn resolve(handle: StreamHandle) -> Result<Arc<Stream>, Failure> {
    if handle.is_null() {
        let context = current()?;
        return if border::per_thread_default() {
            context.per_thread()
        } else {
            Ok(context.legacy())
        };
    }
    if handle == STREAM_LEGACY {
        return Ok(current()?.legacy());
    }
    if handle == STREAM_PER_THREAD {
        return current()?.per_thread();
    }
    STREAMS.get(handle).ok_or(rc::INVALID_HANDLE)
}

/// The stream synchronous calls without a stream argument run in.
pub fn implicit() -> Result<Arc<Stream>, Failure> {
    resolve(std::ptr::null_mut())
}

/// The context a stream belongs to.
///
/// # Errors
/// It is gone.
pub fn context_of(stream: &Stream) -> Result<Arc<Context>, Failure> {
    match stream.context {
        0 => current(),
        handle => CONTEXTS
            .get(handle as ContextHandle)
            .ok_or(rc::CONTEXT_IS_DESTROYED),
    }
}

/// `cuStreamCreate`.
pub unsafe fn create(place: *mut StreamHandle, flags: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { create_with_priority(place, flags, 0) }
}

/// `cuStreamCreateWithPriority`; the priority is clamped to the range, as in the driver.
pub unsafe fn create_with_priority(
    place: *mut StreamHandle,
    flags: c_uint,
    priority: c_int,
) -> Outcome {
    require(
        !place.is_null() && flags & !NON_BLOCKING == 0,
        rc::INVALID_VALUE,
    )?;
    let context = current()?;
    let kind = if flags & NON_BLOCKING == 0 {
        StreamKind::Blocking
    } else {
        StreamKind::NonBlocking
    };
    let id = context.gpu.queues()?.create_stream(context.group, kind);
    let (least, greatest) = profile().priorities;
    let priority = priority.clamp(greatest, least);
    let stream = Stream {
        context: context.handle() as u64,
        flags,
        priority,
        ..Stream::default(context.gpu, context.group, id, false)
    };
    // SAFETY: checked above.
    unsafe { put(place, Table::<Stream>::pointer(STREAMS.insert(stream))) }
}

/// Makes a stream whose kernels use a part of the device only, in thousandths (1 to 1000).
///
/// # Errors
/// A null pointer or no share.
pub unsafe fn create_with_share(place: *mut StreamHandle, share_permille: u64) -> Outcome {
    require(
        !place.is_null() && (1..=1000).contains(&share_permille),
        rc::INVALID_VALUE,
    )?;
    let context = current()?;
    let id = context
        .gpu
        .queues()?
        .create_stream(context.group, StreamKind::Blocking);
    let stream = Stream {
        context: context.handle() as u64,
        share_permille,
        ..Stream::default(context.gpu, context.group, id, false)
    };
    // SAFETY: checked above.
    unsafe { put(place, Table::<Stream>::pointer(STREAMS.insert(stream))) }
}

/// `cuStreamDestroy_v2`: what stands in the stream still runs.
pub unsafe fn destroy(handle: StreamHandle) -> Outcome {
    let stream = STREAMS.remove(handle).ok_or(rc::INVALID_HANDLE)?;
    if stream.capturing.load(Acquire) {
        capture::invalidate(&stream);
    }
    stream
        .gpu
        .queues()?
        .close_stream(stream.id)
        .map_err(|_| rc::INVALID_HANDLE)
}

/// `cuStreamQuery`.
pub unsafe fn query(handle: StreamHandle) -> Outcome {
    let stream = resolve(handle)?;
    stream.refuse_capture()?;
    let done = stream
        .gpu
        .queues()?
        .stream_done(stream.id)
        .map_err(|_| rc::INVALID_HANDLE)?;
    require(done, rc::NOT_READY)
}

/// `cuStreamSynchronize`.
pub unsafe fn synchronize(handle: StreamHandle) -> Outcome {
    let stream = resolve(handle)?;
    stream.refuse_capture()?;
    stream.wait()?;
    crate::pool::synchronized();
    Ok(())
}

/// `cuStreamWaitEvent`.
pub unsafe fn wait_event(handle: StreamHandle, event: EventHandle, flags: c_uint) -> Outcome {
    // 1 is CU_EVENT_WAIT_EXTERNAL, which differs only inside captures.
    require(flags <= 1, rc::INVALID_VALUE)?;
    let stream = resolve(handle)?;
    let event = EVENTS.get(event).ok_or(rc::INVALID_HANDLE)?;
    if capture::join(&stream, &event)? {
        return Ok(());
    }
    let queues = stream.gpu.queues()?;
    if std::ptr::eq(stream.gpu, event.gpu) {
        return queues
            .wait_event_in_stream(stream.id, event.id)
            .map_err(|_| rc::INVALID_HANDLE);
    }
    let reached = event
        .gpu
        .queues()?
        .event_condition(event.id)
        .map_err(|_| rc::INVALID_HANDLE)?;
    stream.submit([Op::Until(reached)])
}

/// A word in memory the device can reach.
fn word(address: Address, width: Width) -> Outcome {
    require(
        address != 0 && address.is_multiple_of(width.bytes()),
        rc::INVALID_VALUE,
    )?;
    require(memory::contains(address, width.bytes()), rc::INVALID_VALUE)
}

/// A wait for a word, of which the bits in `mask` count.
///
/// # Errors
/// No memory there, or an unknown comparison.
pub fn wait_op(
    address: u64,
    value: u64,
    flags: c_uint,
    mask: u64,
    width: Width,
) -> Result<Op, Failure> {
    const FLUSH: c_uint = 1 << 30;
    word(address, width)?;
    let comparison = match flags & !FLUSH {
        0 => profile().at_least,
        1 => Comparison::Equal,
        2 => Comparison::And,
        3 => Comparison::Nor,
        _ => return Err(rc::INVALID_VALUE),
    };
    Ok(Op::Wait(Gate {
        address,
        width,
        comparison,
        value,
        mask,
    }))
}

/// A write of a word.
///
/// # Errors
/// No memory there, or an unknown flag.
pub fn write_op(address: u64, value: u64, flags: c_uint, width: Width) -> Result<Op, Failure> {
    // 1 is CU_STREAM_WRITE_VALUE_NO_MEMORY_BARRIER: a weaker promise than we give.
    require(flags <= 1, rc::INVALID_VALUE)?;
    word(address, width)?;
    Ok(Op::Write {
        address,
        width,
        value,
    })
}

/// What a call on a memory word costs the processor.
const WORD_CPU_NS: u64 = 900;

fn submit_word(stream: &Stream, op: Op) -> Outcome {
    stream.refuse_capture()?;
    cpu_cost(stream.gpu, WORD_CPU_NS);
    stream.submit([op])
}

/// `cuStreamWaitValue32` and `_v2`.
pub unsafe fn wait_value_32(
    handle: StreamHandle,
    address: Address,
    value: u32,
    flags: c_uint,
) -> Outcome {
    let stream = resolve(handle)?;
    let op = wait_op(address, u64::from(value), flags, u64::MAX, Width::Bits32)?;
    submit_word(&stream, op)
}

/// `cuStreamWaitValue64` and `_v2`.
pub unsafe fn wait_value_64(
    handle: StreamHandle,
    address: Address,
    value: u64,
    flags: c_uint,
) -> Outcome {
    let stream = resolve(handle)?;
    let op = wait_op(address, value, flags, u64::MAX, Width::Bits64)?;
    submit_word(&stream, op)
}

/// `cuStreamWriteValue32` and `_v2`.
pub unsafe fn write_value_32(
    handle: StreamHandle,
    address: Address,
    value: u32,
    flags: c_uint,
) -> Outcome {
    let stream = resolve(handle)?;
    let op = write_op(address, u64::from(value), flags, Width::Bits32)?;
    submit_word(&stream, op)
}

/// `cuStreamWriteValue64` and `_v2`.
pub unsafe fn write_value_64(
    handle: StreamHandle,
    address: Address,
    value: u64,
    flags: c_uint,
) -> Outcome {
    let stream = resolve(handle)?;
    let op = write_op(address, value, flags, Width::Bits64)?;
    submit_word(&stream, op)
}

/// `cuStreamGetCtx`.
pub unsafe fn context(handle: StreamHandle, place: *mut ContextHandle) -> Outcome {
    let stream = resolve(handle)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, context_of(&stream)?.handle()) }
}

/// `cuStreamGetDevice`.
pub unsafe fn device(handle: StreamHandle, place: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, resolve(handle)?.gpu.ordinal) }
}

/// `cuStreamGetFlags`.
pub unsafe fn flags(handle: StreamHandle, place: *mut c_uint) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, resolve(handle)?.flags) }
}

/// `cuStreamGetPriority`.
pub unsafe fn priority(handle: StreamHandle, place: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, resolve(handle)?.priority) }
}

/// `cuStreamGetId`.
pub unsafe fn id(handle: StreamHandle, place: *mut u64) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, resolve(handle)?.unique) }
}

/// `cuLaunchHostFunc`.
pub unsafe fn host_function(
    handle: StreamHandle,
    function: Option<HostFunction>,
    data: *mut c_void,
) -> Outcome {
    let function = function.ok_or(rc::INVALID_VALUE)?;
    let stream = resolve(handle)?;
    cpu_cost(stream.gpu, 500);
    stream.run(NodeKind::Host {
        function,
        data: data as u64,
    })
}

/// A function that runs when the stream gets there; like [`host_function`], but never part of a graph.
///
/// # Errors
/// The stream is being captured.
pub fn call(handle: StreamHandle, function: Box<dyn FnOnce() + Send>) -> Outcome {
    let stream = resolve(handle)?;
    stream.refuse_capture()?;
    stream.submit([Op::Call(function)])
}

/// An operation of a batch, in the numbers that both vendors use.
#[derive(Clone, Copy, Debug)]
pub struct BatchOp {
    /// 1 and 4 wait for a word of 4 or 8 bytes, 2 and 5 write one, 3 and 6 flush and order.
    pub operation: u32,
    /// The word.
    pub address: u64,
    /// What to write or compare with; the lower half for a word of 4 bytes.
    pub value: u64,
    /// As for the call of its own.
    pub flags: c_uint,
}

/// Most operations of a batch.
pub const BATCH_MAX: c_uint = 256;

/// `cuStreamBatchMemOp`: all or none are submitted.
///
/// # Errors
/// An operation that is none, or that its own call would refuse; the stream is being captured.
pub fn batch(handle: StreamHandle, batch: impl IntoIterator<Item = BatchOp>) -> Outcome {
    let ops = batch
        .into_iter()
        .map(|op| {
            let low = op.value & u64::from(u32::MAX);
            match op.operation {
                1 => wait_op(op.address, low, op.flags, u64::MAX, Width::Bits32),
                2 => write_op(op.address, low, op.flags, Width::Bits32),
                4 => wait_op(op.address, op.value, op.flags, u64::MAX, Width::Bits64),
                5 => write_op(op.address, op.value, op.flags, Width::Bits64),
                // Every effect is ordered already.
                3 | 6 => Ok(Op::Instant(Effect::None)),
                _ => Err(rc::INVALID_VALUE),
            }
        })
        .collect::<Result<Vec<_>, Failure>>()?;
    words(handle, ops)
}

/// Submits operations on memory words, checked, one after the other.
///
/// # Errors
/// The stream is being captured.
pub fn words(handle: StreamHandle, ops: Vec<Op>) -> Outcome {
    let stream = resolve(handle)?;
    stream.refuse_capture()?;
    stream.submit(ops)
}

/// The share of the device that a stream's kernels may use, in thousandths.
///
/// # Errors
/// The handle names no stream.
pub fn share_permille(handle: StreamHandle) -> Result<u64, Failure> {
    Ok(resolve(handle)?.share_permille)
}
