//! What this process uses of a device by the management library.

use core::sync::atomic::Ordering;

use cuda_sys::{nvmlDevice_t, nvmlProcessInfo_t, nvmlReturn_t};
use fcsp_program::device::Device;
use fcsp_program::driver::Meter;

use crate::driver::Cuda;
use crate::hooks::nvml;

/// Most processes asked about on one device.
const PROCESSES_MAX: usize = 512;

impl Meter for Cuda {
    type Handle = nvmlDevice_t;

    /// 518 MiB on an H200 with driver 580.159.
    ///
    /// Most of what a context of a client of MPS takes is the server's, once for all clients, so it is certainly less;
    /// how much less was not measured, and until it is, a client is charged as if it were none.
    const CONTEXT_BYTES_GUESS: u64 = 518 << 20;
    /// While processes raced at their quota on an H100 (driver 580.159, Nov 2026) they had up to 9.1 MiB each
    /// of it: page tables of mappings, streams, first launches.
    const GROWTH_BYTES: u64 = 12 << 20;

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

    fn process_bytes(handle: nvmlDevice_t) -> Option<u64> {
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

    /// Under MPS it shows the server's use and not the client's.
    fn shows_process(device: &Device) -> bool {
        device.attachment.slot().takes_turns.load(Ordering::Relaxed) != 0
    }
}
