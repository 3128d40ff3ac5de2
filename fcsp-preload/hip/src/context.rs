//! Where a device comes into use, and what ends with it. The runtime makes a context by itself, with the first call that
//! needs one on a device, and ends it when the program resets the device.
//!
//! What programs begin with is hooked for that reason alone: a stream, pinned memory, or `hipFree` of nothing. So the context
//! is charged before the program asks for memory, and before others have taken what it needs.

use core::ffi::{c_int, c_uint, c_void};
use core::sync::atomic::Ordering;

use fcsp_program::attach::fails_closed;
use fcsp_program::device::{self, Device, attached_at};
use fcsp_program::driver::{Codes, Devices};
use fcsp_program::queue::{gate, is_default, queue_of};
use fcsp_program::{context, usage};
use hip_sys::{fn_types, hipCtx_t, hipDevice_t, hipError_t, hipStream_t};

use crate::driver::Hip;

/// The calling thread's device, which is in use from now on.
#[inline]
pub fn used() -> Option<&'static Device> {
    let device = device::current::<Hip>()?;
    // A launch is not refused: what does not fit is charged when SMI shows it.
    let _fits = note_use(device);
    Some(device)
}

/// The program takes memory of `device`, or submits to it. False if the context that the runtime makes with that does not
/// fit into the quota.
#[inline]
pub fn note_use(device: &Device) -> bool {
    // Relaxed: who finds it unset looks again.
    device.had_context.load(Ordering::Relaxed) || first_use(device)
}

#[cold]
fn first_use(device: &Device) -> bool {
    if device.had_context.swap(true, Ordering::AcqRel) {
        return true;
    }
    let fits = usage::reserve_context::<Hip>(device);
    if !fits {
        // The next call asks again: others may have freed memory.
        device.had_context.store(false, Ordering::Release);
    }
    // Also if it does not fit: a launch makes a context all the same.
    usage::changed(device);
    fits
}

/// Makes a call that takes memory of the calling thread's device, which is in use from now on. The program is refused where
/// the device cannot be limited and must be, and where there is no room for the context that the call would make.
pub fn taking(call: impl FnOnce() -> hipError_t) -> hipError_t {
    match device::current::<Hip>() {
        Some(device) if !note_use(device) => Hip::OUT_OF_MEMORY,
        Some(_) => call(),
        None => {
            let closed = fails_closed().then(Hip::current_ordinal).flatten();
            closed.and_then(context::admit::<Hip>).unwrap_or_else(call)
        }
    }
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
    if attached_at(dev).is_some_and(|device| !note_use(device)) {
        return Hip::OUT_OF_MEMORY;
    }
    create()
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
/// As `hipStreamCreate`.
pub unsafe fn stream_create(
    real: fn_types::hipStreamCreate,
    stream: *mut hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe { real(stream) })
}

/// # Safety
///
/// As `hipStreamCreateWithFlags`.
pub unsafe fn stream_create_with_flags(
    real: fn_types::hipStreamCreateWithFlags,
    stream: *mut hipStream_t,
    flags: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe { real(stream, flags) })
}

/// # Safety
///
/// As `hipStreamCreateWithPriority`.
pub unsafe fn stream_create_with_priority(
    real: fn_types::hipStreamCreateWithPriority,
    stream: *mut hipStream_t,
    flags: c_uint,
    priority: c_int,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe { real(stream, flags, priority) })
}

/// # Safety
///
/// As `hipExtStreamCreateWithCUMask`.
pub unsafe fn stream_create_with_mask(
    real: fn_types::hipExtStreamCreateWithCUMask,
    stream: *mut hipStream_t,
    words: u32,
    mask: *const u32,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe { real(stream, words, mask) })
}

/// # Safety
///
/// As `hipHostMalloc`.
pub unsafe fn host_malloc(
    real: fn_types::hipHostMalloc,
    ptr: *mut *mut c_void,
    size: usize,
    flags: c_uint,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    taking(|| unsafe { real(ptr, size, flags) })
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
