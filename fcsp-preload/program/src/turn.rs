//! Work on its way to the device: what is submitted in its turn, what is passed on beside, and what a
//! thread says before it waits.
//!
//! Handlers of launches, copies, fills and orders between streams end here; from here a call goes to
//! [`fcsp_core::sched::producer`]. Nothing is gated while its stream is captured.

use core::sync::atomic::{AtomicBool, Ordering};

use fcsp_core::backend::QueueId;
use fcsp_core::sched::class::Class;
use fcsp_core::sched::cost::CostKey;
use fcsp_core::sched::producer::{Collective, Joined, Ticket};

use crate::device::{self, Device};
use crate::driver::{CodeOf, Driver, StreamOf};
use crate::kernels::{self, Kind};
use crate::line::LINE;
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

/// True once something was put into a queue that the device cannot end by itself. Programs in which
/// nothing ever waits for others pay nothing for their orders between streams.
static STALLS: AtomicBool = AtomicBool::new(false);

/// The device and the queue behind `stream`, if what goes there now forms segments.
pub fn gated<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
) -> Option<(&'static Device, QueueId)> {
    gated_here::<D, PER_THREAD>(stream)
}

/// As [`gated`], compiled into the caller.
#[inline(always)]
fn gated_here<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
) -> Option<(&'static Device, QueueId)> {
    let device = match device::only::<D>() {
        Some(device) => device,
        None => one_of_several::<D>()?,
    };
    if !device.producer.gated() || capture::captures::<D, PER_THREAD>(stream) {
        return None;
    }
    Some((device, queue_of::<D, PER_THREAD>(stream)?))
}

/// Of several devices one is found only by asking the driver.
#[inline(never)]
fn one_of_several<D: Driver>() -> Option<&'static Device> {
    if device::all_pass() {
        None
    } else {
        device::current::<D>()
    }
}

/// Submits work to `stream` in its turn. The usual way is compiled into the caller, for launches of kernels.
#[inline(always)]
pub fn submit<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    work: Work<impl FnOnce() -> u64>,
    launch: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let begun = begin_usually::<D>(gated_here::<D, PER_THREAD>(stream), work);
    // One call, for a second one would keep the compiler from putting either in here.
    let result = launch();
    match begun {
        Ok(usual) => {
            submitted::<D, PER_THREAD>(stream);
            finish_usual::<D>(usual, result);
        }
        Err(Begun::Passes) => {}
        Err(begun) => finish_outlined::<D, PER_THREAD>(stream, begun, result),
    }
    result
}

/// Submits work to a queue of `device` in its turn, where the program names queues and not the calling thread's device.
#[inline]
pub fn submit_to<D: Driver>(
    device: &'static Device,
    queue: QueueId,
    work: Work<impl FnOnce() -> u64>,
    launch: impl FnOnce() -> CodeOf<D>,
) -> CodeOf<D> {
    let place = device.producer.gated().then_some((device, queue));
    let begun = begin_usually::<D>(place, work);
    let result = launch();
    match begun {
        Ok(usual) => finish_usual::<D>(usual, result),
        Err(begun) => finish::<D>(begun, result),
    }
    result
}

/// A usual submission that was begun.
struct Usual {
    device: &'static Device,
    queue: QueueId,
    joined: Joined,
}

/// Begins what is to be submitted at `place`, if it is gated; an error is one that is not the usual submission.
#[inline(always)]
fn begin_usually<D: Driver>(
    place: Option<(&'static Device, QueueId)>,
    work: Work<impl FnOnce() -> u64>,
) -> Result<Usual, Begun> {
    let Some((device, queue)) = place else {
        return Err(Begun::Passes);
    };
    if let Some(class) = known_class(work.of)
        && LINE.passed.load(Ordering::Relaxed) == 0
        && let Some(joined) = device.producer.join(queue, work.key, class)
    {
        return Ok(Usual {
            device,
            queue,
            joined,
        });
    }
    let guess_ns = (work.guess_ns)();
    Err(begin_otherwise::<D>(
        device, queue, work.key, guess_ns, work.of,
    ))
}

#[inline(always)]
fn finish_usual<D: Driver>(usual: Usual, result: CodeOf<D>) {
    let Usual {
        device,
        queue,
        joined,
    } = usual;
    if !device.producer.part(&joined) {
        leave::<D>(device, joined.ticket(queue), result);
    }
}

/// What the time of work counts as that waits for no other device, if that is known.
#[inline(always)]
fn known_class(of: Of) -> Option<Class> {
    match of {
        Of::Kernel(kernel) => kernels::known_class(kernel),
        Of::Class(class) => Some(class),
    }
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

#[cold]
#[inline(never)]
fn begin_otherwise<D: Driver>(
    device: &'static Device,
    queue: QueueId,
    key: CostKey,
    guess_ns: u64,
    of: Of,
) -> Begun {
    begin_in::<D>(device, queue, key, guess_ns, of)
}

#[inline]
fn begin_in<D: Driver>(
    device: &'static Device,
    queue: QueueId,
    key: CostKey,
    guess_ns: u64,
    of: Of,
) -> Begun {
    let gate = gate::<D>(device);
    let kind = match of {
        Of::Kernel(kernel) => kernels::kind::<D>(kernel),
        Of::Class(class) => Kind::Works(class),
    };
    let Kind::Works(class) = kind else {
        // Other devices wait for it: nothing holds it back, and no turn waits for it.
        STALLS.store(true, Ordering::Relaxed);
        return Begun::Beside(device, device.producer.collective(&gate, queue));
    };
    // Relaxed, and written only if it changes: a count that need not be exact.
    if LINE.passed.load(Ordering::Relaxed) != 0 {
        LINE.passed.store(0, Ordering::Relaxed);
    }
    let ticket = device.producer.enter(&gate, queue, key, class, guess_ns);
    Begun::Entered(device, ticket)
}

#[inline(never)]
fn begin_outlined<D: Driver, const PER_THREAD: bool>(
    stream: StreamOf<D>,
    key: CostKey,
    guess_ns: u64,
    of: Of,
) -> Begun {
    match gated_here::<D, PER_THREAD>(stream) {
        Some((device, queue)) => begin_in::<D>(device, queue, key, guess_ns, of),
        None => Begun::Passes,
    }
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

#[cold]
#[inline(never)]
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
    // Waiting is illegal for what is captured, and for the rest a quiet segment is judged by time.
    for_each_gated(|device| device.producer.sync(&gate::<D>(device)));
}

/// Tells the scheduler that this thread has waited.
pub fn waited<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    for_each_gated(|device| device.producer.waited(&gate::<D>(device)));
    result
}

/// Tells the scheduler that this thread has waited for an event, behind which there may be more.
pub fn waited_for_event<D: Driver>(result: CodeOf<D>) -> CodeOf<D> {
    for_each_gated(|device| device.producer.waited_for_event(&gate::<D>(device)));
    result
}

/// Tells the scheduler something on each device where it listens, unless something is being captured.
pub(crate) fn for_each_gated(tell: impl Fn(&Device)) {
    if capture::any() {
        return;
    }
    device::attached()
        .filter(|device| device.producer.gated())
        .for_each(tell);
}
