//! Kernels: their group sizes, which no function returns, and what they are called.

use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_gate::Handle;
use fcsp_program::kernels;
use fcsp_program::memory::noticed;
use fcsp_program::turn::Work;
use fcsp_program::work;
use level_zero_sys::{
    fn_types, ze_context_handle_t, ze_device_handle_t, ze_group_count_t, ze_kernel_desc_t,
    ze_kernel_handle_t, ze_module_build_log_handle_t, ze_module_desc_t, ze_module_handle_t,
    ze_result_t,
};

use crate::devices;
use crate::driver::Ze;

/// A side of a group takes so many bits in [`GROUPS`].
const SIDE_BITS: u32 = 16;
/// Threads of a group whose size nobody has set, for the guess.
const GROUP_THREADS: u64 = 256;
/// Tells launches whose size is known on the device only.
const INDIRECT: u64 = 0x0069_6e64_6972;

/// Group sizes by kernel, as numbers: x from the lowest bit on, then y and z.
static GROUPS: LiveMap = LiveMap::new();

fn packed(group: [u32; 3]) -> u64 {
    let side = |side: u32| u64::from(side.min((1 << SIDE_BITS) - 1));
    side(group[0]) | side(group[1]) << SIDE_BITS | side(group[2]) << (2 * SIDE_BITS)
}

fn group_of(kernel: u64) -> Option<[u32; 3]> {
    let packed = GROUPS.get(kernel)?.bytes;
    let side = |at: u32| (packed >> (at * SIDE_BITS)) as u32 & ((1 << SIDE_BITS) - 1);
    Some([side(0), side(1), side(2)])
}

/// A launch of a kernel on so many groups.
///
/// # Safety
///
/// `count` is null or the program's own structure.
#[inline]
pub unsafe fn launch(
    kernel: ze_kernel_handle_t,
    count: *const ze_group_count_t,
) -> Work<impl FnOnce() -> u64> {
    // SAFETY: by the caller's contract. Null is the driver's to refuse.
    let grid = unsafe { count.as_ref() };
    let grid = grid.map_or([0; 3], |it| {
        [it.groupCountX, it.groupCountY, it.groupCountZ]
    });
    let kernel = kernel.number();
    let group = group_of(kernel).unwrap_or([GROUP_THREADS as u32, 1, 1]);
    work::kernel(kernel, grid, group, 0)
}

/// A launch with a group size of its own.
pub fn launch_with(
    kernel: ze_kernel_handle_t,
    grid: [u32; 3],
    group: [u32; 3],
) -> Work<impl FnOnce() -> u64> {
    work::kernel(kernel.number(), grid, group, 0)
}

/// A launch of a kernel on as many groups as a word on the device says.
pub fn launch_indirect(kernel: u64) -> Work<impl FnOnce() -> u64> {
    let group = group_of(kernel).unwrap_or([GROUP_THREADS as u32, 1, 1]);
    let threads = group.iter().map(|side| u64::from(*side)).product();
    work::unshaped(INDIRECT, kernel, [1, 1], threads)
}

/// # Safety
///
/// As `zeKernelCreate`.
pub unsafe fn create(
    real: fn_types::zeKernelCreate,
    module: ze_module_handle_t,
    desc: *const ze_kernel_desc_t,
    kernel: *mut ze_kernel_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on; the driver accepted the descriptor and wrote the handle.
    unsafe {
        let result = real(module, desc, kernel);
        let name = desc.as_ref().map_or(core::ptr::null(), |it| it.pKernelName);
        kernels::looked_up::<Ze, _>(result, kernel, name)
    }
}

/// # Safety
///
/// As `zeKernelDestroy`.
pub unsafe fn destroy(real: fn_types::zeKernelDestroy, kernel: ze_kernel_handle_t) -> ze_result_t {
    GROUPS.remove(kernel.number());
    // SAFETY: the program's own call, passed on.
    unsafe { real(kernel) }
}

/// # Safety
///
/// As `zeKernelSetGroupSize`.
pub unsafe fn set_group_size(
    real: fn_types::zeKernelSetGroupSize,
    kernel: ze_kernel_handle_t,
    x: u32,
    y: u32,
    z: u32,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(kernel, x, y, z) };
    if result == ze_result_t::ZE_RESULT_SUCCESS {
        let (bytes, key) = (packed([x, y, z]), kernel.number());
        if GROUPS.get(key).is_none_or(|it| it.bytes != bytes) {
            GROUPS.remove(key);
            // Without a place it has the size of those that nobody set.
            let _unknown = GROUPS.insert(key, Live { bytes, kind: 0 });
        }
    }
    result
}

/// # Safety
///
/// As `zeModuleCreate`.
pub unsafe fn create_module(
    real: fn_types::zeModuleCreate,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *const ze_module_desc_t,
    module: *mut ze_module_handle_t,
    log: *mut ze_module_build_log_handle_t,
) -> ze_result_t {
    if let Err(refusal) = devices::taken(device) {
        return refusal;
    }
    // SAFETY: the program's own call, passed on.
    noticed::<Ze>(unsafe { real(context, device, desc, module, log) })
}

/// # Safety
///
/// As `zeModuleDestroy`.
pub unsafe fn destroy_module(
    real: fn_types::zeModuleDestroy,
    module: ze_module_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    noticed::<Ze>(unsafe { real(module) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_size_is_kept_as_a_number() {
        GROUPS
            .insert(
                48,
                Live {
                    bytes: packed([1024, 2, 64]),
                    kind: 0,
                },
            )
            .expect("room");
        assert_eq!(group_of(48), Some([1024, 2, 64]));
        assert_eq!(group_of(64), None);
    }
}
