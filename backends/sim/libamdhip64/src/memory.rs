//! Device, managed and host memory, as far as HIP's calls differ from the shared driver's.

use crate::border::{self, Outcome, Pass, put, rc, refuse, require};
use crate::own;
use fcsp_sim_driver::memory::{self as neutral, Kind};
use fcsp_sim_driver::stream::resolve;
use fcsp_sim_driver::types::{Address, StreamHandle};
use fcsp_sim_driver::{Failure, host, ipc};
use hip_sys::{
    hipError_t, hipExtent, hipIpcMemHandle_t, hipMemoryType, hipPitchedPtr, hipPointerAttribute_t,
    v5,
};
use std::ffi::{c_int, c_uint, c_void};

/// Flags of `hipHostMalloc` that say how caches see the memory, which nothing here shows.
const COHERENCE: c_uint = hip_sys::hipHostMallocNumaUser
    | hip_sys::hipHostMallocCoherent
    | hip_sys::hipHostMallocNonCoherent;

/// The real library looks how much there is, to say so in its log, when there is not enough.
fn explain(failure: Failure) -> Failure {
    if failure == rc::OUT_OF_MEMORY {
        let (mut free, mut total) = (0, 0);
        // SAFETY: places for both. Whatever it says, the allocation failed.
        let _ = unsafe { own::memory_info(&mut free, &mut total) };
    }
    failure
}

/// `hipMalloc`; nothing is a null pointer.
pub unsafe fn alloc(place: *mut Address, bytes: usize) -> Outcome {
    if bytes == 0 {
        // SAFETY: the caller's pointer, null allowed.
        return unsafe { put(place, 0) };
    }
    // SAFETY: the same contract.
    unsafe { neutral::alloc(place, bytes) }.map_err(explain)
}

/// `hipExtMallocWithFlags`. Memory for signals has 8 bytes.
pub unsafe fn alloc_with_flags(place: *mut Address, bytes: usize, flags: c_uint) -> Outcome {
    require(
        flags <= hip_sys::hipDeviceMallocContiguous,
        rc::INVALID_VALUE,
    )?;
    let signal = flags == hip_sys::hipMallocSignalMemory;
    require(!signal || bytes == 8, rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { alloc(place, bytes) }
}

/// `hipMallocManaged`.
pub unsafe fn alloc_managed(place: *mut Address, bytes: usize, flags: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::alloc_managed(place, bytes, flags) }
}

/// `hipMallocPitch`.
pub unsafe fn alloc_pitch(
    place: *mut Address,
    pitch: *mut usize,
    width: usize,
    height: usize,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::alloc_pitch(place, pitch, width, height, 4) }.map_err(explain)
}

/// `hipMemAllocPitch`.
pub unsafe fn alloc_pitch_of(
    place: *mut *mut c_void,
    pitch: *mut usize,
    width: usize,
    height: usize,
    _element: c_uint,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe { own::malloc_pitch(place, pitch, width, height) }
}

/// `hipMalloc3D`.
pub unsafe fn alloc_3d(place: *mut hipPitchedPtr, extent: hipExtent) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let rows = extent
        .height
        .checked_mul(extent.depth)
        .ok_or(rc::OUT_OF_MEMORY)?;
    let (mut address, mut pitch) = (0, 0);
    // SAFETY: places for both; the caller's pointer was checked.
    unsafe {
        alloc_pitch(&mut address, &mut pitch, extent.width, rows)?;
        put(
            place,
            hipPitchedPtr {
                ptr: address as *mut c_void,
                pitch,
                xsize: extent.width,
                ysize: extent.height,
            },
        )
    }
}

/// `hipMemPtrGetInfo`.
pub unsafe fn size_of(address: Address, place: *mut usize) -> Outcome {
    let found = neutral::find(address).ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, found.bytes as usize) }
}

/// `hipHostMalloc` and `hipHostAlloc`.
pub unsafe fn host_alloc(place: *mut *mut c_void, bytes: usize, flags: c_uint) -> Outcome {
    if bytes == 0 {
        // SAFETY: the caller's pointer, null allowed.
        return unsafe { put(place, std::ptr::null_mut()) };
    }
    // SAFETY: the same contract.
    unsafe { host::alloc(place, bytes, flags & !COHERENCE) }
}

/// `hipMallocHost`.
pub unsafe fn host_alloc_plain(place: *mut *mut c_void, bytes: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { host_alloc(place, bytes, 0) }
}

/// `hipMemAllocHost`.
pub unsafe fn host_alloc_own(place: *mut *mut c_void, bytes: usize) -> Outcome {
    // SAFETY: the same contract.
    unsafe { own::host_malloc(place, bytes, 0) }
}

/// `hipHostFree`; null is nothing.
pub unsafe fn host_free(address: *mut c_void) -> Outcome {
    if address.is_null() {
        return Ok(());
    }
    // SAFETY: the same contract.
    unsafe { host::free(address) }
}

/// `hipIpcOpenMemHandle`. The only flag was 0 once, and nothing depends on it.
pub unsafe fn ipc_open(place: *mut Address, handle: hipIpcMemHandle_t, flags: c_uint) -> Outcome {
    require(
        flags <= hip_sys::hipIpcMemLazyEnablePeerAccess,
        rc::INVALID_VALUE,
    )?;
    let handle = handle.reserved.map(|byte| byte as u8);
    // SAFETY: the same contract.
    unsafe { ipc::open(place, handle, hip_sys::hipIpcMemLazyEnablePeerAccess) }
}

/// `hipMemPrefetchAsync`: a hint that changes nothing here, about memory that there is.
pub unsafe fn prefetch(
    address: Address,
    bytes: usize,
    device: c_int,
    stream: StreamHandle,
) -> Outcome {
    resolve(stream)?;
    // SAFETY: the same contract.
    unsafe { advise(address, bytes, 0, device) }
}

/// `hipMemAdvise`: as above.
pub unsafe fn advise(address: Address, bytes: usize, _advice: c_uint, _device: c_int) -> Outcome {
    require(neutral::contains(address, bytes as u64), rc::INVALID_VALUE)
}

/// What the release calls a kind of memory.
fn memory_type(kind: Kind) -> u32 {
    let five = own::major() == 5;
    match (kind, five) {
        (Kind::Host(_) | Kind::Registered(_), true) => v5::hipMemoryType::hipMemoryTypeHost.0,
        (Kind::Host(_) | Kind::Registered(_), false) => hipMemoryType::hipMemoryTypeHost.0,
        (Kind::Managed, true) => v5::hipMemoryType::hipMemoryTypeManaged.0,
        (Kind::Managed, false) => hipMemoryType::hipMemoryTypeManaged.0,
        (_, true) => v5::hipMemoryType::hipMemoryTypeDevice.0,
        (_, false) => hipMemoryType::hipMemoryTypeDevice.0,
    }
}

/// `hipPointerGetAttributes`.
pub unsafe fn pointer_attributes(place: *mut hipPointerAttribute_t, address: Address) -> Outcome {
    require(!place.is_null(), rc::INVALID_VALUE)?;
    let Some(found) = neutral::find(address) else {
        if own::major() == 5 {
            return Err(rc::INVALID_VALUE);
        }
        let unknown = hipPointerAttribute_t {
            device: -2,
            ..hipPointerAttribute_t::default()
        };
        // SAFETY: checked above.
        return unsafe { put(place, unknown) };
    };
    let on_host = matches!(found.kind, Kind::Host(_) | Kind::Registered(_));
    let managed = found.kind == Kind::Managed;
    let pointer = address as *mut c_void;
    let attributes = hipPointerAttribute_t {
        type_: hipMemoryType(memory_type(found.kind)),
        device: found.ordinal,
        devicePointer: pointer,
        hostPointer: if on_host || managed {
            pointer
        } else {
            std::ptr::null_mut()
        },
        isManaged: c_int::from(managed),
        allocationFlags: match found.kind {
            Kind::Host(flags) | Kind::Registered(flags) => flags,
            _ => 0,
        },
    };
    // SAFETY: checked above.
    unsafe { put(place, attributes) }
}

/// `hipPointerGetAttribute`: what one number of hipPointer_attribute says.
pub unsafe fn pointer_attribute(data: *mut c_void, attribute: c_uint, address: Address) -> Outcome {
    let found = neutral::find(address).ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the caller's place is as large as the attribute, null allowed.
    unsafe {
        match attribute {
            2 => put(data.cast(), memory_type(found.kind)),
            3 => put(data.cast(), address),
            8 => put(data.cast(), c_int::from(found.kind == Kind::Managed)),
            9 => put(data.cast(), found.ordinal),
            11 => put(data.cast(), found.base),
            12 => put(data.cast(), found.bytes as usize),
            13 => put(data.cast(), 1_i32),
            7 => put(data.cast(), found.id),
            _ => refuse(hipError_t::hipErrorNotSupported),
        }
    }
}

/// `hipFree` of what the shared driver calls the same.
pub unsafe fn free(address: Address) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::free(address) }
}

/// `hipMemGetInfo`.
pub unsafe fn info(free: *mut usize, total: *mut usize) -> Outcome {
    border::require(!free.is_null() || !total.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe { neutral::info(Pass::pass(free), Pass::pass(total)) }
}
