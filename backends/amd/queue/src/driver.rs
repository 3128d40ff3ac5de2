//! The driver's functions that a gate calls: [`Driver`], and what each call means: [`Streams`].

#![expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "streams are handles, which only the driver looks behind"
)]

use core::ffi::c_void;
use core::ptr;

use fcsp_core::backend::{Elapsed, Marker};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};
use fcsp_gate::{Handle, NotMapped, StreamDriver};
use hip_sys::{
    fn_types, hipError_t, hipEvent_t, hipHostRegisterMapped, hipHostRegisterPortable, hipStream_t,
    hipStreamWaitValueGte,
};

/// All bits of a word count.
pub(crate) const WHOLE_WORD: u32 = u32::MAX;
/// How near to where numbers of 32 bits begin again a stream cannot wait for one. Much more than a process has segments
/// that are not over, which is how far the word moves while a stream waits.
pub(crate) const WRAP_MARGIN: u32 = 1 << 10;
/// `hipEventDefault` in hip_runtime_api.h: an event that notes the time.
const TIMED: u32 = 0;

/// One line for each function: its name here, and HIP's.
macro_rules! functions {
    ($($name:ident: $real:ident, $what:literal;)*) => {
        /// Pointers to the driver's own functions, found once by whoever makes a gate. What the driver lacks
        /// is `None`, and the gate then refuses what needs it.
        #[derive(Clone, Copy, Debug, Default)]
        pub struct Driver {
            $(
                #[doc = concat!("`", stringify!($real), "`: ", $what, ".")]
                pub $name: Option<fn_types::$real>,
            )*
        }

        /// Where the driver's functions come from: a [`Driver`], or a preload library that has them already.
        pub trait Functions: Copy {
            $(
                #[doc = concat!("`", stringify!($real), "`.")]
                fn $name(&self) -> Option<fn_types::$real>;
            )*

            /// Makes a call that may fail, and must leave no trace in the thread's last error where that is the
            /// program's.
            #[inline]
            fn quietly<R>(&self, call: impl FnOnce() -> R) -> R {
                call()
            }
        }

        impl Functions for Driver {
            $(
                fn $name(&self) -> Option<fn_types::$real> {
                    self.$name
                }
            )*
        }
    };
}

functions! {
    host_register: hipHostRegister, "pins the gate page";
    host_device_pointer: hipHostGetDevicePointer, "where the device sees it";
    wait_value: hipStreamWaitValue32, "the gate";
    write_value: hipStreamWriteValue32, "the done word";
    event_create: hipEventCreateWithFlags, "a marker";
    event_record: hipEventRecord, "notes the time";
    event_elapsed: hipEventElapsedTime, "the time between two markers";
}

/// HIP's streams, by functions of that origin.
#[derive(Clone, Copy, Debug)]
pub struct Streams<F>(pub F);

impl<F: Functions> StreamDriver for Streams<F> {
    type Stream = hipStream_t;
    type Code = hipError_t;

    fn map_page(&self, page: &'static GatePage) -> Option<Result<u64, NotMapped<hipError_t>>> {
        let (register, find) = (self.0.host_register()?, self.0.host_device_pointer()?);
        let page: *mut c_void = ptr::from_ref(page).cast_mut().cast();
        let flags = hipHostRegisterPortable | hipHostRegisterMapped;
        let mut address = ptr::null_mut();
        // SAFETY: the page is mapped for the life of the process; nobody holds a Rust reference to
        // its contents other than through atomics.
        let code = self
            .0
            .quietly(|| unsafe { register(page, PAGE_BYTES, flags) });
        let known = succeeded(code) || code == hipError_t::hipErrorHostMemoryAlreadyRegistered;
        // SAFETY: as above; the driver writes one address.
        let mut find = || succeeded(self.0.quietly(|| unsafe { find(&mut address, page, 0) }));
        if known && find() {
            return Some(Ok(address.number()));
        }
        Some(Err(NotMapped {
            code,
            for_now: false,
        }))
    }

    /// The device compares without regard to the sign: across the wrap, a word that has reached the number is less than
    /// it, and one that has not is more.
    #[inline]
    fn can_wait(word: u32, value: u32) -> bool {
        word.max(value) <= u32::MAX - WRAP_MARGIN
    }

    #[inline]
    fn wait_value(&self, stream: hipStream_t, address: u64, value: u32) -> bool {
        let address = Handle::from_number(address);
        self.0.wait_value().is_some_and(|wait| {
            // SAFETY: the word is pinned for the life of the process.
            let wait =
                || unsafe { wait(stream, address, value, hipStreamWaitValueGte, WHOLE_WORD) };
            succeeded(self.0.quietly(wait))
        })
    }

    #[inline]
    fn write_value(&self, stream: hipStream_t, address: u64, value: u32) -> bool {
        let address = Handle::from_number(address);
        self.0.write_value().is_some_and(|write| {
            // SAFETY: the word is pinned for the life of the process, and written by the device only.
            succeeded(
                self.0
                    .quietly(|| unsafe { write(stream, address, value, 0) }),
            )
        })
    }

    fn marker(&self) -> Option<Marker> {
        Some(Marker(new_event(&self.0, TIMED)?.number()))
    }

    #[inline]
    fn record(&self, marker: Marker, stream: hipStream_t) -> bool {
        self.0.event_record().is_some_and(|record| {
            // SAFETY: an event of ours; the driver checks that it fits the stream's device.
            succeeded(
                self.0
                    .quietly(|| unsafe { record(event_of(marker), stream) }),
            )
        })
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let Some(elapsed) = self.0.event_elapsed() else {
            return Elapsed::Lost;
        };
        let mut milliseconds = 0.0_f32;
        let (begin, end) = (event_of(begin), event_of(end));
        // SAFETY: events of ours; the driver writes one number.
        let ask = || unsafe { elapsed(&mut milliseconds, begin, end) };
        match self.0.quietly(ask) {
            hipError_t::hipSuccess => Elapsed::Ns((f64::from(milliseconds.max(0.0)) * 1e6) as u64),
            hipError_t::hipErrorNotReady => Elapsed::Pending,
            _ => Elapsed::Lost,
        }
    }
}

/// A new event on the current device; `None` if the driver gives none.
pub fn new_event(functions: &impl Functions, flags: u32) -> Option<hipEvent_t> {
    let create = functions.event_create()?;
    let mut event = ptr::null_mut();
    // SAFETY: the driver writes one handle.
    let result = functions.quietly(|| unsafe { create(&mut event, flags) });
    succeeded(result).then_some(event)
}

fn event_of(marker: Marker) -> hipEvent_t {
    hipEvent_t::from_number(marker.0)
}

fn succeeded(result: hipError_t) -> bool {
    result == hipError_t::hipSuccess
}
