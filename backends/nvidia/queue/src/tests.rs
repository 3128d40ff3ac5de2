//! The gate over a driver of a few functions that note what they are asked.

use core::cell::Cell;
use core::ffi::{c_uint, c_void};
use core::ptr;
use core::sync::atomic::AtomicU32;

use cuda_sys::{CUdeviceptr, CUevent, CUresult, CUstream, CUstreamWaitValue_flags};
use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};

use crate::{CudaGate, Driver, Handles, Pages, Streams, Surroundings};

/// Where the device sees the page.
const ADDRESS: u64 = 0x7000_0000;

thread_local! {
    /// What registering the page gives, and how often it was asked for.
    static REGISTER: Cell<(CUresult, u32)> = const { Cell::new((CUresult::CUDA_SUCCESS, 0)) };
    /// The newest wait or write: stream, address, value, flags.
    static PUT: Cell<(usize, u64, u32, c_uint)> = const { Cell::new((0, 0, 0, 0)) };
    /// What asking for the time between events gives.
    static TIME: Cell<(CUresult, f32)> = const { Cell::new((CUresult::CUDA_SUCCESS, 0.0)) };
    /// What the surroundings heard about the page.
    static HEARD: Cell<u32> = const { Cell::new(0) };
}

unsafe extern "C" fn register(_: *mut c_void, bytes: usize, _: c_uint) -> CUresult {
    assert_eq!(bytes, PAGE_BYTES);
    let (result, asked) = REGISTER.get();
    REGISTER.set((result, asked + 1));
    result
}

unsafe extern "C" fn device_pointer(to: *mut CUdeviceptr, _: *mut c_void, _: c_uint) -> CUresult {
    // SAFETY: the gate's own live variable.
    unsafe { to.write(ADDRESS) };
    CUresult::CUDA_SUCCESS
}

unsafe extern "C" fn put(stream: CUstream, at: CUdeviceptr, value: u32, flags: c_uint) -> CUresult {
    PUT.set((stream.addr(), at, value, flags));
    CUresult::CUDA_SUCCESS
}

unsafe extern "C" fn elapsed(ms: *mut f32, _: CUevent, _: CUevent) -> CUresult {
    let (result, time) = TIME.get();
    // SAFETY: the gate's own live variable.
    unsafe { ms.write(time) };
    result
}

const DRIVER: Driver = Driver {
    host_register: Some(register),
    host_device_pointer: Some(device_pointer),
    wait_value: Some(put),
    write_value: Some(put),
    event_create: None,
    event_record: None,
    event_elapsed: Some(elapsed),
};

/// Everything goes behind stream 96.
struct Elsewhere;

impl Surroundings<Streams<Driver>> for Elsewhere {
    type Held = ();

    fn hold(&self) {}

    fn within(&self, _: QueueId, _: impl FnOnce(CUstream) -> bool) -> bool {
        false
    }

    fn behind(&self, _: QueueId, call: impl FnOnce(CUstream) -> bool) -> bool {
        call(ptr::without_provenance_mut(96))
    }

    fn not_mapped(&self, _: CUresult) {
        HEARD.set(HEARD.get() + 1);
    }
}

fn page() -> &'static GatePage {
    // SAFETY: a page of zero bytes is an empty one, as in a new region.
    Box::leak(unsafe { Box::<GatePage>::new_zeroed().assume_init() })
}

fn word(page: &GatePage, lane: usize) -> (&AtomicU32, u64) {
    let word = &page.done[lane];
    let offset = ptr::from_ref(word).addr() - ptr::from_ref(page).addr();
    (word, ADDRESS + offset as u64)
}

#[test]
fn waits_and_writes_go_to_the_words_address_in_the_queues_stream() {
    let page = page();
    let pages = Pages::new(page);
    let gate = CudaGate::new(&pages, Streams(DRIVER), Handles);
    let (word, address) = word(page, 5);
    let at_least = CUstreamWaitValue_flags::CU_STREAM_WAIT_VALUE_GEQ.0;
    assert!(gate.wait(QueueId(64), word, 7));
    assert_eq!(PUT.get(), (64, address, 7, at_least));
    assert!(gate.write(QueueId(80), word, 8));
    assert_eq!(PUT.get(), (80, address, 8, 0));
    assert_eq!(REGISTER.get().1, 1, "pinned once");
    pages.forget();
    assert!(gate.wait(QueueId(64), word, 9));
    assert_eq!(REGISTER.get().1, 2, "and anew after its context went");
}

#[test]
fn the_surroundings_say_where_a_write_goes() {
    let page = page();
    let pages = Pages::new(page);
    let gate = CudaGate::new(&pages, Streams(DRIVER), Elsewhere);
    let (word, address) = word(page, 0);
    assert!(!gate.wait(QueueId(64), word, 7), "no stream, no wait");
    assert!(gate.write(QueueId(64), word, 7));
    assert_eq!(PUT.get(), (96, address, 7, 0));
}

#[test]
fn a_page_that_cannot_be_mapped_is_refused_for_good() {
    let page = page();
    let pages = Pages::new(page);
    let gate = CudaGate::new(&pages, Streams(DRIVER), Elsewhere);
    REGISTER.set((CUresult::CUDA_ERROR_NOT_SUPPORTED, 0));
    for _ in 0..3 {
        assert!(!gate.write(QueueId(64), word(page, 0).0, 1));
    }
    assert_eq!((REGISTER.get().1, HEARD.get()), (1, 1));
}

#[test]
fn without_a_context_the_page_is_tried_again() {
    let page = page();
    let pages = Pages::new(page);
    let gate = CudaGate::new(&pages, Streams(DRIVER), Handles);
    REGISTER.set((CUresult::CUDA_ERROR_INVALID_CONTEXT, 0));
    assert!(!gate.write(QueueId(64), word(page, 0).0, 1));
    REGISTER.set((CUresult::CUDA_SUCCESS, 1));
    assert!(gate.write(QueueId(64), word(page, 0).0, 1));
}

#[test]
fn what_the_driver_lacks_is_refused() {
    let page = page();
    let pages = Pages::new(page);
    let gate = CudaGate::new(&pages, Streams(Driver::default()), Handles);
    let (word, _) = word(page, 0);
    assert!(!gate.wait(QueueId(64), word, 1));
    assert!(!gate.write(QueueId(64), word, 1));
    assert_eq!(gate.marker(), None);
    assert!(!gate.record(Marker(64), QueueId(64)));
    assert_eq!(gate.elapsed(Marker(64), Marker(80)), Elapsed::Lost);
}

#[test]
fn markers_tell_nanoseconds_or_that_they_will_or_never() {
    let pages = Pages::new(page());
    let gate = CudaGate::new(&pages, Streams(DRIVER), Handles);
    let cases = [
        (CUresult::CUDA_SUCCESS, 2.5, Elapsed::Ns(2_500_000)),
        (CUresult::CUDA_SUCCESS, -1.0, Elapsed::Ns(0)),
        (CUresult::CUDA_ERROR_NOT_READY, 0.0, Elapsed::Pending),
        (CUresult::CUDA_ERROR_INVALID_HANDLE, 0.0, Elapsed::Lost),
    ];
    for (result, milliseconds, told) in cases {
        TIME.set((result, milliseconds));
        assert_eq!(gate.elapsed(Marker(64), Marker(80)), told);
    }
}
