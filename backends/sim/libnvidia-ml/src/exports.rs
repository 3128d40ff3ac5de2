//! What the library exports, and nothing else: the names here, signatures from the vendor's header.

use crate::{device, library, table};
use std::ffi::c_void;

/// One exported function.
pub struct Export {
    /// Its name.
    pub name: &'static str,
    /// Its address.
    pub address: fn() -> *const c_void,
}

macro_rules! exports {
    ($($name:ident => $handler:path;)*) => {
        $(cuda_sys::nvml_signature::$name! { export, $handler; })*

        /// Every exported function but `nvmlErrorString`.
        pub static EXPORTS: &[Export] = &[
            $(Export { name: stringify!($name), address: || $name as *const () as *const c_void }),*
        ];
    };
}

macro_rules! export {
    ($handler:path; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        /// The library's function of this name; the handler says what it does here.
        ///
        /// # Safety
        /// As nvml.h demands.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            crate::border::call(|| unsafe { $handler($($arg),*) })
        }
    };
}

/// The only function that returns no code.
///
/// # Safety
/// None needed: any value is answered.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[allow(non_snake_case)]
pub unsafe extern "C" fn nvmlErrorString(
    result: cuda_sys::nvmlReturn_t,
) -> *const std::ffi::c_char {
    // SAFETY: the same contract.
    unsafe { library::error_string(result) }
}

const _: cuda_sys::fn_types::nvmlErrorString = nvmlErrorString;

exports! {
    nvmlInit => library::init;
    nvmlInit_v2 => library::init;
    nvmlInitWithFlags => library::init_with_flags;
    nvmlShutdown => library::shutdown;
    nvmlSystemGetDriverVersion => library::driver_version;
    nvmlSystemGetNVMLVersion => library::nvml_version;
    nvmlSystemGetCudaDriverVersion => library::cuda_version;
    nvmlSystemGetCudaDriverVersion_v2 => library::cuda_version;
    nvmlSystemGetProcessName => library::process_name;
    nvmlInternalGetExportTable => table::find;

    nvmlDeviceGetCount => device::count;
    nvmlDeviceGetCount_v2 => device::count;
    nvmlDeviceGetHandleByIndex => device::by_index;
    nvmlDeviceGetHandleByIndex_v2 => device::by_index;
    nvmlDeviceGetHandleByUUID => device::by_uuid;
    nvmlDeviceGetHandleByPciBusId => device::by_bus;
    nvmlDeviceGetHandleByPciBusId_v2 => device::by_bus;
    nvmlDeviceGetName => device::name;
    nvmlDeviceGetUUID => device::uuid;
    nvmlDeviceGetIndex => device::index;
    nvmlDeviceGetMinorNumber => device::index;
    nvmlDeviceGetPciInfo_v3 => device::pci;
    nvmlDeviceGetMemoryInfo => device::memory;
    nvmlDeviceGetMemoryInfo_v2 => device::memory_v2;
    nvmlDeviceGetUtilizationRates => device::utilization;
    nvmlDeviceGetComputeRunningProcesses => device::processes_v1;
    nvmlDeviceGetComputeRunningProcesses_v2 => device::processes_v2;
    nvmlDeviceGetComputeRunningProcesses_v3 => device::processes;
    nvmlDeviceGetMPSComputeRunningProcesses_v3 => device::mps_processes;
    nvmlDeviceGetGraphicsRunningProcesses_v3 => device::graphics_processes;
    nvmlDeviceGetMigMode => device::mig_mode;
    nvmlDeviceGetMaxMigDeviceCount => device::mig_count;
    nvmlDeviceIsMigDeviceHandle => device::is_mig_device;
    nvmlDeviceGetComputeMode => device::compute_mode;
    nvmlDeviceGetPersistenceMode => device::persistence_mode;
    nvmlDeviceGetCudaComputeCapability => device::compute_capability;
    nvmlDeviceGetNumGpuCores => device::cores;
    nvmlDeviceGetMemoryBusWidth => device::bus_width;
    nvmlDeviceGetPowerUsage => device::unknown_number;
    nvmlDeviceGetFanSpeed => device::unknown_number;
    nvmlDeviceGetTemperature => device::temperature;
}

#[cfg(test)]
#[path = "exports_tests.rs"]
mod tests;
