//! What the library exports, and nothing else: the names here, signatures from the vendor's header.

use crate::{device, library, processes};

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
        /// As amdsmi.h demands.
        #[cfg_attr(not(test), unsafe(no_mangle))]
        #[allow(non_snake_case)]
        pub unsafe extern "C" fn $name($($arg: $ty),*) -> $ret {
            // SAFETY: the caller's contract is the handler's.
            crate::border::call(|| unsafe { $handler($($arg),*) })
        }
    };
}

exports! {
    amdsmi_init => library::init;
    amdsmi_shut_down => library::shut_down;
    amdsmi_status_code_to_string => library::status_string;
    amdsmi_get_lib_version => library::version;
    amdsmi_get_socket_handles => device::sockets;
    amdsmi_get_socket_info => device::socket_info;
    amdsmi_get_processor_handles => device::processors;
    amdsmi_get_processor_handle_from_bdf => device::by_address;
    amdsmi_get_processor_type => device::kind;
    amdsmi_get_gpu_device_bdf => device::address;
    amdsmi_get_gpu_bdf_id => device::address_number;
    amdsmi_get_gpu_device_uuid => device::uuid;
    amdsmi_get_gpu_asic_info => device::asic;
    amdsmi_get_gpu_vram_info => device::vram;
    amdsmi_get_gpu_vram_usage => device::vram_usage;
    amdsmi_get_gpu_memory_total => device::memory_total;
    amdsmi_get_gpu_memory_usage => device::memory_usage;
    amdsmi_get_gpu_activity => device::activity;
    amdsmi_get_gpu_busy_percent => device::busy_percent;
    amdsmi_get_gpu_driver_info => device::driver_info;
    amdsmi_get_gpu_compute_partition => device::compute_partition;
    amdsmi_get_gpu_memory_partition => device::memory_partition;
    amdsmi_get_gpu_process_list => processes::of_device;
    amdsmi_get_gpu_process_list_by_pid => processes::by_pid;
    amdsmi_get_gpu_compute_process_info => processes::compute;
    amdsmi_get_gpu_compute_process_info_by_pid => processes::compute_of;
}

#[cfg(test)]
#[path = "exports_tests.rs"]
mod tests;
