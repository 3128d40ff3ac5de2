//! The launch interface before CUDA 4: a function carries its block's shape and its arguments from call
//! to call.

use crate::border::{Outcome, rc, require};
use crate::launch;
use crate::module::FUNCTIONS;
use crate::types::*;
use cuda_sys::{CU_LAUNCH_PARAM_BUFFER_POINTER, CU_LAUNCH_PARAM_BUFFER_SIZE, CU_LAUNCH_PARAM_END};
use std::collections::BTreeMap;
use std::ffi::{c_int, c_uint, c_void};
use std::ptr::null_mut;
use std::sync::{Mutex, PoisonError};

/// What a function carries.
#[derive(Clone, Debug)]
pub struct Settings {
    block: [c_uint; 3],
    shared_bytes: c_uint,
    arguments: Vec<u8>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            block: [1; 3],
            shared_bytes: 0,
            arguments: Vec::new(),
        }
    }
}

/// Most bytes of arguments.
const ARGUMENT_BYTES_MAX: usize = 4096;

/// Settings by function.
static SETTINGS: Mutex<BTreeMap<u64, Settings>> = Mutex::new(BTreeMap::new());

fn change(handle: FunctionHandle, change: impl FnOnce(&mut Settings) -> Outcome) -> Outcome {
    FUNCTIONS.get(handle).ok_or(rc::INVALID_HANDLE)?;
    let mut all = SETTINGS.lock().unwrap_or_else(PoisonError::into_inner);
    change(all.entry(handle as u64).or_default())
}

/// `cuFuncSetBlockShape`.
pub unsafe fn block_shape(handle: FunctionHandle, x: c_int, y: c_int, z: c_int) -> Outcome {
    require(x > 0 && y > 0 && z > 0, rc::INVALID_VALUE)?;
    change(handle, |settings| {
        settings.block = [x, y, z].map(c_int::unsigned_abs);
        Ok(())
    })
}

/// `cuFuncSetSharedSize`.
pub unsafe fn shared_size(handle: FunctionHandle, bytes: c_uint) -> Outcome {
    change(handle, |settings| {
        settings.shared_bytes = bytes;
        Ok(())
    })
}

/// `cuParamSetSize`.
pub unsafe fn size(handle: FunctionHandle, bytes: c_uint) -> Outcome {
    require(bytes as usize <= ARGUMENT_BYTES_MAX, rc::INVALID_VALUE)?;
    change(handle, |settings| {
        settings.arguments.resize(bytes as usize, 0);
        Ok(())
    })
}

fn put(handle: FunctionHandle, offset: c_int, bytes: &[u8]) -> Outcome {
    let offset = usize::try_from(offset).map_err(|_| rc::INVALID_VALUE)?;
    let end = offset + bytes.len();
    require(end <= ARGUMENT_BYTES_MAX, rc::INVALID_VALUE)?;
    change(handle, |settings| {
        let length = settings.arguments.len().max(end);
        settings.arguments.resize(length, 0);
        settings.arguments[offset..end].copy_from_slice(bytes);
        Ok(())
    })
}

/// `cuParamSeti`.
pub unsafe fn integer(handle: FunctionHandle, offset: c_int, value: c_uint) -> Outcome {
    put(handle, offset, &value.to_ne_bytes())
}

/// `cuParamSetf`.
pub unsafe fn float(handle: FunctionHandle, offset: c_int, value: f32) -> Outcome {
    put(handle, offset, &value.to_ne_bytes())
}

/// `cuParamSetv`.
pub unsafe fn bytes(
    handle: FunctionHandle,
    offset: c_int,
    value: *mut c_void,
    count: c_uint,
) -> Outcome {
    require(!value.is_null() || count == 0, rc::INVALID_VALUE)?;
    if count == 0 {
        return Ok(());
    }
    // SAFETY: the caller's bytes, as many as it says.
    let value = unsafe { std::slice::from_raw_parts(value.cast::<u8>(), count as usize) };
    put(handle, offset, value)
}

/// `cuLaunch`.
pub unsafe fn one(handle: FunctionHandle) -> Outcome {
    // SAFETY: the same contract.
    unsafe { grid_async(handle, 1, 1, null_mut()) }
}

/// `cuLaunchGrid`.
pub unsafe fn grid(handle: FunctionHandle, width: c_int, height: c_int) -> Outcome {
    // SAFETY: the same contract.
    unsafe { grid_async(handle, width, height, null_mut()) }
}

/// `cuLaunchGridAsync`.
pub unsafe fn grid_async(
    handle: FunctionHandle,
    width: c_int,
    height: c_int,
    stream: StreamHandle,
) -> Outcome {
    require(width > 0 && height > 0, rc::INVALID_VALUE)?;
    let mut settings = Settings::default();
    change(handle, |known| {
        settings.clone_from(known);
        Ok(())
    })?;
    let [x, y, z] = settings.block;
    let mut bytes = settings.arguments.len();
    let mut extra = [
        CU_LAUNCH_PARAM_BUFFER_POINTER,
        settings.arguments.as_mut_ptr().cast(),
        CU_LAUNCH_PARAM_BUFFER_SIZE,
        (&raw mut bytes).cast(),
        CU_LAUNCH_PARAM_END,
    ];
    // SAFETY: the arguments that were set, as a buffer of their size; the list ends with null.
    unsafe {
        launch::kernel(
            handle,
            width.unsigned_abs(),
            height.unsigned_abs(),
            1,
            x,
            y,
            z,
            settings.shared_bytes,
            stream,
            null_mut(),
            extra.as_mut_ptr(),
        )
    }
}
