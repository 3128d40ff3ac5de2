//! Handlers of memory: device and shared allocations here, images in [`image`], physical memory in [`physical`].
//!
//! A call names its device, which is charged. Host memory is nobody's; memory of another process or interface was paid
//! for by whoever made it. What is left in a context at its end stays charged: drivers may keep it.

pub mod image;
pub mod physical;

use core::ffi::c_void;

use fcsp_gate::Handle;
use fcsp_program::device::Device;
use fcsp_program::memory::NO_CONTEXT;
use fcsp_program::memory::charge::{When, charged, credited, credited_by, give_back, key_at};
use fcsp_program::turn;
use level_zero_sys::{
    fn_types, ze_base_desc_t, ze_context_handle_t, ze_device_handle_t, ze_device_mem_alloc_desc_t,
    ze_driver_memory_free_policy_ext_flag_t, ze_host_mem_alloc_desc_t, ze_memory_free_ext_desc_t,
    ze_result_t, ze_structure_type_t,
};

use crate::devices;
use crate::driver::Ze;

/// What device memory is given out in. Not measured on all devices: Intel's discrete ones have pages of 64 KiB.
const PAGE_BYTES: u64 = 64 << 10;
/// Structures of a chain that are looked at.
const CHAIN_MAX: usize = 64;

/// What the driver takes for `bytes`.
pub fn pages(bytes: u64) -> u64 {
    bytes
        .checked_next_multiple_of(PAGE_BYTES)
        .unwrap_or(u64::MAX)
}

/// Makes what the driver writes the address or handle of to `place`, on the device with that handle; charged `bytes`.
///
/// # Safety
///
/// `place` is the program's own argument, valid after the driver accepted it.
unsafe fn make<T>(
    device: ze_device_handle_t,
    place: *mut *mut T,
    bytes: u64,
    allocate: impl FnOnce() -> ze_result_t,
) -> ze_result_t {
    let device = match devices::taken(device) {
        Ok(Some(device)) => device,
        Ok(None) => return allocate(),
        Err(refusal) => return refusal,
    };
    charged::<Ze>(device, &device.allocations, bytes, NO_CONTEXT, || {
        let result = allocate();
        // SAFETY: the driver has answered.
        (result, unsafe {
            key_at::<Ze, *mut T>(result, place, Handle::number)
        })
    })
}

/// Whether a chain of structures brings memory of another interface or process.
///
/// # Safety
///
/// `next` is null, or the program's own chain.
pub unsafe fn is_import(mut next: *const c_void) -> bool {
    type Kind = ze_structure_type_t;
    for _ in 0..CHAIN_MAX {
        // SAFETY: every structure of a chain begins with its type and the next one.
        let Some(head) = (unsafe { next.cast::<ze_base_desc_t>().as_ref() }) else {
            return false;
        };
        if matches!(
            head.stype,
            Kind::ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMPORT_FD
                | Kind::ZE_STRUCTURE_TYPE_EXTERNAL_MEMORY_IMPORT_WIN32
        ) {
            return true;
        }
        next = head.pNext;
    }
    false
}

/// # Safety
///
/// As `zeMemAllocDevice`.
pub unsafe fn alloc_device(
    real: fn_types::zeMemAllocDevice,
    context: ze_context_handle_t,
    desc: *const ze_device_mem_alloc_desc_t,
    size: usize,
    alignment: usize,
    device: ze_device_handle_t,
    place: *mut *mut c_void,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        let allocate = || real(context, desc, size, alignment, device, place);
        if desc.as_ref().is_some_and(|it| is_import(it.pNext)) {
            return allocate();
        }
        make(device, place, pages(size as u64), allocate)
    }
}

/// # Safety
///
/// As `zeMemAllocShared`.
pub unsafe fn alloc_shared(
    real: fn_types::zeMemAllocShared,
    context: ze_context_handle_t,
    device_desc: *const ze_device_mem_alloc_desc_t,
    host_desc: *const ze_host_mem_alloc_desc_t,
    size: usize,
    alignment: usize,
    device: ze_device_handle_t,
    place: *mut *mut c_void,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let allocate = || unsafe {
        real(
            context,
            device_desc,
            host_desc,
            size,
            alignment,
            device,
            place,
        )
    };
    if device.is_null() {
        return allocate();
    }
    // All of it may come to live on the device, so all of it is charged.
    if let Some(device) = devices::limited(device) {
        device.activity.note_lazy();
    }
    // SAFETY: the program's own argument.
    unsafe { make(device, place, pages(size as u64), allocate) }
}

/// # Safety
///
/// As `zeMemFree`.
pub unsafe fn free(
    real: fn_types::zeMemFree,
    context: ze_context_handle_t,
    address: *mut c_void,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    credited::<Ze>(address.number(), || unsafe { real(context, address) })
}

/// # Safety
///
/// As `zeMemFreeExt`.
pub unsafe fn free_ext(
    real: fn_types::zeMemFreeExt,
    context: ze_context_handle_t,
    desc: *const ze_memory_free_ext_desc_t,
    address: *mut c_void,
) -> ze_result_t {
    type Policy = ze_driver_memory_free_policy_ext_flag_t;
    // SAFETY: the program's own argument; null is the driver's to refuse.
    let policy = unsafe { desc.as_ref() }.map_or(0, |it| it.freePolicy);
    // SAFETY: the program's own call, passed on.
    let free = || unsafe { real(context, desc, address) };
    if policy & Policy::ZE_DRIVER_MEMORY_FREE_POLICY_EXT_FLAG_DEFER_FREE.0 != 0 {
        let later = |device: &Device, live| give_back(device, live, When::Later);
        return credited_by::<Ze>(address.number(), free, later);
    }
    if policy & Policy::ZE_DRIVER_MEMORY_FREE_POLICY_EXT_FLAG_BLOCKING_FREE.0 != 0 {
        return credited::<Ze>(address.number(), || turn::waiting::<Ze>(free));
    }
    credited::<Ze>(address.number(), free)
}

/// # Safety
///
/// As `zeContextDestroy`.
pub unsafe fn end_context(
    real: fn_types::zeContextDestroy,
    context: ze_context_handle_t,
) -> ze_result_t {
    fcsp_intel_queue::forget_context(&Ze, context);
    // SAFETY: the program's own call, passed on.
    unsafe { real(context) }
}
