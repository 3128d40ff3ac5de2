//! Kernel launches: arguments, limits, and how long a kernel takes.
//!
//! The kernel `fcsp_work(u32 iters, u64 counter, u64 add)` takes `iters` times
//! [`SIM_NS_PER_ITER`] and then adds `add` to the counter, unless its address is 0. So does `fcsp_read`,
//! whose first parameters are the same; it takes `add` nanoseconds. Any other kernel
//! takes `FCSP_SIM_KERNEL_NS`, else 2 µs plus 5 µs for every wave of 2048 threads on each of the 132
//! multiprocessors, and computes nothing. So does `ncclDevKernel_Simulated(u64 mine, u64 theirs, u32 n)`,
//! a rank's part of a collective: before that it writes `n` to the first word and waits until the
//! second has come to it.

use crate::border::{Outcome, rc, require};
use crate::types::*;
use cuda_sys::CUlaunchConfig;
pub use fcsp_sim_driver::launch::*;
use std::ffi::c_void;

/// `cuLaunchKernelEx`. Launch attributes change nothing a simulated kernel could show.
pub unsafe fn kernel_ex(
    config: *const CUlaunchConfig,
    function: FunctionHandle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> Outcome {
    require(!config.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract.
    let c = unsafe { &*config };
    require(c.numAttrs == 0 || !c.attrs.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe {
        kernel(
            function,
            c.gridDimX,
            c.gridDimY,
            c.gridDimZ,
            c.blockDimX,
            c.blockDimY,
            c.blockDimZ,
            c.sharedMemBytes,
            c.hStream.cast(),
            params,
            extra,
        )
    }
}
