//! Work on its way to the device: what is submitted in its turn, what is passed on beside, and what a
//! thread says before it waits.
//!
//! Handlers of launches, copies, fills and orders between streams end here; from here a call goes to
//! [`fcsp_core::sched::producer`]. Nothing is gated while its stream is captured.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use fcsp_core::backend::QueueId;
use fcsp_core::sched::class::Class;
use fcsp_core::sched::cost::CostKey;
use fcsp_core::sched::producer::{Collective, Ticket};

use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver, StreamOf};
use crate::kernels::{self, Kind};
use crate::queue::{gate, queue_of, submitted};
use crate::{capture, usage_rhythm};

/// What is submitted.
#[derive(Clone, Copy, Debug)]
pub struct Work<G> {
    /// What its cost is known by.
    pub key: CostKey,
    /// Says what device time it may take if nobody has measured it.
    pub guess_ns: G,
    /// What it is.
    pub of: Of,
}

/// What work is: tells whether it waits for other devices, and what its time counts as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The kernel with that handle.
    Kernel(u64),
    /// Anything else, of that class.
    Class(Class),
}

/// Small copies and fills that went before without a turn; see [`crate::transfer`].
pub static PASSED: AtomicU32 = AtomicU32::new(0);

/// True once something was put into a queue that the device cannot end by itself. Programs in which
/// nothing ever waits for others pay nothing for their orders between streams.
static STALLS: AtomicBool = AtomicBool::new(false);

/// The device and the queue behind `stream`, if what goes there now forms segments.
#[inline]
pub fn gated<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
) -> Option<(&'static Device, QueueId)> {
    // Of several devices one is found only by asking the driver.
    if !device::is_only::<D>() && device::all_pass() {
        return None;
    }
    let device = device::current::<D>().filter(|device| device.producer.gated())?;
    if capture::captures::<D, PER_THREAD>(stream) {
        return None;
    }
    Some((device, queue_of::<D, PER_THREAD>(stream)?))
}

/// Submits work to `stream` in its turn. All of it is compiled into the caller, for launches of kernels.
#[inline(always)]
pub fn submit<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    work: Work<impl FnOnce() -> u64>,
    launch: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    // A call for each, so that the usual one does not ask afterwards which it was.
    match begin::<D, PER_THREAD>(stream, work) {
        Begun::Passes => launch(),
        Begun::Beside(device, collective) => {
            let result = launched::<D, PER_THREAD>(stream, launch());
            device
                .producer
                .collective_submitted(&gate::<D>(device), collective);
            result
        }
        Begun::Entered(device, ticket) => {
            let result = launched::<D, PER_THREAD>(stream, launch());
            leave::<D>(device, ticket, result);
            result
        }
    }
}

/// Submits work to a queue of `device` in its turn, where the program names queues and not the calling thread's device.
#[inline]
pub fn submit_to<D: Driver>(
    device: &'static Device,
    queue: QueueId,
    work: Work<impl FnOnce() -> u64>,
    launch: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    if !device.producer.gated() {
        return launch();
    }
    let begun = begin_in::<D>(device, queue, work);
    let result = launch();
    finish::<D>(begun, result);
    result
}

/// As [`submit`], in less code: for calls of which there are many kinds, or that take longer.
pub fn submit_outlined<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    work: Work<impl FnOnce() -> u64>,
    launch: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let (key, guess_ns, of) = (work.key, (work.guess_ns)(), work.of);
    let begun = begin_outlined::<D, PER_THREAD>(stream, key, guess_ns, of);
    let result = launch();
    finish_outlined::<D, PER_THREAD>(stream, begun, result);
    result
}

/// What was done before the driver is called.
enum Begun {
    /// Nothing: it is not gated.
    Passes,
    /// Nothing waits for it.
    Beside(&'static Device, Collective),
    /// It is in a segment.
    Entered(&'static Device, Ticket),
}

#[inline(always)]
fn begin<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    work: Work<impl FnOnce() -> u64>,
) -> Begun {
    match gated::<D, PER_THREAD>(stream) {
        Some((device, queue)) => begin_in::<D>(device, queue, work),
        None => Begun::Passes,
    }
}

#[inline(always)]
fn begin_in<D: Driver>(
    device: &'static Device,
    queue: QueueId,
    work: Work<impl FnOnce() -> u64>,
) -> Begun {
    let gate = gate::<D>(device);
    let kind = match work.of {
        Of::Kernel(kernel) => kernels::kind::<D>(kernel),
        Of::Class(class) => Kind::Works(class),
    };
    let Kind::Works(class) = kind else {
        // Other devices wait for it: nothing holds it back, and no turn waits for it.
        STALLS.store(true, Ordering::Relaxed);
        return Begun::Beside(device, device.producer.collective(&gate, queue));
    };
    // Relaxed, and written only if it changes: a count that need not be exact.
    if PASSED.load(Ordering::Relaxed) != 0 {
        PASSED.store(0, Ordering::Relaxed);
    }
    let ticket = device
        .producer
        .enter(&gate, queue, work.key, class, work.guess_ns);
    Begun::Entered(device, ticket)
}

#[inline(never)]
fn begin_outlined<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    key: CostKey,
    guess_ns: u64,
    of: Of,
) -> Begun {
    let work = Work {
        key,
        guess_ns: || guess_ns,
        of,
    };
    begin::<D, PER_THREAD>(stream, work)
}

#[inline(never)]
fn finish_outlined<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    begun: Begun,
    result: CodeOf<D>,
) {
    if !matches!(begun, Begun::Passes) {
        launched::<D, PER_THREAD>(stream, result);
    }
    finish::<D>(begun, result);
}

fn finish<D: Driver>(begun: Begun, result: CodeOf<D>) {
    match begun {
        Begun::Passes => {}
        Begun::Beside(device, collective) => device
            .producer
            .collective_submitted(&gate::<D>(device), collective),
        Begun::Entered(device, ticket) => leave::<D>(device, ticket, result),
    }
}

#[inline(always)]
fn leave<D: Driver>(device: &Device, ticket: Ticket, result: CodeOf<D>) {
    let is_launched = result == D::SUCCESS;
    device
        .producer
        .leave(&gate::<D>(device), ticket, is_launched);
}

fn launched<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    result: CodeOf<D>,
) -> CodeOf<D> {
    submitted::<D, PER_THREAD>(stream);
    result
}

/// `queue` of `device` is about to wait for what another queue does.
pub fn follow_in<D: Driver>(device: &Device, queue: QueueId) {
    if device.producer.gated() {
        device.producer.follow(&gate::<D>(device), queue);
    }
}

/// Something that the device cannot end by itself is about to be put into `queue` of `device`.
pub fn stall_in<D: Driver>(device: &Device, queue: QueueId) {
    STALLS.store(true, Ordering::Relaxed);
    if device.producer.gated() {
        device.producer.stall(&gate::<D>(device), queue);
    }
}

/// `stream` is about to wait for what another stream does.
pub fn follow<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) {
    if let Some((device, queue)) = gated::<D, PER_THREAD>(stream) {
        device.producer.follow(&gate::<D>(device), queue);
    }
}

/// Something that the device cannot end by itself is about to be put into `stream`.
pub fn stall<D: Driver, const PER_THREAD: bool>(stream: StreamOf<D>) {
    STALLS.store(true, Ordering::Relaxed);
    if let Some((device, queue)) = gated::<D, PER_THREAD>(stream) {
        device.producer.stall(&gate::<D>(device), queue);
    }
}

/// As [`stall`], for a stream of a device that need not be the current one.
pub fn stall_anywhere<D: Driver>(stream: StreamOf<D>) {
    STALLS.store(true, Ordering::Relaxed);
    if capture::captures::<D, false>(stream) {
        return;
    }
    let Some(queue) = queue_of::<D, false>(stream) else {
        return;
    };
    for device in device::attached().filter(|device| device.producer.gated()) {
        device.producer.stall(&gate::<D>(device), queue);
    }
}

/// Whether anything in this process waits for others.
pub fn stalls() -> bool {
    // Relaxed: a thread that orders its work after another's has synchronised with it.
    STALLS.load(Ordering::Relaxed)
}

/// Makes a call that waits for the device; the scheduler is told before and after.
pub fn waiting<D: Driver>(call: impl FnOnce() -> CodeOf<D>) -> CodeOf<D> {
    about_to_wait::<D>();
    waited::<D>(call())
}

/// Tells the scheduler that this thread is about to wait.
pub fn about_to_wait<D: Driver>() {
    usage_rhythm::stirred();
    if capture::any() {
        // Waiting is illegal for what is captured, and for the rest a quiet segment is judged by time.
        return;
    }
    for device in device::attached().filter(|device| device.producer.gated()) {
        device.producer.sync(&gate::<D>(device));
    }
}

/// Tells the scheduler that this thread has waited.
pub fn waited<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    if !capture::any() {
        for device in device::attached().filter(|device| device.producer.gated()) {
            device.producer.waited(&gate::<D>(device));
        }
    }
    result
}

/// Tells the scheduler that this thread has waited for an event, behind which there may be more.
pub fn waited_for_event<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    if !capture::any() {
        for device in device::attached().filter(|device| device.producer.gated()) {
            device.producer.waited_for_event(&gate::<D>(device));
        }
    }
    result
}
