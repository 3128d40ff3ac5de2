//! Handlers of copies and fills: how many bytes go from where to where. What becomes of them:
//! [`fcsp_program::transfer`].

pub mod batch;
pub mod copy;
pub mod fill;

use core::ffi::c_void;

use cuda_sys::{CUdeviceptr, CUmemorytype};
use fcsp_program::transfer::End;

/// The end that a description of a box means.
pub fn end_of(kind: CUmemorytype, host: *const c_void, device: CUdeviceptr) -> End {
    match kind {
        CUmemorytype::CU_MEMORYTYPE_HOST => End::Address(host.addr() as u64),
        CUmemorytype::CU_MEMORYTYPE_ARRAY => End::Array,
        _ => End::Address(device),
    }
}
