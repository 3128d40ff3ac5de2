//! Handlers of calls that wait for the device.
//!
//! Every handler passes its call on unchanged: nothing is accounted or held back yet.

use core::ffi::c_void;

use cuda_sys::*;

/// # Safety
///
/// As `cuCtxSynchronize`.
pub unsafe fn context(real: fn_types::cuCtxSynchronize) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real() }
}

/// # Safety
///
/// As `cuStreamSynchronize`.
pub unsafe fn stream<const PER_THREAD: bool>(
    real: fn_types::cuStreamSynchronize,
    h_stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(h_stream) }
}

/// # Safety
///
/// As `cuEventSynchronize`.
pub unsafe fn event(real: fn_types::cuEventSynchronize, h_event: CUevent) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(h_event) }
}

/// # Safety
///
/// As `cuMemcpyDtoH_v2`.
pub unsafe fn device_to_host<const PER_THREAD: bool>(
    real: fn_types::cuMemcpyDtoH_v2,
    dst_host: *mut c_void,
    src_device: CUdeviceptr,
    byte_count: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dst_host, src_device, byte_count) }
}

/// # Safety
///
/// As `cuMemcpyHtoD_v2`.
pub unsafe fn host_to_device<const PER_THREAD: bool>(
    real: fn_types::cuMemcpyHtoD_v2,
    dst_device: CUdeviceptr,
    src_host: *const c_void,
    byte_count: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dst_device, src_host, byte_count) }
}

/// # Safety
///
/// As `cuMemcpy`.
pub unsafe fn copy<const PER_THREAD: bool>(
    real: fn_types::cuMemcpy,
    dst: CUdeviceptr,
    src: CUdeviceptr,
    byte_count: usize,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    unsafe { real(dst, src, byte_count) }
}
