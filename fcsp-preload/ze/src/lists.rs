//! Command lists that are recorded once and executed as often as the program likes: what they are expected to cost, and
//! their execution, which is what is submitted and charged.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use fcsp_core::backend::QueueId;
use fcsp_core::sched::class::Class;
use fcsp_core::sched::cost::CostKey;
use fcsp_gate::Handle;
use fcsp_intel_queue::bracket;
use fcsp_program::driver::Transfers;
use fcsp_program::transfer::RUN;
use fcsp_program::turn::{self, Of, Work};
use level_zero_sys::{
    fn_types, ze_command_list_desc_t, ze_command_list_handle_t, ze_command_queue_desc_t,
    ze_command_queue_handle_t, ze_context_handle_t, ze_device_handle_t, ze_event_handle_t,
    ze_fence_handle_t, ze_kernel_handle_t, ze_mutable_commands_exp_desc_t, ze_result_t,
};

use crate::devices;
use crate::driver::Ze;
use crate::queues::{self, Book, Queue};

/// Tells lists from kernels in cost keys.
const LIST: u64 = 0x6c69_7374;
/// Lists of one call that are looked at.
const LISTS_LOOK: usize = 4096;
/// What small copies and fills together cost at least to count as work.
const SMALL_NS_MIN: u64 = RUN as u64 * <Ze as Transfers>::SMALL_NS;

/// What a list has recorded.
#[derive(Debug)]
pub struct List {
    /// Its context, as a number.
    pub context: u64,
    /// Which recording it is: of this list, or of another that had its handle.
    recording: AtomicU64,
    guess_ns: AtomicU64,
    /// It holds more than small copies and fills.
    works: AtomicBool,
    /// It waits for events.
    waits: AtomicBool,
}

static LISTS: Book<List> = Book::new();
static RECORDINGS: AtomicU64 = AtomicU64::new(0);

/// The list with that handle, if it is one that is executed.
#[inline]
pub fn get(handle: u64) -> Option<&'static List> {
    LISTS.get(handle)
}

impl List {
    fn new(context: u64) -> Self {
        Self {
            context,
            recording: AtomicU64::new(RECORDINGS.fetch_add(1, Ordering::Relaxed)),
            guess_ns: AtomicU64::new(0),
            works: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        }
    }

    // Relaxed throughout: who executes a list orders that after its recording.

    /// It is recorded from the beginning.
    fn reset(&self) {
        let recording = RECORDINGS.fetch_add(1, Ordering::Relaxed);
        self.recording.store(recording, Ordering::Relaxed);
        self.guess_ns.store(0, Ordering::Relaxed);
        self.works.store(false, Ordering::Relaxed);
        self.waits.store(false, Ordering::Relaxed);
    }

    /// Another list with the same in it.
    fn copied(&self) -> Self {
        let copy = Self::new(self.context);
        let guess_ns = self.guess_ns.load(Ordering::Relaxed);
        copy.record(guess_ns, self.works.load(Ordering::Relaxed));
        if self.waits.load(Ordering::Relaxed) {
            copy.record_wait();
        }
        copy
    }

    /// What it recorded was changed: it takes as long as before, until it is measured again.
    fn changed(&self) {
        let recording = RECORDINGS.fetch_add(1, Ordering::Relaxed);
        self.recording.store(recording, Ordering::Relaxed);
    }

    /// Something was recorded that may take so long; `works` if that is more than a small copy or fill.
    pub fn record(&self, guess_ns: u64, works: bool) {
        self.guess_ns.fetch_add(guess_ns, Ordering::Relaxed);
        if works {
            self.works.store(true, Ordering::Relaxed);
        }
    }

    /// A wait for events was recorded.
    pub fn record_wait(&self) {
        self.waits.store(true, Ordering::Relaxed);
    }
}

/// What some lists do together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    guess_ns: u64,
    works: bool,
    waits: bool,
    /// Tells these lists, in this order, from others.
    mixed: u64,
}

impl Sum {
    fn with(self, list: &List) -> Self {
        let recording = list.recording.load(Ordering::Relaxed);
        Self {
            guess_ns: self
                .guess_ns
                .saturating_add(list.guess_ns.load(Ordering::Relaxed)),
            works: self.works | list.works.load(Ordering::Relaxed),
            waits: self.waits | list.waits.load(Ordering::Relaxed),
            // 64-bit FNV-1a, by words.
            mixed: (self.mixed ^ (recording + 1)).wrapping_mul(0x0100_0000_01b3),
        }
    }

    /// # Safety
    ///
    /// `lists` is null or has `count` handles.
    unsafe fn of(count: u32, lists: *const ze_command_list_handle_t) -> Self {
        let count = if lists.is_null() { 0 } else { count as usize };
        (0..count.min(LISTS_LOOK))
            // SAFETY: within the program's array.
            .filter_map(|at| get(unsafe { *lists.add(at) }.number()))
            .fold(Self::default(), Self::with)
    }
}

/// Submits lists to `queue` in their turn.
///
/// # Safety
///
/// `lists` is null or has `count` handles.
unsafe fn execute_in(
    queue: u64,
    count: u32,
    lists: *const ze_command_list_handle_t,
    call: impl FnOnce() -> ze_result_t,
) -> ze_result_t {
    let Some(on) = queues::get(queue).filter(|it| it.is_gated()) else {
        return call();
    };
    // SAFETY: by the caller's contract.
    let sum = unsafe { Sum::of(count, lists) };
    let id = QueueId(queue);
    if sum.waits {
        turn::follow_in::<Ze>(on.device, id);
    }
    if !sum.works && sum.guess_ns < SMALL_NS_MIN {
        if sum.waits {
            // It may be the host that they wait for.
            turn::stall_in::<Ze>(on.device, id);
        }
        return on.submitted(call());
    }
    let work = Work {
        key: CostKey::new(&[LIST, sum.mixed]),
        guess_ns: move || sum.guess_ns,
        of: Of::Class(Class::Graph),
    };
    on.submitted(turn::submit_to::<Ze>(on.device, id, work, call))
}

/// # Safety
///
/// As `zeCommandQueueExecuteCommandLists`.
pub unsafe fn execute(
    real: fn_types::zeCommandQueueExecuteCommandLists,
    queue: ze_command_queue_handle_t,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    fence: ze_fence_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        let number = queue.number();
        if !queues::get(number).is_some_and(Queue::is_gated) {
            return real(queue, count, lists, fence);
        }
        bracket::arm(number);
        let result = execute_in(number, count, lists, || {
            bracket::execute(&Ze, number, count, lists, |count, lists| {
                real(queue, count, lists, fence)
            })
        });
        bracket::disarm();
        result
    }
}

/// # Safety
///
/// As `zeCommandListImmediateAppendCommandListsExp`.
pub unsafe fn append_lists(
    real: fn_types::zeCommandListImmediateAppendCommandListsExp,
    list: ze_command_list_handle_t,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        execute_in(list.number(), count, lists, || {
            real(list, count, lists, signal, wait_count, waits)
        })
    }
}

/// # Safety
///
/// As `zeCommandListImmediateAppendCommandListsWithParameters`.
pub unsafe fn append_lists_with_parameters(
    real: fn_types::zeCommandListImmediateAppendCommandListsWithParameters,
    list: ze_command_list_handle_t,
    count: u32,
    lists: *mut ze_command_list_handle_t,
    next: *const core::ffi::c_void,
    signal: ze_event_handle_t,
    wait_count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        execute_in(list.number(), count, lists, || {
            real(list, count, lists, next, signal, wait_count, waits)
        })
    }
}

/// # Safety
///
/// As `zeCommandListCreate`.
pub unsafe fn create(
    real: fn_types::zeCommandListCreate,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_command_list_desc_t,
    list: *mut ze_command_list_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(context, device, desc, list) };
    if result == ze_result_t::ZE_RESULT_SUCCESS && devices::limited(device).is_some() {
        // SAFETY: the driver wrote the handle.
        LISTS.insert(unsafe { *list }.number(), List::new(context.number()));
    }
    result
}

/// # Safety
///
/// As `zeCommandListCreateImmediate`.
pub unsafe fn create_immediate(
    real: fn_types::zeCommandListCreateImmediate,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_command_queue_desc_t,
    list: *mut ze_command_list_handle_t,
) -> ze_result_t {
    if let Err(refusal) = devices::taken(device) {
        return refusal;
    }
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(context, device, desc, list) };
    if result == ze_result_t::ZE_RESULT_SUCCESS {
        // Where there is none the driver has one of its own.
        let desc = if desc.is_null() {
            &level_zero_sys::DEFAULT_IMMEDIATE_QUEUE
        } else {
            desc
        };
        // SAFETY: the driver accepted the descriptor and wrote the handle.
        unsafe { Queue::enter((*list).number(), context, device, desc, true) };
    }
    result
}

/// # Safety
///
/// As `zeCommandListDestroy`.
pub unsafe fn destroy(
    real: fn_types::zeCommandListDestroy,
    list: ze_command_list_handle_t,
) -> ze_result_t {
    // Taken out first: once it is gone, another thread may be given the same handle.
    queues::end(list.number());
    queues::gone(list.number());
    LISTS.remove(list.number());
    // SAFETY: the program's own call, passed on.
    unsafe { real(list) }
}

/// # Safety
///
/// As `zeCommandListReset`.
pub unsafe fn reset(
    real: fn_types::zeCommandListReset,
    list: ze_command_list_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(list) };
    if result == ze_result_t::ZE_RESULT_SUCCESS
        && let Some(list) = get(list.number())
    {
        list.reset();
    }
    result
}

/// # Safety
///
/// As `zeCommandListCreateCloneExp`.
pub unsafe fn clone(
    real: fn_types::zeCommandListCreateCloneExp,
    list: ze_command_list_handle_t,
    copy: *mut ze_command_list_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(list, copy) };
    if result == ze_result_t::ZE_RESULT_SUCCESS
        && let Some(list) = get(list.number())
    {
        // SAFETY: the driver wrote the handle.
        LISTS.insert(unsafe { *copy }.number(), list.copied());
    }
    result
}

fn changed(list: ze_command_list_handle_t, result: ze_result_t) -> ze_result_t {
    if result == ze_result_t::ZE_RESULT_SUCCESS
        && let Some(list) = get(list.number())
    {
        list.changed();
    }
    result
}

/// # Safety
///
/// As `zeCommandListUpdateMutableCommandsExp`.
pub unsafe fn change(
    real: fn_types::zeCommandListUpdateMutableCommandsExp,
    list: ze_command_list_handle_t,
    desc: *const ze_mutable_commands_exp_desc_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    changed(list, unsafe { real(list, desc) })
}

/// # Safety
///
/// As `zeCommandListUpdateMutableCommandKernelsExp`.
pub unsafe fn change_kernels(
    real: fn_types::zeCommandListUpdateMutableCommandKernelsExp,
    list: ze_command_list_handle_t,
    count: u32,
    commands: *mut u64,
    kernels: *mut ze_kernel_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    changed(list, unsafe { real(list, count, commands, kernels) })
}

/// # Safety
///
/// As `zeCommandListUpdateMutableCommandWaitEventsExp`.
pub unsafe fn change_waits(
    real: fn_types::zeCommandListUpdateMutableCommandWaitEventsExp,
    list: ze_command_list_handle_t,
    command: u64,
    count: u32,
    waits: *mut ze_event_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(list, command, count, waits) };
    if let Some(list) = get(list.number()).filter(|_| count > 0) {
        list.record_wait();
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_is_of_these_recordings_in_this_order() {
        let (one, other) = (List::new(16), List::new(16));
        one.record(5_000, false);
        other.record(7_000, true);
        let sum = |lists: &[&List]| lists.iter().fold(Sum::default(), |sum, it| sum.with(it));
        let both = sum(&[&one, &other]);
        assert_eq!(
            (both.guess_ns, both.works, both.waits),
            (12_000, true, false)
        );
        assert_eq!(both, sum(&[&one, &other]));
        assert_ne!(both.mixed, sum(&[&other, &one]).mixed);
        other.reset();
        assert_ne!(both.mixed, sum(&[&one, &other]).mixed, "recorded anew");
        assert!(!sum(&[&other]).works);
    }

    #[test]
    fn a_copy_costs_as_much_and_what_was_changed_is_measured_again() {
        let sum = |list: &List| Sum::default().with(list);
        let list = List::new(16);
        list.record(7_000, true);
        list.record_wait();
        let (copy, before) = (list.copied(), sum(&list));
        assert_eq!(
            (sum(&copy).guess_ns, sum(&copy).works, sum(&copy).waits),
            (7_000, true, true)
        );
        assert_ne!(sum(&copy).mixed, before.mixed);
        list.changed();
        assert_eq!(sum(&list).guess_ns, 7_000);
        assert_ne!(sum(&list).mixed, before.mixed);
    }
}
