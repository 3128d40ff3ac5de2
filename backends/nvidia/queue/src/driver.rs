//! The driver's functions that a gate calls: [`Driver`], and what each call means: the functions beside it.

#![expect(
    clippy::not_unsafe_ptr_arg_deref,
    reason = "streams are handles, which only the driver looks behind"
)]

use core::ptr;

use cuda_sys::{
    CU_MEMHOSTREGISTER_DEVICEMAP, CU_MEMHOSTREGISTER_PORTABLE, CUevent, CUevent_flags, CUresult,
    CUstream, CUstreamWaitValue_flags, fn_types,
};
use fcsp_core::backend::{Elapsed, Marker};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};
use fcsp_gate::{Handle, NotMapped, StreamDriver};

/// One line for each function: its name here, and CUDA's.
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
                #[doc = concat!("`", stringify!($real), "`: ", $what, ".")]
                fn $name(&self) -> Option<fn_types::$real>;
            )*
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
    host_register: cuMemHostRegister_v2, "pins the gate page";
    host_device_pointer: cuMemHostGetDevicePointer_v2, "where the device sees it";
    wait_value: cuStreamWaitValue32_v2, "the gate";
    write_value: cuStreamWriteValue32_v2, "the done word";
    event_create: cuEventCreate, "a marker";
    event_record: cuEventRecord, "notes the time";
    event_elapsed: cuEventElapsedTime, "the time between two markers; `cuEventElapsedTime_v2`, which has the same signature, where it is";
}

/// CUDA's streams, by functions of that origin.
#[derive(Clone, Copy, Debug)]
pub struct Streams<F>(pub F);

impl<F: Functions> StreamDriver for Streams<F> {
    type Stream = CUstream;
    type Code = CUresult;

    fn map_page(&self, page: &'static GatePage) -> Option<Result<u64, NotMapped<CUresult>>> {
        let (register, find) = (self.0.host_register()?, self.0.host_device_pointer()?);
        let flags = CU_MEMHOSTREGISTER_PORTABLE | CU_MEMHOSTREGISTER_DEVICEMAP;
        let page = ptr::from_ref(page).cast_mut().cast();
        let mut address = 0;
        // SAFETY: the page is mapped for the life of the process; nobody holds a Rust reference to
        // its contents other than through atomics.
        let code = unsafe { register(page, PAGE_BYTES, flags) };
        let known = succeeded(code) || code == CUresult::CUDA_ERROR_HOST_MEMORY_ALREADY_REGISTERED;
        // SAFETY: as above; the driver writes one address.
        if known && succeeded(unsafe { find(&mut address, page, 0) }) {
            return Some(Ok(address));
        }
        // Without a context nothing can be registered; with the next it may.
        let for_now = code == CUresult::CUDA_ERROR_INVALID_CONTEXT
            || code == CUresult::CUDA_ERROR_CONTEXT_IS_DESTROYED;
        Some(Err(NotMapped { code, for_now }))
    }

    #[inline]
    fn wait_value(&self, stream: CUstream, address: u64, value: u32) -> bool {
        let at_least = CUstreamWaitValue_flags::CU_STREAM_WAIT_VALUE_GEQ.0;
        // SAFETY: the word is pinned for the life of the process.
        self.0
            .wait_value()
            .is_some_and(|wait| succeeded(unsafe { wait(stream, address, value, at_least) }))
    }

    #[inline]
    fn write_value(&self, stream: CUstream, address: u64, value: u32) -> bool {
        // SAFETY: the word is pinned for the life of the process, and written by the device only.
        self.0
            .write_value()
            .is_some_and(|write| succeeded(unsafe { write(stream, address, value, 0) }))
    }

    fn marker(&self) -> Option<Marker> {
        let event = new_event(self.0.event_create()?, CUevent_flags::CU_EVENT_DEFAULT)?;
        Some(Marker(event.number()))
    }

    #[inline]
    fn record(&self, marker: Marker, stream: CUstream) -> bool {
        // SAFETY: an event of ours; the driver checks that it fits the stream's context.
        self.0
            .event_record()
            .is_some_and(|record| succeeded(unsafe { record(event_of(marker), stream) }))
    }

    fn elapsed(&self, begin: Marker, end: Marker) -> Elapsed {
        let Some(elapsed) = self.0.event_elapsed() else {
            return Elapsed::Lost;
        };
        let mut milliseconds = 0.0_f32;
        // SAFETY: events of ours; the driver writes one number.
        match unsafe { elapsed(&mut milliseconds, event_of(begin), event_of(end)) } {
            CUresult::CUDA_SUCCESS => Elapsed::Ns((f64::from(milliseconds.max(0.0)) * 1e6) as u64),
            CUresult::CUDA_ERROR_NOT_READY => Elapsed::Pending,
            _ => Elapsed::Lost,
        }
    }
}

/// A new event in the current context; `None` if the driver gives none.
pub fn new_event(create: fn_types::cuEventCreate, flags: CUevent_flags) -> Option<CUevent> {
    let mut event = ptr::null_mut();
    // SAFETY: the driver writes one handle.
    let result = unsafe { create(&mut event, flags.0) };
    succeeded(result).then_some(event)
}

fn event_of(marker: Marker) -> CUevent {
    CUevent::from_number(marker.0)
}

fn succeeded(result: CUresult) -> bool {
    result == CUresult::CUDA_SUCCESS
}
