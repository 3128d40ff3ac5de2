//! Brackets over a driver of a few functions that note what they are asked.

use core::cell::{Cell, RefCell};
use core::ptr;

use fcsp_core::backend::Elapsed;
use fcsp_gate::{Handle, StreamDriver};
use level_zero_sys::{
    ze_command_list_desc_t, ze_command_list_handle_t, ze_command_queue_desc_t,
    ze_command_queue_handle_t, ze_context_handle_t, ze_device_handle_t, ze_event_desc_t,
    ze_event_handle_t, ze_event_pool_desc_t, ze_event_pool_handle_t, ze_fence_handle_t,
    ze_kernel_timestamp_result_t, ze_result_t,
};

use crate::{Clock, Driver, Queue, Streams, Target, bracket};

const OK: ze_result_t = ze_result_t::ZE_RESULT_SUCCESS;
/// Handles of a queue and of an immediate list.
const QUEUE: u64 = 0x1000;
const LIST: u64 = 0x2000;

thread_local! {
    /// The newest handle.
    static HANDLES: Cell<u64> = const { Cell::new(0x10_0000) };
    /// Lists that were executed by themselves, and barriers that were appended to [`LIST`].
    static EXECUTED: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
    static BARRIERS: Cell<u32> = const { Cell::new(0) };
}

fn new_handle<T>(place: *mut *mut T) -> ze_result_t {
    HANDLES.set(HANDLES.get() + 16);
    // SAFETY: the caller's own live variable.
    unsafe { place.write(Handle::from_number(HANDLES.get())) };
    OK
}

unsafe extern "C" fn pool(
    _: ze_context_handle_t,
    _: *const ze_event_pool_desc_t,
    _: u32,
    _: *mut ze_device_handle_t,
    place: *mut ze_event_pool_handle_t,
) -> ze_result_t {
    new_handle(place)
}

unsafe extern "C" fn event(
    _: ze_event_pool_handle_t,
    _: *const ze_event_desc_t,
    place: *mut ze_event_handle_t,
) -> ze_result_t {
    new_handle(place)
}

unsafe extern "C" fn list(
    _: ze_context_handle_t,
    _: ze_device_handle_t,
    _: *const ze_command_list_desc_t,
    place: *mut ze_command_list_handle_t,
) -> ze_result_t {
    new_handle(place)
}

unsafe extern "C" fn of_event(_: ze_event_handle_t) -> ze_result_t {
    OK
}

unsafe extern "C" fn of_list(_: ze_command_list_handle_t) -> ze_result_t {
    OK
}

unsafe extern "C" fn barrier(
    list: ze_command_list_handle_t,
    _: ze_event_handle_t,
    _: u32,
    _: *mut ze_event_handle_t,
) -> ze_result_t {
    BARRIERS.set(BARRIERS.get() + u32::from(list.number() == LIST));
    OK
}

unsafe extern "C" fn execute(
    _: ze_command_queue_handle_t,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    _: ze_fence_handle_t,
) -> ze_result_t {
    // SAFETY: so many, by the caller's contract.
    let lists = unsafe { core::slice::from_raw_parts(lists, count as usize) };
    EXECUTED.with_borrow_mut(|all| all.extend(lists.iter().map(|it| it.number())));
    OK
}

/// Begins at 1000 and ends at 1000 more than the event's number.
unsafe extern "C" fn times(
    event: ze_event_handle_t,
    place: *mut ze_kernel_timestamp_result_t,
) -> ze_result_t {
    let mut times = ze_kernel_timestamp_result_t::default();
    (times.global.kernelStart, times.global.kernelEnd) = (1000, 1000 + event.number());
    // SAFETY: the caller's own live variable.
    unsafe { place.write(times) };
    OK
}

fn target(queue: u64) -> Option<Target> {
    let desc = ze_command_queue_desc_t::default();
    let (context, device) = (Handle::from_number(16), Handle::from_number(32));
    let new =
        |is_immediate| Target::new(context, device, &desc, is_immediate, Clock::of(None), None);
    match queue {
        QUEUE => Some(new(false)),
        LIST => Some(new(true)),
        _ => None,
    }
}

fn driver() -> Driver {
    Driver {
        zeEventPoolCreate: Some(pool),
        zeEventCreate: Some(event),
        zeEventHostReset: Some(of_event),
        zeEventQueryStatus: Some(of_event),
        zeEventQueryKernelTimestamp: Some(times),
        zeCommandListCreate: Some(list),
        zeCommandListClose: Some(of_list),
        zeCommandListAppendBarrier: Some(barrier),
        zeCommandQueueExecuteCommandLists: Some(execute),
        target: Some(target),
        ..Driver::default()
    }
}

fn queue(number: u64) -> Queue {
    Handle::from_number(number)
}

fn executed() -> Vec<u64> {
    EXECUTED.with_borrow_mut(core::mem::take)
}

/// The lists that a call on [`QUEUE`] gets which was made with one list, 0x70.
fn lists_of_a_call(result: ze_result_t) -> Vec<u64> {
    let mut mine = Handle::from_number(0x70);
    let mut got = Vec::new();
    let call = |count: u32, lists: *mut ze_command_list_handle_t| {
        // SAFETY: so many, by the caller's contract.
        let lists = unsafe { core::slice::from_raw_parts(lists, count as usize) };
        got.extend(lists.iter().map(|it| it.number()));
        result
    };
    // SAFETY: one list.
    let given = unsafe { bracket::execute(&driver(), QUEUE, 1, &mut mine, call) };
    assert_eq!(given, result);
    got
}

#[test]
fn lists_that_are_measured_go_to_the_device_with_their_markers() {
    let streams = Streams(driver());
    let markers = [(); 2].map(|()| streams.marker().expect("a marker"));
    bracket::arm(QUEUE);
    assert!(streams.record_before(markers[0], queue(QUEUE)));
    assert!(executed().is_empty(), "it waits for the lists");
    let lists = lists_of_a_call(OK);
    assert_eq!((lists.len(), lists[1]), (3, 0x70));
    assert!(streams.record(markers[1], queue(QUEUE)));
    bracket::disarm();
    assert!(executed().is_empty(), "it was there already");
    assert!(matches!(
        streams.elapsed(markers[0], markers[1]),
        Elapsed::Ns(_)
    ));
    // Without a measurement nothing is added.
    bracket::arm(QUEUE);
    assert_eq!(lists_of_a_call(OK), [0x70]);
    bracket::disarm();
}

#[test]
fn what_the_driver_refuses_is_not_measured() {
    let streams = Streams(driver());
    let markers = [(); 2].map(|()| streams.marker().expect("a marker"));
    bracket::arm(QUEUE);
    assert!(streams.record_before(markers[0], queue(QUEUE)));
    assert_eq!(
        lists_of_a_call(ze_result_t::ZE_RESULT_ERROR_DEVICE_LOST).len(),
        3
    );
    assert!(streams.record(markers[1], queue(QUEUE)));
    bracket::disarm();
    assert_eq!(streams.elapsed(markers[0], markers[1]), Elapsed::Lost);
}

#[test]
fn a_kernel_without_an_event_tells_its_own_time() {
    let streams = Streams(driver());
    let markers = [(); 2].map(|()| streams.marker().expect("a marker"));
    bracket::arm(LIST);
    assert!(streams.record_before(markers[0], queue(LIST)));
    let mut signalled = 0;
    bracket::launch(&driver(), LIST, ptr::null_mut(), |event| {
        signalled = event.number();
        OK
    });
    assert!(streams.record(markers[1], queue(LIST)));
    bracket::disarm();
    assert!(signalled != 0 && BARRIERS.get() == 0);
    let elapsed = streams.elapsed(markers[0], markers[1]);
    assert_eq!(
        elapsed,
        Elapsed::Ns(signalled),
        "from its beginning to its end"
    );
}

#[test]
fn a_kernel_with_an_event_is_measured_by_markers_around_it() {
    let streams = Streams(driver());
    let markers = [(); 2].map(|()| streams.marker().expect("a marker"));
    bracket::arm(LIST);
    assert!(streams.record_before(markers[0], queue(LIST)));
    let own = Handle::from_number(0x90);
    bracket::launch(&driver(), LIST, own, |event| {
        assert_eq!((event, BARRIERS.get()), (own, 1));
        OK
    });
    assert!(streams.record(markers[1], queue(LIST)));
    bracket::disarm();
    assert_eq!(BARRIERS.get(), 2);
}

#[test]
fn nothing_is_parked_for_a_thread_that_did_not_ask() {
    let streams = Streams(driver());
    let marker = streams.marker().expect("a marker");
    assert!(streams.record_before(marker, queue(QUEUE)));
    assert_eq!(executed().len(), 1);
}
