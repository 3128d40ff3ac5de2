//! Launch handlers: work that takes device time.
//!
//! While nobody else is active these are not reached: the wrapper's fast path
//! ([`fcsp_program::device::passes`]) goes straight to the driver. What is launched while its stream is being
//! captured is not gated; the launch of the graph is.
//!
//! A kernel is known by a handle of a module, or by the address of the function that the compiler made for it in the
//! program ([`HOST_FUNCTION`] tells these).

#![expect(
    clippy::too_many_arguments,
    reason = "the driver's functions have that many"
)]

use core::ffi::{c_int, c_uint, c_void};
use core::ptr;

use fcsp_gate::Handle;
use fcsp_program::turn::{self, Work, submit, submit_outlined};
use fcsp_program::work;
use hip_sys::{
    dim3, fn_types, hipError_t, hipEvent_t, hipFunction_t, hipFunctionLaunchParams, hipGraphExec_t,
    hipLaunchParams, hipStream_t,
};

use crate::context::used;
use crate::driver::Hip;
use crate::errors::kept;
use crate::since_7;

/// Set in the number of a kernel that is known by an address in the program. No address of a program has this bit.
pub const HOST_FUNCTION: u64 = 1 << 62;
/// Tells launches whose blocks are shaped by a call before from others in cost keys.
const CONFIGURED: u64 = 0x0063_6f6e_6669_6720;
/// Threads in such a block, for the guess.
const BLOCK_THREADS: u64 = 256;

/// The number of a kernel that is known by an address in the program.
#[inline]
fn host_function(address: *const c_void) -> u64 {
    address.expose_provenance() as u64 | HOST_FUNCTION
}

/// The address that is such a number.
pub fn host_address(kernel: u64) -> *const c_void {
    ptr::with_exposed_provenance((kernel & !HOST_FUNCTION) as usize)
}

/// Shared memory as the key of a cost has it: what drivers take fits.
fn shared(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

fn sides(dims: dim3) -> [u32; 3] {
    [dims.x, dims.y, dims.z]
}

/// Blocks of a grid that is given in threads.
fn blocks(global: [u32; 3], local: [u32; 3]) -> [u32; 3] {
    core::array::from_fn(|at| global[at].div_ceil(local[at].max(1)))
}

/// Submits a launch that has more than the usual arguments.
fn launch<const PER_THREAD: bool>(
    stream: hipStream_t,
    work: Work<impl FnOnce() -> u64>,
    call: impl FnOnce() -> hipError_t,
) -> hipError_t {
    used();
    submit_outlined::<Hip, PER_THREAD>(stream, work, || kept(call()))
}

/// # Safety
///
/// As `hipLaunchKernel`, or its variant for per-thread default streams.
#[inline(always)]
pub unsafe fn kernel<const PER_THREAD: bool>(
    real: fn_types::hipLaunchKernel,
    function: *const c_void,
    grid: dim3,
    block: dim3,
    args: *mut *mut c_void,
    shared_bytes: usize,
    stream: hipStream_t,
) -> hipError_t {
    used();
    let work = work::kernel(
        host_function(function),
        sides(grid),
        sides(block),
        shared(shared_bytes),
    );
    submit::<Hip, PER_THREAD>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        kept(unsafe { real(function, grid, block, args, shared_bytes, stream) })
    })
}

/// # Safety
///
/// As `hipModuleLaunchKernel`.
#[inline(always)]
pub unsafe fn module_kernel(
    real: fn_types::hipModuleLaunchKernel,
    f: hipFunction_t,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: hipStream_t,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> hipError_t {
    used();
    let grid = [grid_x, grid_y, grid_z];
    let block = [block_x, block_y, block_z];
    let work = work::kernel(f.number(), grid, block, shared_bytes);
    submit::<Hip, false>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        kept(unsafe {
            real(
                f,
                grid_x,
                grid_y,
                grid_z,
                block_x,
                block_y,
                block_z,
                shared_bytes,
                stream,
                params,
                extra,
            )
        })
    })
}

/// # Safety
///
/// As `hipLaunchKernelExC`.
pub unsafe fn kernel_ex(
    real: since_7::fn_types::hipLaunchKernelExC,
    config: *const since_7::hipLaunchConfig_t,
    function: *const c_void,
    args: *mut *mut c_void,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(config, function, args) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let Some(c) = (unsafe { config.as_ref() }) else {
        return call();
    };
    let work = work::kernel(
        host_function(function),
        sides(c.gridDim),
        sides(c.blockDim),
        shared(c.dynamicSmemBytes),
    );
    launch::<false>(c.stream, work, call)
}

/// # Safety
///
/// As `hipDrvLaunchKernelEx`.
pub unsafe fn module_kernel_ex(
    real: since_7::fn_types::hipDrvLaunchKernelEx,
    config: *const since_7::HIP_LAUNCH_CONFIG,
    f: hipFunction_t,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(config, f, params, extra) };
    // SAFETY: the driver reads the same structure; null is the driver's to refuse.
    let Some(c) = (unsafe { config.as_ref() }) else {
        return call();
    };
    let work = work::kernel(f.number(), c.grid, c.block, c.sharedMemBytes);
    launch::<false>(c.hStream, work, call)
}

/// # Safety
///
/// As `hipExtLaunchKernel`.
pub unsafe fn ext_kernel(
    real: fn_types::hipExtLaunchKernel,
    function: *const c_void,
    grid: dim3,
    block: dim3,
    args: *mut *mut c_void,
    shared_bytes: usize,
    stream: hipStream_t,
    start: hipEvent_t,
    stop: hipEvent_t,
    flags: c_int,
) -> hipError_t {
    let work = work::kernel(
        host_function(function),
        sides(grid),
        sides(block),
        shared(shared_bytes),
    );
    launch::<false>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe {
            real(
                function,
                grid,
                block,
                args,
                shared_bytes,
                stream,
                start,
                stop,
                flags,
            )
        }
    })
}

/// # Safety
///
/// As `hipExtModuleLaunchKernel`, by its C or its C++ name: the grid is given in threads.
pub unsafe fn ext_module_kernel(
    real: fn_types::hipExtModuleLaunchKernel,
    f: hipFunction_t,
    global_x: u32,
    global_y: u32,
    global_z: u32,
    local_x: u32,
    local_y: u32,
    local_z: u32,
    shared_bytes: usize,
    stream: hipStream_t,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    start: hipEvent_t,
    stop: hipEvent_t,
    flags: u32,
) -> hipError_t {
    let local = [local_x, local_y, local_z];
    let grid = blocks([global_x, global_y, global_z], local);
    let work = work::kernel(f.number(), grid, local, shared(shared_bytes));
    launch::<false>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe {
            real(
                f,
                global_x,
                global_y,
                global_z,
                local_x,
                local_y,
                local_z,
                shared_bytes,
                stream,
                params,
                extra,
                start,
                stop,
                flags,
            )
        }
    })
}

/// # Safety
///
/// As `hipHccModuleLaunchKernel`, by its C or its C++ name: the grid is given in threads.
pub unsafe fn hcc_module_kernel(
    real: fn_types::hipHccModuleLaunchKernel,
    f: hipFunction_t,
    global_x: u32,
    global_y: u32,
    global_z: u32,
    local_x: u32,
    local_y: u32,
    local_z: u32,
    shared_bytes: usize,
    stream: hipStream_t,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    start: hipEvent_t,
    stop: hipEvent_t,
) -> hipError_t {
    let local = [local_x, local_y, local_z];
    let grid = blocks([global_x, global_y, global_z], local);
    let work = work::kernel(f.number(), grid, local, shared(shared_bytes));
    launch::<false>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe {
            real(
                f,
                global_x,
                global_y,
                global_z,
                local_x,
                local_y,
                local_z,
                shared_bytes,
                stream,
                params,
                extra,
                start,
                stop,
            )
        }
    })
}

/// # Safety
///
/// As `hipLaunchCooperativeKernel`, or its variant for per-thread default streams.
pub unsafe fn cooperative<const PER_THREAD: bool>(
    real: fn_types::hipLaunchCooperativeKernel,
    function: *const c_void,
    grid: dim3,
    block: dim3,
    params: *mut *mut c_void,
    shared_bytes: c_uint,
    stream: hipStream_t,
) -> hipError_t {
    let work = work::kernel(
        host_function(function),
        sides(grid),
        sides(block),
        shared_bytes,
    );
    launch::<PER_THREAD>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe { real(function, grid, block, params, shared_bytes, stream) }
    })
}

/// # Safety
///
/// As `hipModuleLaunchCooperativeKernel`.
pub unsafe fn module_cooperative(
    real: fn_types::hipModuleLaunchCooperativeKernel,
    f: hipFunction_t,
    grid_x: c_uint,
    grid_y: c_uint,
    grid_z: c_uint,
    block_x: c_uint,
    block_y: c_uint,
    block_z: c_uint,
    shared_bytes: c_uint,
    stream: hipStream_t,
    params: *mut *mut c_void,
) -> hipError_t {
    let grid = [grid_x, grid_y, grid_z];
    let block = [block_x, block_y, block_z];
    let work = work::kernel(f.number(), grid, block, shared_bytes);
    launch::<false>(stream, work, || {
        // SAFETY: the program's own call, passed on.
        unsafe {
            real(
                f,
                grid_x,
                grid_y,
                grid_z,
                block_x,
                block_y,
                block_z,
                shared_bytes,
                stream,
                params,
            )
        }
    })
}

/// One grid, gated like any other if it is on one device. If its parts on several devices may wait for each
/// other it is like a collective: it is not held back, and no turn waits for it.
fn on_devices<G: FnOnce() -> u64>(
    parts: impl Iterator<Item = (hipStream_t, Work<G>)>,
    count: usize,
    call: impl FnOnce() -> hipError_t,
) -> hipError_t {
    let mut parts = parts.take(count);
    match (parts.next(), count) {
        (Some((stream, work)), 1) => launch::<false>(stream, work, call),
        (first, _) => {
            for (stream, _) in first.into_iter().chain(parts) {
                turn::stall_anywhere::<Hip>(stream);
            }
            call()
        }
    }
}

/// Entries of a list of the program's; none of no list, which the driver refuses.
///
/// # Safety
///
/// `list` is null or has `count` entries.
unsafe fn entries<'a, T>(list: *const T, count: usize) -> &'a [T] {
    if list.is_null() {
        return &[];
    }
    // SAFETY: by the caller's contract.
    unsafe { core::slice::from_raw_parts(list, count) }
}

/// # Safety
///
/// As `hipLaunchCooperativeKernelMultiDevice` and `hipExtLaunchMultiKernelMultiDevice`.
pub unsafe fn multi_device(
    real: fn_types::hipLaunchCooperativeKernelMultiDevice,
    list: *mut hipLaunchParams,
    count: c_int,
    flags: c_uint,
) -> hipError_t {
    let length = usize::try_from(count).unwrap_or(0);
    // SAFETY: the program's own list of `count`.
    let parts = unsafe { entries(list, length) }.iter().map(|it| {
        let kernel = host_function(it.func);
        let (grid, block) = (sides(it.gridDim), sides(it.blockDim));
        (
            it.stream,
            work::kernel(kernel, grid, block, shared(it.sharedMem)),
        )
    });
    // SAFETY: the program's own call, passed on.
    on_devices(parts, length, || unsafe { real(list, count, flags) })
}

/// # Safety
///
/// As `hipModuleLaunchCooperativeKernelMultiDevice`.
pub unsafe fn module_multi_device(
    real: fn_types::hipModuleLaunchCooperativeKernelMultiDevice,
    list: *mut hipFunctionLaunchParams,
    count: c_uint,
    flags: c_uint,
) -> hipError_t {
    let length = count as usize;
    // SAFETY: the program's own list of `count`.
    let parts = unsafe { entries(list, length) }.iter().map(|it| {
        let grid = [it.gridDimX, it.gridDimY, it.gridDimZ];
        let block = [it.blockDimX, it.blockDimY, it.blockDimZ];
        (
            it.hStream,
            work::kernel(it.function.number(), grid, block, it.sharedMemBytes),
        )
    });
    // SAFETY: the program's own call, passed on.
    on_devices(parts, length, || unsafe { real(list, count, flags) })
}

/// # Safety
///
/// As `hipLaunchByPtr`: grid, block and stream were set by `hipConfigureCall`. The stream is not known here; the null
/// stream stands for it.
pub unsafe fn by_pointer(real: fn_types::hipLaunchByPtr, function: *const c_void) -> hipError_t {
    let work = work::unshaped(CONFIGURED, host_function(function), [1, 1], BLOCK_THREADS);
    // SAFETY: the program's own call, passed on.
    launch::<false>(ptr::null_mut(), work, || unsafe { real(function) })
}

/// # Safety
///
/// As `hipGraphLaunch`, or its variant for per-thread default streams.
pub unsafe fn graph<const PER_THREAD: bool>(
    real: fn_types::hipGraphLaunch,
    exec: hipGraphExec_t,
    stream: hipStream_t,
) -> hipError_t {
    // SAFETY: the program's own call, passed on.
    launch::<PER_THREAD>(stream, work::graph(exec.number()), || unsafe {
        real(exec, stream)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_given_in_threads_has_whole_blocks() {
        assert_eq!(blocks([1000, 1, 8], [256, 1, 4]), [4, 1, 2]);
        assert_eq!(
            blocks([7, 7, 7], [0, 1, 1]),
            [7, 7, 7],
            "refused by the driver"
        );
    }

    #[test]
    fn functions_of_the_program_are_told_from_handles() {
        let function = ptr::without_provenance(0x7fff_1234_5678);
        let kernel = host_function(function);
        assert_ne!(kernel, 0x7fff_1234_5678);
        assert_eq!(host_address(kernel).addr(), function.addr());
    }
}
