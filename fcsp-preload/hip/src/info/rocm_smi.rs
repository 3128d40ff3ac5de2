//! Handlers of ROCm SMI: the tenant's quota is the whole device, its processes are the only ones, and utilization is its
//! own use of what it may have now. Names, counts, topology and health stay true.

use fcsp_program::info::lists::whole;
use fcsp_program::info::utilization::{Own, own};
use rocm_smi_sys::{fn_types, rsmi_memory_type_t, rsmi_process_info_t, rsmi_status_t};

use crate::driver::Hip;
use crate::hooks::rsmi;
use crate::info::view::of_index;

const SUCCESS: rsmi_status_t = rsmi_status_t::RSMI_STATUS_SUCCESS;

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
    if result == SUCCESS
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
    if result == SUCCESS
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
    if result == SUCCESS
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
    if result == SUCCESS
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
    if result != SUCCESS {
        return None;
    }
    let mut all: Option<Vec<u32>> = None;
    for pids in (0..count).filter_map(|index| of_index(index)?.own_pids()) {
        all.get_or_insert_default().extend(pids);
    }
    all
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
    let no_room = rsmi_status_t::RSMI_STATUS_INSUFFICIENT_SIZE;
    let all = whole(SUCCESS, no_room, |place, count| {
        // SAFETY: the room is there, as told.
        unsafe { real(place, count) }
    });
    match all {
        // SAFETY: the program's own arguments.
        Ok(entries) => unsafe { hand_out(entries, &pids, list, count) },
        Err(error) => error,
    }
}

/// Hands the entries of `pids` to the program, as far as it has room.
///
/// # Safety
///
/// `list` is null or has room for `count`.
unsafe fn hand_out(
    mut entries: Vec<rsmi_process_info_t>,
    pids: &[u32],
    list: *mut rsmi_process_info_t,
    count: &mut u32,
) -> rsmi_status_t {
    entries.retain(|entry| pids.contains(&entry.process_id));
    let room = *count as usize;
    *count = entries.len() as u32;
    if list.is_null() {
        return SUCCESS;
    }
    let handed = room.min(entries.len());
    // SAFETY: the list has that room, by the caller's contract; ours is elsewhere.
    unsafe { core::ptr::copy_nonoverlapping(entries.as_ptr(), list, handed) };
    if handed < entries.len() {
        return rsmi_status_t::RSMI_STATUS_INSUFFICIENT_SIZE;
    }
    SUCCESS
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

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32) -> rsmi_process_info_t {
        rsmi_process_info_t {
            process_id: pid,
            ..Default::default()
        }
    }

    #[test]
    fn the_program_is_told_how_many_there_are_and_gets_what_it_has_room_for() {
        let all = || vec![entry(1), entry(2), entry(3)];
        let mut list = [rsmi_process_info_t::default(); 1];
        let mut count = 1;
        // SAFETY: there is room for one.
        let result = unsafe { hand_out(all(), &[2, 3], list.as_mut_ptr(), &mut count) };
        assert_eq!(result, rsmi_status_t::RSMI_STATUS_INSUFFICIENT_SIZE);
        assert_eq!((count, list[0].process_id), (2, 2));
        let mut count = 0;
        // SAFETY: null is no list.
        let result = unsafe { hand_out(all(), &[1], core::ptr::null_mut(), &mut count) };
        assert_eq!((result, count), (SUCCESS, 1));
    }
}
