//! Handlers of physical memory that is mapped apart from its allocation: [`fcsp_program::memory::physical`].

use core::ffi::c_void;

use fcsp_gate::Handle;
use fcsp_program::memory::physical;
use level_zero_sys::{
    fn_types, ze_context_handle_t, ze_device_handle_t, ze_memory_access_attribute_t,
    ze_physical_mem_desc_t, ze_physical_mem_flag_t, ze_physical_mem_handle_t, ze_result_t,
};

use crate::devices;
use crate::driver::Ze;
use crate::memory::{is_import, pages};

/// # Safety
///
/// As `zePhysicalMemCreate`.
pub unsafe fn create(
    real: fn_types::zePhysicalMemCreate,
    context: ze_context_handle_t,
    device: ze_device_handle_t,
    desc: *mut ze_physical_mem_desc_t,
    place: *mut ze_physical_mem_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    unsafe {
        let allocate = || real(context, device, desc, place);
        let on_host = ze_physical_mem_flag_t::ZE_PHYSICAL_MEM_FLAG_ALLOCATE_ON_HOST.0;
        let bytes = desc
            .as_ref()
            .filter(|it| it.flags & on_host == 0 && !is_import(it.pNext))
            .map(|it| pages(it.size as u64));
        let Some(bytes) = bytes else {
            return allocate();
        };
        match devices::taken(device) {
            Ok(Some(device)) => physical::create::<Ze, _>(place, bytes, device, allocate),
            Ok(None) => allocate(),
            Err(refusal) => refusal,
        }
    }
}

/// # Safety
///
/// As `zePhysicalMemDestroy`.
pub unsafe fn destroy(
    real: fn_types::zePhysicalMemDestroy,
    context: ze_context_handle_t,
    physical: ze_physical_mem_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    physical::release::<Ze>(physical.number(), || unsafe { real(context, physical) })
}

/// # Safety
///
/// As `zeVirtualMemMap`.
pub unsafe fn map(
    real: fn_types::zeVirtualMemMap,
    context: ze_context_handle_t,
    address: *const c_void,
    size: usize,
    physical: ze_physical_mem_handle_t,
    offset: usize,
    access: ze_memory_access_attribute_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let call = || unsafe { real(context, address, size, physical, offset, access) };
    physical::map::<Ze>(physical.number(), address as u64, size as u64, call)
}

/// # Safety
///
/// As `zeVirtualMemUnmap`.
pub unsafe fn unmap(
    real: fn_types::zeVirtualMemUnmap,
    context: ze_context_handle_t,
    address: *const c_void,
    size: usize,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    physical::unmap::<Ze>(address as u64, size as u64, || unsafe {
        real(context, address, size)
    })
}
