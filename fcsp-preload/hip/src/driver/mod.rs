//! What the rest of the library asks of the driver ([`fcsp_program::driver`]), by the driver's own functions, never the
//! exports of the same names: [`Hip`].
//!
//! The driver keeps the last error of a thread for the program to ask for. What is asked here and may fail is asked
//! within [`quietly`](crate::errors::quietly).

mod gate;
mod graphs;
mod meter;
mod pools;
mod streams;
mod transfers;

use core::sync::atomic::{AtomicU32, Ordering};

use fcsp_amd_queue::Streams;
use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_core::region::Attachment;
use fcsp_preload::log;
use fcsp_program::device::attached_at;
use fcsp_program::driver::{Codes, Devices, Undescribed};
use hip_sys::hipError_t;

use crate::errors::quietly;
use crate::hooks::hip;
use crate::identity;
use crate::mask;

/// The driver of the program that this library is loaded into.
#[derive(Clone, Copy, Debug)]
pub struct Hip;

impl Codes for Hip {
    type Streams = Streams<Self>;
    const STREAMS: Self::Streams = Streams(Self);
    const SUCCESS: hipError_t = hipError_t::hipSuccess;
    const NOT_READY: hipError_t = hipError_t::hipErrorNotReady;
    const OUT_OF_MEMORY: hipError_t = hipError_t::hipErrorOutOfMemory;
    /// HIP has no code for what is not permitted.
    const NOT_PERMITTED: hipError_t = hipError_t::hipErrorNotSupported;
}

impl Devices for Hip {
    const VENDOR: Vendor = Vendor::Amd;

    #[inline]
    fn current_ordinal() -> Option<i32> {
        let mut ordinal = 0;
        let get = hip::hipGetDevice.get()?;
        // SAFETY: the driver writes an ordinal there, or fails.
        let result = quietly(|| unsafe { get(&mut ordinal) });
        (result == hipError_t::hipSuccess).then_some(ordinal)
    }

    /// Every thread begins on device 0, whatever the others use.
    #[inline]
    fn threads_may_differ() -> bool {
        device_count() != 1
    }

    fn id(ordinal: i32) -> Result<String, Undescribed> {
        identity::id(ordinal)
    }

    fn describe(ordinal: i32, id: String) -> Result<DeviceInfo, Undescribed> {
        identity::describe(ordinal, id)
    }

    fn total_bytes(ordinal: i32) -> Option<u64> {
        identity::total_bytes(ordinal).ok()
    }

    /// The hardware runs queues of several processes at once.
    fn sharing_mode(_ordinal: i32) -> SharingMode {
        SharingMode::Concurrent
    }

    /// A program that somebody else gave a mask counts as one that can use all units.
    fn partition_percent() -> Option<u32> {
        mask::percent()
    }

    fn tell_sharing(_attachment: &Attachment, id: &str) {
        log::debug!("programs on {id} run together");
    }

    /// The runtime makes one with the first call that needs it, and keeps it.
    fn has_context(ordinal: i32) -> bool {
        attached_at(ordinal).is_some_and(|device| device.had_context.load(Ordering::Acquire))
    }

    fn is_only_context() -> bool {
        true
    }
}

/// Devices that the program can choose from; 0 while the driver does not say. They do not change.
fn device_count() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    // Relaxed: whoever asks gets the same answer.
    match COUNT.load(Ordering::Relaxed) {
        0 => {
            let count = ask_device_count();
            COUNT.store(count, Ordering::Relaxed);
            count
        }
        count => count,
    }
}

#[cold]
fn ask_device_count() -> u32 {
    let mut count = 0;
    let result = hip::hipGetDeviceCount
        .get()
        // SAFETY: the driver writes a number there, or fails.
        .map(|get| quietly(|| unsafe { get(&mut count) }));
    match result {
        Some(hipError_t::hipSuccess) => u32::try_from(count).unwrap_or(0),
        _ => 0,
    }
}
