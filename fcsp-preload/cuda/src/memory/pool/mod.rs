//! Handlers of stream-ordered allocation, and of the pools it comes from.
//!
//! A pool is charged what its driver says it has, never less ([`fcsp_core::ledger::pool`] has the argument). An
//! allocation reserves the most by which its pool can grow, calls the driver, and gives back what was too
//! much, at once or, while there is room, some calls later; a free changes nothing by itself, because the driver keeps the memory until somebody waits for the
//! device, or longer ([`settle`]). So what is allocated from a pool has no entry among the
//! live allocations, except where the program made the pool and can destroy it.
//!
//! # Where there is no room
//!
//! The driver on a full device waits by itself until what was freed is free, and tries again. Under a quota
//! it cannot know that it is full, so that is done here: take what the stream itself freed
//! ([`reuse`]), make the pools give up what they do not use, wait for the stream, then for all
//! streams of the context, and only then refuse. A plain allocation is refused without the wait, as on a full device.
//!
//! Pools that share their memory with other processes are charged where they allocate; an import
//! (`cuMemPoolImportPointer`) is charged to nobody again. Pools of host memory are charged to nobody.
//!
//! Which pools there are is in [`table`], and which one a device's allocations come from now in [`current`].

pub mod current;
pub mod reuse;
pub mod settle;
pub mod table;

use cuda_sys::{
    CUdevice, CUdeviceptr, CUmemAllocationType, CUmemLocation, CUmemLocationType, CUmemPoolProps,
    CUmemoryPool, CUresult, CUstream, fn_types,
};
use fcsp_core::ledger::live::Live;
use fcsp_core::ledger::pool::{Settled, Worst};
use fcsp_preload::log;

use crate::capture::{self, Undisturbed};
use crate::device::{self, Device};
use crate::hooks::cuda;
use crate::memory::charge::{When, charged, credited_by, give_back, key_at, remember, reserve};
use crate::memory::graph;
use crate::turn;
use reuse::{Block, Relying};
use settle::{correct, note_use};
use table::{Doomed, Found, HOST, Pool, UNKNOWN_POOL, enter, find_or_enter};

/// How often a thread lets others run before a stream-ordered allocation is refused: what their calls
/// reserve and do not use is back within microseconds.
const OTHERS_MAX: u32 = 8;
/// How often an allocation is tried whose pool grew beyond the quota.
const ATTEMPTS_MAX: u32 = 2;

/// An allocation in the order of a stream.
struct Request {
    device: &'static Device,
    pool: &'static Pool,
    tag: u8,
    stream: CUstream,
    bytes: u64,
    /// The most by which the pool can grow.
    most: Worst,
}

impl Request {
    /// Reserves what the call can take; gives how much that is.
    #[inline]
    fn make_room<const PER_THREAD: bool>(&self) -> Result<(Worst, Option<Relying>), CUresult> {
        if reuse::is_watched()
            && let Some(relying) = self.rely::<PER_THREAD>()
        {
            return Ok((Worst::NOTHING, Some(relying)));
        }
        let room = match self.device.attachment.try_reserve(self.most.bytes()) {
            Ok(()) => self.most,
            Err(_) => self.find_room::<PER_THREAD>()?,
        };
        Ok((room, None))
    }

    /// A block that this stream freed, and that nobody else can be given meanwhile.
    #[cold]
    fn rely<const PER_THREAD: bool>(&self) -> Option<Relying> {
        let relying = reuse::take::<PER_THREAD>(self.stream, self.tag, self.bytes)?;
        // Nor by a call that began before anybody watched.
        (!self.pool.charge.is_busy()).then_some(relying)
    }

    #[cold]
    fn find_room<const PER_THREAD: bool>(&self) -> Result<Worst, CUresult> {
        let (device, bytes) = (self.device, self.most.bytes());
        let fits = || device.attachment.try_reserve(bytes).is_ok();
        let possible = device.quota_bytes().is_none_or(|quota| bytes <= quota);
        if possible {
            reuse::watch();
            if settle::shed(device) && fits() {
                return Ok(self.most);
            }
            if settle::any_unused(device) {
                wait_for::<PER_THREAD>(self.stream);
                if settle::shed(device) && fits() {
                    return Ok(self.most);
                }
            }
            if settle::any_unused(device) {
                wait_for_all();
                settle::shed(device);
            }
            for _ in 0..OTHERS_MAX {
                if fits() {
                    return Ok(self.most);
                }
                std::thread::yield_now();
            }
        }
        reserve(device, bytes).map(|()| self.most)
    }

    /// Calls the driver within what was reserved.
    #[inline]
    fn call(&self, worst: Worst, allocate: impl Fn() -> CUresult) -> (CUresult, Settled) {
        self.pool.charge.begin(worst);
        let result = allocate();
        if result != CUresult::CUDA_SUCCESS {
            self.refused(worst);
            return (result, Settled::default());
        }
        if !reuse::is_watched() && self.pool.charge.defer(worst, self.device.slack_bytes()) {
            note_use();
            return (result, Settled::default());
        }
        let figure = || self.pool.reserved_bytes();
        let settled = self
            .pool
            .charge
            .finish(worst, figure, |bytes| correct(self.device, bytes));
        if settled.changed {
            self.device.activity.note();
        }
        if settled.reserved_bytes != Some(0) {
            note_use();
        }
        (result, settled)
    }

    /// The driver refused: gives back what was reserved. It may have waited by itself before.
    #[cold]
    fn refused(&self, worst: Worst) {
        self.pool.charge.cancel(worst);
        if worst != Worst::NOTHING {
            self.device.ledger().release(worst.bytes());
        }
        settle::settle(self.device, self.pool);
    }

    /// The pool grew by more than was reserved for it: true if the quota does not have that.
    #[cold]
    fn is_too_much(&self, worst: Worst, settled: &Settled) -> bool {
        if worst != Worst::NOTHING {
            self.pool.widen();
        }
        let over = self.device.ledger().is_over_quota();
        if over {
            log::info!(
                "device {}: a memory pool grew by {} bytes that the quota does not have: the allocation is undone",
                self.device.ordinal,
                settled.short_bytes
            );
        }
        over
    }

    /// Frees again what was just allocated at `address`.
    #[cold]
    fn undo<const PER_THREAD: bool>(&self, address: CUdeviceptr) {
        let free = if PER_THREAD {
            cuda::cuMemFreeAsync_ptsz.get()
        } else {
            cuda::cuMemFreeAsync.get()
        };
        // SAFETY: the driver has just given it, and nobody else knows of it.
        let freed = free.map(|free| unsafe { free(address, self.stream) });
        if freed != Some(CUresult::CUDA_SUCCESS) {
            log::warn!("an allocation over the quota could not be undone; it stays charged");
        }
        wait_for::<PER_THREAD>(self.stream);
        settle::settle_all();
    }
}

/// Waits for what stands in `stream`, as the driver does on a full device.
fn wait_for<const PER_THREAD: bool>(stream: CUstream) {
    let wait = if PER_THREAD {
        cuda::cuStreamSynchronize_ptsz.get()
    } else {
        cuda::cuStreamSynchronize.get()
    };
    let Some(wait) = wait else { return };
    turn::about_to_wait();
    settle::about_to_wait();
    let _undisturbed = Undisturbed::enter();
    // SAFETY: the program's own stream; the driver checks it. If it does not wait, nothing is freed, and
    // the request is refused.
    turn::waited(unsafe { wait(stream) });
}

/// Waits for everything of the calling thread's context: other streams have freed what this one needs.
fn wait_for_all() {
    // It is refused while anything is captured, and spoils the capture.
    let wait = cuda::cuCtxSynchronize.get().filter(|_| !capture::any());
    let Some(wait) = wait else { return };
    turn::about_to_wait();
    settle::about_to_wait();
    // SAFETY: no arguments. If it does not wait, nothing is freed, and the request is refused.
    turn::waited(unsafe { wait() });
}

/// # Safety
///
/// `address` is the program's own argument, valid after the driver accepted it.
#[inline]
unsafe fn allocate<const PER_THREAD: bool>(
    address: *mut CUdeviceptr,
    bytes: u64,
    stream: CUstream,
    pool: impl FnOnce() -> Option<Found>,
    allocate: impl Fn() -> CUresult,
) -> CUresult {
    if capture::captures::<PER_THREAD>(stream) {
        // A node that allocates when the graph is launched.
        graph::note_node();
        return allocate();
    }
    reuse::note_thread();
    // SAFETY: called after the driver has answered.
    let key_of = |result| unsafe { key_at(result, address, |it| it) };
    let Some((tag, pool)) = pool() else {
        return of_unknown_pool(bytes, || {
            let result = allocate();
            (result, key_of(result))
        });
    };
    // Host memory is not the device's, and what no device has is the driver's to refuse.
    let (Some(device), Some(most)) = (pool.device(), pool.growth_max(bytes)) else {
        return allocate();
    };
    let request = Request {
        device,
        pool,
        tag,
        stream,
        bytes,
        most,
    };
    for _ in 0..ATTEMPTS_MAX {
        let (worst, relying) = match request.make_room::<PER_THREAD>() {
            Ok(room) => room,
            Err(refusal) => return refusal,
        };
        let (result, settled) = request.call(worst, &allocate);
        drop(relying);
        if result != CUresult::CUDA_SUCCESS {
            return result;
        }
        let key = key_of(result);
        if settled.short_bytes > 0 && request.is_too_much(worst, &settled) {
            request.undo::<PER_THREAD>(key);
            continue;
        }
        if pool.allocated() {
            let (bytes, kind) = (0, tag);
            remember(device, &device.allocations, key, Live { bytes, kind });
        }
        return result;
    }
    CUresult::CUDA_ERROR_OUT_OF_MEMORY
}

/// From a pool that has no place in the table, or of a driver that does not say which pool is current: it is
/// charged by itself, and given back when it is known to have left the device.
#[cold]
fn of_unknown_pool(bytes: u64, allocate: impl FnOnce() -> (CUresult, CUdeviceptr)) -> CUresult {
    match device::current() {
        Some(device) => charged(device, &device.allocations, bytes, UNKNOWN_POOL, allocate),
        None => allocate().0,
    }
}

/// # Safety
///
/// As `cuMemAllocAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_async<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate::<PER_THREAD>(
            dptr,
            bytesize as u64,
            h_stream,
            || current::of(h_stream),
            || real(dptr, bytesize, h_stream),
        )
    }
}

/// # Safety
///
/// As `cuMemAllocFromPoolAsync`, or its variant for per-thread default streams.
pub unsafe fn alloc_from_pool<const PER_THREAD: bool>(
    real: fn_types::cuMemAllocFromPoolAsync,
    dptr: *mut CUdeviceptr,
    bytesize: usize,
    pool: CUmemoryPool,
    h_stream: CUstream,
) -> CUresult {
    let found = || find_or_enter(pool);
    // SAFETY: the program's own call, passed on.
    unsafe {
        allocate::<PER_THREAD>(dptr, bytesize as u64, h_stream, found, || {
            real(dptr, bytesize, pool, h_stream)
        })
    }
}

/// # Safety
///
/// As `cuMemFreeAsync`, or its variant for per-thread default streams.
pub unsafe fn free_async<const PER_THREAD: bool>(
    real: fn_types::cuMemFreeAsync,
    dptr: CUdeviceptr,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let free = || unsafe { real(dptr, h_stream) };
    if capture::captures::<PER_THREAD>(h_stream) {
        // A node that frees when the graph is launched; the memory is the graph's.
        return free();
    }
    reuse::note_thread();
    let block = Block::at(dptr);
    // A plain allocation is the device's again some time after the stream gets here.
    let result = credited_by(dptr, free, |device, live| {
        give_back(device, live, When::Later);
    });
    if let (Some(block), CUresult::CUDA_SUCCESS) = (block, result) {
        block.freed::<PER_THREAD>(h_stream);
    }
    result
}

/// # Safety
///
/// As `cuMemPoolCreate`.
pub unsafe fn create(
    real: fn_types::cuMemPoolCreate,
    pool: *mut CUmemoryPool,
    props: *const CUmemPoolProps,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, props) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver read the one and wrote the other.
        let (location, handle) = unsafe { ((*props).location, *pool) };
        let on_device = location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
        enter(handle, if on_device { location.id } else { HOST }, true);
    }
    result
}

/// # Safety
///
/// As `cuMemPoolTrimTo`.
pub unsafe fn trim_to(
    real: fn_types::cuMemPoolTrimTo,
    pool: CUmemoryPool,
    min_bytes_to_keep: usize,
) -> CUresult {
    settle::about_to_wait();
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, min_bytes_to_keep) };
    settle::waited(result)
}

/// # Safety
///
/// As `cuMemPoolDestroy`.
pub unsafe fn destroy(real: fn_types::cuMemPoolDestroy, pool: CUmemoryPool) -> CUresult {
    settle::settle_all();
    let doomed = Doomed::of(pool);
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool) };
    if result != CUresult::CUDA_SUCCESS {
        if let Some(doomed) = doomed {
            doomed.refused();
        }
        return result;
    }
    // It may have been a current one.
    current::changed(None);
    if let Some((device, bytes)) = doomed.and_then(Doomed::destroyed) {
        // What was freed and not waited for.
        settle::give_back_later(device, bytes);
    }
    result
}

/// # Safety
///
/// As `cuMemGetDefaultMemPool` and `cuMemGetMemPool`.
pub unsafe fn get_of(
    real: fn_types::cuMemGetMemPool,
    pool: *mut CUmemoryPool,
    location: *mut CUmemLocation,
    type_: CUmemAllocationType,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(pool, location, type_) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver read the one and wrote the other.
        let (location, handle) = unsafe { (*location, *pool) };
        if location.type_ != CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE {
            enter(handle, HOST, false);
        }
    }
    result
}

/// # Safety
///
/// As `cuDeviceSetMemPool`.
pub unsafe fn set_current(
    real: fn_types::cuDeviceSetMemPool,
    dev: CUdevice,
    pool: CUmemoryPool,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(dev, pool) };
    current::changed(Some(dev));
    result
}

/// # Safety
///
/// As `cuMemSetMemPool`.
pub unsafe fn set_current_of(
    real: fn_types::cuMemSetMemPool,
    location: *mut CUmemLocation,
    type_: CUmemAllocationType,
    pool: CUmemoryPool,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(location, type_, pool) };
    current::changed(None);
    result
}
