//! Handlers of the life of contexts and streams: where a device is attached, and what ends with them.
//!
//! Which contexts there are, and what was allocated in each, is kept in [`crate::memory::contexts`].

use core::ffi::{c_int, c_uint};

use cuda_sys::{
    CUcontext, CUctxCreateParams, CUdevResourceDesc, CUdevice, CUexecAffinityParam, CUgreenCtx,
    CUresult, CUstream, fn_types,
};
use fcsp_preload::log;
use fcsp_program::device::{self, Device, attached_at};
use fcsp_program::queue::{gate, is_default, queue_of};
use fcsp_program::steps::Steps;
use fcsp_program::usage;

use crate::driver::Cuda;
use crate::hooks::cuda;
use crate::memory;
use crate::memory::contexts::Ending;

/// True if the device's primary context is there already, so that retaining it makes none.
fn primary_exists(ordinal: CUdevice) -> bool {
    let (mut flags, mut active) = (0, 0);
    let get = cuda::cuDevicePrimaryCtxGetState.get();
    // SAFETY: the driver writes two numbers.
    let result = get.map(|get| unsafe { get(ordinal, &mut flags, &mut active) });
    result == Some(CUresult::CUDA_SUCCESS) && active != 0
}

/// Makes a context whose handle the driver writes to `place`, and notes it.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
unsafe fn make_noted(
    place: *mut CUcontext,
    ordinal: CUdevice,
    primary: bool,
    create: impl FnOnce() -> CUresult,
) -> CUresult {
    let mut steps = Steps::begin();
    let exists = primary && primary_exists(ordinal);
    steps.done("asked");
    let result = fcsp_program::context::make::<Cuda>(ordinal, exists, &mut steps, create);
    steps.done("told");
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver accepted and filled the pointer.
        memory::contexts::made(unsafe { *place }, ordinal, primary);
        if let Some(device) = attached_at(ordinal) {
            fcsp_program::context::made::<Cuda>(device, exists);
        }
        steps.done("noted");
        if !exists {
            log::debug!("context made: {steps}");
        }
    }
    result
}

/// A context is gone, and with it everything the process had in flight on its device; on every device,
/// if it is not known which.
fn gone(ending: Option<Ending>, device: Option<&'static Device>) {
    let device = device.or_else(|| ending.as_ref().and_then(Ending::device));
    let known = ending.is_some();
    if let Some(ending) = ending {
        ending.over();
    }
    fcsp_program::context::gone::<Cuda>(device, known);
}

/// Runs `end`; if the driver agrees, the context of `ending` is gone.
fn ends(
    ending: Option<Ending>,
    device: Option<&'static Device>,
    end: impl FnOnce() -> CUresult,
) -> CUresult {
    let result = end();
    match (result, ending) {
        (CUresult::CUDA_SUCCESS, ending) => gone(ending, device),
        (_, Some(ending)) => ending.refused(),
        (_, None) => {}
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
    // SAFETY: the program's own call, passed on.
    unsafe { make_noted(context, dev, true, || real(context, dev)) }
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
    unsafe { make_noted(context, dev, false, || real(context, flags, dev)) }
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
    unsafe {
        make_noted(context, dev, false, || {
            real(context, params, param_count, flags, dev)
        })
    }
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
    unsafe { make_noted(context, dev, false, || real(context, params, flags, dev)) }
}

/// # Safety
///
/// As `cuGreenCtxCreate`.
pub unsafe fn create_green(
    real: fn_types::cuGreenCtxCreate,
    context: *mut CUgreenCtx,
    desc: CUdevResourceDesc,
    dev: CUdevice,
    flags: c_uint,
) -> CUresult {
    // It has the resources of the device's primary context, which the program holds; only what it takes
    // beyond that is reconciled.
    if let Some(refusal) = fcsp_program::context::admit::<Cuda>(dev) {
        return refusal;
    }
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(context, desc, dev, flags) };
    if result == CUresult::CUDA_SUCCESS {
        memory::contexts::made_green();
    }
    if result == CUresult::CUDA_SUCCESS
        && let Some(device) = attached_at(dev)
    {
        usage::changed(device);
    }
    result
}

/// # Safety
///
/// As `cuCtxAttach`.
pub unsafe fn attach(
    real: fn_types::cuCtxAttach,
    context: *mut CUcontext,
    flags: c_uint,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(context, flags) };
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver accepted and filled the pointer.
        memory::contexts::attached_again(unsafe { *context });
    }
    result
}

/// # Safety
///
/// As `cuCtxDetach`.
pub unsafe fn detach(real: fn_types::cuCtxDetach, context: CUcontext) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(context) };
    if result == CUresult::CUDA_SUCCESS && memory::contexts::detached(context) {
        gone(Ending::of(context), None);
    }
    result
}

/// # Safety
///
/// As `cuCtxDestroy` and `cuCtxDestroy_v2`.
pub unsafe fn destroy(real: fn_types::cuCtxDestroy_v2, context: CUcontext) -> CUresult {
    // SAFETY: the program's own call, passed on.
    ends(Ending::of(context), None, || unsafe { real(context) })
}

/// # Safety
///
/// As `cuDevicePrimaryCtxReset` and `cuDevicePrimaryCtxReset_v2`.
pub unsafe fn reset(real: fn_types::cuDevicePrimaryCtxReset_v2, dev: CUdevice) -> CUresult {
    // SAFETY: the program's own call, passed on.
    ends(Ending::of_primary(dev), attached_at(dev), || unsafe {
        real(dev)
    })
}

/// # Safety
///
/// As `cuDevicePrimaryCtxRelease` and `cuDevicePrimaryCtxRelease_v2`.
pub unsafe fn release(real: fn_types::cuDevicePrimaryCtxRelease_v2, dev: CUdevice) -> CUresult {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(dev) };
    // Whether this was the last reference is known only now. A context that another thread makes of it
    // at this instant, and what it allocates, is reconciled.
    if result == CUresult::CUDA_SUCCESS && !primary_exists(dev) {
        gone(Ending::of_primary(dev), attached_at(dev));
    }
    result
}

/// # Safety
///
/// As `cuStreamDestroy_v2`.
pub unsafe fn stream_destroy(real: fn_types::cuStreamDestroy_v2, stream: CUstream) -> CUresult {
    // Default streams cannot be destroyed: the driver refuses their names.
    let queue = (!is_default::<Cuda>(stream)).then(|| queue_of::<Cuda, false>(stream));
    if let Some(queue) = queue.flatten() {
        for device in device::attached() {
            device.producer.forget(&gate::<Cuda>(device), queue);
        }
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream) }
}
