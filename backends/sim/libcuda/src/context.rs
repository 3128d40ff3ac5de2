//! Contexts: primary and created ones, and the stack each thread has of them.
//!
//! Owns: what belongs to a context (its default streams) and what happens to it when it ends.

use crate::border::{Outcome, rc, require};
use crate::types::*;
use cuda_sys::{CUctxCreateParams, CUexecAffinityParam};
pub use fcsp_sim_driver::context::*;
use std::ffi::{c_int, c_uint};

/// `cuCtxCreate_v3`.
pub unsafe fn create_v3(
    place: *mut ContextHandle,
    affinity: *mut CUexecAffinityParam,
    count: c_int,
    flags: c_uint,
    device: c_int,
) -> Outcome {
    require(
        count >= 0 && (count == 0 || !affinity.is_null()),
        rc::INVALID_VALUE,
    )?;
    // The simulated device reports no support for execution affinity.
    require(count == 0, rc::NOT_SUPPORTED)?;
    // SAFETY: the same contract.
    unsafe { create(place, flags, device) }
}

/// `cuCtxCreate_v4`.
pub unsafe fn create_v4(
    place: *mut ContextHandle,
    params: *mut CUctxCreateParams,
    flags: c_uint,
    device: c_int,
) -> Outcome {
    if !params.is_null() {
        // SAFETY: not null, so readable by the caller's contract.
        let params = unsafe { &*params };
        require(params.numExecAffinityParams == 0, rc::NOT_SUPPORTED)?;
        require(params.cigParams.is_null(), rc::NOT_SUPPORTED)?;
    }
    // SAFETY: the same contract.
    unsafe { create(place, flags, device) }
}
