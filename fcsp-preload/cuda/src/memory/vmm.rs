//! Handlers of virtual memory management: [`fcsp_program::memory::physical`].

use core::ffi::{c_ulonglong, c_void};

use cuda_sys::{
    CUdeviceptr, CUmemAllocationProp, CUmemGenericAllocationHandle, CUmemLocationType, CUresult,
    fn_types,
};
use fcsp_program::device;
use fcsp_program::memory::physical;

use crate::driver::Cuda;

/// # Safety
///
/// As `cuMemCreate`.
pub unsafe fn create(
    real: fn_types::cuMemCreate,
    handle: *mut CUmemGenericAllocationHandle,
    size: usize,
    prop: *const CUmemAllocationProp,
    flags: c_ulonglong,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let allocate = || unsafe { real(handle, size, prop, flags) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let location = unsafe { prop.as_ref() }.map(|prop| prop.location);
    let device = location
        .filter(|location| location.type_ == CUmemLocationType::CU_MEM_LOCATION_TYPE_DEVICE)
        .and_then(|location| device::at::<Cuda>(location.id));
    // Physical memory on the host, or a device the driver will refuse, is not ours to charge.
    let Some(device) = device else {
        return allocate();
    };
    // SAFETY: the program's own argument.
    unsafe { physical::create::<Cuda, _>(handle, size as u64, device, allocate) }
}

/// # Safety
///
/// As `cuMemRelease`.
pub unsafe fn release(
    real: fn_types::cuMemRelease,
    handle: CUmemGenericAllocationHandle,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    physical::release::<Cuda>(handle, || unsafe { real(handle) })
}

/// # Safety
///
/// As `cuMemRetainAllocationHandle`.
pub unsafe fn retain(
    real: fn_types::cuMemRetainAllocationHandle,
    handle: *mut CUmemGenericAllocationHandle,
    addr: *mut c_void,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, addr) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver accepted and filled the pointer.
        physical::retained(unsafe { *handle }, addr as u64);
    }
    result
}

/// # Safety
///
/// As `cuMemMap`.
pub unsafe fn map(
    real: fn_types::cuMemMap,
    ptr: CUdeviceptr,
    size: usize,
    offset: usize,
    handle: CUmemGenericAllocationHandle,
    flags: c_ulonglong,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    physical::map::<Cuda>(handle, ptr, size as u64, || unsafe {
        real(ptr, size, offset, handle, flags)
    })
}

/// # Safety
///
/// As `cuMemUnmap`.
pub unsafe fn unmap(real: fn_types::cuMemUnmap, ptr: CUdeviceptr, size: usize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    physical::unmap::<Cuda>(ptr, size as u64, || unsafe { real(ptr, size) })
}
