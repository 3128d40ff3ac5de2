//! The gate over a driver of a few functions that note what they are asked.

use core::cell::Cell;
use core::ffi::{c_uint, c_void};
use core::ptr;
use core::sync::atomic::{AtomicU32, Ordering};

use fcsp_core::backend::{Elapsed, Marker, QueueId, StreamGate};
use fcsp_core::region::layout::{GatePage, PAGE_BYTES};
use hip_sys::{hipError_t, hipEvent_t, hipStream_t, hipStreamWaitValueGte};

use crate::driver::WHOLE_WORD;
use crate::{Driver, Handles, HipGate, Pages, Streams};

/// Where the device sees the page.
const ADDRESS: u64 = 0x7000_0000;

thread_local! {
    /// What registering the page gives, and how often it was asked for.
    static REGISTER: Cell<(hipError_t, u32)> = const { Cell::new((hipError_t::hipSuccess, 0)) };
    /// The newest wait or write: stream, address, value, flags, mask.
    static PUT: Cell<(usize, u64, u32, c_uint, u32)> = const { Cell::new((0, 0, 0, 0, 0)) };
    /// What asking for the time between events gives.
    static TIME: Cell<(hipError_t, f32)> = const { Cell::new((hipError_t::hipSuccess, 0.0)) };
}

unsafe extern "C" fn register(_: *mut c_void, bytes: usize, _: c_uint) -> hipError_t {
    assert_eq!(bytes, PAGE_BYTES);
    let (result, asked) = REGISTER.get();
    REGISTER.set((result, asked + 1));
    result
}

unsafe extern "C" fn device_pointer(to: *mut *mut c_void, _: *mut c_void, _: c_uint) -> hipError_t {
    // SAFETY: the gate's own live variable.
    unsafe { to.write(ptr::without_provenance_mut(ADDRESS as usize)) };
    hipError_t::hipSuccess
}

unsafe extern "C" fn wait(
    stream: hipStream_t,
    at: *mut c_void,
    value: u32,
    flags: c_uint,
    mask: u32,
) -> hipError_t {
    PUT.set((stream.addr(), at.addr() as u64, value, flags, mask));
    hipError_t::hipSuccess
}

unsafe extern "C" fn write(
    stream: hipStream_t,
    at: *mut c_void,
    value: u32,
    flags: c_uint,
) -> hipError_t {
    PUT.set((stream.addr(), at.addr() as u64, value, flags, 0));
    hipError_t::hipSuccess
}

unsafe extern "C" fn elapsed(ms: *mut f32, _: hipEvent_t, _: hipEvent_t) -> hipError_t {
    let (result, time) = TIME.get();
    // SAFETY: the gate's own live variable.
    unsafe { ms.write(time) };
    result
}

const DRIVER: Driver = Driver {
    host_register: Some(register),
    host_device_pointer: Some(device_pointer),
    wait_value: Some(wait),
    write_value: Some(write),
    event_create: None,
    event_record: None,
    event_elapsed: Some(elapsed),
};

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
    let gate = HipGate::new(&pages, Streams(DRIVER), Handles);
    let (word, address) = word(page, 5);
    assert!(gate.wait(QueueId(64), word, 7));
    assert_eq!(
        PUT.get(),
        (64, address, 7, hipStreamWaitValueGte, WHOLE_WORD)
    );
    assert!(gate.write(QueueId(80), word, 8));
    assert_eq!(PUT.get(), (80, address, 8, 0, 0));
    assert_eq!(REGISTER.get().1, 1, "pinned once");
}

/// The driver compares without regard to the sign, so where numbers begin again the thread has to wait.
#[test]
fn no_stream_waits_across_the_wrap() {
    let page = page();
    let pages = Pages::new(page);
    let gate = HipGate::new(&pages, Streams(DRIVER), Handles);
    let (word, _) = word(page, 0);
    let waits = |now: u32, value: u32| {
        word.store(now, Ordering::Relaxed);
        PUT.set((0, 0, 0, 0, 0));
        let accepted = gate.wait(QueueId(64), word, value);
        assert_eq!(accepted, PUT.get().0 == 64);
        accepted
    };
    assert!(waits(0, 1));
    assert!(waits(u32::MAX / 2, u32::MAX / 2 + 20));
    assert!(
        !waits(u32::MAX - 10, u32::MAX - 5),
        "the word may wrap before anybody looks"
    );
    assert!(!waits(u32::MAX - 10, 3), "it would be taken to be there");
    assert!(
        !waits(3, u32::MAX - 10),
        "it is there, and would not be taken to be"
    );
    assert!(waits(3, 20), "all have wrapped");
}

#[test]
fn a_page_that_cannot_be_mapped_is_refused_for_good_and_one_that_is_pinned_is_not() {
    let page = page();
    REGISTER.set((hipError_t::hipErrorNotSupported, 0));
    let pages = Pages::new(page);
    let gate = HipGate::new(&pages, Streams(DRIVER), Handles);
    for _ in 0..3 {
        assert!(!gate.write(QueueId(64), word(page, 0).0, 1));
    }
    assert_eq!(REGISTER.get().1, 1);
    REGISTER.set((hipError_t::hipErrorHostMemoryAlreadyRegistered, 0));
    let pages = Pages::new(page);
    let gate = HipGate::new(&pages, Streams(DRIVER), Handles);
    assert!(gate.write(QueueId(64), word(page, 0).0, 1));
}

#[test]
fn what_the_driver_lacks_is_refused() {
    let page = page();
    let pages = Pages::new(page);
    let gate = HipGate::new(&pages, Streams(Driver::default()), Handles);
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
    let gate = HipGate::new(&pages, Streams(DRIVER), Handles);
    let cases = [
        (hipError_t::hipSuccess, 2.5, Elapsed::Ns(2_500_000)),
        (hipError_t::hipErrorNotReady, 0.0, Elapsed::Pending),
        (hipError_t::hipErrorInvalidValue, 0.0, Elapsed::Lost),
    ];
    for (result, milliseconds, told) in cases {
        TIME.set((result, milliseconds));
        assert_eq!(gate.elapsed(Marker(64), Marker(80)), told);
    }
}
