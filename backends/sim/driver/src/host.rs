//! Page-locked host memory: allocated by the driver, or the program's own and registered.
//!
//! Every such address is also its device address.

use crate::border::{Outcome, put, rc, require};
use crate::capture;
use crate::context::current;
use crate::driver::gpu;
use crate::memory::{self, Allocation, Kind};
use crate::pinning;
use crate::types::*;
use std::ffi::{c_uint, c_void};

/// `CU_MEMHOSTALLOC_PORTABLE | DEVICEMAP | WRITECOMBINED`.
const ALLOC_FLAGS: c_uint = 7;
/// `CU_MEMHOSTREGISTER_PORTABLE | DEVICEMAP | IOMEMORY | READ_ONLY`.
const REGISTER_FLAGS: c_uint = 15;

/// `cuMemHostAlloc`.
pub unsafe fn alloc(place: *mut *mut c_void, bytes: usize, flags: c_uint) -> Outcome {
    require(!place.is_null() && bytes > 0, rc::INVALID_VALUE)?;
    require(flags & !ALLOC_FLAGS == 0, rc::INVALID_VALUE)?;
    capture::forbid_unsafe_call()?;
    let context = current()?;
    // SAFETY: a fresh private mapping at an address of the kernel's choice.
    let mapped = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            bytes,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    require(mapped != libc::MAP_FAILED, rc::OUT_OF_MEMORY)?;
    memory::insert(
        mapped as u64,
        bytes as u64,
        Kind::Host(flags),
        context.gpu,
        context.group,
        0,
    );
    // SAFETY: checked above.
    unsafe { put(place, mapped) }
}

/// `cuMemAllocHost_v2`.
pub unsafe fn alloc_plain(place: *mut *mut c_void, bytes: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { alloc(place, bytes, 0) }
}

/// `cuMemFreeHost`. Waits for the context's work.
pub unsafe fn free(address: *mut c_void) -> Outcome {
    require(!address.is_null(), rc::INVALID_VALUE)?;
    capture::forbid_unsafe_call()?;
    let host = |a: &Allocation| matches!(a.kind, Kind::Host(_));
    let found = memory::find(address as u64).filter(|a| a.base == address as u64 && host(a));
    let found = found.ok_or(rc::INVALID_VALUE)?;
    gpu(found.ordinal)?.queues()?.wait_group(found.group);
    let taken = memory::remove(address as u64, host).ok_or(rc::INVALID_VALUE)?;
    unmap(&taken);
    Ok(())
}

/// Unmaps memory that [`alloc`] mapped and that has been taken out of the registry.
pub fn unmap(allocation: &Allocation) {
    // SAFETY: mapped by `alloc` with this length; whoever took it out of the registry owns it.
    unsafe { libc::munmap(allocation.base as *mut c_void, allocation.bytes as usize) };
}

/// `cuMemHostRegister_v2`. Refused for what Linux lets no device pin.
pub unsafe fn register(address: *mut c_void, bytes: usize, flags: c_uint) -> Outcome {
    require(!address.is_null() && bytes > 0, rc::INVALID_VALUE)?;
    require(flags & !REGISTER_FLAGS == 0, rc::INVALID_VALUE)?;
    (address as u64)
        .checked_add(bytes as u64)
        .ok_or(rc::INVALID_VALUE)?;
    let context = current()?;
    let allowed = !context.gpu.device.config().no_pin && pinning::allowed(address as u64, bytes);
    require(allowed, rc::INVALID_VALUE)?;
    let kind = Kind::Registered(flags);
    let entered = memory::insert(
        address as u64,
        bytes as u64,
        kind,
        context.gpu,
        context.group,
        0,
    );
    require(entered, rc::HOST_MEMORY_ALREADY_REGISTERED)
}

/// `cuMemHostRegister`, the first form: pages only.
pub unsafe fn register_v1(address: *mut c_void, bytes: usize, flags: c_uint) -> Outcome {
    let aligned = (address as usize).is_multiple_of(4096) && bytes.is_multiple_of(4096);
    require(aligned, rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { register(address, bytes, flags) }
}

/// `cuMemHostUnregister`. What streams still wait for there is let go.
pub unsafe fn unregister(address: *mut c_void) -> Outcome {
    require(!address.is_null(), rc::INVALID_VALUE)?;
    current()?;
    let registered = |a: &Allocation| matches!(a.kind, Kind::Registered(_));
    let taken = memory::remove(address as u64, registered).ok_or(rc::HOST_MEMORY_NOT_REGISTERED)?;
    gpu(taken.ordinal)?
        .queues()?
        .forget_memory(taken.base..taken.base + taken.bytes);
    Ok(())
}

/// `cuMemHostGetDevicePointer_v2`.
pub unsafe fn device_pointer(place: *mut Address, address: *mut c_void, flags: c_uint) -> Outcome {
    require(!place.is_null() && flags == 0, rc::INVALID_VALUE)?;
    current()?;
    let found = memory::find(address as u64).ok_or(rc::INVALID_VALUE)?;
    require(
        matches!(found.kind, Kind::Host(_) | Kind::Registered(_)),
        rc::INVALID_VALUE,
    )?;
    // SAFETY: checked above.
    unsafe { put(place, address as Address) }
}

/// `cuMemHostGetFlags`.
pub unsafe fn flags(place: *mut c_uint, address: *mut c_void) -> Outcome {
    match memory::find(address as u64).map(|found| found.kind) {
        // Everything is mapped and portable under unified addressing, which the driver reports.
        // SAFETY: the caller's pointer, null allowed.
        Some(Kind::Host(flags)) => unsafe { put(place, flags | 3) },
        _ => Err(rc::INVALID_VALUE),
    }
}
