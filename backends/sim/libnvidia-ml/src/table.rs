//! The private table by which `nvidia-smi` asks for processes. Of its functions only the lists of
//! processes are simulated: the others are not supported.

use crate::border::{self, Outcome, put, rc, require};
use crate::device::{NO_INSTANCE, device, list};
use crate::library::process_name;
use cuda_sys::undeclared::{ListProcesses, PROCESS_LISTS, ProcessEntry, TABLE_ID};
use cuda_sys::{nvmlDevice_t, nvmlProcessDetail_v1_t, nvmlReturn_t};
use fcsp_sim::Process;
use std::ffi::{c_uint, c_void};

const FUNCTIONS: usize = PROCESS_LISTS[2];

#[repr(C)]
struct Table {
    size_bytes: usize,
    functions: [ListProcesses; FUNCTIONS],
}

static TABLE: Table = {
    let mut functions = [unsupported as ListProcesses; FUNCTIONS];
    let [compute, graphics, mps] = PROCESS_LISTS;
    // The size is before the first.
    functions[compute - 1] = compute_processes;
    functions[graphics - 1] = graphics_processes;
    functions[mps - 1] = mps_processes;
    Table {
        size_bytes: size_of::<Table>(),
        functions,
    }
};

/// `nvmlInternalGetExportTable`.
pub unsafe fn find(place: *mut *const c_void, id: *const [u8; 16]) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    let id = unsafe { id.as_ref() }.ok_or(rc::INVALID_ARGUMENT)?;
    require(*id == TABLE_ID, rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, (&raw const TABLE).cast()) }
}

unsafe extern "C" fn unsupported(
    _of: nvmlDevice_t,
    _count: *mut c_uint,
    _entries: *mut ProcessEntry,
    _: usize,
    _: usize,
    _: usize,
) -> nvmlReturn_t {
    rc::NOT_SUPPORTED
}

fn entry(process: &Process) -> ProcessEntry {
    let mut entry = ProcessEntry {
        detail: nvmlProcessDetail_v1_t {
            pid: process.pid,
            usedGpuMemory: process.memory_bytes,
            gpuInstanceId: NO_INSTANCE,
            computeInstanceId: NO_INSTANCE,
            usedGpuCcProtectedMemory: 0,
        },
        name: [0; 4096],
    };
    // SAFETY: as much room as is said. One that is gone by now has no name.
    let _ = unsafe {
        process_name(
            process.pid,
            entry.name.as_mut_ptr(),
            entry.name.len() as c_uint,
        )
    };
    entry
}

unsafe extern "C" fn compute_processes(
    of: nvmlDevice_t,
    count: *mut c_uint,
    entries: *mut ProcessEntry,
    _: usize,
    _: usize,
    _: usize,
) -> nvmlReturn_t {
    // SAFETY: the caller's contract.
    border::call(|| unsafe { list(&device(of)?.processes(), count, entries, entry) })
}

unsafe extern "C" fn graphics_processes(
    of: nvmlDevice_t,
    count: *mut c_uint,
    entries: *mut ProcessEntry,
    _: usize,
    _: usize,
    _: usize,
) -> nvmlReturn_t {
    border::call(|| {
        device(of)?;
        // SAFETY: the caller's contract.
        unsafe { list(&[], count, entries, entry) }
    })
}

unsafe extern "C" fn mps_processes(
    of: nvmlDevice_t,
    count: *mut c_uint,
    entries: *mut ProcessEntry,
    _: usize,
    _: usize,
    _: usize,
) -> nvmlReturn_t {
    border::call(|| {
        let device = device(of)?;
        let found = if device.mps() {
            device.processes()
        } else {
            Vec::new()
        };
        // SAFETY: the caller's contract.
        unsafe { list(&found, count, entries, entry) }
    })
}
