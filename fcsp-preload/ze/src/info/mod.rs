//! Handlers of calls that ask about the device: the tenant's quota is the whole device. Sysman's are in [`sysman`] and
//! [`activity`].

pub mod activity;
pub mod sysman;

use core::ffi::{CStr, c_char, c_void};

use fcsp_preload::procaddr::substitute;
use fcsp_program::device::{self, Device};
use fcsp_program::info::quota_and_free;
use level_zero_sys::{
    fn_types, ze_base_desc_t, ze_device_handle_t, ze_device_memory_properties_t,
    ze_device_properties_t, ze_device_usablemem_size_ext_properties_t,
    ze_driver_ddi_handle_ext_flag_t, ze_driver_ddi_handles_ext_properties_t, ze_driver_handle_t,
    ze_driver_properties_t, ze_result_t, ze_structure_type_t, zes_driver_handle_t,
};

use crate::devices::ordinal_of;
use crate::driver::Ze;
use crate::hooks::LEVEL_ZERO;
use crate::hooks::below::DRIVER;

const SUCCESS: ze_result_t = ze_result_t::ZE_RESULT_SUCCESS;
/// Structures of a chain that are looked at.
const CHAIN_MAX: usize = 64;

fn device_at(handle: ze_device_handle_t) -> Option<&'static Device> {
    device::at::<Ze>(ordinal_of(handle)?)
}

/// The structure of that kind in a chain.
///
/// # Safety
///
/// `next` is null, or a chain that the driver has accepted; `T` is what `kind` says.
unsafe fn in_chain<'a, T>(mut next: *mut c_void, kind: ze_structure_type_t) -> Option<&'a mut T> {
    for _ in 0..CHAIN_MAX {
        // SAFETY: every structure of a chain begins with its type and the next one.
        let head = unsafe { next.cast::<ze_base_desc_t>().as_ref() }?;
        if head.stype == kind {
            // SAFETY: by the caller's contract.
            return unsafe { next.cast::<T>().as_mut() };
        }
        next = head.pNext.cast_mut();
    }
    None
}

/// # Safety
///
/// As `zeDeviceGetProperties`.
pub unsafe fn properties(
    real: fn_types::zeDeviceGetProperties,
    handle: ze_device_handle_t,
    place: *mut ze_device_properties_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, place) };
    if result == SUCCESS
        && let Some((quota, left)) = device_at(handle).and_then(quota_and_free::<Ze>)
    {
        // SAFETY: the driver accepted and filled the structure, and those that follow it.
        unsafe {
            (*place).maxMemAllocSize = (*place).maxMemAllocSize.min(quota);
            let kind = ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_USABLEMEM_SIZE_EXT_PROPERTIES;
            type Usable = ze_device_usablemem_size_ext_properties_t;
            if let Some(usable) = in_chain::<Usable>((*place).pNext, kind) {
                usable.currUsableMemSize = usable.currUsableMemSize.min(left);
            }
        }
    }
    result
}

/// # Safety
///
/// As `zeDeviceGetMemoryProperties`.
pub unsafe fn memories(
    real: fn_types::zeDeviceGetMemoryProperties,
    handle: ze_device_handle_t,
    count: *mut u32,
    places: *mut ze_device_memory_properties_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, count, places) };
    if result == SUCCESS
        && !places.is_null()
        && let Some(quota) = device_at(handle).and_then(Device::quota_bytes)
    {
        // SAFETY: the driver accepted both and filled so many structures.
        let filled = unsafe { core::slice::from_raw_parts_mut(places, *count as usize) };
        for memory in filled {
            memory.totalSize = memory.totalSize.min(quota);
        }
    }
    result
}

/// # Safety
///
/// As `zeDriverGetProperties`.
pub unsafe fn driver(
    real: fn_types::zeDriverGetProperties,
    handle: ze_driver_handle_t,
    place: *mut ze_driver_properties_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, place) };
    if result == SUCCESS {
        let kind = ze_structure_type_t::ZE_STRUCTURE_TYPE_DRIVER_DDI_HANDLES_EXT_PROPERTIES;
        type Tables = ze_driver_ddi_handles_ext_properties_t;
        let supported =
            ze_driver_ddi_handle_ext_flag_t::ZE_DRIVER_DDI_HANDLE_EXT_FLAG_DDI_HANDLE_EXT_SUPPORTED;
        // SAFETY: the driver accepted and filled the structure, and those that follow it.
        if let Some(tables) = unsafe { in_chain::<Tables>((*place).pNext, kind) } {
            tables.flags &= !supported.0;
        }
    }
    result
}

/// Replaces the driver's function of that name, if it has a row.
///
/// # Safety
///
/// The program's arguments, after a call that returned `result`.
unsafe fn replace(result: ze_result_t, name: *const c_char, place: *mut *mut c_void) {
    if result != SUCCESS || name.is_null() || place.is_null() {
        return;
    }
    // SAFETY: the driver accepted both pointers: a string, and a place for an address.
    let (name, found) = unsafe { (CStr::from_ptr(name), *place) };
    let ours = [&LEVEL_ZERO, &DRIVER].map(|table| substitute(table, found, Some(name)));
    if let Some(ours) = ours.into_iter().find(|it| *it != found) {
        // SAFETY: as above.
        unsafe { *place = ours };
    }
}

/// # Safety
///
/// As `zeDriverGetExtensionFunctionAddress`.
pub unsafe fn function(
    real: fn_types::zeDriverGetExtensionFunctionAddress,
    driver: ze_driver_handle_t,
    name: *const c_char,
    place: *mut *mut c_void,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        let result = real(driver, name, place);
        replace(result, name, place);
        result
    }
}

/// # Safety
///
/// As `zesDriverGetExtensionFunctionAddress`.
pub unsafe fn managed_function(
    real: fn_types::zesDriverGetExtensionFunctionAddress,
    driver: zes_driver_handle_t,
    name: *const c_char,
    place: *mut *mut c_void,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        let result = real(driver, name, place);
        replace(result, name, place);
        result
    }
}
