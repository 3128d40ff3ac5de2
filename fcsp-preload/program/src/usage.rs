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

/// Looks at the driver's figure while other threads are at work, at most.
const LOOKS: u32 = 4;

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

/// What one look at the driver's figure found.
#[derive(Clone, Copy, Debug)]
struct Look {
    /// What the process uses beyond what is tracked.
    outside_bytes: u64,
    /// What it is charged for that.
    charged_bytes: u64,
    /// The part of it that was freed and may have left.
    leaving_bytes: u64,
    /// Whether nothing at all is tracked.
    bare: bool,
    /// Whether nothing came or went meanwhile, or is on its way.
    quiet: bool,
}

/// Asks what the process uses. `None` if the management library does not say.
fn look<D: Driver>(device: &Device, handle: D::Handle) -> Option<Look> {
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
    let quiet = quiet_before.is_some() && quiet_before == device.activity.quiet();
    Some(Look {
        outside_bytes: real_bytes.saturating_sub(tracked),
        charged_bytes,
        leaving_bytes,
        bare: tracked == 0,
        quiet: before == after && quiet && !table::any_busy(device),
    })
}

/// The best of some looks: the first during which nothing happened. While other threads allocate and free, a look finds too
/// little by what is on its way, and too much by what was there for the driver's figure only; then the one that found least.
fn best_look(mut look: impl FnMut() -> Option<Look>) -> Option<Look> {
    let mut best = look()?;
    for _ in 1..LOOKS {
        if best.quiet {
            break;
        }
        let next = look()?;
        if next.quiet || next.outside_bytes <= best.outside_bytes {
            best = next;
        }
    }
    Some(best)
}

/// Brings the charge for memory outside allocations up to date. Gives what was found if nothing happened
/// meanwhile, for the next look: the charge is lowered only as far as two looks agree, because an allocation
/// from a pool is not seen between its reservation and its call.
fn reconcile<D: Driver>(device: &Device, handle: D::Handle, last: Option<u64>) -> Option<u64> {
    let seen = best_look(|| look::<D>(device, handle))?;
    let charged_bytes = seen.charged_bytes;
    let floor_bytes = if seen.quiet {
        last.unwrap_or(charged_bytes).min(charged_bytes)
    } else {
        charged_bytes
    };
    let expected_bytes = match seen.outside_bytes {
        0 => 0,
        bytes => bytes + D::GROWTH_BYTES,
    };
    let mut wanted_bytes = expected_bytes.max(floor_bytes);
    if wanted_bytes < charged_bytes && !has_left(device, seen.leaving_bytes) {
        wanted_bytes = charged_bytes;
    }
    charge_outside(device, &seen, wanted_bytes);
    if seen.bare && D::shows_process(device) {
        // Nothing but contexts and code: what the next process will need, too.
        let known = &device.attachment.region().layout().header.context_bytes;
        known.fetch_max(seen.outside_bytes, Ordering::Relaxed);
    }
    seen.quiet.then_some(expected_bytes)
}

/// Charges `wanted_bytes` in place of what is charged. Only what is certainly in use is charged beyond the quota: not what
/// the driver may come to take, nor what a look found while other threads were at work.
fn charge_outside(device: &Device, seen: &Look, wanted_bytes: u64) {
    let ledger = device.ledger();
    let charged_bytes = seen.charged_bytes;
    let correction = if wanted_bytes <= charged_bytes {
        let correction = wanted_bytes.wrapping_sub(charged_bytes);
        ledger.adjust(correction as i64);
        correction
    } else {
        let more_bytes = wanted_bytes - charged_bytes;
        let certain_bytes = if seen.quiet {
            seen.outside_bytes.saturating_sub(charged_bytes)
        } else {
            0
        };
        ledger.adjust(certain_bytes as i64);
        certain_bytes + ledger.reserve_up_to(more_bytes - certain_bytes)
    };
    // Two's complement, and not a store: a context may be charged at this instant.
    device
        .overhead_bytes
        .fetch_add(correction, Ordering::AcqRel);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(outside_bytes: u64, quiet: bool) -> Look {
        Look {
            outside_bytes,
            charged_bytes: 0,
            leaving_bytes: 0,
            bare: false,
            quiet,
        }
    }

    /// The looks that are taken of those that would be found, and the best of them.
    fn best(found: &[Look]) -> (usize, u64) {
        let mut taken = 0;
        let best = best_look(|| {
            taken += 1;
            Some(found[taken - 1])
        });
        (taken, best.expect("all say something").outside_bytes)
    }

    #[test]
    fn a_quiet_look_is_enough() {
        assert_eq!(best(&[seen(5, true)]), (1, 5));
        assert_eq!(best(&[seen(3, false), seen(9, true)]), (2, 9));
    }

    #[test]
    fn what_came_and_went_during_a_look_is_not_taken_for_the_drivers() {
        let busy = [900, 7, 400, 800].map(|bytes| seen(bytes, false));
        assert_eq!(best(&busy), (4, 7));
    }

    #[test]
    fn a_library_that_does_not_say_is_believed() {
        assert!(best_look(|| None).is_none());
    }
}
