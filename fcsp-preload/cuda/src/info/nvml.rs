//! Handlers of the management library: the tenant's quota is the whole device, and its processes are
//! the only ones. Names, counts, topology and health stay true.
//!
//! Lists are asked for whole, filtered, and handed out as the library would: with too little room the
//! program is told how much it needs.

use core::ffi::{c_uint, c_ulonglong};

use cuda_sys::{
    fn_types, nvmlDevice_t, nvmlMemory_t, nvmlMemory_v2_t, nvmlProcessDetail_v1_t,
    nvmlProcessDetailList_t, nvmlProcessInfo_v1_t, nvmlProcessInfo_v2_t,
    nvmlProcessUtilizationInfo_v1_t, nvmlProcessUtilizationSample_t,
    nvmlProcessesUtilizationInfo_t, nvmlReturn_t,
};
use fcsp_program::info::lists;

use crate::driver::Cuda;
use crate::info::view::view_of;

/// # Safety
///
/// As `nvmlDeviceGetMemoryInfo`.
pub unsafe fn memory(
    real: fn_types::nvmlDeviceGetMemoryInfo,
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_t,
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, memory) };
    if result == nvmlReturn_t::NVML_SUCCESS
        && let Some((quota, left)) = view_of(device).and_then(|view| view.quota_and_free::<Cuda>())
    {
        // SAFETY: the library accepted and filled the structure.
        let memory = unsafe { &mut *memory };
        memory.total = quota;
        memory.free = left;
        memory.used = quota - left;
    }
    result
}

/// # Safety
///
/// As `nvmlDeviceGetMemoryInfo_v2`.
pub unsafe fn memory_v2(
    real: fn_types::nvmlDeviceGetMemoryInfo_v2,
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, memory) };
    if result == nvmlReturn_t::NVML_SUCCESS
        && let Some((quota, left)) = view_of(device).and_then(|view| view.quota_and_free::<Cuda>())
    {
        // SAFETY: the library accepted and filled the structure.
        let memory = unsafe { &mut *memory };
        memory.total = quota;
        memory.free = left;
        memory.used = quota - left;
        memory.reserved = 0;
    }
    result
}

/// An entry of a list of processes. All zero is a value of it.
pub trait Entry: Copy + Default {
    /// Whose entry it is.
    fn pid(&self) -> u32;
}

macro_rules! entries {
    ($($name:ty),*) => {
        $(impl Entry for $name {
            fn pid(&self) -> u32 {
                self.pid
            }
        })*
    };
}

entries!(
    nvmlProcessInfo_v1_t,
    // The third version has the same.
    nvmlProcessInfo_v2_t,
    nvmlProcessUtilizationSample_t,
    nvmlProcessUtilizationInfo_v1_t,
    nvmlProcessDetail_v1_t
);

/// All entries that `ask` has.
fn whole<T: Entry>(
    ask: impl FnMut(*mut T, &mut c_uint) -> nvmlReturn_t,
) -> Result<Vec<T>, nvmlReturn_t> {
    let no_room = nvmlReturn_t::NVML_ERROR_INSUFFICIENT_SIZE;
    lists::whole(nvmlReturn_t::NVML_SUCCESS, no_room, ask)
}

/// Hands the entries of `pids` to the program, which has room for `count` of them at `place`.
///
/// # Safety
///
/// `count` is valid, and `place` is null or has that room.
unsafe fn hand_out<T: Entry>(
    mut entries: Vec<T>,
    pids: &[u32],
    place: *mut T,
    count: &mut c_uint,
) -> nvmlReturn_t {
    entries.retain(|entry| pids.contains(&entry.pid()));
    let room = *count as usize;
    *count = entries.len() as c_uint;
    if entries.is_empty() {
        return nvmlReturn_t::NVML_SUCCESS;
    }
    if place.is_null() || room < entries.len() {
        return nvmlReturn_t::NVML_ERROR_INSUFFICIENT_SIZE;
    }
    // SAFETY: there is room, by the caller's contract; our own list is elsewhere.
    unsafe { core::ptr::copy_nonoverlapping(entries.as_ptr(), place, entries.len()) };
    nvmlReturn_t::NVML_SUCCESS
}

/// The type of `nvmlDeviceGetComputeRunningProcesses`, its like, and their versions.
type List<T> = unsafe extern "C" fn(nvmlDevice_t, *mut c_uint, *mut T) -> nvmlReturn_t;

/// # Safety
///
/// As `nvmlDeviceGetComputeRunningProcesses`, its like for graphics and MPS, and their versions.
pub unsafe fn processes<T: Entry>(
    real: List<T>,
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut T,
) -> nvmlReturn_t {
    let pids = view_of(device).and_then(|view| view.own_pids());
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(count)) = (pids, unsafe { count.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(device, count, infos) };
    };
    // SAFETY: the room is there, as told.
    match whole(|place, count| unsafe { real(device, count, place) }) {
        // SAFETY: the program's own arguments.
        Ok(entries) => unsafe { hand_out(entries, &pids, infos, count) },
        Err(error) => error,
    }
}

/// # Safety
///
/// As `nvmlDeviceGetProcessUtilization`.
pub unsafe fn utilization(
    real: fn_types::nvmlDeviceGetProcessUtilization,
    device: nvmlDevice_t,
    samples: *mut nvmlProcessUtilizationSample_t,
    count: *mut c_uint,
    since_us: c_ulonglong,
) -> nvmlReturn_t {
    let pids = view_of(device).and_then(|view| view.own_pids());
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(count)) = (pids, unsafe { count.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(device, samples, count, since_us) };
    };
    // SAFETY: the room is there, as told.
    match whole(|place, count| unsafe { real(device, place, count, since_us) }) {
        // SAFETY: the program's own arguments.
        Ok(entries) => match unsafe { hand_out(entries, &pids, samples, count) } {
            // What the library says when there is no sample.
            nvmlReturn_t::NVML_SUCCESS if *count == 0 => nvmlReturn_t::NVML_ERROR_NOT_FOUND,
            other => other,
        },
        Err(error) => error,
    }
}

/// # Safety
///
/// As `nvmlDeviceGetProcessesUtilizationInfo`.
pub unsafe fn utilization_info(
    real: fn_types::nvmlDeviceGetProcessesUtilizationInfo,
    device: nvmlDevice_t,
    info: *mut nvmlProcessesUtilizationInfo_t,
) -> nvmlReturn_t {
    let pids = view_of(device).and_then(|view| view.own_pids());
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(info)) = (pids, unsafe { info.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(device, info) };
    };
    let mut asked = *info;
    let all = whole(|place, count| {
        asked.procUtilArray = place;
        asked.processSamplesCount = *count;
        // SAFETY: the program's structure, with our own room in it.
        let result = unsafe { real(device, &mut asked) };
        *count = asked.processSamplesCount;
        result
    });
    match all {
        // SAFETY: the program's own arguments.
        Ok(entries) => match unsafe {
            hand_out(
                entries,
                &pids,
                info.procUtilArray,
                &mut info.processSamplesCount,
            )
        } {
            // What the library says when there is no sample.
            nvmlReturn_t::NVML_SUCCESS if info.processSamplesCount == 0 => {
                nvmlReturn_t::NVML_ERROR_NOT_FOUND
            }
            other => other,
        },
        Err(error) => error,
    }
}

/// # Safety
///
/// As `nvmlDeviceGetRunningProcessDetailList`.
pub unsafe fn details(
    real: fn_types::nvmlDeviceGetRunningProcessDetailList,
    device: nvmlDevice_t,
    list: *mut nvmlProcessDetailList_t,
) -> nvmlReturn_t {
    let pids = view_of(device).and_then(|view| view.own_pids());
    // SAFETY: the program's own argument, null allowed.
    let (Some(pids), Some(list)) = (pids, unsafe { list.as_mut() }) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(device, list) };
    };
    let mut asked = *list;
    let all = whole(|place, count| {
        asked.procArray = place;
        asked.numProcArrayEntries = *count;
        // SAFETY: the program's structure, with our own room in it.
        let result = unsafe { real(device, &mut asked) };
        *count = asked.numProcArrayEntries;
        result
    });
    match all {
        // SAFETY: the program's own arguments.
        Ok(entries) => unsafe {
            hand_out(
                entries,
                &pids,
                list.procArray,
                &mut list.numProcArrayEntries,
            )
        },
        Err(error) => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(pid: u32) -> nvmlProcessInfo_v1_t {
        nvmlProcessInfo_v1_t {
            pid,
            ..Default::default()
        }
    }

    #[test]
    fn strangers_are_left_out_and_room_is_asked_for_the_rest_only() {
        let all = || vec![entry(1), entry(2), entry(3)];
        let mut place = [entry(0); 2];
        let mut count = 1;
        // SAFETY: there is room for two.
        let mut ask = |pids: &[u32], count: &mut u32| unsafe {
            hand_out(all(), pids, place.as_mut_ptr(), count)
        };
        assert_eq!(
            ask(&[1, 3], &mut count),
            nvmlReturn_t::NVML_ERROR_INSUFFICIENT_SIZE
        );
        assert_eq!(count, 2);
        assert_eq!(ask(&[1, 3], &mut count), nvmlReturn_t::NVML_SUCCESS);
        assert_eq!(ask(&[9], &mut count), nvmlReturn_t::NVML_SUCCESS);
        assert_eq!(count, 0);
        assert_eq!(place.map(|entry| entry.pid), [1, 3]);
    }
}
