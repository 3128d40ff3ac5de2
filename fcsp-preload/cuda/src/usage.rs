//! What the process really uses: device memory outside allocations (contexts, modules, local
//! memory), as the management library counts it, charged to the tenant.
//!
//! A thread of its own asks, off every path of the program: initialising the management library
//! takes milliseconds. When it does is [`crate::usage_rhythm`]'s.

use core::sync::atomic::Ordering;

use cuda_sys::{nvmlDevice_t, nvmlProcessInfo_t, nvmlReturn_t};
use fcsp_preload::log;

use crate::device::Device;
use crate::hooks::nvml;
use crate::identity;
use crate::memory;
use crate::memory::pool::table;
use crate::usage_rhythm::{self, Rhythm};

/// What the first context on a device is expected to take, before one was measured: 518 MiB on an
/// H200 with driver 580.159.
const CONTEXT_BYTES_GUESS: u64 = 518 << 20;
/// What is charged beyond what was seen: what the driver may take for itself before the next look. While
/// processes raced at their quota on an H100 (driver 580.159, Nov 2026) they had up to 9.1 MiB each
/// of it: page tables of mappings, streams, first launches.
pub const GROWTH_BYTES: u64 = 12 << 20;
/// What a context of a client of MPS is expected to take. Most of a context is then the server's, once
/// for all clients, so it is certainly less; how much less was not measured, and until it is, a client
/// is charged as if it were none.
const CONTEXT_BYTES_MPS: u64 = CONTEXT_BYTES_GUESS;
/// Most processes asked about on one device.
const PROCESSES_MAX: usize = 512;

/// Tells the watchers that a context or code came or went.
pub fn changed(_device: &Device) {
    usage_rhythm::changed();
}

/// Keeps the charge of a newly attached device up to date, on a thread of its own. Comes back only if the
/// management library does not know the device.
pub fn follow(device: &'static Device) {
    // Not before there is a context, and some time after: the driver is busy making it, and then with what
    // the program wants first, and initialising the management library would be in the way of both.
    let mut rhythm = Rhythm::begin();
    rhythm.wait();
    if let Ok(total_bytes) = identity::total_bytes(device.ordinal) {
        device.attachment.region().note_total_bytes(total_bytes);
    }
    let Some(handle) = handle_of(&device.id) else {
        log::info!(
            "the management library does not know {}: contexts are charged as expected",
            device.id
        );
        return;
    };
    let mut last = None;
    loop {
        let found = reconcile(device, handle, last);
        rhythm.looked(found == last);
        last = found;
        rhythm.wait();
    }
}

/// Brings the charge for memory outside allocations up to date. Gives what was found if nothing happened
/// meanwhile, for the next look: the charge is lowered only as far as two looks agree, because an allocation
/// from a pool is not seen between its reservation and its call.
fn reconcile(device: &Device, handle: nvmlDevice_t, last: Option<u64>) -> Option<u64> {
    let ledger = device.ledger();
    let quiet_before = device.activity.quiet();
    let before = ledger.slot_bytes();
    let real_bytes = match bytes_of_this_process(handle) {
        Some(bytes) => bytes,
        // The library lists processes that have a context.
        None if !memory::contexts::any_on(device.ordinal) => 0,
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
        bytes => bytes + GROWTH_BYTES,
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
    if tracked == 0 && !is_mps_client(device) {
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
/// come to take. Without a measurement, or under MPS, where the driver shows the server's use and not the client's, a guess.
#[derive(Clone, Copy)]
enum Expected {
    Measured(u64),
    Guess(u64),
}

fn expected(device: &Device) -> Expected {
    let header = &device.attachment.region().layout().header;
    match header.context_bytes.load(Ordering::Relaxed) {
        _ if is_mps_client(device) => Expected::Guess(CONTEXT_BYTES_MPS + GROWTH_BYTES),
        0 => Expected::Guess(CONTEXT_BYTES_GUESS + GROWTH_BYTES),
        known => Expected::Measured(known + GROWTH_BYTES),
    }
}

fn is_mps_client(device: &Device) -> bool {
    device.attachment.slot().takes_turns.load(Ordering::Relaxed) == 0
}

/// Charges what a context is expected to take, before it is made. False if that is known and does not
/// fit into the quota.
pub fn reserve_context(device: &Device) -> bool {
    let expected = expected(device);
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
pub fn release_context(device: &Device) {
    let (Expected::Measured(bytes) | Expected::Guess(bytes)) = expected(device);
    let charged =
        device
            .overhead_bytes
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, |charged| {
                Some(charged.saturating_sub(bytes))
            });
    device.ledger().release(charged.unwrap_or(0).min(bytes));
}

fn bytes_of_this_process(handle: nvmlDevice_t) -> Option<u64> {
    let ask = nvml::nvmlDeviceGetComputeRunningProcesses_v3.get()?;
    // SAFETY: plain numbers, for which zero is a value.
    let mut processes: Vec<nvmlProcessInfo_t> = (0..PROCESSES_MAX)
        .map(|_| unsafe { core::mem::zeroed() })
        .collect();
    let mut count = PROCESSES_MAX as u32;
    // SAFETY: the library writes at most `count` entries and the count.
    let result = unsafe { ask(handle, &mut count, processes.as_mut_ptr()) };
    if result != nvmlReturn_t::NVML_SUCCESS {
        return None;
    }
    let me = std::process::id();
    let mine = processes
        .iter()
        .take(count as usize)
        .find(|process| process.pid == me)?;
    // All ones means "not available".
    Some(mine.usedGpuMemory).filter(|bytes| *bytes != u64::MAX)
}

fn handle_of(id: &str) -> Option<nvmlDevice_t> {
    let id = std::ffi::CString::new(id).ok()?;
    let mut handle = core::ptr::null_mut();
    // SAFETY: initialising twice is counted by the library; the string and the place are valid.
    let results = unsafe {
        [
            nvml::nvmlInit_v2.get()?(),
            nvml::nvmlDeviceGetHandleByUUID.get()?(id.as_ptr(), &mut handle),
        ]
    };
    results
        .iter()
        .all(|result| *result == nvmlReturn_t::NVML_SUCCESS)
        .then_some(handle)
}
