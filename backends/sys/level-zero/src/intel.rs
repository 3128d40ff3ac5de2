//! What Intel's driver of GPUs has beyond the specification, as far as it is of use to who waits on memory.
//!
//! None of it stands in a table: a program asks for it by name, with `zeDriverGetExtensionFunctionAddress`, and calls it
//! with handles of the *driver*, which are not those of a loader that wraps handles. From `zex_common.h`, `zex_cmdlist.h` and
//! `zex_driver.h` of <https://github.com/intel/compute-runtime> (MIT, November 2026). The vendor calls the interface
//! experimental (`ZE_intel_experimental_command_list_memory_sync`, `ZEX_driver_import_host_pointer`).

use core::ffi::c_void;

use crate::{ze_command_list_handle_t, ze_driver_handle_t, ze_event_handle_t, ze_result_t};

/// `zex_mem_action_scope_flag_t`: what the host writes is seen, or is shown what was written.
pub const ZEX_MEM_ACTION_SCOPE_FLAG_HOST: u32 = 1 << 2;
/// `zex_wait_on_mem_action_flag_t`: until the word is at least the value, both without a sign.
pub const ZEX_WAIT_ON_MEMORY_FLAG_GREATER_THAN_EQUAL: u32 = 1 << 3;

/// How to wait.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(non_camel_case_types, non_snake_case, reason = "the header's names")]
pub struct zex_wait_on_mem_desc_t {
    /// One of `ZEX_WAIT_ON_MEMORY_FLAG_…`.
    pub actionFlag: u32,
    /// `ZEX_MEM_ACTION_SCOPE_FLAG_…`.
    pub waitScope: u32,
}

/// How to write.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(non_camel_case_types, non_snake_case, reason = "the header's names")]
pub struct zex_write_to_mem_desc_t {
    /// `ZEX_MEM_ACTION_SCOPE_FLAG_…`.
    pub writeScope: u32,
}

/// Lets a list wait for a word of 32 bits. Memory that the driver does not know is copied aside when the call is made, and
/// waited on there for ever: import it before.
#[allow(non_camel_case_types, reason = "the header's name")]
pub type zexCommandListAppendWaitOnMemory = unsafe extern "C" fn(
    list: ze_command_list_handle_t,
    desc: *mut zex_wait_on_mem_desc_t,
    ptr: *mut c_void,
    data: u32,
    signal: ze_event_handle_t,
) -> ze_result_t;

/// Lets a list write 64 bits to an address that is a multiple of 8, once everything before in the list is done.
#[allow(non_camel_case_types, reason = "the header's name")]
pub type zexCommandListAppendWriteToMemory = unsafe extern "C" fn(
    list: ze_command_list_handle_t,
    desc: *mut zex_write_to_mem_desc_t,
    ptr: *mut c_void,
    data: u64,
) -> ze_result_t;

/// Makes memory of the host that the program has from elsewhere known to a driver, so that devices use it where it is.
#[allow(non_camel_case_types, reason = "the header's name")]
pub type zexDriverImportExternalPointer =
    unsafe extern "C" fn(driver: ze_driver_handle_t, ptr: *mut c_void, size: usize) -> ze_result_t;

/// Takes that back.
#[allow(non_camel_case_types, reason = "the header's name")]
pub type zexDriverReleaseImportedPointer =
    unsafe extern "C" fn(driver: ze_driver_handle_t, ptr: *mut c_void) -> ze_result_t;
