//! Memory handles by value.

use crate::border::Outcome;
use cuda_sys::CUipcMemHandle;
use fcsp_sim_driver::ipc;
pub use fcsp_sim_driver::ipc::{close, get};
use std::ffi::c_uint;

/// `cuIpcOpenMemHandle_v2`.
pub unsafe fn open(place: *mut u64, handle: CUipcMemHandle, flags: c_uint) -> Outcome {
    // SAFETY: the same contract.
    unsafe { ipc::open(place, handle.reserved.map(|byte| byte as u8), flags) }
}
