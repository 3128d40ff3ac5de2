//! Where pools are and who may reach them.

use crate::border::{Outcome, put, rc, require};
use fcsp_sim_driver::Failure;
use fcsp_sim_driver::driver::{Gpu, gpu};
use fcsp_sim_driver::pool;
use fcsp_sim_driver::types::{Address, PoolHandle, StreamHandle};
use hip_sys::{
    hipMemAccessDesc, hipMemAccessFlags, hipMemLocation, hipMemLocationType, hipMemPoolProps,
};

fn device_of(location: &hipMemLocation) -> Result<&'static Gpu, Failure> {
    let on_device = location.type_ == hipMemLocationType::hipMemLocationTypeDevice;
    require(on_device, rc::INVALID_VALUE)?;
    gpu(location.id)
}

/// `hipMallocAsync`; nothing is a null pointer.
pub unsafe fn alloc(place: *mut Address, bytes: usize, stream: StreamHandle) -> Outcome {
    if bytes == 0 {
        // SAFETY: the caller's pointer, null allowed.
        return unsafe { put(place, 0) };
    }
    // SAFETY: the same contract.
    unsafe { pool::alloc(place, bytes, stream) }
}

/// `hipMemPoolCreate`, for device memory that is not shared.
pub unsafe fn create(place: *mut PoolHandle, props: *const hipMemPoolProps) -> Outcome {
    require(!props.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let props = unsafe { &*props };
    let gpu = device_of(&props.location)?;
    require(props.handleTypes.0 == 0, rc::NOT_SUPPORTED)?;
    // SAFETY: the same contract.
    unsafe { pool::create(place, gpu, props.maxSize as u64) }
}

/// `hipMemPoolSetAccess`: every device of the process can reach every pool here.
pub unsafe fn set_access(
    handle: PoolHandle,
    list: *const hipMemAccessDesc,
    count: usize,
) -> Outcome {
    pool::known(handle)?;
    require(count == 0 || !list.is_null(), rc::INVALID_VALUE)?;
    for at in 0..count {
        // SAFETY: the caller passed `count` descriptors.
        device_of(unsafe { &(*list.add(at)).location })?;
    }
    Ok(())
}

/// `hipMemPoolGetAccess`.
pub unsafe fn get_access(
    place: *mut hipMemAccessFlags,
    handle: PoolHandle,
    location: *mut hipMemLocation,
) -> Outcome {
    pool::known(handle)?;
    require(!location.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    device_of(unsafe { &*location })?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, hipMemAccessFlags::hipMemAccessFlagsProtReadWrite) }
}
