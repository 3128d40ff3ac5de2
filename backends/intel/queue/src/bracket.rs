//! Measurements that go to the device together with what they measure.
//!
//! A marker that is put into an idle queue is reached at once, long before what the program submits next: between
//! the two lies the program's own time. So a marker that something is to be measured from is *parked*
//! ([`park`]) until that is submitted, in the same thread: lists are executed between it and a marker at their end by one
//! call ([`execute`]), and a kernel that signals no event signals one of ours, which tells when it began and ended
//! ([`launch`]). What else is submitted comes behind the parked marker, which is put into the queue first.
//!
//! A thread that wants this says so ([`arm`]) and says when it is over ([`disarm`]); nothing is parked else.

use core::cell::RefCell;
use core::ptr;

use fcsp_core::backend::Marker;
use level_zero_sys::{ze_command_list_handle_t, ze_event_handle_t, ze_result_t};

use crate::functions::Functions;
use crate::markers::{self, Made};

/// Markers that can be parked: of a submission, and of the segment that it begins.
const PARKED_MAX: usize = 2;
/// Lists of one call that go into a bracket.
const LISTS_MAX: usize = 64;

struct Bracket {
    /// The queue; 0 while not armed.
    queue: u64,
    parked: [Option<Marker>; PARKED_MAX],
    /// What stands at the end of the submission, until a marker takes it.
    end: Option<Made>,
}

thread_local! {
    static BRACKET: RefCell<Bracket> = const {
        RefCell::new(Bracket {
            queue: 0,
            parked: [None; PARKED_MAX],
            end: None,
        })
    };
}

/// From now on markers before a submission to `queue` are parked.
#[inline]
pub fn arm(queue: u64) {
    BRACKET.with_borrow_mut(|it| it.queue = queue);
}

/// The submission is over.
#[inline]
pub fn disarm() {
    let end = BRACKET.with_borrow_mut(|it| {
        it.queue = 0;
        it.parked = [None; PARKED_MAX];
        it.end.take()
    });
    if let Some(end) = end {
        markers::spare(end);
    }
}

/// Parks a marker that is ready to be put into `queue`. False if it has to go there now.
pub(crate) fn park(marker: Marker, queue: u64) -> bool {
    BRACKET.with_borrow_mut(|it| {
        if it.queue != queue {
            return false;
        }
        let place = it.parked.iter_mut().find(|place| place.is_none());
        place.map(|place| *place = Some(marker)).is_some()
    })
}

/// What stands at the end of what was submitted to `queue` last, if nobody has taken it.
pub(crate) fn take_end(queue: u64) -> Option<Made> {
    BRACKET.with_borrow_mut(|it| it.end.take_if(|_| it.queue == queue))
}

fn take_parked(queue: u64) -> [Option<Marker>; PARKED_MAX] {
    BRACKET.with_borrow_mut(|it| match it.queue == queue {
        true => core::mem::take(&mut it.parked),
        false => [None; PARKED_MAX],
    })
}

fn keep_end(end: Made) {
    BRACKET.with_borrow_mut(|it| it.end = Some(end));
}

/// Puts parked markers into the queue by themselves.
fn put(functions: &impl Functions, queue: u64, parked: impl Iterator<Item = Marker>) {
    for marker in parked {
        markers::put_parked(functions, marker, queue);
    }
}

/// Executes lists in a command queue: `call` gets them, with those of markers around them if something is measured.
///
/// # Safety
///
/// `lists` has `count` handles.
#[inline]
pub unsafe fn execute(
    functions: &impl Functions,
    queue: u64,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    call: impl FnOnce(u32, *mut ze_command_list_handle_t) -> ze_result_t,
) -> ze_result_t {
    let parked = take_parked(queue);
    if parked[0].is_none() {
        return call(count, lists);
    }
    // SAFETY: by the caller's contract.
    unsafe { execute_between(functions, queue, parked, count, lists, call) }
}

#[cold]
unsafe fn execute_between(
    functions: &impl Functions,
    queue: u64,
    parked: [Option<Marker>; PARKED_MAX],
    count: u32,
    lists: *mut ze_command_list_handle_t,
    call: impl FnOnce(u32, *mut ze_command_list_handle_t) -> ze_result_t,
) -> ze_result_t {
    let parked = parked.into_iter().flatten();
    let few = !lists.is_null() && (count as usize) < LISTS_MAX - PARKED_MAX;
    let end = functions
        .target(queue)
        .filter(|target| few && !target.is_immediate)
        .and_then(|target| markers::take_spare(functions, target));
    let Some(end) = end else {
        put(functions, queue, parked);
        return call(count, lists);
    };
    let mut all = [ptr::null_mut(); LISTS_MAX + 1];
    let mut used = 0;
    let mut add = |list| {
        all[used] = list;
        used += 1;
    };
    parked
        .clone()
        .filter_map(markers::list_of)
        .for_each(&mut add);
    // SAFETY: by the caller's contract.
    (0..count as usize).for_each(|at| add(unsafe { *lists.add(at) }));
    add(end.list());
    let result = call(used as u32, all.as_mut_ptr());
    if result == ze_result_t::ZE_RESULT_SUCCESS {
        parked.for_each(markers::was_put);
        keep_end(end);
    } else {
        markers::spare(end);
    }
    result
}

/// Appends a kernel to an immediate list: `call` gets the event that it signals, which is `signal`, or one of ours if that
/// is none and something is measured.
#[inline]
pub fn launch(
    functions: &impl Functions,
    list: u64,
    signal: ze_event_handle_t,
    call: impl FnOnce(ze_event_handle_t) -> ze_result_t,
) -> ze_result_t {
    let parked = take_parked(list);
    if parked[0].is_none() {
        return call(signal);
    }
    launch_timed(functions, list, parked, signal, call)
}

#[cold]
fn launch_timed(
    functions: &impl Functions,
    list: u64,
    parked: [Option<Marker>; PARKED_MAX],
    signal: ze_event_handle_t,
    call: impl FnOnce(ze_event_handle_t) -> ze_result_t,
) -> ze_result_t {
    let parked = parked.into_iter().flatten();
    let end = functions
        .target(list)
        .filter(|target| signal.is_null() && target.is_immediate)
        .and_then(|target| markers::take_spare(functions, target));
    let Some(end) = end else {
        put(functions, list, parked);
        return call(signal);
    };
    let result = call(end.event());
    if result == ze_result_t::ZE_RESULT_SUCCESS {
        parked.for_each(|marker| markers::begins_with(marker, &end));
        keep_end(end);
    } else {
        markers::spare(end);
    }
    result
}
