//! Handlers of AMD SMI's lists of processes: the tenant's are the only ones.
//!
//! Lists are asked for whole, filtered, and handed out as the library would. `amdsmi_process_info_t` has 32 bytes and begins
//! with the process id in every version. The other structures are those of known versions ([`super::amd_version`]); in others
//! the lists are the library's.

use core::ffi::c_void;

use fcsp_program::info::lists;
use rocm_smi_sys::{
    amdsmi_proc_info_by_pid_t, amdsmi_proc_info_t, amdsmi_process_info_t, amdsmi_processor_handle,
    amdsmi_socket_handle, amdsmi_status_t, fn_types,
};

use crate::hooks::amdsmi;
use crate::info::amd_version::is_known;
use crate::info::view::of_handle;

const SUCCESS: amdsmi_status_t = amdsmi_status_t::AMDSMI_STATUS_SUCCESS;
/// How the library says that there are more.
const NO_ROOM: amdsmi_status_t = amdsmi_status_t::AMDSMI_STATUS_OUT_OF_RESOURCES;
/// The same, of functions that are its predecessor's.
const INSUFFICIENT: amdsmi_status_t = amdsmi_status_t::AMDSMI_STATUS_INSUFFICIENT_SIZE;
/// More sockets or processors than a machine has.
const HANDLES_MAX: u32 = 1024;

/// An entry of a list of processes. All zero is a value of it.
trait Entry: Copy + Default {
    /// Whose entry it is.
    fn pid(&self) -> u32;
}

impl Entry for amdsmi_proc_info_t {
    fn pid(&self) -> u32 {
        self.pid
    }
}

impl Entry for amdsmi_proc_info_by_pid_t {
    fn pid(&self) -> u32 {
        self.pid
    }
}

impl Entry for amdsmi_process_info_t {
    fn pid(&self) -> u32 {
        self.process_id
    }
}

// In amdsmi.h 26.1 and 27.1 alike; of the last one in all versions.
const _: () = {
    assert!(size_of::<amdsmi_proc_info_t>() == 704);
    assert!(core::mem::offset_of!(amdsmi_proc_info_t, pid) == 256);
    assert!(size_of::<amdsmi_process_info_t>() == 32);
    assert!(core::mem::offset_of!(amdsmi_process_info_t, process_id) == 0);
};

/// Hands the entries of `pids` to the program, as far as it has room.
///
/// # Safety
///
/// `list` is null or has room for `count`.
unsafe fn hand_out<T: Entry>(
    mut entries: Vec<T>,
    pids: &[u32],
    list: *mut T,
    count: &mut u32,
    no_room: amdsmi_status_t,
) -> amdsmi_status_t {
    entries.retain(|entry| pids.contains(&entry.pid()));
    let room = *count as usize;
    *count = entries.len() as u32;
    if list.is_null() {
        return SUCCESS;
    }
    let handed = room.min(entries.len());
    // SAFETY: the list has that room, by the caller's contract; ours is elsewhere.
    unsafe { core::ptr::copy_nonoverlapping(entries.as_ptr(), list, handed) };
    if handed < entries.len() {
        return no_room;
    }
    SUCCESS
}

/// # Safety
///
/// As `amdsmi_get_gpu_process_list`: with a count of nothing it says how many there are.
pub unsafe fn list(
    real: fn_types::amdsmi_get_gpu_process_list,
    handle: amdsmi_processor_handle,
    count: *mut u32,
    place: *mut amdsmi_proc_info_t,
) -> amdsmi_status_t {
    let pids = is_known().then(|| of_handle(handle)?.own_pids()).flatten();
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(count)) = (pids, unsafe { count.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(handle, count, place) };
    };
    let all = lists::whole(SUCCESS, NO_ROOM, |place, count| {
        // SAFETY: the room is there, as told.
        unsafe { real(handle, count, place) }
    });
    let place = if *count == 0 {
        core::ptr::null_mut()
    } else {
        place
    };
    match all {
        // SAFETY: the program's own arguments.
        Ok(entries) => unsafe { hand_out(entries, &pids, place, count, NO_ROOM) },
        Err(error) => error,
    }
}

/// # Safety
///
/// As `amdsmi_get_gpu_process_list_by_pid`: with no list it says how many there are.
pub unsafe fn list_by_pid(
    real: fn_types::amdsmi_get_gpu_process_list_by_pid,
    handles: *mut amdsmi_processor_handle,
    handle_count: u32,
    place: *mut amdsmi_proc_info_by_pid_t,
    count: *mut u32,
) -> amdsmi_status_t {
    let named = is_known() && !handles.is_null();
    // SAFETY: the program's own list of so many.
    let named = (0..handle_count as usize)
        .filter(|_| named)
        .map(|at| unsafe { *handles.add(at) });
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(count)) = (pids_on(named), unsafe { count.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(handles, handle_count, place, count) };
    };
    let all = lists::whole(SUCCESS, NO_ROOM, |place, count| {
        // SAFETY: the program's handles; the room is there, as told.
        unsafe { real(handles, handle_count, place, count) }
    });
    match all {
        // SAFETY: the program's own arguments.
        Ok(entries) => unsafe { hand_out(entries, &pids, place, count, NO_ROOM) },
        Err(error) => error,
    }
}

/// # Safety
///
/// As `amdsmi_get_gpu_compute_process_info`: with no list it says how many there are, with too little room it fills that.
pub unsafe fn compute(
    real: fn_types::amdsmi_get_gpu_compute_process_info,
    place: *mut amdsmi_process_info_t,
    count: *mut u32,
) -> amdsmi_status_t {
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(count)) = (own_pids(), unsafe { count.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(place, count) };
    };
    let all = lists::whole(SUCCESS, INSUFFICIENT, |place, count| {
        // SAFETY: the room is there, as told.
        unsafe { real(place, count) }
    });
    match all {
        // SAFETY: the program's own arguments.
        Ok(entries) => unsafe { hand_out(entries, &pids, place, count, INSUFFICIENT) },
        Err(error) => error,
    }
}

/// # Safety
///
/// As `amdsmi_get_gpu_compute_process_info_by_pid`. A process of another tenant is not there.
pub unsafe fn compute_of(
    real: fn_types::amdsmi_get_gpu_compute_process_info_by_pid,
    pid: u32,
    place: *mut amdsmi_process_info_t,
) -> amdsmi_status_t {
    if own_pids().is_some_and(|pids| !pids.contains(&pid)) {
        return amdsmi_status_t::AMDSMI_STATUS_NOT_FOUND;
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(pid, place) }
}

/// Process ids of the tenant on some devices; `None` where nobody shares any of them.
fn pids_on(devices: impl Iterator<Item = amdsmi_processor_handle>) -> Option<Vec<u32>> {
    let mut all: Option<Vec<u32>> = None;
    for pids in devices.filter_map(|device| of_handle(device)?.own_pids()) {
        all.get_or_insert_default().extend(pids);
    }
    all
}

/// Process ids of the tenant on all devices; `None` where nobody shares any of them.
fn own_pids() -> Option<Vec<u32>> {
    let sockets: Vec<amdsmi_socket_handle> = handles(|count, place| {
        // SAFETY: the room is there, as told.
        Some(unsafe { amdsmi::amdsmi_get_socket_handles.get()?(count, place) })
    })?;
    let processors = sockets.into_iter().filter_map(|socket| {
        handles(|count, place| {
            // SAFETY: the library's own handle; the room is there, as told.
            Some(unsafe { amdsmi::amdsmi_get_processor_handles.get()?(socket, count, place) })
        })
    });
    pids_on(processors.flatten())
}

/// Handles that `ask` tells the number of first.
fn handles(
    ask: impl Fn(*mut u32, *mut *mut c_void) -> Option<amdsmi_status_t>,
) -> Option<Vec<*mut c_void>> {
    let mut count = 0;
    let told = ask(&mut count, core::ptr::null_mut())?;
    if told != SUCCESS || count > HANDLES_MAX {
        return None;
    }
    let mut handles = vec![core::ptr::null_mut(); count as usize];
    if count > 0 && ask(&mut count, handles.as_mut_ptr())? != SUCCESS {
        return None;
    }
    handles.truncate(count as usize);
    Some(handles)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32) -> amdsmi_process_info_t {
        amdsmi_process_info_t {
            process_id: pid,
            ..Default::default()
        }
    }

    #[test]
    fn strangers_are_left_out_and_the_program_gets_what_it_has_room_for() {
        let all = || vec![entry(1), entry(2), entry(3)];
        let mut list = [amdsmi_process_info_t::default(); 1];
        let mut count = 1;
        // SAFETY: there is room for one.
        let result = unsafe { hand_out(all(), &[2, 3], list.as_mut_ptr(), &mut count, NO_ROOM) };
        assert_eq!((result, count, list[0].process_id), (NO_ROOM, 2, 2));
        let mut count = 0;
        // SAFETY: null is no list.
        let result = unsafe { hand_out(all(), &[1], core::ptr::null_mut(), &mut count, NO_ROOM) };
        assert_eq!((result, count), (SUCCESS, 1));
    }
}
