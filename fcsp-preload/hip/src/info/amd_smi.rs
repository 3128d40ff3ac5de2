//! Handlers of AMD SMI: the tenant's quota is the whole device, and utilization is its own use of what it may have now.
//! Names, counts, topology and health stay true. Which processes are shown: [`super::amd_processes`].

use fcsp_program::info::utilization::{Own, own};
use rocm_smi_sys::{
    amdsmi_engine_usage_t, amdsmi_memory_type_t, amdsmi_processor_handle, amdsmi_status_t,
    amdsmi_vram_info_t, amdsmi_vram_usage_t, fn_types,
};

use crate::driver::Hip;
use crate::info::amd_version::is_known;
use crate::info::view::of_handle;

const MIB: u64 = 1 << 20;

fn own_of(handle: amdsmi_processor_handle) -> Option<Own> {
    own(handle.addr() as u64, || of_handle(handle)?.usage())
}

/// Device memory of the tenant: what it may have, and what is used of that.
fn quota_and_used(handle: amdsmi_processor_handle) -> Option<(u64, u64)> {
    let (quota, free) = of_handle(handle)?.quota_and_free::<Hip>()?;
    Some((quota, quota - free))
}

/// # Safety
///
/// As `amdsmi_get_gpu_vram_usage`, in megabytes.
pub unsafe fn vram_usage(
    real: fn_types::amdsmi_get_gpu_vram_usage,
    handle: amdsmi_processor_handle,
    place: *mut amdsmi_vram_usage_t,
) -> amdsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, place) };
    if result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS
        && let Some((quota, used)) = quota_and_used(handle)
    {
        // SAFETY: the library accepted and filled the structure.
        let usage = unsafe { &mut *place };
        usage.vram_total = usage.vram_total.min((quota / MIB) as u32);
        usage.vram_used = (used / MIB) as u32;
    }
    result
}

/// # Safety
///
/// As `amdsmi_get_gpu_vram_info`, in megabytes. The size stands elsewhere in versions that nobody compared.
pub unsafe fn vram_info(
    real: fn_types::amdsmi_get_gpu_vram_info,
    handle: amdsmi_processor_handle,
    place: *mut amdsmi_vram_info_t,
) -> amdsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, place) };
    if result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS
        && is_known()
        && let Some((quota, _)) = quota_and_used(handle)
    {
        // SAFETY: the library accepted and filled the structure, which is laid out so in its version.
        let size = unsafe { &mut (*place).vram_size };
        *size = (*size).min(quota / MIB);
    }
    result
}

/// # Safety
///
/// As `amdsmi_get_gpu_memory_total`.
pub unsafe fn total(
    real: fn_types::amdsmi_get_gpu_memory_total,
    handle: amdsmi_processor_handle,
    kind: amdsmi_memory_type_t,
    place: *mut u64,
) -> amdsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, kind, place) };
    if result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS
        && kind == amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VRAM
        && let Some((quota, _)) = quota_and_used(handle)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = (*place).min(quota) };
    }
    result
}

/// # Safety
///
/// As `amdsmi_get_gpu_memory_usage`.
pub unsafe fn used(
    real: fn_types::amdsmi_get_gpu_memory_usage,
    handle: amdsmi_processor_handle,
    kind: amdsmi_memory_type_t,
    place: *mut u64,
) -> amdsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, kind, place) };
    if result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS
        && kind == amdsmi_memory_type_t::AMDSMI_MEM_TYPE_VRAM
        && let Some((_, used)) = quota_and_used(handle)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = used };
    }
    result
}

/// # Safety
///
/// As `amdsmi_get_gpu_activity`.
pub unsafe fn activity(
    real: fn_types::amdsmi_get_gpu_activity,
    handle: amdsmi_processor_handle,
    place: *mut amdsmi_engine_usage_t,
) -> amdsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, place) };
    if result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS
        && let Some(own) = own_of(handle)
    {
        // SAFETY: the library accepted and filled the structure.
        let usage = unsafe { &mut *place };
        usage.gfx_activity = own.gpu;
        usage.umc_activity = own.part_of(usage.umc_activity);
    }
    result
}

/// # Safety
///
/// As `amdsmi_get_gpu_busy_percent`.
pub unsafe fn busy(
    real: fn_types::amdsmi_get_gpu_busy_percent,
    handle: amdsmi_processor_handle,
    place: *mut u32,
) -> amdsmi_status_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(handle, place) };
    if result == amdsmi_status_t::AMDSMI_STATUS_SUCCESS
        && let Some(own) = own_of(handle)
    {
        // SAFETY: the library accepted and filled the place.
        unsafe { *place = own.gpu };
    }
    result
}
