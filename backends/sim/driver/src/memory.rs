//! Which addresses are memory, whose, and of what kind; plain device and managed allocations.
//!
//! Owns: the registry every other file asks about addresses. Host memory is in [`crate::host`],
//! pools in [`crate::pool`], mapped physical memory in [`crate::vmm`].

use crate::border::{Outcome, put, put_optional, rc, require};
use crate::capture;
use crate::context::{CONTEXTS, Context, cpu_cost, current};
use crate::driver::{Gpu, profile};
use crate::types::*;
use fcsp_sim::Ranges;
use std::ffi::c_uint;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What an address range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `cuMemAlloc`, `cuMemAllocPitch`.
    Device,
    /// `cuMemAllocManaged`. Counts as device memory from the start; on hardware it does once used.
    Managed,
    /// From the pool of this handle.
    Pool(u64),
    /// Page-locked memory the driver allocated, with its flags.
    Host(c_uint),
    /// The program's own memory, registered, with its flags.
    Registered(c_uint),
    /// Physical memory mapped into a reservation.
    Mapped,
    /// A variable of loaded code.
    Variable,
    /// Of a graph's allocation node.
    Graph,
    /// Memory of another process, opened through a handle.
    Imported,
}

/// A range of addresses the device can reach.
#[derive(Debug)]
pub struct Allocation {
    /// First address.
    pub base: u64,
    /// Length the program asked for.
    pub bytes: u64,
    /// What it is.
    pub kind: Kind,
    /// Ordinal of its device.
    pub ordinal: i32,
    /// Group of its context.
    pub group: u64,
    /// Number no other allocation of the process has or had.
    pub id: u64,
    /// Device memory charged for it.
    pub charged_bytes: u64,
}

static ALLOCATIONS: Ranges<Allocation> = Ranges::new();
static IDS: AtomicU64 = AtomicU64::new(1);

/// Alignment of what `cuMemAlloc` returns.
pub const ALIGN_BYTES: u64 = 512;
/// Physical memory is handed out in pages of this size to allocations of more than half of it.
const LARGE_PAGE_BYTES: u64 = 2 << 20;
/// `CU_MEM_ATTACH_GLOBAL` and `CU_MEM_ATTACH_HOST`.
const ATTACH: [c_uint; 2] = [1, 2];

/// Enters a range. False if it overlaps another.
pub fn insert(
    base: u64,
    bytes: u64,
    kind: Kind,
    gpu: &Gpu,
    group: u64,
    charged_bytes: u64,
) -> bool {
    let id = IDS.fetch_add(1, Relaxed);
    let ordinal = gpu.ordinal;
    let allocation = Allocation {
        base,
        bytes,
        kind,
        ordinal,
        group,
        id,
        charged_bytes,
    };
    ALLOCATIONS.insert(base, bytes, allocation)
}

/// The range an address lies in.
pub fn find(address: u64) -> Option<Arc<Allocation>> {
    ALLOCATIONS.find(address)
}

/// Whether `bytes` from `address` on lie in one range, or in ranges without a gap.
pub fn contains(address: u64, bytes: u64) -> bool {
    ALLOCATIONS.contains(address, bytes)
}

/// Takes out the range that begins at `base`, if `condition` holds for it.
pub fn remove(base: u64, condition: impl Fn(&Allocation) -> bool) -> Option<Arc<Allocation>> {
    ALLOCATIONS.remove(base, condition)
}

/// Physical memory an allocation of this size takes.
pub fn physical_bytes(bytes: u64) -> u64 {
    let page = if bytes > LARGE_PAGE_BYTES / 2 {
        LARGE_PAGE_BYTES
    } else {
        profile().page_bytes
    };
    bytes.checked_next_multiple_of(page).unwrap_or(u64::MAX)
}

/// Charges the device, after a second look at what has ended if it is full.
pub fn charge(gpu: &Gpu, bytes: u64) -> Outcome {
    if gpu.device.charge(bytes).is_ok() {
        return Ok(());
    }
    // Stream-ordered frees whose time has come may not have been noticed yet.
    gpu.queues()?.notice();
    gpu.device.charge(bytes).map_err(|_| rc::OUT_OF_MEMORY)
}

/// Takes device memory for a context and enters it.
pub fn allocate(context: &Context, bytes: u64, align: u64, kind: Kind) -> Result<u64, Failure> {
    let gpu = context.gpu;
    let charged_bytes = physical_bytes(bytes);
    charge(gpu, charged_bytes)?;
    let placed = gpu
        .arena()
        .and_then(|arena| arena.alloc(bytes, align).ok_or(rc::OUT_OF_MEMORY));
    let base = placed.inspect_err(|_| gpu.device.release(charged_bytes))?;
    insert(base, bytes, kind, gpu, context.group, charged_bytes);
    Ok(base)
}

/// Gives back what [`allocate`] took; the range has been taken out already.
pub fn give_back(gpu: &Gpu, allocation: &Allocation) {
    match allocation.kind {
        Kind::Device | Kind::Managed | Kind::Variable => {
            if let Ok(arena) = gpu.arena() {
                arena.free(allocation.base, allocation.bytes, ALIGN_BYTES);
            }
            gpu.device.release(allocation.charged_bytes);
        }
        Kind::Pool(_) => crate::pool::free_now(gpu, allocation),
        Kind::Host(_) => crate::host::unmap(allocation),
        Kind::Imported => crate::ipc::unmap(allocation),
        Kind::Registered(_) | Kind::Mapped | Kind::Graph => {}
    }
}

/// Frees whatever a context leaves behind.
pub fn free_context(group: u64) {
    let left =
        ALLOCATIONS.drain(|a| a.group == group && !matches!(a.kind, Kind::Mapped | Kind::Graph));
    for allocation in left {
        if let Ok(gpu) = crate::driver::gpu(allocation.ordinal) {
            give_back(gpu, &allocation);
        }
    }
}

/// `cuMemAlloc_v2`.
pub unsafe fn alloc(place: *mut Address, bytes: usize) -> Outcome {
    require(!place.is_null() && bytes > 0, rc::INVALID_VALUE)?;
    capture::forbid_unsafe_call()?;
    let context = current()?;
    cpu_cost(context.gpu, 35_000);
    let base = allocate(&context, bytes as u64, ALIGN_BYTES, Kind::Device)?;
    // SAFETY: checked above.
    unsafe { put(place, base) }
}

/// `cuMemAllocPitch_v2`.
pub unsafe fn alloc_pitch(
    place: *mut Address,
    pitch: *mut usize,
    width_bytes: usize,
    height: usize,
    element_bytes: c_uint,
) -> Outcome {
    require(!place.is_null() && !pitch.is_null(), rc::INVALID_VALUE)?;
    require(width_bytes > 0 && height > 0, rc::INVALID_VALUE)?;
    require(matches!(element_bytes, 4 | 8 | 16), rc::INVALID_VALUE)?;
    capture::forbid_unsafe_call()?;
    let context = current()?;
    let row_bytes = width_bytes.checked_next_multiple_of(profile().pitch_bytes as usize);
    let row_bytes = row_bytes.ok_or(rc::OUT_OF_MEMORY)?;
    let bytes = row_bytes.checked_mul(height).ok_or(rc::OUT_OF_MEMORY)?;
    let base = allocate(&context, bytes as u64, ALIGN_BYTES, Kind::Device)?;
    // SAFETY: checked above.
    unsafe {
        put(pitch, row_bytes)?;
        put(place, base)
    }
}

/// `cuMemAllocManaged`.
pub unsafe fn alloc_managed(place: *mut Address, bytes: usize, flags: c_uint) -> Outcome {
    require(!place.is_null() && bytes > 0, rc::INVALID_VALUE)?;
    require(ATTACH.contains(&flags), rc::INVALID_VALUE)?;
    capture::forbid_unsafe_call()?;
    let base = allocate(&*current()?, bytes as u64, ALIGN_BYTES, Kind::Managed)?;
    // SAFETY: checked above.
    unsafe { put(place, base) }
}

/// `cuMemFree_v2`. Waits for the context's work, as the driver does.
pub unsafe fn free(address: Address) -> Outcome {
    if address == 0 {
        return Ok(());
    }
    capture::forbid_unsafe_call()?;
    let freeable = |a: &Allocation| matches!(a.kind, Kind::Device | Kind::Managed | Kind::Pool(_));
    let found = find(address).filter(|a| a.base == address && freeable(a));
    let gpu = crate::driver::gpu(found.ok_or(rc::INVALID_VALUE)?.ordinal)?;
    let context = current()?;
    cpu_cost(gpu, 35_000);
    gpu.queues()?.wait_group(context.group);
    let taken = remove(address, freeable).ok_or(rc::INVALID_VALUE)?;
    give_back(gpu, &taken);
    Ok(())
}

/// `cuMemGetInfo_v2`.
pub unsafe fn info(free: *mut usize, total: *mut usize) -> Outcome {
    let context = current()?;
    cpu_cost(context.gpu, 5_000);
    let memory = context.gpu.device.memory();
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(
            free,
            (memory.total_bytes - memory.used_bytes.min(memory.total_bytes)) as usize,
        );
        put_optional(total, memory.total_bytes as usize);
    }
    Ok(())
}

/// `cuMemGetAddressRange_v2`.
pub unsafe fn address_range(base: *mut Address, bytes: *mut usize, address: Address) -> Outcome {
    let found = find(address).ok_or(rc::NOT_FOUND)?;
    require(
        !matches!(found.kind, Kind::Host(_) | Kind::Registered(_)),
        rc::NOT_FOUND,
    )?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put_optional(base, found.base);
        put_optional(bytes, found.bytes as usize);
    }
    Ok(())
}

/// The context an allocation was made in, if it still exists.
pub fn context_handle(allocation: &Allocation) -> ContextHandle {
    CONTEXTS.find(|context| context.group == allocation.group) as ContextHandle
}
