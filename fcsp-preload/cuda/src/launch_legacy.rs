//! Handlers of older launch calls: the interface before CUDA 4, and one cooperative grid on several
//! devices.

use core::ffi::{c_int, c_uint};
use core::ptr;

use cuda_sys::{CUDA_LAUNCH_PARAMS, CUfunction, CUresult, CUstream, fn_types};
use fcsp_gate::Handle;
use fcsp_program::turn::{self, Work, submit_outlined};
use fcsp_program::work;

use crate::driver::Cuda;

/// Tells these launches from others in cost keys: the block's shape is part of the function here.
const OLD: u64 = 0x006f_6c64;
/// Threads in a block, for the guess: `cuFuncSetBlockShape` said how many.
const BLOCK_THREADS: u64 = 256;

fn old(f: CUfunction, width: c_int, height: c_int) -> Work<impl FnOnce() -> u64> {
    let blocks = [width, height].map(|side| u64::from(side.unsigned_abs()));
    work::unshaped(OLD, f.number(), blocks, BLOCK_THREADS)
}

/// # Safety
///
/// As `cuLaunch`.
pub unsafe fn one(real: fn_types::cuLaunch, f: CUfunction) -> CUresult {
    // SAFETY: the program's own call, passed on.
    submit_outlined::<Cuda, false>(ptr::null_mut(), old(f, 1, 1), || unsafe { real(f) })
}

/// # Safety
///
/// As `cuLaunchGrid`.
pub unsafe fn grid(
    real: fn_types::cuLaunchGrid,
    f: CUfunction,
    width: c_int,
    height: c_int,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    submit_outlined::<Cuda, false>(ptr::null_mut(), old(f, width, height), || unsafe {
        real(f, width, height)
    })
}

/// # Safety
///
/// As `cuLaunchGridAsync`.
pub unsafe fn grid_async(
    real: fn_types::cuLaunchGridAsync,
    f: CUfunction,
    width: c_int,
    height: c_int,
    stream: CUstream,
) -> CUresult {
    // SAFETY: the program's own call, passed on.
    submit_outlined::<Cuda, false>(stream, old(f, width, height), || unsafe {
        real(f, width, height, stream)
    })
}

/// One grid, gated like any other if it is on one device. If its parts on several devices wait for each
/// other it is like a collective: it is not held back, and no turn waits for it.
///
/// # Safety
///
/// As `cuLaunchCooperativeKernelMultiDevice`.
pub unsafe fn multi_device(
    real: fn_types::cuLaunchCooperativeKernelMultiDevice,
    list: *mut CUDA_LAUNCH_PARAMS,
    count: c_uint,
    flags: c_uint,
) -> CUresult {
    // SAFETY: null, or the program's own list of `count`.
    let first = unsafe { list.as_ref() };
    if let Some(one) = first.filter(|_| count == 1) {
        let grid = [one.gridDimX, one.gridDimY, one.gridDimZ];
        let block = [one.blockDimX, one.blockDimY, one.blockDimZ];
        let work = work::kernel(one.function.number(), grid, block, one.sharedMemBytes);
        // SAFETY: the program's own call, passed on.
        return submit_outlined::<Cuda, false>(one.hStream, work, || unsafe {
            real(list, count, flags)
        });
    }
    if first.is_some() {
        for at in 0..count as usize {
            // SAFETY: the program's own list of `count`.
            let stream = unsafe { (*list.add(at)).hStream };
            turn::stall_anywhere::<Cuda>(stream);
        }
    }
    // SAFETY: the program's own call, passed on.
    unsafe { real(list, count, flags) }
}
