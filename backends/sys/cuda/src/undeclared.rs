//! What no header declares: the private table by which the vendor's own tools ask the management library.
//!
//! `nvidia-smi` gets lists of processes from it and not from `nvmlDeviceGetComputeRunningProcesses`. A table
//! is known by 16 bytes; its first word is its size in bytes, and each further one the address of a function.
//! Later drivers append to it.
//!
//! Sources: NVIDIA's mock of the library (`pkg/gpu/mocknvml/bridge/internal.go` of its k8s-test-infra), whose
//! authors watched nvidia-smi 580.65.06; of the places alone also lupine's client, for a driver of branch 610.

use crate::{nvmlDevice_t, nvmlProcessDetail_v1_t, nvmlReturn_t};
use core::ffi::{c_char, c_uint, c_void};

/// What the table is known by.
pub const TABLE_ID: [u8; 16] = [
    0xc4, 0xfe, 0x3e, 0x6c, 0xc9, 0x8f, 0x6c, 0x4e, 0xa3, 0x27, 0xee, 0x69, 0x6e, 0x12, 0xf7, 0xc4,
];

/// The words of the table with functions of type [`ListProcesses`]: compute, graphics and MPS.
pub const PROCESS_LISTS: [usize; 3] = [213, 214, 215];

/// Lists processes on a device: gets room for so many entries, and says how many there are. Three arguments
/// were seen; nobody has described whether there are more, so there are those that registers hold.
pub type ListProcesses = unsafe extern "C" fn(
    nvmlDevice_t,
    *mut c_uint,
    *mut ProcessEntry,
    usize,
    usize,
    usize,
) -> nvmlReturn_t;

/// An entry of such a list.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ProcessEntry {
    /// The process, and what it has of the device.
    pub detail: nvmlProcessDetail_v1_t,
    /// Its name, ended by a NUL.
    pub name: [c_char; 4096],
}

const _: () = assert!(size_of::<ProcessEntry>() == 4128);

/// As the module of this name that is generated from the header.
pub mod fn_types {
    use super::{c_void, nvmlReturn_t};

    /// Finds the table with that id.
    #[allow(non_camel_case_types)]
    pub type nvmlInternalGetExportTable =
        unsafe extern "C" fn(table: *mut *const c_void, id: *const [u8; 16]) -> nvmlReturn_t;
}

/// As the module of this name that is generated from the header.
pub mod signature {
    /// Hands the signature to `$callback`.
    #[macro_export]
    #[doc(hidden)]
    macro_rules! nvmlInternalGetExportTable { ($callback:path, $($head:tt)*) => { $callback! {
        $($head)* fn nvmlInternalGetExportTable(
            table: *mut *const ::core::ffi::c_void, id: *const [u8; 16]
        ) -> $crate::nvmlReturn_t
    } } }
    pub use nvmlInternalGetExportTable;
}
