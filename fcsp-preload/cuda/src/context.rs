//! Handlers of the life of contexts and streams: where a device is attached, and what ends with them.

use core::ffi::{c_int, c_uint};

use cuda_sys::{
    CUcontext, CUctxCreateParams, CUdevice, CUexecAffinityParam, CUresult, CUstream, fn_types,
};
use fcsp_preload::log;

use crate::hooks::cuda;
use crate::queue::{CudaGate, queue_of};
use crate::{device, usage};

/// Makes a context on a device: attaches it, charges what a context takes, and settles.
fn make(ordinal: CUdevice, exists: bool, create: impl FnOnce() -> CUresult) -> CUresult {
    if let Some(refusal) = admit(ordinal) {
        return refusal;
    }
    let Some(device) = device::at(ordinal).filter(|_| !exists) else {
        return create();
    };
    if !usage::reserve_context(device) {
        return CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    }
    let result = create();
    if result == CUresult::CUDA_SUCCESS {
        usage::changed(device);
    } else {
        usage::release_context(device);
    }
    result
}

/// True if the device's primary context is there already, so that retaining it makes none.
fn primary_exists(ordinal: CUdevice) -> bool {
    let (mut flags, mut active) = (0, 0);
    let get = cuda::cuDevicePrimaryCtxGetState.get();
    // SAFETY: the driver writes two numbers.
    let result = get.map(|get| unsafe { get(ordinal, &mut flags, &mut active) });
    result == Some(CUresult::CUDA_SUCCESS) && active != 0
}

/// Attaches the device before a context is made on it. An error where the program must not go on.
fn admit(ordinal: CUdevice) -> Option<CUresult> {
    if device::attach(ordinal).is_err() && device::fails_closed() {
        log::error!(
            "device {ordinal} is refused: it cannot be limited, and the policy says fail = \"closed\""
        );
        return Some(CUresult::CUDA_ERROR_NOT_PERMITTED);
    }
    None
}

/// Everything the process had in flight on these devices is gone.
fn gone(result: CUresult, devices: impl Iterator<Item = &'static device::Device>) -> CUresult {
    if result == CUresult::CUDA_SUCCESS {
        for device in devices {
            device.producer.reset();
            device.pages.forget();
            usage::changed(device);
        }
    }
    result
}

/// # Safety
///
/// As `cuDevicePrimaryCtxRetain`.
pub unsafe fn retain(
    real: fn_types::cuDevicePrimaryCtxRetain,
    context: *mut CUcontext,
    dev: CUdevice,
) -> CUresult {
    let exists = primary_exists(dev);
    // SAFETY: the program's own call, passed on.
    make(dev, exists, || unsafe { real(context, dev) })
}

/// # Safety
///
/// As `cuCtxCreate` and `cuCtxCreate_v2`.
pub unsafe fn create(
    real: fn_types::cuCtxCreate_v2,
    context: *mut CUcontext,
    flags: c_uint,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    make(dev, false, || unsafe { real(context, flags, dev) })
}

/// # Safety
///
/// As `cuCtxCreate_v3`.
pub unsafe fn create_v3(
    real: fn_types::cuCtxCreate_v3,
    context: *mut CUcontext,
    params: *mut CUexecAffinityParam,
    param_count: c_int,
    flags: c_uint,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    make(dev, false, || unsafe {
        real(context, params, param_count, flags, dev)
    })
}

/// # Safety
///
/// As `cuCtxCreate_v4`.
pub unsafe fn create_v4(
    real: fn_types::cuCtxCreate_v4,
    context: *mut CUcontext,
    params: *mut CUctxCreateParams,
    flags: c_uint,
    dev: CUdevice,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    make(dev, false, || unsafe { real(context, params, flags, dev) })
}

/// # Safety
///
/// As `cuCtxDestroy_v2`.
pub unsafe fn destroy(real: fn_types::cuCtxDestroy_v2, context: CUcontext) -> CUresult {
    // The context's device is not told by its handle; forgetting too much only costs a moment.
    // SAFETY: the program's own call, passed on.
    gone(unsafe { real(context) }, device::attached())
}

/// # Safety
///
/// As `cuDevicePrimaryCtxReset_v2`.
pub unsafe fn reset(real: fn_types::cuDevicePrimaryCtxReset_v2, dev: CUdevice) -> CUresult {
    // SAFETY: the program's own call, passed on.
    gone(
        unsafe { real(dev) },
        device::attached().filter(|device| device.ordinal == dev),
    )
}

/// # Safety
///
/// As `cuStreamDestroy_v2`.
pub unsafe fn stream_destroy(real: fn_types::cuStreamDestroy_v2, stream: CUstream) -> CUresult {
    if let Some(queue) = queue_of::<false>(stream) {
        for device in device::attached() {
            device.producer.forget(&CudaGate(&device.pages), queue);
        }
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream) }
}
