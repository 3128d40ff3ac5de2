//! Kernel launches, by the host's function and by the module's.

use crate::border::{Outcome, put_optional, rc, require};
use crate::{own, registry};
use fcsp_sim_driver::types::{EventHandle, FunctionHandle, StreamHandle};
use fcsp_sim_driver::{event, launch};
use hip_sys::{dim3, hipDeviceProp_tR0600, hipFunctionLaunchParams, hipLaunchParams, hipStream_t};
use std::cell::RefCell;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;

/// What `<<<…>>>` says between its two calls, and the arguments of the interface before HIP 1.5.
#[derive(Clone)]
struct Configuration {
    grid: dim3,
    block: dim3,
    shared_bytes: usize,
    stream: hipStream_t,
    arguments: Vec<u8>,
}

thread_local! {
    static CONFIGURATIONS: RefCell<Vec<Configuration>> = const { RefCell::new(Vec::new()) };
}

/// `__hipPushCallConfiguration` and `hipConfigureCall`.
pub unsafe fn push(grid: dim3, block: dim3, shared_bytes: usize, stream: hipStream_t) -> Outcome {
    CONFIGURATIONS.with_borrow_mut(|all| {
        all.push(Configuration {
            grid,
            block,
            shared_bytes,
            stream,
            arguments: Vec::new(),
        });
    });
    Ok(())
}

/// `__hipPopCallConfiguration`.
pub unsafe fn pop(
    grid: *mut dim3,
    block: *mut dim3,
    shared_bytes: *mut usize,
    stream: *mut hipStream_t,
) -> Outcome {
    let found = CONFIGURATIONS.with_borrow_mut(Vec::pop);
    let found = found.ok_or(rc::INVALID_VALUE)?;
    // SAFETY: the compiler's places.
    unsafe {
        put_optional(grid, found.grid);
        put_optional(block, found.block);
        put_optional(shared_bytes, found.shared_bytes);
        put_optional(stream, found.stream);
    }
    Ok(())
}

/// `hipSetupArgument`.
pub unsafe fn set_argument(value: *const c_void, bytes: usize, offset: usize) -> Outcome {
    require(
        !value.is_null() && bytes <= 4096 && offset <= 4096,
        rc::INVALID_VALUE,
    )?;
    CONFIGURATIONS.with_borrow_mut(|all| {
        let last = all.last_mut().ok_or(rc::INVALID_VALUE)?;
        let length = last.arguments.len().max(offset + bytes);
        last.arguments.resize(length, 0);
        // SAFETY: the caller's bytes; the buffer was made long enough.
        unsafe {
            let place = last.arguments.as_mut_ptr().add(offset);
            std::ptr::copy_nonoverlapping(value.cast::<u8>(), place, bytes);
        }
        Ok(())
    })
}

/// `hipLaunchByPtr`.
pub unsafe fn by_pointer(function: *const c_void) -> Outcome {
    let found = CONFIGURATIONS.with_borrow_mut(Vec::pop);
    let mut found = found.ok_or(rc::INVALID_VALUE)?;
    let mut bytes = found.arguments.len();
    let mut extra = [
        hip_sys::HIP_LAUNCH_PARAM_BUFFER_POINTER,
        found.arguments.as_mut_ptr().cast(),
        hip_sys::HIP_LAUNCH_PARAM_BUFFER_SIZE,
        (&raw mut bytes).cast(),
        hip_sys::HIP_LAUNCH_PARAM_END,
    ];
    let (grid, block) = (found.grid, found.block);
    // SAFETY: the arguments that were set, as a buffer of their size.
    unsafe {
        own::module_launch(
            registry::function(function)?.cast(),
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            found.shared_bytes as c_uint,
            found.stream.cast(),
            null_mut(),
            extra.as_mut_ptr(),
        )
    }
}

/// `hip_impl::hipLaunchKernelGGLImpl`, of HIP 5.
pub unsafe fn ggl(
    function: usize,
    grid: *const dim3,
    block: *const dim3,
    shared_bytes: u32,
    stream: hipStream_t,
    extra: *mut *mut c_void,
) -> Outcome {
    require(!grid.is_null() && !block.is_null(), rc::INVALID_VALUE)?;
    // SAFETY: not null, so readable by the caller's contract, which is also that of the launch.
    unsafe {
        let (grid, block) = (*grid, *block);
        own::module_launch(
            registry::function(function as *const c_void)?.cast(),
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            shared_bytes,
            stream.cast(),
            null_mut(),
            extra,
        )
    }
}

/// `hipLaunchKernel`.
pub unsafe fn kernel(
    function: *const c_void,
    grid: dim3,
    block: dim3,
    params: *mut *mut c_void,
    shared_bytes: usize,
    stream: StreamHandle,
) -> Outcome {
    let function = registry::function(function)?;
    let shared_bytes = c_uint::try_from(shared_bytes).map_err(|_| rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe {
        launch::kernel(
            function,
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            shared_bytes,
            stream,
            params,
            null_mut(),
        )
    }
}

/// Runs a launch between two events, either of which may be null.
unsafe fn between(
    start: EventHandle,
    stop: EventHandle,
    stream: StreamHandle,
    work: impl FnOnce() -> Outcome,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        if !start.is_null() {
            event::record(start, stream)?;
        }
        work()?;
        if !stop.is_null() {
            event::record(stop, stream)?;
        }
    }
    Ok(())
}

/// `hipExtLaunchKernel`.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn kernel_with_events(
    function: *const c_void,
    grid: dim3,
    block: dim3,
    params: *mut *mut c_void,
    shared_bytes: usize,
    stream: StreamHandle,
    start: EventHandle,
    stop: EventHandle,
    _flags: c_int,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        between(start, stop, stream, || {
            kernel(function, grid, block, params, shared_bytes, stream)
        })
    }
}

/// `hipExtModuleLaunchKernel`: the grid in threads.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn module_with_events(
    function: FunctionHandle,
    x: u32,
    y: u32,
    z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: usize,
    stream: StreamHandle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    start: EventHandle,
    stop: EventHandle,
    _flags: u32,
) -> Outcome {
    require(block_x > 0 && block_y > 0 && block_z > 0, rc::INVALID_VALUE)?;
    let shared_bytes = c_uint::try_from(shared_bytes).map_err(|_| rc::INVALID_VALUE)?;
    // SAFETY: the same contract.
    unsafe {
        between(start, stop, stream, || {
            launch::kernel(
                function,
                x.div_ceil(block_x),
                y.div_ceil(block_y),
                z.div_ceil(block_z),
                block_x,
                block_y,
                block_z,
                shared_bytes,
                stream,
                params,
                extra,
            )
        })
    }
}

/// `hipHccModuleLaunchKernel`.
#[expect(clippy::too_many_arguments, reason = "the library's signature")]
pub unsafe fn module_hcc(
    function: FunctionHandle,
    x: u32,
    y: u32,
    z: u32,
    block_x: u32,
    block_y: u32,
    block_z: u32,
    shared_bytes: usize,
    stream: StreamHandle,
    params: *mut *mut c_void,
    extra: *mut *mut c_void,
    start: EventHandle,
    stop: EventHandle,
) -> Outcome {
    // SAFETY: the same contract.
    unsafe {
        module_with_events(
            function,
            x,
            y,
            z,
            block_x,
            block_y,
            block_z,
            shared_bytes,
            stream,
            params,
            extra,
            start,
            stop,
            0,
        )
    }
}

/// `hipLaunchCooperativeKernel`.
pub unsafe fn cooperative(
    function: *const c_void,
    grid: dim3,
    block: dim3,
    params: *mut *mut c_void,
    shared_bytes: c_uint,
    stream: StreamHandle,
) -> Outcome {
    let function = registry::function(function)?;
    // SAFETY: the same contract.
    unsafe {
        launch::cooperative(
            function,
            grid.x,
            grid.y,
            grid.z,
            block.x,
            block.y,
            block.z,
            shared_bytes,
            stream,
            params,
        )
    }
}

/// `hipLaunchCooperativeKernelMultiDevice` and `hipExtLaunchMultiKernelMultiDevice`: one launch after the other, each in
/// its own stream. The real library first asks itself what the devices are.
pub unsafe fn on_devices(list: *mut hipLaunchParams, count: c_int, _flags: c_uint) -> Outcome {
    require(!list.is_null() && count > 0, rc::INVALID_VALUE)?;
    let mut device = 0;
    let mut properties = Box::<hipDeviceProp_tR0600>::default();
    // SAFETY: places for both; the larger of the two layouts.
    unsafe {
        own::get_device(&mut device)?;
        own::device_properties((&raw mut *properties).cast(), device)?;
    }
    // SAFETY: the caller passed `count` launches.
    for p in unsafe { std::slice::from_raw_parts(list, count as usize) } {
        // SAFETY: the same contract.
        unsafe {
            kernel(
                p.func,
                p.gridDim,
                p.blockDim,
                p.args,
                p.sharedMem,
                p.stream.cast(),
            )?
        };
    }
    Ok(())
}

/// `hipModuleLaunchCooperativeKernelMultiDevice`.
pub unsafe fn modules_on_devices(
    list: *mut hipFunctionLaunchParams,
    count: c_uint,
    _flags: c_uint,
) -> Outcome {
    require(!list.is_null() && count > 0, rc::INVALID_VALUE)?;
    // SAFETY: the caller passed `count` launches.
    for p in unsafe { std::slice::from_raw_parts(list, count as usize) } {
        // SAFETY: the same contract.
        unsafe {
            launch::cooperative(
                p.function.cast(),
                p.gridDimX,
                p.gridDimY,
                p.gridDimZ,
                p.blockDimX,
                p.blockDimY,
                p.blockDimZ,
                p.sharedMemBytes,
                p.hStream.cast(),
                p.kernelParams,
            )?;
        }
    }
    Ok(())
}
