//! Handlers of the life of contexts and streams: where a device is attached, and what ends with them.
//!
//! Which contexts there are, and what was allocated in each, is kept in [`crate::memory::contexts`].

use core::ffi::{c_int, c_uint};
use core::sync::atomic::Ordering;

use cuda_sys::{
    CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUcontext, CUctxCreateParams, CUdevResourceDesc,
    CUdevice, CUexecAffinityParam, CUgreenCtx, CUresult, CUstream, fn_types,
};
use fcsp_preload::log;

use crate::device::Device;
use crate::hooks::cuda;
use crate::memory::contexts::Ending;
use crate::memory::pool;
use crate::queue::{gate, queue_of};
use crate::steps::Steps;
use crate::{attach, communication, device, memory, usage};

/// Makes a context on a device: attaches it, charges what a context takes, and settles.
fn make(
    ordinal: CUdevice,
    exists: bool,
    steps: &mut Steps,
    create: impl FnOnce() -> CUresult,
) -> CUresult {
    if let Some(refusal) = admit(ordinal) {
        return refusal;
    }
    steps.done("attached");
    let Some(device) = device::at(ordinal).filter(|_| !exists) else {
        return create();
    };
    if !usage::reserve_context(device) {
        return CUresult::CUDA_ERROR_OUT_OF_MEMORY;
    }
    steps.done("charged");
    let result = create();
    steps.done("by the driver");
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
    let attached = device::attach(ordinal);
    if matches!(attached, Err(device::Unattached::Unlimited)) && attach::fails_closed() {
        log::error!(
            "device {ordinal} is refused: it cannot be limited, and the policy says fail = \"closed\""
        );
        return Some(CUresult::CUDA_ERROR_NOT_PERMITTED);
    }
    None
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
    let result = make(ordinal, exists, &mut steps, create);
    steps.done("told");
    if result == CUresult::CUDA_SUCCESS {
        // SAFETY: the driver accepted and filled the pointer.
        memory::contexts::made(unsafe { *place }, ordinal, primary);
        // Nothing outlived the context before the first.
        let had_one = |device: &&Device| device.had_context.swap(true, Ordering::AcqRel);
        if let Some(device) = attached_at(ordinal).filter(had_one).filter(|_| !exists) {
            pool::settle::learn(device);
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
    // Its code went with it.
    communication::forget();
    for device in device::attached().filter(|it| device.is_none_or(|one| core::ptr::eq(*it, one))) {
        device.producer.reset();
        device.pages.forget();
        if known {
            usage::release_context(device);
        }
        if !memory::contexts::any_on(device.ordinal) {
            without_context(device);
        }
        usage::changed(device);
    }
    if !memory::contexts::any() {
        // Contexts of other devices have allocated from pools of some that never had one.
        device::attached().for_each(without_context);
    }
    // What the context had may have left pools that go on; those of devices without one are forgotten.
    pool::settle::settle_all();
}

/// A device has no context left: what was allocated in contexts we did not know, or from pools, is gone.
fn without_context(device: &Device) {
    memory::charge::sweep(device, |_| true);
    pool::settle::forget(device);
    device.activity.forget_lazy();
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

fn attached_at(ordinal: CUdevice) -> Option<&'static Device> {
    device::attached().find(|device| device.ordinal == ordinal)
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
    if let Some(refusal) = admit(dev) {
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
    let is_default =
        stream.is_null() || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD;
    if let Some(queue) = queue_of::<false>(stream).filter(|_| !is_default) {
        for device in device::attached() {
            device.producer.forget(&gate(device), queue);
        }
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream) }
}
