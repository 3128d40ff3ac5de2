//! Memory pools and stream-ordered allocation.
//!
//! Which chunks a pool has and when they go back to the device is in [`crate::pool_chunks`]; here are
//! the calls. What a pool has reserved counts as used on the device, by its process. An allocation is
//! usable at once. Where the device is full, a stream-ordered allocation waits for the work of its context,
//! gives back what that freed, and tries again, as the driver does (H100, driver 580.159, November 2026).

use crate::border::{Outcome, put, rc, require};
use crate::driver::{Gpu, gpu};
use crate::graph::NodeKind;
use crate::handles::Table;
use crate::memory::{self, ALIGN_BYTES, Allocation, Kind};
use crate::pool_chunks::Chunks;
use crate::stream::{Stream, resolve};
use crate::types::*;
use fcsp_sim::{Effect, Op};
use std::ffi::c_uint;
use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering::Acquire;
use std::sync::{Arc, Mutex, MutexGuard};

/// A pool.
pub struct Pool {
    gpu: &'static Gpu,
    default: bool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    chunks: Chunks,
    threshold_bytes: u64,
    reserved_bytes_max: u64,
    used_bytes: u64,
    used_bytes_max: u64,
    limit_bytes: u64,
    reuse: [c_int; 3],
}

/// All pools.
pub static POOLS: Table<Pool> = Table::new(10);
/// Pools that were destroyed while something was allocated from them, by handle.
static DESTROYED: Mutex<Vec<(u64, Arc<Pool>)>> = Mutex::new(Vec::new());

impl Pool {
    fn new(gpu: &'static Gpu, default: bool, limit_bytes: u64) -> Self {
        let state = State {
            reuse: [1; 3],
            limit_bytes,
            ..State::default()
        };
        Self {
            gpu,
            default,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Enters an allocation of `stream` at `address`, with more memory of the device if need be.
    fn take(&self, bytes: u64, stream: &Stream, address: u64) -> Outcome {
        if self.try_take(bytes, stream, address).is_ok() {
            return Ok(());
        }
        self.gpu.queues()?.wait_group(stream.group);
        synchronized();
        self.try_take(bytes, stream, address)
    }

    fn try_take(&self, bytes: u64, stream: &Stream, address: u64) -> Outcome {
        let mut state = self.lock();
        let order = stream.order();
        if !state.chunks.take(bytes, order, address) {
            let chunk_bytes = self.gpu.device.config().pool_chunk_bytes;
            let more_bytes = bytes.checked_next_multiple_of(chunk_bytes);
            let more_bytes = more_bytes.ok_or(rc::OUT_OF_MEMORY)?;
            let reserved_bytes = state.chunks.reserved_bytes();
            // A size that nobody has must not become a small one.
            let sum_bytes = reserved_bytes.saturating_add(more_bytes);
            let fits = state.limit_bytes == 0 || sum_bytes <= state.limit_bytes;
            require(fits, rc::OUT_OF_MEMORY)?;
            let charged = self.gpu.device.charge(more_bytes);
            charged.map_err(|_| rc::OUT_OF_MEMORY)?;
            state.chunks.grow(more_bytes);
            let placed = state.chunks.take(bytes, order, address);
            debug_assert!(placed, "a new chunk has room for what it was made for");
        }
        state.used_bytes += bytes;
        state.reserved_bytes_max = state.reserved_bytes_max.max(state.chunks.reserved_bytes());
        state.used_bytes_max = state.used_bytes_max.max(state.used_bytes);
        Ok(())
    }

    /// Gives back to the device what is free and more than `keep_bytes`.
    fn release_down_to(&self, state: &mut State, keep_bytes: u64) {
        let bytes = state.chunks.release_down_to(keep_bytes);
        self.gpu.device.release(bytes);
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let state = self.state.get_mut().unwrap_or_else(|e| e.into_inner());
        self.gpu.device.release(state.chunks.reserved_bytes());
    }
}

fn default_pool(gpu: &'static Gpu) -> u64 {
    let mut handle = gpu.default_pool.lock().unwrap_or_else(|e| e.into_inner());
    if *handle == 0 {
        *handle = POOLS.insert(Pool::new(gpu, true, 0));
    }
    *handle
}

fn current_pool(gpu: &'static Gpu) -> u64 {
    let chosen = *gpu.pool.lock().unwrap_or_else(|e| e.into_inner());
    if POOLS.get(chosen as PoolHandle).is_some() {
        chosen
    } else {
        default_pool(gpu)
    }
}

/// The pool of a handle.
///
/// # Errors
/// There is none.
pub fn known(handle: PoolHandle) -> Result<Arc<Pool>, Failure> {
    POOLS.get(handle).ok_or(rc::INVALID_VALUE)
}

unsafe fn allocate(
    place: *mut Address,
    bytes: usize,
    handle: u64,
    stream: StreamHandle,
) -> Outcome {
    require(!place.is_null() && bytes > 0, rc::INVALID_VALUE)?;
    let stream = resolve(stream)?;
    let pool = known(handle as PoolHandle)?;
    if stream.capturing.load(Acquire) {
        let (node, address) = crate::graph_memory::node(pool.gpu, bytes as u64)?;
        stream.run(node)?;
        // SAFETY: checked above.
        return unsafe { put(place, address) };
    }
    let arena = pool.gpu.arena()?;
    // Addresses first: a pool keeps what it once took.
    let base = arena.alloc(bytes as u64, ALIGN_BYTES);
    let base = base.ok_or(rc::OUT_OF_MEMORY)?;
    pool.take(bytes as u64, &stream, base)
        .inspect_err(|_| arena.free(base, bytes as u64, ALIGN_BYTES))?;
    let kind = Kind::Pool(handle);
    memory::insert(base, bytes as u64, kind, pool.gpu, stream.group, 0);
    // SAFETY: checked above.
    unsafe { put(place, base) }
}

/// `cuMemAllocAsync`.
pub unsafe fn alloc(place: *mut Address, bytes: usize, stream: StreamHandle) -> Outcome {
    let pool = current_pool(resolve(stream)?.gpu);
    // SAFETY: the same contract.
    unsafe { allocate(place, bytes, pool, stream) }
}

/// `cuMemAllocFromPoolAsync`.
pub unsafe fn alloc_from(
    place: *mut Address,
    bytes: usize,
    pool: PoolHandle,
    stream: StreamHandle,
) -> Outcome {
    known(pool)?;
    // SAFETY: the same contract.
    unsafe { allocate(place, bytes, pool as u64, stream) }
}

/// `cuMemFreeAsync`: the address is gone at once, and the bytes from the pool's count of used ones; the memory when the
/// stream gets there.
pub unsafe fn free(address: Address, stream: StreamHandle) -> Outcome {
    let stream = resolve(stream)?;
    if address == 0 {
        return Ok(());
    }
    if stream.capturing.load(Acquire) {
        let of_graph =
            memory::find(address).is_some_and(|it| it.base == address && it.kind == Kind::Graph);
        require(of_graph, rc::INVALID_VALUE)?;
        return stream.run(NodeKind::Free);
    }
    let freeable = |a: &Allocation| matches!(a.kind, Kind::Device | Kind::Pool(_));
    let taken = memory::remove(address, freeable).ok_or(rc::INVALID_VALUE)?;
    let owner = gpu(taken.ordinal)?;
    let number = pool_of(&taken).map(|pool| {
        let mut state = pool.lock();
        state.used_bytes = state.used_bytes.saturating_sub(taken.bytes);
        state.chunks.free_in_order(taken.base, stream.order())
    });
    stream.submit([Op::Instant(Effect::Run(Box::new(move || match number {
        Some(number) => freed_in_order(owner, &taken, number),
        None => memory::give_back(owner, &taken),
    })))])
}

/// The pool an allocation is from, destroyed or not.
fn pool_of(allocation: &Allocation) -> Option<Arc<Pool>> {
    let Kind::Pool(handle) = allocation.kind else {
        return None;
    };
    POOLS.get(handle as PoolHandle).or_else(|| {
        let destroyed = DESTROYED.lock().unwrap_or_else(|e| e.into_inner());
        let found = destroyed.iter().find(|(it, _)| *it == handle)?;
        Some(Arc::clone(&found.1))
    })
}

/// A stream came to where it frees `allocation`.
fn freed_in_order(gpu: &Gpu, allocation: &Allocation, number: u64) {
    if let Ok(arena) = gpu.arena() {
        arena.free(allocation.base, allocation.bytes, ALIGN_BYTES);
    }
    if let Some(pool) = pool_of(allocation) {
        pool.lock().chunks.freed(number);
        drop_destroyed();
    }
}

/// An allocation is freed without a stream's order: its memory goes back to the device at once if its
/// chunk is free, and the pool's count of used bytes stays too high for ever, as the driver's does.
pub fn free_now(gpu: &Gpu, allocation: &Allocation) {
    if let Ok(arena) = gpu.arena() {
        arena.free(allocation.base, allocation.bytes, ALIGN_BYTES);
    }
    if let Some(pool) = pool_of(allocation) {
        let mut state = pool.lock();
        state.chunks.free_now(allocation.base);
        let keep_bytes = state.threshold_bytes;
        pool.release_down_to(&mut state, keep_bytes);
        drop(state);
        drop_destroyed();
    }
}

/// A thread has waited for work: pools give back what is free by now. Those of other devices as well, whose
/// memory streams of this one may have freed.
pub fn synchronized() {
    for pool in POOLS.all(|_| true) {
        let mut state = pool.lock();
        state.chunks.synchronized();
        let keep_bytes = state.threshold_bytes;
        pool.release_down_to(&mut state, keep_bytes);
    }
}

/// Destroyed pools from which nothing is allocated any more are gone.
fn drop_destroyed() {
    let mut destroyed = DESTROYED.lock().unwrap_or_else(|e| e.into_inner());
    destroyed.retain(|(_, pool)| !pool.lock().chunks.is_idle());
}

/// `cuMemPoolDestroy`. What was allocated from the pool stays, and the pool with it.
pub unsafe fn destroy(handle: PoolHandle) -> Outcome {
    require(!known(handle)?.default, rc::INVALID_VALUE)?;
    let pool = POOLS.remove(handle).ok_or(rc::INVALID_VALUE)?;
    let mut destroyed = DESTROYED.lock().unwrap_or_else(|e| e.into_inner());
    destroyed.push((handle as u64, pool));
    drop(destroyed);
    drop_destroyed();
    Ok(())
}

/// `cuMemPoolTrimTo`.
pub unsafe fn trim_to(handle: PoolHandle, keep_bytes: usize) -> Outcome {
    let pool = known(handle)?;
    let mut state = pool.lock();
    pool.release_down_to(&mut state, keep_bytes as u64);
    Ok(())
}

/// `cuMemPoolGetAttribute`.
pub unsafe fn get_attribute(handle: PoolHandle, attribute: c_uint, value: *mut c_void) -> Outcome {
    let pool = known(handle)?;
    let state = pool.lock();
    // Numbers of c_uint in cuda.h: three flags, then byte counts.
    let bytes = match attribute {
        // SAFETY: the caller's pointer to an int, null allowed.
        flag @ 1..=3 => return unsafe { put(value.cast(), state.reuse[flag as usize - 1]) },
        4 => state.threshold_bytes,
        5 => state.chunks.reserved_bytes(),
        6 => state.reserved_bytes_max,
        7 => state.used_bytes,
        8 => state.used_bytes_max,
        _ => return Err(rc::INVALID_VALUE),
    };
    // SAFETY: the caller's pointer to a 64-bit number, null allowed.
    unsafe { put(value.cast::<u64>(), bytes) }
}

/// `cuMemPoolSetAttribute`.
pub unsafe fn set_attribute(handle: PoolHandle, attribute: c_uint, value: *mut c_void) -> Outcome {
    let pool = known(handle)?;
    require(!value.is_null(), rc::INVALID_VALUE)?;
    let mut state = pool.lock();
    match attribute {
        flag @ 1..=3 => {
            // SAFETY: the caller's pointer to an int.
            state.reuse[flag as usize - 1] = unsafe { value.cast::<c_int>().read() };
        }
        // SAFETY: the caller's pointer to a 64-bit number.
        4 => state.threshold_bytes = unsafe { value.cast::<u64>().read() },
        high @ (6 | 8) => {
            // SAFETY: as above.
            let wanted = unsafe { value.cast::<u64>().read() };
            // High-water marks can only be reset.
            require(wanted == 0, rc::INVALID_VALUE)?;
            if high == 6 {
                state.reserved_bytes_max = state.chunks.reserved_bytes();
            } else {
                state.used_bytes_max = state.used_bytes;
            }
        }
        _ => return Err(rc::INVALID_VALUE),
    }
    Ok(())
}

/// `cuDeviceGetDefaultMemPool`.
pub unsafe fn get_default(place: *mut PoolHandle, device: c_int) -> Outcome {
    let handle = default_pool(gpu(device)?);
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, handle as PoolHandle) }
}

/// `cuDeviceGetMemPool`.
pub unsafe fn get(place: *mut PoolHandle, device: c_int) -> Outcome {
    let handle = current_pool(gpu(device)?);
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, handle as PoolHandle) }
}

/// `cuDeviceSetMemPool`.
pub unsafe fn set(device: c_int, handle: PoolHandle) -> Outcome {
    let gpu = gpu(device)?;
    require(std::ptr::eq(known(handle)?.gpu, gpu), rc::INVALID_VALUE)?;
    *gpu.pool.lock().unwrap_or_else(|e| e.into_inner()) = handle as u64;
    Ok(())
}

/// Makes a pool of a device; it never has more than `limit_bytes`, unless that is 0.
///
/// # Errors
/// A null pointer.
pub unsafe fn create(place: *mut PoolHandle, gpu: &'static Gpu, limit_bytes: u64) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let pool = Pool::new(gpu, false, limit_bytes);
    // SAFETY: checked above.
    unsafe { put(place, POOLS.insert(pool) as PoolHandle) }
}
