//! Kernels: their arguments and group sizes.

use crate::border::{Outcome, at, put, rc, read, require};
use crate::device::{GROUP_SIZE_MAX, THREADS_PER_WAVE};
use crate::driver::Gpu;
use crate::handles::{KERNELS, MODULES, get, take};
use crate::spirv::Entry;
use level_zero_sys::*;
use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::{Mutex, MutexGuard};

/// A kernel.
pub struct Kernel {
    /// Its device.
    pub gpu: &'static Gpu,
    name: CString,
    /// What its module says about it.
    pub entry: Entry,
    settings: Mutex<Settings>,
}

/// What launches take from the kernel.
#[derive(Clone)]
pub struct Settings {
    /// Work items of a group, by dimension.
    pub group: [u32; 3],
    /// Arguments as they were given.
    pub arguments: Vec<Option<Vec<u8>>>,
    indirect: ze_kernel_indirect_access_flags_t,
}

impl Kernel {
    /// Its settings, to read or change.
    pub fn settings(&self) -> MutexGuard<'_, Settings> {
        self.settings.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// Fails unless a group of that size can run.
pub fn check_group(group: [u32; 3]) -> Outcome {
    let items = group.iter().map(|n| u64::from(*n)).product::<u64>();
    let valid = (1..=u64::from(GROUP_SIZE_MAX)).contains(&items);
    require(valid, rc::INVALID_GROUP_SIZE)
}

/// `zeKernelCreate`.
pub unsafe fn create(
    module: ze_module_handle_t,
    desc: *const ze_kernel_desc_t,
    place: *mut ze_kernel_handle_t,
) -> Outcome {
    let module = get(&MODULES, module)?;
    // SAFETY: the caller's descriptor.
    let desc = unsafe { read(desc) }?;
    require(
        !place.is_null() && !desc.pKernelName.is_null(),
        rc::NULL_POINTER,
    )?;
    // SAFETY: a text that ends with a NUL, by the caller's contract.
    let name = unsafe { CStr::from_ptr(desc.pKernelName) };
    let entry = name.to_str().ok().and_then(|name| module.entry(name));
    let entry = entry.ok_or(rc::INVALID_KERNEL_NAME)?.clone();
    let settings = Settings {
        group: [1, 1, 1],
        arguments: vec![None; entry.parameters.len()],
        indirect: 0,
    };
    let kernel = Kernel {
        gpu: module.gpu,
        name: name.to_owned(),
        entry,
        settings: Mutex::new(settings),
    };
    // SAFETY: checked above.
    unsafe { put(place, KERNELS.insert(kernel) as ze_kernel_handle_t) }
}

/// `zeKernelDestroy`.
pub unsafe fn destroy(kernel: ze_kernel_handle_t) -> Outcome {
    take(&KERNELS, kernel).map(drop)
}

/// `zeKernelSetGroupSize`.
pub unsafe fn set_group_size(kernel: ze_kernel_handle_t, x: u32, y: u32, z: u32) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    check_group([x, y, z])?;
    kernel.settings().group = [x, y, z];
    Ok(())
}

/// `zeKernelSuggestGroupSize`: the largest power of two up to 256 by which the work divides.
pub unsafe fn suggest_group_size(
    kernel: ze_kernel_handle_t,
    global_x: u32,
    _global_y: u32,
    _global_z: u32,
    x: *mut u32,
    y: *mut u32,
    z: *mut u32,
) -> Outcome {
    get(&KERNELS, kernel)?;
    require(global_x > 0, rc::INVALID_ARGUMENT)?;
    // SAFETY: the caller's pointers, null allowed.
    unsafe {
        put(x, 1 << global_x.trailing_zeros().min(8))?;
        put(y, 1)?;
        put(z, 1)
    }
}

/// `zeKernelSuggestMaxCooperativeGroupCount`: as many as run at once.
pub unsafe fn suggest_cooperative(kernel: ze_kernel_handle_t, place: *mut u32) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    let items: u64 = kernel
        .settings()
        .group
        .iter()
        .map(|n| u64::from(*n))
        .product();
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, (THREADS_PER_WAVE / items) as u32) }
}

/// `zeKernelSetArgumentValue`. Without a value the argument is a null pointer, or local memory of that size.
pub unsafe fn set_argument(
    kernel: ze_kernel_handle_t,
    index: u32,
    bytes: usize,
    value: *const c_void,
) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    let size = kernel.entry.parameters.get(index as usize);
    let size = *size.ok_or(rc::INVALID_ARGUMENT_INDEX)?;
    let matches = value.is_null() || size.is_none_or(|size| size == bytes);
    require(matches, rc::INVALID_ARGUMENT_SIZE)?;
    let argument = match value.is_null() {
        true => vec![0; 8],
        // SAFETY: the caller's value and its size.
        false => unsafe { std::slice::from_raw_parts(value.cast::<u8>(), bytes) }.to_vec(),
    };
    kernel.settings().arguments[index as usize] = Some(argument);
    Ok(())
}

/// `zeKernelSetIndirectAccess`.
pub unsafe fn set_indirect_access(
    kernel: ze_kernel_handle_t,
    flags: ze_kernel_indirect_access_flags_t,
) -> Outcome {
    get(&KERNELS, kernel)?.settings().indirect = flags;
    Ok(())
}

/// `zeKernelGetIndirectAccess`.
pub unsafe fn get_indirect_access(
    kernel: ze_kernel_handle_t,
    place: *mut ze_kernel_indirect_access_flags_t,
) -> Outcome {
    // SAFETY: the caller's pointer, null allowed.
    unsafe { put(place, get(&KERNELS, kernel)?.settings().indirect) }
}

/// `zeKernelSetCacheConfig`: a hint.
pub unsafe fn set_cache_config(
    kernel: ze_kernel_handle_t,
    _flags: ze_cache_config_flags_t,
) -> Outcome {
    get(&KERNELS, kernel).map(drop)
}

/// `zeKernelGetName`.
pub unsafe fn name(kernel: ze_kernel_handle_t, size: *mut usize, out: *mut c_char) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    // SAFETY: the same contract.
    unsafe { crate::module::text(size, out, &kernel.name) }
}

/// `zeKernelGetProperties`.
pub unsafe fn properties(
    kernel: ze_kernel_handle_t,
    properties: *mut ze_kernel_properties_t,
) -> Outcome {
    let kernel = get(&KERNELS, kernel)?;
    // SAFETY: the caller's structure.
    let p = unsafe { at(properties) }?;
    p.numKernelArgs = kernel.entry.parameters.len() as u32;
    (
        p.requiredGroupSizeX,
        p.requiredGroupSizeY,
        p.requiredGroupSizeZ,
    ) = (0, 0, 0);
    (p.requiredNumSubGroups, p.requiredSubgroupSize) = (0, 0);
    (p.maxSubgroupSize, p.maxNumSubgroups) = (32, GROUP_SIZE_MAX / 32);
    (p.localMemSize, p.privateMemSize, p.spillMemSize) = (0, 0, 0);
    Ok(())
}
