//! Which addresses are memory, whose, and of what kind; device, shared and host allocations.
//!
//! Device memory has real contents, which the host could read as well. Shared memory counts as the device's from the
//! start; on hardware it does once used.

use crate::border::{Outcome, at, put, rc, read, require};
use crate::device;
use crate::driver::{Gpu, gpus, host_arena, notice};
use crate::handles::{CONTEXTS, get};
use fcsp_sim::Ranges;
use level_zero_sys::*;
use std::ffi::c_void;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

/// What an address range is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `zeMemAllocDevice`.
    Device,
    /// `zeMemAllocShared`, on the device or, without one, on the host.
    Shared,
    /// `zeMemAllocHost`.
    Host,
    /// Memory of another process, opened through a handle.
    Imported,
    /// Physical memory mapped into a reservation.
    Mapped,
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
    /// Its device, if it has one.
    pub ordinal: Option<usize>,
    /// Number no other allocation of the process has or had.
    pub id: u64,
    /// Device memory charged for it.
    pub charged_bytes: u64,
}

static ALLOCATIONS: Ranges<Allocation> = Ranges::new();
static IDS: AtomicU64 = AtomicU64::new(1);

/// What memory is handed out in.
pub const PAGE_BYTES: u64 = 64 << 10;
/// Longest alignment there is.
const ALIGN_BYTES_MAX: u64 = 2 << 20;

/// Enters a range. False if it overlaps another.
pub fn insert(base: u64, bytes: u64, kind: Kind, gpu: Option<&Gpu>, charged_bytes: u64) -> bool {
    let allocation = Allocation {
        base,
        bytes,
        kind,
        ordinal: gpu.map(|gpu| gpu.ordinal),
        id: IDS.fetch_add(1, Relaxed),
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

/// Whether a copy from or to an address goes over the bus: the program's own memory, and host allocations.
pub fn on_host(address: u64) -> bool {
    find(address).is_none_or(|found| found.ordinal.is_none())
}

/// Takes out the range that begins at `base`, if `condition` holds for it.
pub fn remove(base: u64, condition: impl Fn(&Allocation) -> bool) -> Option<Arc<Allocation>> {
    ALLOCATIONS.remove(base, condition)
}

/// Takes device memory, after a second look at what has ended if it is full.
pub fn charge(gpu: &Gpu, bytes: u64) -> Outcome {
    // The process's own part comes first.
    gpu.queues()?;
    if gpu.device.charge(bytes).is_ok() {
        return Ok(());
    }
    notice();
    gpu.device
        .charge(bytes)
        .map_err(|_| rc::OUT_OF_DEVICE_MEMORY)
}

fn check(bytes: usize, alignment: usize) -> Result<(u64, u64), ze_result_t> {
    require(bytes > 0, rc::UNSUPPORTED_SIZE)?;
    let valid = alignment == 0 || alignment.is_power_of_two();
    require(
        valid && alignment as u64 <= ALIGN_BYTES_MAX,
        rc::UNSUPPORTED_ALIGNMENT,
    )?;
    let rounded = (bytes as u64).checked_next_multiple_of(PAGE_BYTES);
    let rounded = rounded.ok_or(rc::UNSUPPORTED_SIZE)?;
    Ok((rounded, (alignment as u64).max(PAGE_BYTES)))
}

/// Takes device memory and enters it.
fn on_device(gpu: &Gpu, bytes: usize, alignment: usize, kind: Kind) -> Result<u64, ze_result_t> {
    let (charged_bytes, align) = check(bytes, alignment)?;
    require(
        charged_bytes <= gpu.device.total_bytes(),
        rc::UNSUPPORTED_SIZE,
    )?;
    charge(gpu, charged_bytes)?;
    let placed = gpu.arena().and_then(|arena| {
        arena
            .alloc(charged_bytes, align)
            .ok_or(rc::OUT_OF_DEVICE_MEMORY)
    });
    let base = placed.inspect_err(|_| gpu.device.release(charged_bytes))?;
    insert(base, bytes as u64, kind, Some(gpu), charged_bytes);
    Ok(base)
}

fn on_the_host(bytes: usize, alignment: usize, kind: Kind) -> Result<u64, ze_result_t> {
    let (rounded, align) = check(bytes, alignment)?;
    let base = host_arena()?
        .alloc(rounded, align)
        .ok_or(rc::OUT_OF_HOST_MEMORY)?;
    insert(base, bytes as u64, kind, None, 0);
    Ok(base)
}

/// Refuses what would import or export memory of other interfaces, in a chain of extensions.
unsafe fn refuse_external(mut next: *const c_void) -> Outcome {
    use ze_structure_type_t as S;
    while !next.is_null() {
        // SAFETY: every structure of a chain begins with its type and the next one, by the caller's contract.
        let head = unsafe { &*next.cast::<ze_base_desc_t>() };
        let external = matches!(
            head.stype,
            S::ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_EXPORT_DESC
                | S::ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMPORT_FD
                | S::ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMPORT_WIN32
        );
        require(!external, rc::UNSUPPORTED_ENUMERATION)?;
        next = head.pNext;
    }
    Ok(())
}

/// `zeMemAllocDevice`.
pub unsafe fn alloc_device(
    context: ze_context_handle_t,
    desc: *const ze_device_mem_alloc_desc_t,
    bytes: usize,
    alignment: usize,
    device: ze_device_handle_t,
    place: *mut *mut c_void,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    unsafe { refuse_external(read(desc)?.pNext) }?;
    let base = on_device(gpu, bytes, alignment, Kind::Device)?;
    // SAFETY: checked above.
    unsafe { put(place, base as *mut c_void) }
}

/// `zeMemAllocShared`.
pub unsafe fn alloc_shared(
    context: ze_context_handle_t,
    on: *const ze_device_mem_alloc_desc_t,
    host: *const ze_host_mem_alloc_desc_t,
    bytes: usize,
    alignment: usize,
    device: ze_device_handle_t,
    place: *mut *mut c_void,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptors.
    unsafe {
        refuse_external(read(on)?.pNext)?;
        refuse_external(read(host)?.pNext)?;
    }
    let base = match device.is_null() {
        true => on_the_host(bytes, alignment, Kind::Shared),
        false => on_device(device::gpu(device)?, bytes, alignment, Kind::Shared),
    }?;
    // SAFETY: checked above.
    unsafe { put(place, base as *mut c_void) }
}

/// `zeMemAllocHost`.
pub unsafe fn alloc_host(
    context: ze_context_handle_t,
    desc: *const ze_host_mem_alloc_desc_t,
    bytes: usize,
    alignment: usize,
    place: *mut *mut c_void,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    unsafe { refuse_external(read(desc)?.pNext) }?;
    let base = on_the_host(bytes, alignment, Kind::Host)?;
    // SAFETY: checked above.
    unsafe { put(place, base as *mut c_void) }
}

fn free_now(context: ze_context_handle_t, address: *mut c_void, wait: bool) -> Outcome {
    let context = get(&CONTEXTS, context)?;
    require(!address.is_null(), rc::NULL_POINTER)?;
    let freeable = |a: &Allocation| matches!(a.kind, Kind::Device | Kind::Shared | Kind::Host);
    if wait {
        context.drain();
    }
    let taken = remove(address as u64, freeable).ok_or(rc::INVALID_ARGUMENT)?;
    let bytes = taken.bytes.next_multiple_of(PAGE_BYTES);
    match taken.ordinal.and_then(|ordinal| gpus().get(ordinal)) {
        Some(gpu) => {
            gpu.arena()?.free(taken.base, bytes, PAGE_BYTES);
            gpu.device.release(taken.charged_bytes);
        }
        None => host_arena()?.free(taken.base, bytes, PAGE_BYTES),
    }
    Ok(())
}

/// `zeMemFree`. Does not wait for the device: that is the program's to do.
pub unsafe fn free(context: ze_context_handle_t, address: *mut c_void) -> Outcome {
    free_now(context, address, false)
}

/// `zeMemFreeExt`. A deferred free waits as a blocking one does.
pub unsafe fn free_ext(
    context: ze_context_handle_t,
    desc: *const ze_memory_free_ext_desc_t,
    address: *mut c_void,
) -> Outcome {
    // SAFETY: the caller's descriptor.
    let policy = unsafe { read(desc) }?.freePolicy;
    free_now(context, address, policy != 0)
}

/// `zeMemGetAllocProperties`.
pub unsafe fn properties(
    context: ze_context_handle_t,
    address: *const c_void,
    properties: *mut ze_memory_allocation_properties_t,
    device: *mut ze_device_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!address.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    let found = find(address as u64);
    use ze_memory_type_t as T;
    p.type_ = match found.as_ref().map(|found| found.kind) {
        None => T::ZE_MEMORY_TYPE_UNKNOWN,
        Some(Kind::Host) => T::ZE_MEMORY_TYPE_HOST,
        Some(Kind::Shared) => T::ZE_MEMORY_TYPE_SHARED,
        Some(Kind::Device | Kind::Imported | Kind::Mapped) => T::ZE_MEMORY_TYPE_DEVICE,
    };
    p.id = found.as_ref().map_or(0, |found| found.id);
    p.pageSize = found.as_ref().map_or(0, |_| PAGE_BYTES);
    if !device.is_null() {
        let gpu = found.and_then(|found| gpus().get(found.ordinal?));
        let handle = gpu.map_or(std::ptr::null_mut(), device::handle);
        // SAFETY: checked above.
        unsafe { put(device, handle) }?;
    }
    Ok(())
}

/// `zeMemGetAddressRange`.
pub unsafe fn address_range(
    context: ze_context_handle_t,
    address: *const c_void,
    base: *mut *mut c_void,
    bytes: *mut usize,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!address.is_null(), rc::NULL_POINTER)?;
    let found = find(address as u64).ok_or(rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        if !base.is_null() {
            put(base, found.base as *mut c_void)?;
        }
        if !bytes.is_null() {
            put(bytes, found.bytes as usize)?;
        }
    }
    Ok(())
}
