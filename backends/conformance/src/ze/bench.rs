//! Queues, words and work on one Intel device: [`Bench`].

use super::api::{LevelZero, call};
use super::module::{self, Work};
use crate::gate::Workbench;
use fcsp_backend_intel::queue::{Clock, Driver, Handles, Queue, Target, Words};
use fcsp_core::backend::QueueId;
use fcsp_core::region::layout::{GatePage, LANES};
use fcsp_core::sync::{AtomicU32, Ordering};
use level_zero_sys::{
    ze_command_list_handle_t, ze_command_queue_desc_t, ze_command_queue_handle_t,
    ze_command_queue_mode_t, ze_context_desc_t, ze_context_handle_t, ze_device_handle_t,
    ze_driver_handle_t, ze_structure_type_t,
};
use std::cell::{Cell, RefCell};
use std::ptr;
use std::sync::Mutex;

/// Queues of each kind.
const EACH: usize = 4;

/// A kind of queue.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// An immediate list.
    Immediate,
    /// A command queue.
    Queue,
}

/// What is known of the queues of all benches, by their handles. The gate asks for it.
static TARGETS: Mutex<Vec<(u64, Target)>> = Mutex::new(Vec::new());

fn target(queue: u64) -> Option<Target> {
    let targets = TARGETS.lock().ok()?;
    let found = targets.iter().find(|(handle, _)| *handle == queue);
    found.map(|(_, target)| *target)
}

/// A workbench on one device.
pub struct Bench<'a> {
    page: &'static GatePage,
    ze: &'a LevelZero,
    gate: Driver,
    work: Work,
    immediate: Vec<Queue>,
    queues: Vec<Queue>,
    kinds: Cell<&'static [Kind]>,
    queues_taken: Cell<usize>,
    taken: [Cell<usize>; 2],
    words_taken: Cell<usize>,
    /// The first work that the driver refused.
    refused: RefCell<Option<String>>,
}

impl<'a> Bench<'a> {
    /// Makes the queues, before the suite begins.
    pub fn new(
        ze: &'a LevelZero,
        driver: ze_driver_handle_t,
        device: ze_device_handle_t,
        page: &'static GatePage,
    ) -> Result<Self, String> {
        let desc = ze_context_desc_t {
            stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_CONTEXT_DESC,
            ..Default::default()
        };
        let mut context = ptr::null_mut();
        // SAFETY: a driver that was listed; it writes one handle.
        unsafe { call!(ze, zeContextCreate(driver, &desc, &mut context)) }?;
        let ask = ze.functions.zeDriverGetExtensionFunctionAddress;
        // SAFETY: a loader that wraps no handles, as it does not unless it is told to, has the driver's own.
        let words = unsafe { Words::find(ask, driver) };
        let words: &'static [Words] = Vec::leak(words.into_iter().collect());
        let clock = Clock::of(Some(&ze.properties(device)?));
        let make = |is_immediate| {
            let queue = if is_immediate {
                immediate(ze, context, device)?.cast()
            } else {
                command_queue(ze, context, device)?.cast()
            };
            let known = Target::new(context, device, &DESC, is_immediate, clock, words.first());
            let mut targets = TARGETS.lock().map_err(|_| "a bench panicked")?;
            targets.push((Handles::queue(queue).0, known));
            Ok(queue)
        };
        let several = |is_immediate| {
            (0..EACH)
                .map(|_| make(is_immediate))
                .collect::<Result<Vec<_>, String>>()
        };
        Ok(Self {
            page,
            ze,
            gate: Driver {
                target: Some(target),
                words,
                ..ze.gate
            },
            work: module::work(ze, context, device)?,
            immediate: several(true)?,
            queues: several(false)?,
            kinds: Cell::new(&[Kind::Immediate]),
            queues_taken: Cell::new(0),
            taken: [const { Cell::new(0) }; 2],
            words_taken: Cell::new(0),
            refused: RefCell::new(None),
        })
    }

    /// What the gate calls.
    pub fn gate(&self) -> Driver {
        self.gate
    }

    /// The page that the words are in.
    pub fn page(&self) -> &'static GatePage {
        self.page
    }

    /// From now on queues are of these kinds, in turn.
    pub fn take_in_turn(&self, kinds: &'static [Kind]) {
        self.kinds.set(kinds);
        self.queues_taken.set(0);
    }

    /// Why the driver refused work, if it did: then the suite's figures mean nothing.
    pub fn refused(&self) -> Option<String> {
        self.refused.borrow_mut().take()
    }
}

const DESC: ze_command_queue_desc_t = ze_command_queue_desc_t {
    stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_DESC,
    pNext: ptr::null(),
    ordinal: 0,
    index: 0,
    flags: 0,
    mode: ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_ASYNCHRONOUS,
    priority: level_zero_sys::ze_command_queue_priority_t::ZE_COMMAND_QUEUE_PRIORITY_NORMAL,
};

fn immediate(
    ze: &LevelZero,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
) -> Result<ze_command_list_handle_t, String> {
    let mut list = ptr::null_mut();
    // SAFETY: our context; the driver writes one handle.
    unsafe {
        call!(
            ze,
            zeCommandListCreateImmediate(context, device, &DESC, &mut list)
        )
    }?;
    Ok(list)
}

fn command_queue(
    ze: &LevelZero,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
) -> Result<ze_command_queue_handle_t, String> {
    let mut queue = ptr::null_mut();
    // SAFETY: our context; the driver writes one handle.
    unsafe { call!(ze, zeCommandQueueCreate(context, device, &DESC, &mut queue)) }?;
    Ok(queue)
}

/// A number that counts up with each call.
fn next(count: &Cell<usize>) -> usize {
    count.replace(count.get() + 1)
}

impl Workbench for Bench<'_> {
    /// A queue is taken again only after others: no check takes more than two at once.
    fn queue(&self) -> QueueId {
        let kinds = self.kinds.get();
        let kind = kinds[next(&self.queues_taken) % kinds.len()];
        let at = next(&self.taken[kind as usize]) % EACH;
        Handles::queue(match kind {
            Kind::Immediate => self.immediate[at],
            Kind::Queue => self.queues[at],
        })
    }

    /// A word is taken again once all others were: by then the check that had it is over.
    fn word(&self) -> &AtomicU32 {
        let word = &self.page.done[next(&self.words_taken) % LANES];
        word.store(0, Ordering::Release);
        word
    }

    fn work(&self, queue: QueueId, ns: u64) {
        let is_immediate = target(queue.0).is_some_and(|it| it.is_immediate);
        let put = self
            .work
            .put(self.ze, Handles::stream(queue), is_immediate, ns);
        if let Err(error) = put {
            self.refused.borrow_mut().get_or_insert(error);
        }
    }
}
