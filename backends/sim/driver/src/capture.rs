//! Stream capture: calls become nodes of a graph instead of work.
//!
//! Owns: which streams take part in which capture, what their next node depends on, and which calls
//! a capture forbids. Does not own: graphs themselves ([`crate::graph`]).

use crate::border::{Outcome, put, put_optional, rc, require};
use crate::event::Event;
use crate::graph::{GRAPHS, Graph, NodeKind, node_handle};
use crate::handles::Table;
use crate::stream::{STREAMS, Stream, resolve};
use crate::types::*;
use std::cell::Cell;
use std::ffi::c_uint;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

const GLOBAL: u32 = 0;
const THREAD_LOCAL: u32 = 1;
const RELAXED: u32 = 2;

/// One capture, begun and not ended.
pub struct Capture {
    id: u64,
    group: u64,
    mode: u32,
    thread: u64,
    origin: usize,
    graph: Arc<Graph>,
    graph_handle: u64,
    invalid: AtomicBool,
    /// Streams that joined through events and have to be joined back.
    joined: Mutex<Vec<Arc<Stream>>>,
}

/// A stream's part in a capture.
#[derive(Clone)]
pub struct Membership {
    capture: Arc<Capture>,
    depends: Vec<usize>,
}

/// Where in a capture an event was recorded.
#[derive(Clone)]
pub struct Mark {
    capture: Arc<Capture>,
    depends: Vec<usize>,
}

static IDS: AtomicU64 = AtomicU64::new(1);
static THREADS: AtomicU64 = AtomicU64::new(1);
static GLOBAL_CAPTURES: AtomicI64 = AtomicI64::new(0);
static CAPTURES: Mutex<Vec<Arc<Capture>>> = Mutex::new(Vec::new());

thread_local! {
    static THREAD: u64 = THREADS.fetch_add(1, Relaxed);
    static OWN_CAPTURES: Cell<u32> = const { Cell::new(0) };
    static MODE: Cell<u32> = const { Cell::new(GLOBAL) };
}

fn this_thread() -> u64 {
    THREAD.try_with(|thread| *thread).unwrap_or(0)
}

fn identity(stream: &Arc<Stream>) -> usize {
    Arc::as_ptr(stream) as usize
}

/// Fails in calls a capture forbids (allocation, freeing), by the thread's interaction mode.
pub fn forbid_unsafe_call() -> Outcome {
    let own = OWN_CAPTURES.get() > 0;
    let forbidden = match MODE.get() {
        RELAXED => false,
        THREAD_LOCAL => own,
        _ => own || GLOBAL_CAPTURES.load(Acquire) > 0,
    };
    require(!forbidden, rc::STREAM_CAPTURE_UNSUPPORTED)
}

/// Fails, and spoils the captures, if any stream of a context is being captured.
pub fn forbid(group: u64) -> Outcome {
    let captures = CAPTURES.lock().unwrap_or_else(|e| e.into_inner());
    let mut found = false;
    for capture in captures.iter().filter(|capture| capture.group == group) {
        capture.invalid.store(true, Release);
        found = true;
    }
    require(!found, rc::STREAM_CAPTURE_UNSUPPORTED)
}

/// Spoils the capture a stream takes part in.
pub fn invalidate(stream: &Stream) {
    if let Some(member) = &*stream.membership.lock().unwrap_or_else(|e| e.into_inner()) {
        member.capture.invalid.store(true, Release);
    }
}

/// Adds a node if the stream is being captured.
pub fn add(stream: &Arc<Stream>, node: &NodeKind) -> Result<bool, Failure> {
    if !stream.capturing.load(Acquire) {
        return Ok(false);
    }
    let mut membership = stream.membership.lock().unwrap_or_else(|e| e.into_inner());
    let Some(member) = &mut *membership else {
        return Ok(false);
    };
    require(
        !member.capture.invalid.load(Acquire),
        rc::STREAM_CAPTURE_INVALIDATED,
    )?;
    let index = member
        .capture
        .graph
        .add(node.clone(), std::mem::take(&mut member.depends));
    member.depends = vec![index];
    Ok(true)
}

/// Records an event inside a capture.
pub fn mark(stream: &Arc<Stream>, event: &Event) -> Result<bool, Failure> {
    let mut captured = event.captured.lock().unwrap_or_else(|e| e.into_inner());
    *captured = None;
    if !stream.capturing.load(Acquire) {
        return Ok(false);
    }
    let membership = stream.membership.lock().unwrap_or_else(|e| e.into_inner());
    let Some(member) = &*membership else {
        return Ok(false);
    };
    require(
        !member.capture.invalid.load(Acquire),
        rc::STREAM_CAPTURE_INVALIDATED,
    )?;
    *captured = Some(Mark {
        capture: Arc::clone(&member.capture),
        depends: member.depends.clone(),
    });
    Ok(true)
}

/// Lets a stream depend on an event recorded in a capture; the stream joins it.
pub fn join(stream: &Arc<Stream>, event: &Event) -> Result<bool, Failure> {
    let mark = event
        .captured
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .clone();
    let mut membership = stream.membership.lock().unwrap_or_else(|e| e.into_inner());
    let Some(mark) = mark else {
        // A captured stream cannot wait for what happens outside its capture.
        return match &*membership {
            Some(member) => {
                member.capture.invalid.store(true, Release);
                Err(rc::STREAM_CAPTURE_ISOLATION)
            }
            None => Ok(false),
        };
    };
    // What was recorded in a capture that is over cannot be waited for.
    let captures = CAPTURES.lock().unwrap_or_else(|e| e.into_inner());
    let under_way = captures.iter().any(|it| Arc::ptr_eq(it, &mark.capture));
    drop(captures);
    require(under_way, rc::CAPTURED_EVENT)?;
    match &mut *membership {
        Some(member) if Arc::ptr_eq(&member.capture, &mark.capture) => {
            for index in mark.depends {
                if !member.depends.contains(&index) {
                    member.depends.push(index);
                }
            }
        }
        Some(member) => {
            member.capture.invalid.store(true, Release);
            return Err(rc::STREAM_CAPTURE_MERGE);
        }
        None => {
            let capture = mark.capture;
            capture
                .joined
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .push(Arc::clone(stream));
            *membership = Some(Membership {
                capture,
                depends: mark.depends,
            });
            stream.capturing.store(true, Release);
        }
    }
    Ok(true)
}

/// `cuStreamBeginCapture`, the first form.
pub unsafe fn begin_v1(handle: StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { begin(handle, GLOBAL) }
}

/// `cuStreamBeginCapture_v2`.
pub unsafe fn begin(handle: StreamHandle, mode: c_uint) -> Outcome {
    require(mode <= RELAXED, rc::INVALID_VALUE)?;
    let stream = resolve(handle)?;
    // The legacy default stream cannot be captured.
    require(
        STREAMS.get(handle).is_some() || !stream.is_legacy(),
        rc::STREAM_CAPTURE_UNSUPPORTED,
    )?;
    let mut membership = stream.membership.lock().unwrap_or_else(|e| e.into_inner());
    require(membership.is_none(), rc::ILLEGAL_STATE)?;
    let graph = Arc::new(Graph::default());
    let capture = Arc::new(Capture {
        id: IDS.fetch_add(1, Relaxed),
        group: stream.group,
        mode,
        thread: this_thread(),
        origin: identity(&stream),
        graph_handle: GRAPHS.insert_arc(Arc::clone(&graph)),
        graph,
        invalid: AtomicBool::new(false),
        joined: Mutex::default(),
    });
    match mode {
        GLOBAL => {
            GLOBAL_CAPTURES.fetch_add(1, AcqRel);
            OWN_CAPTURES.set(OWN_CAPTURES.get() + 1);
        }
        THREAD_LOCAL => OWN_CAPTURES.set(OWN_CAPTURES.get() + 1),
        _ => {}
    }
    CAPTURES
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .push(Arc::clone(&capture));
    *membership = Some(Membership {
        capture,
        depends: Vec::new(),
    });
    stream.capturing.store(true, Release);
    Ok(())
}

/// `cuStreamEndCapture`.
pub unsafe fn end(handle: StreamHandle, place: *mut GraphHandle) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let stream = resolve(handle)?;
    let member = {
        let mut membership = stream.membership.lock().unwrap_or_else(|e| e.into_inner());
        let member = membership.clone().ok_or(rc::ILLEGAL_STATE)?;
        require(
            member.capture.origin == identity(&stream),
            rc::STREAM_CAPTURE_UNMATCHED,
        )?;
        let foreign = member.capture.mode != RELAXED && member.capture.thread != this_thread();
        require(!foreign, rc::STREAM_CAPTURE_WRONG_THREAD)?;
        *membership = None;
        member
    };
    stream.capturing.store(false, Release);
    let capture = member.capture;
    CAPTURES
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .retain(|other| !Arc::ptr_eq(other, &capture));
    if capture.mode == GLOBAL {
        GLOBAL_CAPTURES.fetch_sub(1, AcqRel);
    }
    if capture.mode != RELAXED {
        OWN_CAPTURES.set(OWN_CAPTURES.get().saturating_sub(1));
    }
    let mut unjoined = false;
    for joined in capture
        .joined
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .drain(..)
    {
        let part = joined
            .membership
            .lock()
            .unwrap_or_else(|e| e.into_inner())
            .take();
        joined.capturing.store(false, Release);
        // Whatever it added has to lead back into the stream the capture began in.
        if let Some(part) = part {
            unjoined |= !capture.graph.all_reach(&part.depends, &member.depends);
        }
    }
    let failure = if capture.invalid.load(Acquire) {
        Some(rc::STREAM_CAPTURE_INVALIDATED)
    } else {
        unjoined.then_some(rc::STREAM_CAPTURE_UNJOINED)
    };
    if let Some(code) = failure {
        GRAPHS.remove(capture.graph_handle as GraphHandle);
        // SAFETY: checked above.
        unsafe { put(place, std::ptr::null_mut()) }?;
        return Err(code);
    }
    // SAFETY: checked above.
    unsafe { put(place, Table::<Graph>::pointer(capture.graph_handle)) }
}

/// `cuStreamIsCapturing`.
pub unsafe fn is_capturing(handle: StreamHandle, place: *mut CaptureStatus) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, status(&*resolve(handle)?).0) }
}

fn status(stream: &Stream) -> (CaptureStatus, Option<Membership>) {
    if !stream.capturing.load(Acquire) {
        return (CaptureStatus::None, None);
    }
    let member = stream
        .membership
        .lock()
        .unwrap_or_else(|e| e.into_inner())
        .clone();
    let status = match &member {
        None => CaptureStatus::None,
        Some(member) if member.capture.invalid.load(Acquire) => CaptureStatus::Invalidated,
        Some(_) => CaptureStatus::Active,
    };
    (status, member)
}

/// `cuStreamGetCaptureInfo`, the first form.
pub unsafe fn info_v1(
    handle: StreamHandle,
    status_out: *mut CaptureStatus,
    id_out: *mut u64,
) -> Outcome {
    let null = std::ptr::null_mut();
    // SAFETY: the same contract, with results the caller does not want.
    unsafe {
        info_v2(
            handle,
            status_out,
            id_out,
            null,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
        )
    }
}

/// `cuStreamGetCaptureInfo_v2`.
pub unsafe fn info_v2(
    handle: StreamHandle,
    status_out: *mut CaptureStatus,
    id_out: *mut u64,
    graph_out: *mut GraphHandle,
    dependencies_out: *mut *const NodeHandle,
    count_out: *mut usize,
) -> Outcome {
    thread_local! {
        static HANDLES: std::cell::RefCell<Vec<NodeHandle>> =
            const { std::cell::RefCell::new(Vec::new()) };
    }
    let (status, member) = status(&*resolve(handle)?);
    // SAFETY: the caller's pointers; all but the status may be null.
    unsafe { put(status_out, status) }?;
    let Some(member) = member else { return Ok(()) };
    let handles: Vec<NodeHandle> = member
        .depends
        .iter()
        .map(|index| node_handle(&member.capture.graph, *index))
        .collect();
    let count = handles.len();
    let first = HANDLES
        .try_with(|kept| {
            *kept.borrow_mut() = handles;
            kept.borrow().as_ptr()
        })
        .map_err(|_| rc::UNKNOWN)?;
    // SAFETY: as above; the list lives until this thread asks again.
    unsafe {
        put_optional(id_out, member.capture.id);
        put_optional(
            graph_out,
            Table::<Graph>::pointer(member.capture.graph_handle),
        );
        put_optional(dependencies_out, first);
        put_optional(count_out, count);
    }
    Ok(())
}

/// `cuThreadExchangeStreamCaptureMode`.
pub unsafe fn exchange_mode(mode: *mut c_uint) -> Outcome {
    require(!mode.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: checked above; the caller's pointer is readable and writable.
    let wanted = unsafe { mode.read() };
    require(wanted <= RELAXED, rc::INVALID_VALUE)?;
    // SAFETY: as above.
    unsafe { put(mode, MODE.replace(wanted)) }
}
