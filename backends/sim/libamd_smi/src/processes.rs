//! Processes, as lists of them by device, by process, and as ROCm SMI has them.

use crate::border::{Outcome, put, put_list, rc, require, write_text};
use crate::device::device;
use crate::library::devices;
use fcsp_sim::Device;
use rocm_smi_sys::{
    amdsmi_proc_gpu_entry_t, amdsmi_proc_info_by_pid_t, amdsmi_proc_info_t, amdsmi_process_info_t,
    amdsmi_processor_handle, amdsmi_status_t,
};

/// The name of a process's program, as far as this process may know it.
fn program(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/comm"))
        .map_or_else(|_| "N/A".to_owned(), |name| name.trim().to_owned())
}

/// `amdsmi_get_gpu_process_list`.
pub unsafe fn of_device(
    processor: amdsmi_processor_handle,
    count: *mut u32,
    place: *mut amdsmi_proc_info_t,
) -> Outcome {
    let all: Vec<amdsmi_proc_info_t> = device(processor)?
        .processes()
        .iter()
        .map(|process| {
            let mut info = amdsmi_proc_info_t {
                pid: process.pid,
                mem: process.memory_bytes,
                ..amdsmi_proc_info_t::default()
            };
            info.memory_usage.vram_mem = process.memory_bytes;
            write_text(&mut info.name, &program(process.pid));
            info
        })
        .collect();
    require(!count.is_null(), rc::INVAL)?;
    // SAFETY: checked above. Here no room at all is what asks for the number.
    unsafe {
        if count.read() == 0 {
            return put(count, all.len() as u32);
        }
        require(!place.is_null(), rc::INVAL)?;
        let written = put_list(&all, place, count);
        // The number is always of those there are.
        put(count, all.len() as u32)?;
        written
    }
}

/// `amdsmi_get_gpu_process_list_by_pid`: one entry a process, in the order of their numbers.
pub unsafe fn by_pid(
    handles: *mut amdsmi_processor_handle,
    handle_count: u32,
    place: *mut amdsmi_proc_info_by_pid_t,
    count: *mut u32,
) -> Outcome {
    require(!handles.is_null() && handle_count > 0, rc::INVAL)?;
    require(!count.is_null(), rc::INVAL)?;
    let mut all: Vec<amdsmi_proc_info_by_pid_t> = Vec::new();
    for at in 0..handle_count {
        // SAFETY: the caller says that there are so many.
        let device = device(unsafe { *handles.add(at as usize) })?;
        for process in device.processes() {
            let known = all.iter().position(|it| it.pid == process.pid);
            let known = known.unwrap_or_else(|| {
                let mut info = amdsmi_proc_info_by_pid_t {
                    pid: process.pid,
                    ..amdsmi_proc_info_by_pid_t::default()
                };
                write_text(&mut info.name, &program(process.pid));
                all.push(info);
                all.len() - 1
            });
            let info = &mut all[known];
            let mut entry = amdsmi_proc_gpu_entry_t {
                gpu_index: at,
                mem: process.memory_bytes,
                ..amdsmi_proc_gpu_entry_t::default()
            };
            entry.memory_usage.vram_mem = process.memory_bytes;
            info.gpus[info.num_gpus as usize] = entry;
            info.num_gpus += 1;
        }
    }
    all.sort_unstable_by_key(|it| it.pid);
    // SAFETY: the caller's pointers.
    let written = unsafe { put_list(&all, place, count) };
    // SAFETY: checked above. The number is always of those there are.
    unsafe { put(count, all.len() as u32)? };
    written
}

/// The processes on all devices, what they have there in one entry each.
fn everywhere() -> Result<Vec<amdsmi_process_info_t>, amdsmi_status_t> {
    let mut all: Vec<amdsmi_process_info_t> = Vec::new();
    for process in devices()?.iter().flat_map(Device::processes) {
        match all.iter_mut().find(|known| known.process_id == process.pid) {
            Some(known) => known.vram_usage += process.memory_bytes,
            None => all.push(amdsmi_process_info_t {
                process_id: process.pid,
                vram_usage: process.memory_bytes,
                ..amdsmi_process_info_t::default()
            }),
        }
    }
    Ok(all)
}

/// `amdsmi_get_gpu_compute_process_info`.
pub unsafe fn compute(place: *mut amdsmi_process_info_t, count: *mut u32) -> Outcome {
    let all = everywhere()?;
    // SAFETY: the caller's pointers, null allowed.
    match unsafe { put_list(&all, place, count) } {
        Err(rc::OUT_OF_RESOURCES) => Err(rc::INSUFFICIENT_SIZE),
        other => other,
    }
}

/// `amdsmi_get_gpu_compute_process_info_by_pid`.
pub unsafe fn compute_of(pid: u32, place: *mut amdsmi_process_info_t) -> Outcome {
    let found = everywhere()?.into_iter().find(|it| it.process_id == pid);
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, found.ok_or(rc::NOT_FOUND)?) }
}
