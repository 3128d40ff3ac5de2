//! Contexts: primary and created ones, and the stack each thread has of them.
//!
//! Owns: what belongs to a context (its default streams) and what happens to it when it ends.

use crate::border::{Outcome, put, put_optional, rc, require};
use crate::driver::{Gpu, gpu, profile};
use crate::handles::Table;
use crate::stream::{STREAMS, Stream};
use crate::types::*;
use fcsp_sim::{StreamKind, now_ns};
use std::cell::RefCell;
use std::ffi::{c_int, c_uint};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// One context.
pub struct Context {
    /// Its device.
    pub gpu: &'static Gpu,
    /// Tells contexts apart; the group of its streams in the model.
    pub group: u64,
    flags: AtomicU64,
    primary: bool,
    handle: AtomicU64,
    legacy: Arc<Stream>,
    per_thread: Mutex<Vec<(u64, Arc<Stream>)>>,
    limits: Mutex<Vec<usize>>,
}

/// All contexts.
pub static CONTEXTS: Table<Context> = Table::new(1);

static GROUPS: AtomicU64 = AtomicU64::new(1);
static THREADS: AtomicU64 = AtomicU64::new(1);

/// `CU_CTX_FLAGS_MASK` of cuda.h 13.0.
const FLAGS_MASK: c_uint = 0x3ff;

thread_local! {
    static STACK: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static THREAD: u64 = THREADS.fetch_add(1, Relaxed);
}

impl Context {
    fn create(gpu: &'static Gpu, flags: c_uint, primary: bool) -> Result<Arc<Self>, Failure> {
        gpu.device
            .charge(profile().context_bytes)
            .map_err(|_| rc::OUT_OF_MEMORY)?;
        let queues = gpu
            .queues()
            .inspect_err(|_| gpu.device.release(profile().context_bytes))?;
        let takes_ns = gpu.device.config().context_ns;
        if takes_ns > 0 {
            std::thread::sleep(Duration::from_nanos(takes_ns));
        }
        let group = GROUPS.fetch_add(1, Relaxed);
        let default = queues.create_stream(group, StreamKind::Default);
        let legacy = Arc::new(Stream::default(gpu, group, default, true));
        let context = Arc::new(Self {
            gpu,
            group,
            flags: AtomicU64::new(u64::from(flags)),
            primary,
            handle: AtomicU64::new(0),
            legacy,
            per_thread: Mutex::default(),
            limits: Mutex::new(profile().limits.to_vec()),
        });
        let handle = CONTEXTS.insert_arc(Arc::clone(&context));
        context.handle.store(handle, Release);
        Ok(context)
    }

    /// The handle programs know it by.
    pub fn handle(&self) -> ContextHandle {
        self.handle.load(Acquire) as ContextHandle
    }

    /// The legacy default stream.
    pub fn legacy(&self) -> Arc<Stream> {
        Arc::clone(&self.legacy)
    }

    /// The calling thread's default stream.
    pub fn per_thread(&self) -> Result<Arc<Stream>, Failure> {
        let thread = THREAD
            .try_with(|thread| *thread)
            .map_err(|_| rc::INVALID_CONTEXT)?;
        let mut streams = self.per_thread.lock().unwrap_or_else(|e| e.into_inner());
        if let Some((_, stream)) = streams.iter().find(|(owner, _)| *owner == thread) {
            return Ok(Arc::clone(stream));
        }
        let id = self
            .gpu
            .queues()?
            .create_stream(self.group, StreamKind::Blocking);
        let stream = Arc::new(Stream::default(self.gpu, self.group, id, false));
        streams.push((thread, Arc::clone(&stream)));
        Ok(stream)
    }

    /// Waits for everything and gives everything back.
    fn destroy(&self) {
        let Some(context) = CONTEXTS.remove(self.handle()) else {
            return;
        };
        if let Ok(queues) = context.gpu.queues() {
            queues.wait_group(context.group);
            for stream in STREAMS.drain(|stream| stream.group == context.group) {
                // Gone already if the program was faster.
                let _ = queues.close_stream(stream.id);
            }
            let _ = queues.close_stream(context.legacy.id);
            for (_, stream) in context
                .per_thread
                .lock()
                .unwrap_or_else(|e| e.into_inner())
                .drain(..)
            {
                let _ = queues.close_stream(stream.id);
            }
        }
        crate::module::free_context(context.group);
        crate::memory::free_context(context.group);
        crate::array::free_context(context.group);
        context.gpu.device.release(profile().context_bytes);
    }
}

/// The calling thread's current context.
pub fn current() -> Result<Arc<Context>, Failure> {
    let handle = STACK
        .try_with(|stack| stack.borrow().last().copied().unwrap_or(0))
        .map_err(|_| rc::INVALID_CONTEXT)?;
    if handle == 0 {
        return Err(rc::INVALID_CONTEXT);
    }
    CONTEXTS
        .get(handle as ContextHandle)
        .ok_or(rc::CONTEXT_IS_DESTROYED)
}

fn with_stack<R>(change: impl FnOnce(&mut Vec<u64>) -> R) -> Result<R, Failure> {
    STACK
        .try_with(|stack| change(&mut stack.borrow_mut()))
        .map_err(|_| rc::INVALID_CONTEXT)
}

fn known(context: ContextHandle) -> Result<Arc<Context>, Failure> {
    CONTEXTS.get(context).ok_or(rc::INVALID_CONTEXT)
}

/// `cuCtxCreate` and `cuCtxCreate_v2`.
pub unsafe fn create(place: *mut ContextHandle, flags: c_uint, device: c_int) -> Outcome {
    require(
        !place.is_null() && flags & !FLAGS_MASK == 0,
        rc::INVALID_VALUE,
    )?;
    let context = Context::create(gpu(device)?, flags, false)?;
    with_stack(|stack| stack.push(context.handle() as u64))?;
    // SAFETY: checked above.
    unsafe { put(place, context.handle()) }
}

/// `cuCtxDestroy_v2`.
pub unsafe fn destroy(context: ContextHandle) -> Outcome {
    let found = known(context)?;
    require(!found.primary, rc::INVALID_CONTEXT)?;
    with_stack(|stack| {
        if stack.last() == Some(&(context as u64)) {
            stack.pop();
        }
    })?;
    found.destroy();
    Ok(())
}

/// `cuCtxSetCurrent`.
pub unsafe fn set_current(context: ContextHandle) -> Outcome {
    if context.is_null() {
        return with_stack(|stack| {
            stack.pop();
        });
    }
    known(context)?;
    with_stack(|stack| {
        stack.pop();
        stack.push(context as u64);
    })
}

/// `cuCtxGetCurrent`.
pub unsafe fn get_current(place: *mut ContextHandle) -> Outcome {
    let handle = with_stack(|stack| stack.last().copied().unwrap_or(0))?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, handle as ContextHandle) }
}

/// `cuCtxPushCurrent_v2`.
pub unsafe fn push(context: ContextHandle) -> Outcome {
    require(!context.is_null(), rc::INVALID_VALUE)?;
    known(context)?;
    with_stack(|stack| stack.push(context as u64))
}

/// `cuCtxPopCurrent_v2`.
pub unsafe fn pop(place: *mut ContextHandle) -> Outcome {
    let handle = with_stack(Vec::pop)?.ok_or(rc::INVALID_CONTEXT)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put_optional(place, handle as ContextHandle) };
    Ok(())
}

/// `cuCtxGetDevice`.
pub unsafe fn device(place: *mut c_int) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, current()?.gpu.ordinal) }
}

/// `cuCtxGetDevice_v2`.
pub unsafe fn device_of(place: *mut c_int, context: ContextHandle) -> Outcome {
    let found = if context.is_null() {
        current()?
    } else {
        known(context)?
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, found.gpu.ordinal) }
}

/// `cuCtxGetId`.
pub unsafe fn id(context: ContextHandle, place: *mut u64) -> Outcome {
    let found = if context.is_null() {
        current()?
    } else {
        known(context)?
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, found.group) }
}

/// `cuCtxSynchronize`.
pub unsafe fn synchronize() -> Outcome {
    wait_idle(&*current()?)
}

/// `cuCtxSynchronize_v2`.
pub unsafe fn synchronize_of(context: ContextHandle) -> Outcome {
    wait_idle(&*if context.is_null() {
        current()?
    } else {
        known(context)?
    })
}

fn wait_idle(context: &Context) -> Outcome {
    crate::capture::forbid(context.group)?;
    context.gpu.queues()?.wait_group(context.group);
    crate::pool::synchronized();
    Ok(())
}

/// `cuCtxGetApiVersion`.
pub unsafe fn api_version(context: ContextHandle, place: *mut c_uint) -> Outcome {
    if context.is_null() {
        current()?
    } else {
        known(context)?
    };
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, 3020) }
}

/// `cuCtxGetFlags`.
pub unsafe fn flags(place: *mut c_uint) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, current()?.flags.load(Acquire) as c_uint) }
}

/// `cuCtxSetFlags`.
pub unsafe fn set_flags(flags: c_uint) -> Outcome {
    require(flags & !FLAGS_MASK == 0, rc::INVALID_VALUE)?;
    current()?.flags.store(u64::from(flags), Release);
    Ok(())
}

/// `cuCtxGetStreamPriorityRange`.
pub unsafe fn priority_range(least: *mut c_int, greatest: *mut c_int) -> Outcome {
    current()?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(least, profile().priorities.0);
        put_optional(greatest, profile().priorities.1);
    }
    Ok(())
}

/// `cuCtxGetLimit`.
pub unsafe fn limit(place: *mut usize, limit: c_uint) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let context = current()?;
    let limits = context.limits.lock().unwrap_or_else(|e| e.into_inner());
    let value = *limits.get(limit as usize).ok_or(rc::INVALID_VALUE)?;
    // SAFETY: checked above.
    unsafe { put(place, value) }
}

/// `cuCtxSetLimit`.
pub unsafe fn set_limit(limit: c_uint, value: usize) -> Outcome {
    let context = current()?;
    let mut limits = context.limits.lock().unwrap_or_else(|e| e.into_inner());
    *limits.get_mut(limit as usize).ok_or(rc::INVALID_VALUE)? = value;
    Ok(())
}

/// `cuDevicePrimaryCtxRetain`.
pub unsafe fn primary_retain(place: *mut ContextHandle, device: c_int) -> Outcome {
    let gpu = gpu(device)?;
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let mut primary = gpu.primary.lock().unwrap_or_else(|e| e.into_inner());
    let context = match &primary.context {
        Some(context) => Arc::clone(context),
        None => {
            let made = Context::create(gpu, primary.flags, true)?;
            primary.context = Some(Arc::clone(&made));
            made
        }
    };
    primary.references += 1;
    // SAFETY: checked above.
    unsafe { put(place, context.handle()) }
}

/// `cuDevicePrimaryCtxRelease` and `_v2`.
pub unsafe fn primary_release(device: c_int) -> Outcome {
    let gpu = gpu(device)?;
    let gone = {
        let mut primary = gpu.primary.lock().unwrap_or_else(|e| e.into_inner());
        require(primary.references > 0, rc::INVALID_CONTEXT)?;
        primary.references -= 1;
        if primary.references == 0 {
            primary.context.take()
        } else {
            None
        }
    };
    if let Some(context) = gone {
        context.destroy();
    }
    Ok(())
}

/// `cuDevicePrimaryCtxReset` and `_v2`.
pub unsafe fn primary_reset(device: c_int) -> Outcome {
    let gpu = gpu(device)?;
    let gone = {
        let mut primary = gpu.primary.lock().unwrap_or_else(|e| e.into_inner());
        primary.references = 0;
        primary.flags = 0;
        primary.context.take()
    };
    if let Some(context) = gone {
        context.destroy();
    }
    Ok(())
}

/// `cuDevicePrimaryCtxGetState`.
pub unsafe fn primary_state(device: c_int, flags: *mut c_uint, active: *mut c_int) -> Outcome {
    let gpu = gpu(device)?;
    require(!flags.is_null() && !active.is_null(), rc::INVALID_VALUE)?;
    let primary = gpu.primary.lock().unwrap_or_else(|e| e.into_inner());
    // SAFETY: checked above.
    unsafe {
        put(flags, primary.flags)?;
        put(active, c_int::from(primary.context.is_some()))
    }
}

/// `cuDevicePrimaryCtxSetFlags` and `_v2`.
pub unsafe fn primary_set_flags(device: c_int, flags: c_uint) -> Outcome {
    let gpu = gpu(device)?;
    require(flags & !FLAGS_MASK == 0, rc::INVALID_VALUE)?;
    let mut primary = gpu.primary.lock().unwrap_or_else(|e| e.into_inner());
    primary.flags = flags;
    if let Some(context) = &primary.context {
        context.flags.store(u64::from(flags), Release);
    }
    Ok(())
}

/// Spins for the time a call costs on the real driver, when `FCSP_SIM_CPU_COST=1` asks for it.
pub fn cpu_cost(gpu: &Gpu, ns: u64) {
    if gpu.device.config().cpu_cost {
        let until_ns = now_ns() + ns;
        while now_ns() < until_ns {
            std::hint::spin_loop();
        }
    }
}
