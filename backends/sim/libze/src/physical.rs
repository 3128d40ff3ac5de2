//! Physical memory, reserved addresses, and mappings of one into the other.
//!
//! Physical memory lives until its handle and its last mapping are gone.

use crate::border::{Outcome, put, rc, read, require};
use crate::device;
use crate::driver::Gpu;
use crate::handles::{CONTEXTS, PHYSICAL, get, take};
use crate::memory::{self, Kind, charge};
use fcsp_sim::space::{self, Reservations};
use level_zero_sys::*;
use std::collections::BTreeMap;
use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, MutexGuard};

/// What physical memory is counted in, and what addresses align to.
const PAGE_BYTES: u64 = 2 << 20;

/// Physical memory of a device.
pub struct Physical {
    gpu: &'static Gpu,
    address: u64,
    bytes: u64,
}

struct Mapping {
    bytes: u64,
    access: ze_memory_access_attribute_t,
    _physical: Arc<Physical>,
}

static RESERVED: Reservations = Reservations::new();
static MAPPED: Mutex<BTreeMap<u64, Mapping>> = Mutex::new(BTreeMap::new());

fn mappings() -> MutexGuard<'static, BTreeMap<u64, Mapping>> {
    MAPPED.lock().unwrap_or_else(|e| e.into_inner())
}

impl Drop for Physical {
    fn drop(&mut self) {
        if let Ok(arena) = self.gpu.arena() {
            arena.free(self.address, self.bytes, PAGE_BYTES);
        }
        self.gpu.device.release(self.bytes);
    }
}

fn protection(access: ze_memory_access_attribute_t) -> Result<c_int, ze_result_t> {
    use ze_memory_access_attribute_t as A;
    match access {
        A::ZE_MEMORY_ACCESS_ATTRIBUTE_NONE => Ok(libc::PROT_NONE),
        A::ZE_MEMORY_ACCESS_ATTRIBUTE_READONLY => Ok(libc::PROT_READ),
        A::ZE_MEMORY_ACCESS_ATTRIBUTE_READWRITE => Ok(libc::PROT_READ | libc::PROT_WRITE),
        _ => Err(rc::INVALID_ENUMERATION),
    }
}

/// `zePhysicalMemCreate`.
pub unsafe fn create(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *mut ze_physical_mem_desc_t,
    place: *mut ze_physical_mem_handle_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let gpu = device::gpu(device)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    // SAFETY: the caller's descriptor.
    let desc = unsafe { read(desc) }?;
    let on_device = ze_physical_mem_flag_t::ZE_PHYSICAL_MEM_FLAG_ALLOCATE_ON_DEVICE.0;
    require(desc.flags & !on_device == 0, rc::UNSUPPORTED_ENUMERATION)?;
    let bytes = desc.size as u64;
    require(
        bytes > 0 && bytes.is_multiple_of(PAGE_BYTES),
        rc::UNSUPPORTED_SIZE,
    )?;
    charge(gpu, bytes)?;
    let placed = gpu.arena().and_then(|arena| {
        arena
            .alloc(bytes, PAGE_BYTES)
            .ok_or(rc::OUT_OF_DEVICE_MEMORY)
    });
    let address = placed.inspect_err(|_| gpu.device.release(bytes))?;
    let physical = Physical {
        gpu,
        address,
        bytes,
    };
    // SAFETY: checked above.
    unsafe { put(place, PHYSICAL.insert(physical) as ze_physical_mem_handle_t) }
}

/// `zePhysicalMemDestroy`.
pub unsafe fn destroy(context: ze_context_handle_t, physical: ze_physical_mem_handle_t) -> Outcome {
    get(&CONTEXTS, context)?;
    take(&PHYSICAL, physical).map(drop)
}

/// `zeVirtualMemQueryPageSize`.
pub unsafe fn page_size(
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    _bytes: usize,
    place: *mut usize,
) -> Outcome {
    get(&CONTEXTS, context)?;
    device::gpu(device)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, PAGE_BYTES as usize) }
}

/// `zeVirtualMemReserve`. Where the program would like it is not looked at.
pub unsafe fn reserve(
    context: ze_context_handle_t,
    _wanted: *const c_void,
    bytes: usize,
    place: *mut *mut c_void,
) -> Outcome {
    get(&CONTEXTS, context)?;
    require(!place.is_null(), rc::NULL_POINTER)?;
    let bytes = bytes as u64;
    require(
        bytes > 0 && bytes.is_multiple_of(PAGE_BYTES),
        rc::UNSUPPORTED_SIZE,
    )?;
    let base = RESERVED
        .reserve(bytes, PAGE_BYTES)
        .map_err(|_| rc::OUT_OF_HOST_MEMORY)?;
    // SAFETY: checked above.
    unsafe { put(place, base as *mut c_void) }
}

/// `zeVirtualMemFree`.
pub unsafe fn free(context: ze_context_handle_t, address: *const c_void, bytes: usize) -> Outcome {
    get(&CONTEXTS, context)?;
    let (base, bytes) = (address as u64, bytes as u64);
    let busy = mappings().range(base..base + bytes).next().is_some();
    require(!busy, rc::OBJECT_IN_USE)?;
    // SAFETY: nothing is mapped into it.
    let freed = unsafe { RESERVED.free(base, bytes) };
    require(freed, rc::INVALID_ARGUMENT)
}

/// `zeVirtualMemMap`.
pub unsafe fn map(
    context: ze_context_handle_t,
    address: *const c_void,
    bytes: usize,
    physical: ze_physical_mem_handle_t,
    offset: usize,
    access: ze_memory_access_attribute_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let physical = get(&PHYSICAL, physical)?;
    let (base, bytes, offset) = (address as u64, bytes as u64, offset as u64);
    let aligned = [base, bytes, offset]
        .iter()
        .all(|n| n.is_multiple_of(PAGE_BYTES));
    require(aligned && bytes > 0, rc::UNSUPPORTED_ALIGNMENT)?;
    let within = offset
        .checked_add(bytes)
        .is_some_and(|end| end <= physical.bytes);
    require(
        within && RESERVED.contains(base, bytes),
        rc::INVALID_ARGUMENT,
    )?;
    let protection = protection(access)?;
    let mut mapped = mappings();
    let entered = memory::insert(base, bytes, Kind::Mapped, Some(physical.gpu), 0);
    require(entered, rc::INVALID_ARGUMENT)?;
    let arena = physical.gpu.arena()?;
    let start = physical.address - arena.base() + offset;
    // SAFETY: over a range that is reserved by us and has no mapping.
    let placed = unsafe { space::map(base, bytes, protection, arena.raw_fd(), start) };
    if placed.is_err() {
        memory::remove(base, |_| true);
        return Err(rc::OUT_OF_HOST_MEMORY);
    }
    let mapping = Mapping {
        bytes,
        access,
        _physical: physical,
    };
    mapped.insert(base, mapping);
    Ok(())
}

/// `zeVirtualMemUnmap`. Waits for the context's work, which may use it.
pub unsafe fn unmap(context: ze_context_handle_t, address: *const c_void, bytes: usize) -> Outcome {
    get(&CONTEXTS, context)?.drain();
    let (base, bytes) = (address as u64, bytes as u64);
    let mut mapped = mappings();
    let whole = mapped
        .get(&base)
        .is_some_and(|mapping| mapping.bytes == bytes);
    require(whole, rc::INVALID_ARGUMENT)?;
    memory::remove(base, |a| a.kind == Kind::Mapped);
    // SAFETY: a mapping in a reservation of ours, which nothing under way uses.
    unsafe { space::clear(base, bytes) }.map_err(|_| rc::OUT_OF_HOST_MEMORY)?;
    mapped.remove(&base);
    Ok(())
}

/// `zeVirtualMemSetAccessAttribute`, of a whole mapping.
pub unsafe fn set_access(
    context: ze_context_handle_t,
    address: *const c_void,
    bytes: usize,
    access: ze_memory_access_attribute_t,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let protection = protection(access)?;
    let mut mapped = mappings();
    let mapping = mapped
        .get_mut(&(address as u64))
        .ok_or(rc::INVALID_ARGUMENT)?;
    require(mapping.bytes == bytes as u64, rc::INVALID_ARGUMENT)?;
    // SAFETY: exactly a mapping of ours.
    let done = unsafe { libc::mprotect(address.cast_mut(), bytes, protection) } == 0;
    require(done, rc::UNKNOWN)?;
    mapping.access = access;
    Ok(())
}

/// `zeVirtualMemGetAccessAttribute`.
pub unsafe fn get_access(
    context: ze_context_handle_t,
    address: *const c_void,
    _bytes: usize,
    access: *mut ze_memory_access_attribute_t,
    length: *mut usize,
) -> Outcome {
    get(&CONTEXTS, context)?;
    let mapped = mappings();
    let found = mapped.range(..=address as u64).next_back();
    let found = found.filter(|(base, mapping)| address as u64 - **base < mapping.bytes);
    let (base, mapping) = found.ok_or(rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put(access, mapping.access)?;
        put(length, (mapping.bytes - (address as u64 - base)) as usize)
    }
}
