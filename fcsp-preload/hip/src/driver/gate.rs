//! Waits and writes on memory, and markers: what [`fcsp_gate`] asks.
//!
//! The words are in memory of the host that every process of the node maps, registered with the driver. The vendor's
//! documentation asks for signal memory (`hipMallocSignalMemory`) to wait on, which belongs to one process; for other
//! memory the runtime waits by a small kernel that looks at the word. Where the driver refuses, the thread waits in
//! place of the stream.
//!
//! The runtime compares words without regard to the sign (`hipStreamWaitValueGte`). Segments are numbered in 32 bits, so
//! that matters once in 2³² segments: a wait from before the wrap that is looked at only after it holds until the
//! arbiter's bound passes its turn on.

use core::ffi::c_void;
use core::ptr;

use fcsp_core::backend::{Elapsed, Marker};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};
use fcsp_gate::{Handle, NotMapped, StreamDriver};
use hip_sys::{
    hipError_t, hipEvent_t, hipHostRegisterMapped, hipHostRegisterPortable, hipStream_t,
    hipStreamWaitValueGte,
};

use crate::driver::Hip;
use crate::errors::quietly;
use crate::hooks::hip;

/// All bits of a word count.
const WHOLE_WORD: u32 = u32::MAX;
/// `hipEventDefault` in hip_runtime_api.h.
const TIMED: u32 = 0;

impl StreamDriver for Hip {
    type Stream = hipStream_t;
    type Code = hipError_t;

    fn map_page(&self, page: &'static GatePage) -> Option<Result<u64, NotMapped<hipError_t>>> {
        let (register, find) = (
            hip::hipHostRegister.get()?,
            hip::hipHostGetDevicePointer.get()?,
        );
        let page: *mut c_void = ptr::from_ref(page).cast_mut().cast();
        let flags = hipHostRegisterPortable | hipHostRegisterMapped;
        let mut address = ptr::null_mut();
        // SAFETY: the page is mapped for the life of the process; nobody holds a Rust reference to
        // its contents other than through atomics.
        let code = quietly(|| unsafe { register(page, PAGE_BYTES, flags) });
        let known = succeeded(code) || code == hipError_t::hipErrorHostMemoryAlreadyRegistered;
        // SAFETY: as above; the driver writes one address.
        if known && succeeded(quietly(|| unsafe { find(&mut address, page, 0) })) {
            return Some(Ok(address.number()));
        }
        Some(Err(NotMapped {
            code,
            for_now: false,
        }))
    }

    #[inline]
    fn wait_value(&self, stream: hipStream_t, address: u64, value: u32) -> bool {
        let address = Handle::from_number(address);
        hip::hipStreamWaitValue32.get().is_some_and(|wait| {
            // SAFETY: the word is pinned for the life of the process.
            let wait =
                || unsafe { wait(stream, address, value, hipStreamWaitValueGte, WHOLE_WORD) };
            succeeded(quietly(wait))
        })
    }

    #[inline]
    fn write_value(&self, stream: hipStream_t, address: u64, value: u32) -> bool {
        let address = Handle::from_number(address);
        hip::hipStreamWriteValue32.get().is_some_and(|write| {
            // SAFETY: the word is pinned for the life of the process, and written by the device only.
            succeeded(quietly(|| unsafe { write(stream, address, value, 0) }))
        })
    }

    fn marker(&self) -> Option<Marker> {
        new_event(TIMED).map(Marker)
    }

    #[inline]
    fn record(&self, marker: Marker, stream: hipStream_t) -> bool {
        record(marker.0, stream)
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let Some(elapsed) = hip::hipEventElapsedTime.get() else {
            return Elapsed::Lost;
        };
        let mut milliseconds = 0.0_f32;
        let [begin, end] = [begin, end].map(|marker| hipEvent_t::from_number(marker.0));
        // SAFETY: events of ours; the driver writes one number.
        match quietly(|| unsafe { elapsed(&mut milliseconds, begin, end) }) {
            hipError_t::hipSuccess => Elapsed::Ns((f64::from(milliseconds.max(0.0)) * 1e6) as u64),
            hipError_t::hipErrorNotReady => Elapsed::Pending,
            _ => Elapsed::Lost,
        }
    }
}

/// A new event on the current device; `None` if the driver gives none.
pub fn new_event(flags: u32) -> Option<u64> {
    let create = hip::hipEventCreateWithFlags.get()?;
    let mut event = ptr::null_mut();
    // SAFETY: the driver writes one handle.
    let result = quietly(|| unsafe { create(&mut event, flags) });
    succeeded(result).then(|| event.number())
}

/// Records an event of ours.
#[inline]
pub fn record(event: u64, stream: hipStream_t) -> bool {
    hip::hipEventRecord.get().is_some_and(|record| {
        // SAFETY: an event of ours; the driver checks that it fits the stream's device.
        succeeded(quietly(|| unsafe {
            record(hipEvent_t::from_number(event), stream)
        }))
    })
}

pub fn succeeded(result: hipError_t) -> bool {
    result == hipError_t::hipSuccess
}
