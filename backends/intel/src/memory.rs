//! Device memory as Sysman sees it: what the device has, and what a process really uses.

use crate::error::if_supported;
use crate::library::{call, list};
use crate::sysman::Sysman;
use fcsp_core::backend::BackendError;
use level_zero_sys::{
    zes_device_handle_t, zes_mem_handle_t, zes_mem_loc_t, zes_mem_properties_t, zes_mem_state_t,
    zes_process_state_t, zes_structure_type_t,
};
use std::ptr;

/// The memories that are on the device, with what each is.
fn modules(
    sysman: &Sysman,
    device: zes_device_handle_t,
) -> Result<Vec<(zes_mem_handle_t, zes_mem_properties_t)>, BackendError> {
    let library = &sysman.library;
    let found = list(ptr::null_mut(), |count, place| {
        call!(library, zesDeviceEnumMemoryModules(device, count, place))
    });
    let mut modules = Vec::new();
    for module in if_supported(found)?.unwrap_or_default() {
        let mut properties = zes_mem_properties_t {
            stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_MEM_PROPERTIES,
            ..Default::default()
        };
        call!(library, zesMemoryGetProperties(module, &mut properties))?;
        if properties.location == zes_mem_loc_t::ZES_MEM_LOC_DEVICE {
            modules.push((module, properties));
        }
    }
    Ok(modules)
}

fn state(sysman: &Sysman, module: zes_mem_handle_t) -> Result<zes_mem_state_t, BackendError> {
    let mut state = zes_mem_state_t {
        stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_MEM_STATE,
        ..Default::default()
    };
    call!(&sysman.library, zesMemoryGetState(module, &mut state))?;
    Ok(state)
}

/// Memory of the device, bytes. Some drivers tell it only with the state.
pub(crate) fn total_bytes(
    sysman: &Sysman,
    device: zes_device_handle_t,
) -> Result<u64, BackendError> {
    let mut bytes = 0;
    for (module, properties) in modules(sysman, device)? {
        bytes += match properties.physicalSize {
            0 => if_supported(state(sysman, module))?.map_or(0, |state| state.size),
            size => size,
        };
    }
    Ok(bytes)
}

/// Bytes in use by everybody; `None` where the driver does not show it.
pub(crate) fn used_bytes(
    sysman: &Sysman,
    device: zes_device_handle_t,
) -> Result<Option<u64>, BackendError> {
    let mut used = None;
    for (module, _) in modules(sysman, device)? {
        if let Some(state) = if_supported(state(sysman, module))? {
            *used.get_or_insert(0) += state.size.saturating_sub(state.free);
        }
    }
    Ok(used)
}

/// Bytes that the process `pid` uses on the device, contexts and code included. The driver speaks of pids of the initial
/// PID namespace.
pub(crate) fn process_bytes(
    sysman: &Sysman,
    device: zes_device_handle_t,
    pid: u32,
) -> Result<Option<u64>, BackendError> {
    let empty = zes_process_state_t {
        stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_PROCESS_STATE,
        ..Default::default()
    };
    let all = list(empty, |count, place| {
        call!(
            &sysman.library,
            zesDeviceProcessesGetState(device, count, place)
        )
    });
    let all = if_supported(all)?.unwrap_or_default();
    let own = all.iter().filter(|it| it.processId == pid);
    Ok(own.map(|it| it.memSize).reduce(u64::saturating_add))
}
