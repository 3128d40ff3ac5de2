//! Where a device comes into use, and what ends with it. The runtime makes a context by itself, with the first call that
//! needs one on a device, and ends it when the program resets the device.

use core::ffi::c_uint;
use core::sync::atomic::Ordering;

use fcsp_program::attach::fails_closed;
use fcsp_program::device::{self, Device, attached_at};
use fcsp_program::driver::Devices;
use fcsp_program::queue::{gate, is_default, queue_of};
use fcsp_program::{context, usage};
use hip_sys::{fn_types, hipCtx_t, hipDevice_t, hipError_t, hipStream_t};

use crate::driver::Hip;

/// The calling thread's device, which is in use from now on.
#[inline]
pub fn used() -> Option<&'static Device> {
    let device = device::current::<Hip>()?;
    note_use(device);
    Some(device)
}

/// The program takes memory of `device`, or submits to it.
#[inline]
pub fn note_use(device: &Device) {
    // Relaxed: who finds it unset looks again.
    if !device.had_context.load(Ordering::Relaxed) {
        first_use(device);
    }
}

#[cold]
fn first_use(device: &Device) {
    if device.had_context.swap(true, Ordering::AcqRel) {
        return;
    }
    // What does not fit is charged when it is seen, and keeps the program from more: the runtime has no way to refuse.
    let _fits = usage::reserve_context::<Hip>(device);
    usage::changed(device);
}

/// Makes a call that takes memory of the calling thread's device, which is in use from now on. Where it cannot be limited
/// and must be, the program is refused.
pub fn taking(call: impl FnOnce() -> hipError_t) -> hipError_t {
    if used().is_none()
        && fails_closed()
        && let Some(refusal) = Hip::current_ordinal().and_then(context::admit::<Hip>)
    {
        return refusal;
    }
    call()
}

/// # Safety
///
/// As `hipCtxCreate`.
pub unsafe fn create(
    real: fn_types::hipCtxCreate,
    ctx: *mut hipCtx_t,
    flags: c_uint,
    dev: hipDevice_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    made(dev, || unsafe { real(ctx, flags, dev) })
}

/// # Safety
///
/// As `hipDevicePrimaryCtxRetain`.
pub unsafe fn retain(
    real: fn_types::hipDevicePrimaryCtxRetain,
    ctx: *mut hipCtx_t,
    dev: hipDevice_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    made(dev, || unsafe { real(ctx, dev) })
}

fn made(dev: hipDevice_t, create: impl FnOnce() -> hipError_t) -> hipError_t {
    if let Some(refusal) = context::admit::<Hip>(dev) {
        return refusal;
    }
    let result = create();
    if result == hipError_t::hipSuccess
        && let Some(device) = attached_at(dev)
    {
        note_use(device);
    }
    result
}

/// # Safety
///
/// As `hipDeviceReset`.
pub unsafe fn reset(real: fn_types::hipDeviceReset) -> hipError_t {
    let device = Hip::current_ordinal().and_then(attached_at);
    // SAFETY: the program's own call, passed on.
    ended(device, unsafe { real() })
}

/// # Safety
///
/// As `hipDevicePrimaryCtxReset`.
pub unsafe fn reset_primary(
    real: fn_types::hipDevicePrimaryCtxReset,
    dev: hipDevice_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    ended(attached_at(dev), unsafe { real(dev) })
}

fn ended(device: Option<&'static Device>, result: hipError_t) -> hipError_t {
    if result == hipError_t::hipSuccess
        && let Some(device) = device
    {
        let was_used = device.had_context.swap(false, Ordering::AcqRel);
        context::gone::<Hip>(Some(device), was_used);
    }
    result
}

/// # Safety
///
/// As `hipStreamDestroy`.
pub unsafe fn stream_destroy(real: fn_types::hipStreamDestroy, stream: hipStream_t) -> hipError_t {
    // Default streams cannot be destroyed: the driver refuses their names.
    let queue = (!is_default::<Hip>(stream)).then(|| queue_of::<Hip, false>(stream));
    if let Some(queue) = queue.flatten() {
        for device in device::attached() {
            device.producer.forget(&gate::<Hip>(device), queue);
        }
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(stream) }
}
