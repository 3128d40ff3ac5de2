//! Handlers of Sysman: the tenant's quota is the whole device, and its processes are the only ones. Health, clocks, power
//! stay true; activity is the tenant's own ([`super::activity`]).
//!
//! A program begins with Sysman by `zesInit`, or together with the core interface where `ZES_ENABLE_SYSMAN` says so. The
//! first gives handles of its own, the second those of the core interface; both tell devices by the same identity.

use std::sync::OnceLock;

use fcsp_core::ledger::live::{Live, LiveMap};
use fcsp_gate::Handle;
use fcsp_program::info::lists::whole;
use fcsp_program::info::tenant::{self, Described, View};
use level_zero_sys::{
    fn_types, ze_result_t, zes_device_handle_t, zes_device_properties_t, zes_mem_handle_t,
    zes_mem_properties_t, zes_mem_state_t, zes_process_state_t, zes_structure_type_t,
};

use crate::devices::{handle_of, id, listed, properties, uuid_text};
use crate::driver::Ze;
use crate::hooks::ze;
use crate::shim;

const SUCCESS: ze_result_t = ze_result_t::ZE_RESULT_SUCCESS;

/// Devices, and memories of one, that are looked at.
const DEVICES_MAX: i32 = 64;
const MEMORIES_MAX: usize = 64;

/// Whether Sysman came with the core interface, so that questions of ours change nothing for the program.
fn came_with_core() -> bool {
    std::env::var_os("ZES_ENABLE_SYSMAN").is_some_and(|value| value == "1")
}

/// Devices of Sysman's, started by us or by the program beside the core interface. None before somebody has asked, or
/// where that cannot be.
static BY_ITSELF: OnceLock<Vec<Managed>> = OnceLock::new();

/// Whether Sysman answers us.
pub fn is_there() -> bool {
    came_with_core() || BY_ITSELF.get().is_some_and(|devices| !devices.is_empty())
}

/// Starts Sysman beside the core interface. Only in the driver, where it changes nothing for the program: in the loader it
/// would decide which way the program's own questions go.
fn started_by_itself() -> Vec<Managed> {
    if !shim::in_use() {
        return Vec::new();
    }
    // SAFETY: no flags are defined.
    let started = ze!(zesInit).map(|init| unsafe { init(0) });
    if started != Some(SUCCESS) {
        return Vec::new();
    }
    // SAFETY: room for as many as the count says, in both.
    let drivers = listed(|count, list| Some(unsafe { ze!(zesDriverGet)?(count, list) }));
    let devices = drivers.into_iter().flat_map(|driver| {
        // SAFETY: as above.
        listed(|count, list| Some(unsafe { ze!(zesDeviceGet)?(driver, count, list) }))
    });
    devices.map(|device| Managed(device.number())).collect()
}

/// A device of Sysman's, by its handle.
#[derive(Clone, Copy, Debug)]
pub struct Managed(u64);

/// The device with that identity. Where Sysman came with the core interface both share their handles; else it is started,
/// which may take milliseconds.
pub fn managed(wanted: &str) -> Option<Managed> {
    if !came_with_core() {
        let all = BY_ITSELF.get_or_init(started_by_itself);
        let is_wanted =
            |it: &&Managed| id_of(Handle::from_number(it.0)).is_some_and(|id| id == wanted);
        return all.iter().find(is_wanted).copied();
    }
    (0..DEVICES_MAX)
        .map_while(|ordinal| Some((ordinal, handle_of(ordinal)?)))
        .find(|(ordinal, _)| id(*ordinal).is_ok_and(|id| id == wanted))
        .map(|(_, handle)| Managed(handle.number()))
}

fn all_processes(
    get: fn_types::zesDeviceProcessesGetState,
    device: zes_device_handle_t,
) -> Result<Vec<zes_process_state_t>, ze_result_t> {
    let no_room = ze_result_t::ZE_RESULT_ERROR_INVALID_SIZE;
    whole(SUCCESS, no_room, |entries, count| {
        // SAFETY: room for as many as the count says.
        unsafe { get(device, count, entries) }
    })
}

/// What this process has of a device's memory, bytes.
pub fn process_bytes(device: Managed) -> Option<u64> {
    let get = ze!(zesDeviceProcessesGetState)?;
    let all = all_processes(get, Handle::from_number(device.0)).ok()?;
    let own = all.iter().filter(|it| it.processId == std::process::id());
    own.map(|it| it.memSize).reduce(|sum, bytes| sum + bytes)
}

/// What Sysman says of a device.
fn described(device: zes_device_handle_t) -> Option<zes_device_properties_t> {
    let mut described = zes_device_properties_t {
        stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_DEVICE_PROPERTIES,
        ..Default::default()
    };
    // SAFETY: the driver writes one structure, or fails.
    let result = unsafe { ze!(zesDeviceGetProperties)?(device, &mut described) };
    (result == SUCCESS).then_some(described)
}

fn id_of(device: zes_device_handle_t) -> Option<String> {
    Some(uuid_text(&described(device)?.core.uuid.id))
}

/// The view of a device of Sysman's.
pub(super) fn view_of(device: zes_device_handle_t) -> Option<View> {
    let described = described(device)?;
    let id = uuid_text(&described.core.uuid.id);
    tenant::view_of(&id, || {
        // The number it has in the core interface, if the program has begun with that; else settings by number hold for
        // the first.
        let known = (0..DEVICES_MAX)
            .map_while(|at| Some((at, properties(handle_of(at)?).ok()?)))
            .find(|(_, it)| it.uuid.id == described.core.uuid.id);
        Some(Described {
            ordinal: known.map_or(0, |(at, _)| at as u32),
            total_bytes: total_bytes(device)?,
        })
    })
}

/// What a device has in all its memories, as Sysman knows them.
fn total_bytes(device: zes_device_handle_t) -> Option<u64> {
    let mut count = MEMORIES_MAX as u32;
    let mut memories = [core::ptr::null_mut(); MEMORIES_MAX];
    // SAFETY: room for as many as the count says.
    let result =
        unsafe { ze!(zesDeviceEnumMemoryModules)?(device, &mut count, memories.as_mut_ptr()) };
    let found = memories
        .iter()
        .take(count as usize)
        .filter(|_| result == SUCCESS);
    let sizes = found.filter_map(|memory| {
        let mut properties = zes_mem_properties_t {
            stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_MEM_PROPERTIES,
            ..Default::default()
        };
        // SAFETY: the driver writes one structure, or fails.
        let result = unsafe { ze!(zesMemoryGetProperties)?(*memory, &mut properties) };
        (result == SUCCESS).then_some(properties.physicalSize)
    });
    sizes.reduce(u64::saturating_add)
}

/// Notes whose the parts of a device are.
pub(super) fn note_device(book: &LiveMap, device: zes_device_handle_t, parts: &[impl Handle]) {
    for part in parts {
        let (key, bytes) = (part.number(), device.number());
        if book.get(key).is_none_or(|it| it.bytes != bytes) {
            book.remove(key);
            // Without a place it is answered as the driver answers.
            let _unknown = book.insert(key, Live { bytes, kind: 0 });
        }
    }
}

/// Whose a memory is: devices by the handles of their memories.
static MEMORIES: LiveMap = LiveMap::new();

fn view_of_memory(memory: zes_mem_handle_t) -> Option<View> {
    let device = MEMORIES.get(memory.number())?.bytes;
    view_of(Handle::from_number(device))
}

/// # Safety
///
/// As `zesDeviceEnumMemoryModules`.
pub unsafe fn enumerate_memories(
    real: fn_types::zesDeviceEnumMemoryModules,
    device: zes_device_handle_t,
    count: *mut u32,
    memories: *mut zes_mem_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, count, memories) };
    if result == SUCCESS && !memories.is_null() {
        // SAFETY: the driver accepted both and wrote so many handles.
        note_device(&MEMORIES, device, unsafe {
            core::slice::from_raw_parts(memories, *count as usize)
        });
    }
    result
}

/// # Safety
///
/// As `zesMemoryGetState`.
pub unsafe fn memory_state(
    real: fn_types::zesMemoryGetState,
    memory: zes_mem_handle_t,
    place: *mut zes_mem_state_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(memory, place) };
    if result == SUCCESS
        && let Some((quota, free)) = view_of_memory(memory).and_then(|it| it.quota_and_free::<Ze>())
    {
        // SAFETY: the driver accepted and filled the structure.
        let state = unsafe { &mut *place };
        state.size = state.size.min(quota);
        state.free = free.min(state.size);
    }
    result
}

/// # Safety
///
/// As `zesMemoryGetProperties`.
pub unsafe fn memory_properties(
    real: fn_types::zesMemoryGetProperties,
    memory: zes_mem_handle_t,
    place: *mut zes_mem_properties_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(memory, place) };
    if result == SUCCESS
        && let Some((quota, _)) = view_of_memory(memory).and_then(|it| it.quota_and_free::<Ze>())
    {
        // SAFETY: the driver accepted and filled the structure.
        let size = unsafe { &mut (*place).physicalSize };
        *size = (*size).min(quota);
    }
    result
}

/// # Safety
///
/// As `zesDeviceGetProperties`.
pub unsafe fn device_properties(
    real: fn_types::zesDeviceGetProperties,
    device: zes_device_handle_t,
    place: *mut zes_device_properties_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, place) };
    if result == SUCCESS
        && let Some((quota, _)) = view_of(device).and_then(|it| it.quota_and_free::<Ze>())
    {
        // SAFETY: the driver accepted and filled the structure.
        let most = unsafe { &mut (*place).core.maxMemAllocSize };
        *most = (*most).min(quota);
    }
    result
}

/// # Safety
///
/// As `zesDeviceProcessesGetState`.
pub unsafe fn processes(
    real: fn_types::zesDeviceProcessesGetState,
    device: zes_device_handle_t,
    count: *mut u32,
    places: *mut zes_process_state_t,
) -> ze_result_t {
    let pids = view_of(device).and_then(|view| view.own_pids());
    let (Some(pids), false) = (pids, count.is_null()) else {
        // SAFETY: the program's own call, passed on.
        return unsafe { real(device, count, places) };
    };
    let mut own = match all_processes(real, device) {
        Ok(all) => all,
        Err(refusal) => return refusal,
    };
    own.retain(|it| pids.contains(&it.processId));
    // SAFETY: the program's own arguments: a count, and room for as many.
    unsafe {
        let room = if places.is_null() { 0 } else { *count as usize };
        *count = own.len() as u32;
        if room == 0 {
            return SUCCESS;
        }
        if room < own.len() {
            return ze_result_t::ZE_RESULT_ERROR_INVALID_SIZE;
        }
        core::ptr::copy_nonoverlapping(own.as_ptr(), places, own.len());
    }
    SUCCESS
}
