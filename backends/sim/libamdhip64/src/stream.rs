//! Streams, as far as HIP's calls differ from the shared driver's.

use crate::border::{Outcome, put, rc, require};
use crate::driver::COMPUTE_UNITS;
use fcsp_sim::Width;
use fcsp_sim_driver::stream::{self as neutral, BatchOp, wait_op};
use fcsp_sim_driver::types::{Address, EventHandle, StreamHandle};
use hip_sys::{hipError_t, hipStreamBatchMemOpParams, hipStreamCallback_t};
use std::ffi::{c_int, c_uint, c_void};

/// Bits of `hipEventCreateWithFlags` that say what a record makes visible to whom, which nothing here shows.
const FENCES: c_uint = hip_sys::hipEventDisableSystemFence
    | hip_sys::hipEventReleaseToDevice
    | hip_sys::hipEventReleaseToSystem;

/// `hipStreamCreate`.
pub unsafe fn create(place: *mut StreamHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { neutral::create(place, 0) }
}

/// `hipExtStreamCreateWithCUMask`: a bit for each compute unit the stream may use.
pub unsafe fn create_with_mask(place: *mut StreamHandle, words: u32, mask: *const u32) -> Outcome {
    require(words > 0 && !mask.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the caller passed so many words.
    let mask = unsafe { std::slice::from_raw_parts(mask, words as usize) };
    let units: u32 = mask.iter().map(|word| word.count_ones()).sum();
    require(units > 0, rc::INVALID_VALUE)?;
    let permille = u64::from(units.min(COMPUTE_UNITS)) * 1000 / u64::from(COMPUTE_UNITS);
    // SAFETY: the same contract.
    unsafe { neutral::create_with_share(place, permille.max(1)) }
}

/// `hipGetStreamDeviceId`.
pub fn device_id(handle: hip_sys::hipStream_t) -> c_int {
    let mut device = -1;
    // SAFETY: a place for the device.
    let found = crate::driver::ensure()
        .and_then(|()| crate::border::enter())
        .and_then(|()| unsafe { neutral::device(handle.cast(), &mut device) });
    if found.is_ok() { device } else { -1 }
}

/// `hipStreamWaitValue32`.
pub unsafe fn wait_value_32(
    handle: StreamHandle,
    address: Address,
    value: u32,
    flags: c_uint,
    mask: u32,
) -> Outcome {
    let (value, mask) = (u64::from(value), u64::from(mask));
    let op = wait_op(address, value, flags, mask, Width::Bits32)?;
    neutral::words(handle, vec![op])
}

/// `hipStreamWaitValue64`.
pub unsafe fn wait_value_64(
    handle: StreamHandle,
    address: Address,
    value: u64,
    flags: c_uint,
    mask: u64,
) -> Outcome {
    let op = wait_op(address, value, flags, mask, Width::Bits64)?;
    neutral::words(handle, vec![op])
}

/// `hipStreamBatchMemOp`, without barriers and flushes, which HIP has only the numbers of.
pub unsafe fn batch(
    handle: StreamHandle,
    count: c_uint,
    params: *mut hipStreamBatchMemOpParams,
    flags: c_uint,
) -> Outcome {
    require(flags == 0 && count <= neutral::BATCH_MAX, rc::INVALID_VALUE)?;
    require(count == 0 || !params.is_null(), rc::INVALID_VALUE)?;
    let words = |operation: u32| matches!(operation, 1 | 2 | 4 | 5);
    for index in 0..count as usize {
        // SAFETY: the caller passed `count` entries, and each begins with the operation.
        let operation = unsafe { (*params.add(index)).operation };
        require(words(operation.0), rc::NOT_SUPPORTED)?;
    }
    let batch = (0..count as usize).map(|index| {
        // SAFETY: the caller passed `count` entries; each begins with the operation, and those of waits and writes lie
        // alike. Every member is plain numbers.
        unsafe {
            let entry = &*params.add(index);
            BatchOp {
                operation: entry.operation.0,
                address: entry.waitValue.address as u64,
                value: entry.waitValue.__bindgen_anon_1.value64,
                flags: entry.waitValue.flags,
            }
        }
    });
    neutral::batch(handle, batch)
}

/// A pointer that travels to the worker thread with its callback.
struct Travelling(*mut c_void);
// SAFETY: the library's contract says that callbacks run on a thread of its own.
unsafe impl Send for Travelling {}

/// `hipStreamAddCallback`.
pub unsafe fn add_callback(
    handle: StreamHandle,
    callback: hipStreamCallback_t,
    data: *mut c_void,
    flags: c_uint,
) -> Outcome {
    let callback = callback.ok_or(rc::INVALID_VALUE)?;
    require(flags == 0, rc::INVALID_VALUE)?;
    let (own, data) = (Travelling(handle.cast()), Travelling(data));
    neutral::call(
        handle,
        Box::new(move || {
            let (own, data) = (own, data);
            // SAFETY: the program passed the function and its argument for exactly this call.
            unsafe { callback(own.0.cast(), hipError_t::hipSuccess, data.0) };
        }),
    )
}

/// `hipEventCreate`.
pub unsafe fn create_event(place: *mut EventHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { fcsp_sim_driver::event::create(place, 0) }
}

/// `hipEventCreateWithFlags`.
pub unsafe fn create_event_with_flags(place: *mut EventHandle, flags: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { fcsp_sim_driver::event::create(place, flags & !FENCES) }
}

/// `hipExtStreamGetCUMask`: as many bits as the stream was given, the lowest ones.
pub unsafe fn mask(handle: StreamHandle, words: u32, place: *mut u32) -> Outcome {
    let share = neutral::share_permille(handle)?;
    require(
        words >= COMPUTE_UNITS.div_ceil(32) && !place.is_null(),
        rc::INVALID_VALUE,
    )?;
    let units = (share * u64::from(COMPUTE_UNITS)).div_ceil(1000) as u32;
    for word in 0..words {
        let bits = units.saturating_sub(word * 32).min(32);
        let value = if bits == 32 {
            u32::MAX
        } else {
            (1 << bits) - 1
        };
        // SAFETY: the caller's place has room for `words`.
        unsafe { put(place.add(word as usize), value)? };
    }
    Ok(())
}
