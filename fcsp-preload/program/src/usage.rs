//! What the process really uses: device memory outside allocations (contexts, modules, local
//! memory), as the management library counts it, charged to the tenant.
//!
//! A thread of its own asks, off every path of the program: initialising the management library
//! takes milliseconds. When it does is [`crate::usage_rhythm`]'s.

use core::sync::atomic::Ordering;

use fcsp_preload::log;

use crate::device::Device;
use crate::driver::Driver;
use crate::memory::pool::table;
use crate::usage_rhythm::{self, Rhythm};

/// Tells the watchers that a context or code came or went.
pub fn changed(_device: &Device) {
    usage_rhythm::changed();
}

/// Keeps the charge of a newly attached device up to date, on a thread of its own. Comes back only if the
/// management library does not know the device.
pub fn follow<D: Driver>(device: &'static Device) {
    // Not before there is a context, and some time after: the driver is busy making it, and then with what
    // the program wants first, and initialising the management library would be in the way of both.
    let mut rhythm = Rhythm::begin();
    rhythm.wait();
    if let Some(total_bytes) = D::total_bytes(device.ordinal) {
        device.attachment.region().note_total_bytes(total_bytes);
    }
    let Some(handle) = D::handle_of(&device.id) else {
        log::info!(
            "the management library does not know {}: contexts are charged as expected",
            device.id
        );
        return;
    };
    let mut last = None;
    loop {
        let found = reconcile::<D>(device, handle, last);
        rhythm.looked(found == last);
        last = found;
        rhythm.wait();
    }
}

/// Brings the charge for memory outside allocations up to date. Gives what was found if nothing happened
/// meanwhile, for the next look: the charge is lowered only as far as two looks agree, because an allocation
/// from a pool is not seen between its reservation and its call.
fn reconcile<D: Driver>(device: &Device, handle: D::Handle, last: Option<u64>) -> Option<u64> {
    let ledger = device.ledger();
    let quiet_before = device.activity.quiet();
    let before = ledger.slot_bytes();
    let real_bytes = match D::process_bytes(handle) {
        Some(bytes) => bytes,
        // The library lists processes that have a context.
        None if !D::has_context(device.ordinal) => 0,
        None => return None,
    };
    let leaving_bytes = device.leaving_bytes.load(Ordering::Acquire);
    let charged_bytes = device.overhead_bytes.load(Ordering::Acquire) + leaving_bytes;
    let after = ledger.slot_bytes();
    // An allocation on its way is in the ledger before it is on the device.
    let tracked = before.max(after).saturating_sub(charged_bytes);
    let difference = real_bytes.saturating_sub(tracked);
    // While other threads allocate and free, the difference is too small by what came and went during
    // the look, or is on its way. Then it may raise the charge, not lower it.
    let quiet = quiet_before.is_some() && quiet_before == device.activity.quiet();
    let quiet = before == after && quiet && !table::any_busy(device);
    let floor_bytes = if quiet {
        last.unwrap_or(charged_bytes).min(charged_bytes)
    } else {
        charged_bytes
    };
    let expected_bytes = match difference {
        0 => 0,
        bytes => bytes + D::GROWTH_BYTES,
    };
    let mut wanted_bytes = expected_bytes.max(floor_bytes);
    if wanted_bytes < charged_bytes && !has_left(device, leaving_bytes) {
        wanted_bytes = charged_bytes;
    }
    // Two's complement, and not a store: a context may be charged at this instant.
    let correction = wanted_bytes.wrapping_sub(charged_bytes);
    device
        .overhead_bytes
        .fetch_add(correction, Ordering::AcqRel);
    ledger.adjust(correction as i64);
    if tracked == 0 && D::shows_process(device) {
        // Nothing but contexts and code: what the next process will need, too.
        let known = &device.attachment.region().layout().header.context_bytes;
        known.fetch_max(difference, Ordering::Relaxed);
    }
    quiet.then_some(expected_bytes)
}

/// What was leaving the device is counted with what is left there from now on. False if that has changed.
fn has_left(device: &Device, leaving_bytes: u64) -> bool {
    let moved = device.leaving_bytes.compare_exchange(
        leaving_bytes,
        0,
        Ordering::AcqRel,
        Ordering::Relaxed,
    );
    if moved.is_ok() {
        device
            .overhead_bytes
            .fetch_add(leaving_bytes, Ordering::AcqRel);
    }
    moved.is_ok()
}

/// What a context is expected to take: the most that any took on this device so far, and what the driver may
/// come to take. Without a measurement, or where the management library does not show what this process uses, a guess.
#[derive(Clone, Copy)]
enum Expected {
    Measured(u64),
    Guess(u64),
}

fn expected<D: Driver>(device: &Device) -> Expected {
    let header = &device.attachment.region().layout().header;
    match header.context_bytes.load(Ordering::Relaxed) {
        _ if !D::shows_process(device) => Expected::Guess(D::CONTEXT_BYTES_GUESS + D::GROWTH_BYTES),
        0 => Expected::Guess(D::CONTEXT_BYTES_GUESS + D::GROWTH_BYTES),
        known => Expected::Measured(known + D::GROWTH_BYTES),
    }
}

/// Charges what a context is expected to take, before it is made. False if that is known and does not
/// fit into the quota.
pub fn reserve_context<D: Driver>(device: &Device) -> bool {
    let expected = expected::<D>(device);
    let (Expected::Measured(bytes) | Expected::Guess(bytes)) = expected;
    if device.attachment.reserve(bytes).is_err() {
        if matches!(expected, Expected::Measured(_)) {
            log::error!(
                "a context on {} takes {bytes} bytes, more than the quota has left; raise the memory quota",
                device.id
            );
            return false;
        }
        // Only a guess: charge it, and let the measurement correct it.
        device.ledger().adjust(bytes as i64);
    }
    device.overhead_bytes.fetch_add(bytes, Ordering::AcqRel);
    true
}

/// Gives back what [`reserve_context`] charged: the driver did not make the context, or it is gone.
pub fn release_context<D: Driver>(device: &Device) {
    let (Expected::Measured(bytes) | Expected::Guess(bytes)) = expected::<D>(device);
    let charged =
        device
            .overhead_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |charged| {
                Some(charged.saturating_sub(bytes))
            });
    device.ledger().release(charged.unwrap_or(0).min(bytes));
}
