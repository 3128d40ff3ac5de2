//! Where pools are and who may reach them.

use crate::border::{Outcome, rc, require};
use crate::types::PoolHandle;
use cuda_sys::{CUmemAccessDesc, CUmemLocation, CUmemLocationType, CUmemPoolProps};
use fcsp_sim_driver::Failure;
use fcsp_sim_driver::driver::{Gpu, gpu};
use fcsp_sim_driver::pool;
pub use fcsp_sim_driver::pool::{
    alloc, alloc_from, destroy, free, get, get_attribute, get_default, set, set_attribute, trim_to,
};

/// `cuMemPoolCreate`, for device memory that is not shared.
pub unsafe fn create(place: *mut PoolHandle, props: *const CUmemPoolProps) -> Outcome {
    require(!props.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let props = unsafe { &*props };
    let gpu = device_of(&props.location)?;
    // CU_MEM_HANDLE_TYPE_NONE is 0: exporting pools is not simulated.
    require(props.handleTypes.0 == 0, rc::NOT_SUPPORTED)?;
    // SAFETY: the same contract.
    unsafe { pool::create(place, gpu, props.maxSize as u64) }
}

fn device_of(location: &CUmemLocation) -> Result<&'static Gpu, Failure> {
    let on_device = location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE;
    require(on_device, rc::INVALID_VALUE)?;
    gpu(location.id)
}

/// `cuMemPoolSetAccess`: every device of the process can reach every pool here.
pub unsafe fn set_access(
    handle: PoolHandle,
    list: *const CUmemAccessDesc,
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
