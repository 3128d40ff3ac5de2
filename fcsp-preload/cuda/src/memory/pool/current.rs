//! Which memory pool stream-ordered allocations of a device come from now.
//!
//! The program may change that at any time, so the answer of the driver is kept by device until it does
//! ([`changed`]). On the path of every `cuMemAllocAsync`: two loads, and with several devices a question whose
//! stream it is.

use core::sync::atomic::{AtomicU64, Ordering};

use cuda_sys::{CU_STREAM_LEGACY, CU_STREAM_PER_THREAD, CUdevice, CUresult, CUstream};

use crate::device::{self, DEVICES_MAX, Device};
use crate::hooks::cuda;
use crate::memory::contexts;
use crate::memory::pool::table::{Found, find_or_enter, tagged};

/// The pool `cuMemAllocAsync` takes from, by device: a number that changes whenever that does, above the
/// pool's tag, which is 0 while it is not known.
static CURRENT: [AtomicU64; DEVICES_MAX] = [const { AtomicU64::new(0) }; DEVICES_MAX];
const TAG_BITS: u32 = 8;

/// The device a stream is of. With one device there is nothing to ask.
#[inline]
fn device_of_stream(stream: CUstream) -> Option<&'static Device> {
    let is_default =
        stream.is_null() || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD;
    if is_default || device::is_only() {
        return device::current();
    }
    ask_stream(stream).or_else(device::current)
}

#[cold]
fn ask_stream(stream: CUstream) -> Option<&'static Device> {
    let mut context = core::ptr::null_mut();
    // SAFETY: the program's own stream; the driver checks it, and writes a handle or fails.
    let result = unsafe { cuda::cuStreamGetCtx.get()?(stream, &mut context) };
    (result == CUresult::CUDA_SUCCESS)
        .then(|| contexts::ordinal_of(context).and_then(device::at))
        .flatten()
}

/// The pool `cuMemAllocAsync` uses now for `stream`: that of the stream's device.
#[inline]
pub fn of(stream: CUstream) -> Option<Found> {
    let device = device_of_stream(stream)?;
    let place = CURRENT.get(usize::try_from(device.ordinal).ok()?)?;
    // Acquire pairs with the release in `ask_current`: the pool is entered.
    let word = place.load(Ordering::Acquire);
    let tag = word as u8;
    match tagged(tag) {
        Some(pool) => Some((tag, pool)),
        None => ask_current(device, place, word),
    }
}

#[cold]
fn ask_current(device: &Device, place: &AtomicU64, word: u64) -> Option<Found> {
    let mut handle = core::ptr::null_mut();
    // SAFETY: the driver writes a handle there, or fails.
    let result = unsafe { cuda::cuDeviceGetMemPool.get()?(&mut handle, device.ordinal) };
    if result != CUresult::CUDA_SUCCESS {
        return None;
    }
    let found = find_or_enter(handle)?;
    // Fails if the program has chosen another one since the driver was asked.
    let _kept = place.compare_exchange(
        word,
        word | u64::from(found.0),
        Ordering::Release,
        Ordering::Relaxed,
    );
    Some(found)
}

/// The pool that `cuMemAllocAsync` uses on that device, on every device for `None`, is another now.
pub fn changed(ordinal: Option<CUdevice>) {
    for (at, place) in CURRENT.iter().enumerate() {
        if ordinal.is_none_or(|ordinal| usize::try_from(ordinal) == Ok(at)) {
            let next = |word: u64| Some(((word >> TAG_BITS) + 1) << TAG_BITS);
            let _always = place.fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
        }
    }
}
