//! Handlers of ROCm SMI: the tenant's quota is the whole device, its processes are the only ones, and utilization is its
//! own use of what it may have now. Names, counts, topology and health stay true.

use fcsp_program::info::utilization::{Own, own};
use rocm_smi_sys::{fn_types, rsmi_memory_type_t, rsmi_process_info_t, rsmi_status_t};

use crate::driver::Hip;
use crate::hooks::rsmi;
use crate::info::view::of_index;

/// Entries asked for at first, and at most; processes may come between two calls.
const ENTRIES: u32 = 256;
const ENTRIES_MAX: u32 = 1 << 16;

fn own_of(index: u32) -> Option<Own> {
    own(u64::from(index), || of_index(index)?.usage())
}

/// Device memory of the tenant: what it may have, and what is used of that.
fn quota_and_used(index: u32, kind: rsmi_memory_type_t) -> Option<(u64, u64)> {
    let (quota, free) = of_index(index)
        .filter(|_| kind == rsmi_memory_type_t::RSMI_MEM_TYPE_VRAM)?
        .quota_and_free::<Hip>()?;
    Some((quota, quota - free))
}

/// # Safety
///
/// As `rsmi_dev_memory_total_get`.
pub unsafe fn total(
    real: fn_types::rsmi_dev_memory_total_get,
    index: u32,
    kind: rsmi_memory_type_t,
    place: *mut u64,
) -> rsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(index, kind, place) };
    if result == rsmi_status_t::RSMI_STATUS_SUCCESS
        && let Some((quota, _)) = quota_and_used(index, kind)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = (*place).min(quota) };
    }
    result
}

/// # Safety
///
/// As `rsmi_dev_memory_usage_get`.
pub unsafe fn used(
    real: fn_types::rsmi_dev_memory_usage_get,
    index: u32,
    kind: rsmi_memory_type_t,
    place: *mut u64,
) -> rsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(index, kind, place) };
    if result == rsmi_status_t::RSMI_STATUS_SUCCESS
        && let Some((_, used)) = quota_and_used(index, kind)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = used };
    }
    result
}

/// # Safety
///
/// As `rsmi_dev_busy_percent_get`.
pub unsafe fn busy(
    real: fn_types::rsmi_dev_busy_percent_get,
    index: u32,
    place: *mut u32,
) -> rsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(index, place) };
    if result == rsmi_status_t::RSMI_STATUS_SUCCESS
        && let Some(own) = own_of(index)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = own.gpu };
    }
    result
}

/// # Safety
///
/// As `rsmi_dev_memory_busy_percent_get`.
pub unsafe fn memory_busy(
    real: fn_types::rsmi_dev_memory_busy_percent_get,
    index: u32,
    place: *mut u32,
) -> rsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(index, place) };
    if result == rsmi_status_t::RSMI_STATUS_SUCCESS
        && let Some(own) = own_of(index)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = own.part_of(*place) };
    }
    result
}

/// Process ids of the tenant on all devices; `None` where nobody shares any of them.
fn own_pids() -> Option<Vec<u32>> {
    let mut count = 0;
    // SAFETY: the library writes a number there, or fails.
    let result = unsafe { rsmi::rsmi_num_monitor_devices.get()?(&mut count) };
    if result != rsmi_status_t::RSMI_STATUS_SUCCESS {
        return None;
    }
    let mut all: Option<Vec<u32>> = None;
    for pids in (0..count).filter_map(|index| of_index(index)?.own_pids()) {
        all.get_or_insert_default().extend(pids);
    }
    all
}

/// All entries that the library has.
fn whole(
    real: fn_types::rsmi_compute_process_info_get,
) -> Result<Vec<rsmi_process_info_t>, rsmi_status_t> {
    let mut room = ENTRIES;
    loop {
        let mut entries = vec![rsmi_process_info_t::default(); room as usize];
        let mut count = room;
        // SAFETY: the room is there, as told.
        match unsafe { real(entries.as_mut_ptr(), &mut count) } {
            rsmi_status_t::RSMI_STATUS_SUCCESS => {
                entries.truncate(count as usize);
                return Ok(entries);
            }
            rsmi_status_t::RSMI_STATUS_INSUFFICIENT_SIZE if room < ENTRIES_MAX => {
                room = room.saturating_mul(2);
            }
            other => return Err(other),
        }
    }
}

/// # Safety
///
/// As `rsmi_compute_process_info_get`: with no list it says how many there are, with too little room it fills that.
pub unsafe fn processes(
    real: fn_types::rsmi_compute_process_info_get,
    list: *mut rsmi_process_info_t,
    count: *mut u32,
) -> rsmi_status_t {
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(count)) = (own_pids(), unsafe { count.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(list, count) };
    };
    let mut entries = match whole(real) {
        Ok(entries) => entries,
        Err(error) => return error,
    };
    entries.retain(|entry| pids.contains(&entry.process_id));
    let room = *count as usize;
    *count = entries.len() as u32;
    if list.is_null() {
        return rsmi_status_t::RSMI_STATUS_SUCCESS;
    }
    let handed = room.min(entries.len());
    // SAFETY: the program's own list has that room; ours is elsewhere.
    unsafe { core::ptr::copy_nonoverlapping(entries.as_ptr(), list, handed) };
    if handed < entries.len() {
        return rsmi_status_t::RSMI_STATUS_INSUFFICIENT_SIZE;
    }
    rsmi_status_t::RSMI_STATUS_SUCCESS
}

/// # Safety
///
/// As `rsmi_compute_process_info_by_pid_get`. A process of another tenant is not there.
pub unsafe fn process(
    real: fn_types::rsmi_compute_process_info_by_pid_get,
    pid: u32,
    place: *mut rsmi_process_info_t,
) -> rsmi_status_t {
    if own_pids().is_some_and(|pids| !pids.contains(&pid)) {
        return rsmi_status_t::RSMI_STATUS_NOT_FOUND;
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(pid, place) }
}

/// # Safety
///
/// As `rsmi_compute_process_info_by_device_get`. A process of another tenant is not there.
pub unsafe fn process_on(
    real: fn_types::rsmi_compute_process_info_by_device_get,
    pid: u32,
    index: u32,
    place: *mut rsmi_process_info_t,
) -> rsmi_status_t {
    let pids = of_index(index).and_then(|view| view.own_pids());
    if pids.is_some_and(|pids| !pids.contains(&pid)) {
        return rsmi_status_t::RSMI_STATUS_NOT_FOUND;
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(pid, index, place) }
}
