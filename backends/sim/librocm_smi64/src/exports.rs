//! What the library exports, and nothing else: the names here, signatures from the vendor's header.

use crate::{device, library};

macro_rules! exports {
    ($($name:ident => $handler:path;)*) => {
        $(rocm_smi_sys::signature::$name! { export, $handler; })*

        /// The name of every exported function.
        pub const NAMES: &[&str] = &[$(stringify!($name)),*];
    };
}

macro_rules! export {
    ($handler:path; fn $name:ident($($arg:ident: $ty:ty),*) -> $ret:ty) => {
        /// The library's function of this name; the handler says what it does here.
        ///
        /// # Safety
        /// As rocm_smi.h demands.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            crate::border::call(|| unsafe { $handler($($arg),*) })
        }
    };
}

exports! {
    rsmi_init => library::init;
    rsmi_shut_down => library::shut_down;
    rsmi_status_string => library::status_string;
    rsmi_version_get => library::version;
    rsmi_version_str_get => library::version_text;
    rsmi_num_monitor_devices => device::count;
    rsmi_dev_id_get => device::id;
    rsmi_dev_vendor_id_get => device::vendor_id;
    rsmi_dev_name_get => device::name;
    rsmi_dev_vendor_name_get => device::vendor_name;
    rsmi_dev_unique_id_get => device::unique_id;
    rsmi_dev_pci_id_get => device::pci_id;
    rsmi_dev_drm_render_minor_get => device::render_minor;
    rsmi_dev_target_graphics_version_get => device::graphics_version;
    rsmi_dev_memory_total_get => device::memory_total;
    rsmi_dev_memory_usage_get => device::memory_usage;
    rsmi_dev_busy_percent_get => device::busy_percent;
    rsmi_dev_gpu_metrics_info_get => device::metrics;
    rsmi_dev_compute_partition_get => device::compute_partition;
    rsmi_dev_memory_partition_get => device::memory_partition;
    rsmi_compute_process_info_get => device::processes;
    rsmi_compute_process_info_by_pid_get => device::process;
    rsmi_compute_process_info_by_device_get => device::process_on;
    rsmi_compute_process_gpus_get => device::devices_of;
}

#[cfg(test)]
#[path = "exports_tests.rs"]
mod tests;
