//! Which handle is which device, and where a device comes into use.
//!
//! GPUs are numbered in the order in which the drivers list them. A part of a device that a program may use by itself (a
//! tile) counts as its device.

use core::ptr;
use core::sync::atomic::{AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock, PoisonError};

use fcsp_core::backend::{DeviceInfo, SharingMode, Vendor};
use fcsp_intel_queue::Words;
use fcsp_program::attach::fails_closed;
use fcsp_program::device::{self, Device};
use fcsp_program::driver::{Codes, Undescribed};
use fcsp_program::{context, usage};
use level_zero_sys::{
    _ze_device_handle_t, ze_command_queue_group_properties_t,
    ze_command_queue_group_property_flag_t, ze_device_handle_t, ze_device_memory_properties_t,
    ze_device_properties_t, ze_device_type_t, ze_driver_handle_t, ze_result_t, ze_structure_type_t,
};

use crate::driver::Ze;
use crate::hooks::ze;
use crate::shim;

/// Handles that are known: devices and their parts.
const HANDLES_MAX: usize = 512;
/// Drivers and devices of one list that are looked at.
const LIST_MAX: usize = 64;

struct Known {
    handle: AtomicPtr<_ze_device_handle_t>,
    ordinal: AtomicI32,
    is_part: AtomicI32,
    /// Which of [`WORDS`] is its driver's; none if negative.
    words: AtomicI32,
}

static KNOWN: [Known; HANDLES_MAX] = [const {
    Known {
        handle: AtomicPtr::new(ptr::null_mut()),
        ordinal: AtomicI32::new(0),
        is_part: AtomicI32::new(0),
        words: AtomicI32::new(NONE),
    }
}; HANDLES_MAX];
/// How many of them are filled in.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// No place in a list.
const NONE: i32 = -1;
/// How queues of those drivers wait for words in memory and write them that have it.
static WORDS: OnceLock<Vec<Words>> = OnceLock::new();

/// How queues of drivers wait for words in memory and write them. None before a device was looked for.
pub fn words() -> &'static [Words] {
    WORDS.get().map_or(&[], |words| words)
}

/// How queues of a device do, if its driver has that.
pub fn words_of(handle: ze_device_handle_t) -> Option<&'static Words> {
    let at = known()
        .iter()
        .find(|it| it.handle.load(Ordering::Relaxed) == handle)?;
    words().get(usize::try_from(at.words.load(Ordering::Relaxed)).ok()?)
}

/// What a driver has of the kind. A loader that wraps handles has other handles than its driver, which takes no other than
/// its own: so only where we stand before the driver.
fn words_of_driver(driver: ze_driver_handle_t) -> Option<Words> {
    if !shim::in_use() {
        return None;
    }
    let ask = ze!(zeDriverGetExtensionFunctionAddress)?;
    // SAFETY: the driver's own function and handle.
    unsafe { Words::find(ask, driver) }
}

fn known() -> &'static [Known] {
    // Acquire pairs with the Release in `look`: the places below the count are filled.
    &KNOWN[..COUNT.load(Ordering::Acquire)]
}

/// The number of a device, or of the device that a part belongs to. `None` for what is no GPU.
pub fn ordinal_of(handle: ze_device_handle_t) -> Option<i32> {
    find(handle).or_else(|| {
        look();
        find(handle)
    })
}

fn find(handle: ze_device_handle_t) -> Option<i32> {
    let it = known()
        .iter()
        .find(|it| it.handle.load(Ordering::Relaxed) == handle)?;
    Some(it.ordinal.load(Ordering::Relaxed))
}

/// The handle of the device with that number.
pub fn handle_of(ordinal: i32) -> Option<ze_device_handle_t> {
    look();
    known()
        .iter()
        .filter(|it| it.is_part.load(Ordering::Relaxed) == 0)
        .find(|it| it.ordinal.load(Ordering::Relaxed) == ordinal)
        .map(|it| it.handle.load(Ordering::Relaxed))
}

/// Asks the drivers for their devices, once there are any.
fn look() {
    static LOOKING: Mutex<()> = Mutex::new(());
    let _one_at_a_time = LOOKING.lock().unwrap_or_else(PoisonError::into_inner);
    if COUNT.load(Ordering::Acquire) != 0 {
        return;
    }
    let mut count = 0;
    let mut ordinal = 0;
    let mut found = Vec::new();
    let mut add = |handle, ordinal, is_part: bool, words: i32| {
        if let Some(place) = KNOWN.get(count) {
            place.handle.store(handle, Ordering::Relaxed);
            place.ordinal.store(ordinal, Ordering::Relaxed);
            place.is_part.store(is_part.into(), Ordering::Relaxed);
            place.words.store(words, Ordering::Relaxed);
            count += 1;
        }
    };
    for driver in drivers() {
        let words = match words_of_driver(driver) {
            Some(words) => {
                found.push(words);
                found.len() as i32 - 1
            }
            None => NONE,
        };
        for handle in devices_of(driver) {
            if properties(handle).is_ok_and(|it| it.type_ == ze_device_type_t::ZE_DEVICE_TYPE_GPU) {
                add(handle, ordinal, false, words);
                parts_of(handle)
                    .into_iter()
                    .for_each(|part| add(part, ordinal, true, words));
                ordinal += 1;
            }
        }
    }
    let _first_to_look = WORDS.set(found);
    // Release publishes the places.
    COUNT.store(count, Ordering::Release);
}

/// Level Zero's way to return a list: asked with the room there is, it says how much of it is used.
pub fn listed<T>(ask: impl FnOnce(*mut u32, *mut *mut T) -> Option<ze_result_t>) -> Vec<*mut T> {
    let mut count = LIST_MAX as u32;
    let mut found = vec![ptr::null_mut(); LIST_MAX];
    match ask(&mut count, found.as_mut_ptr()) {
        Some(ze_result_t::ZE_RESULT_SUCCESS) => found.truncate(count as usize),
        _ => found.clear(),
    }
    found
}

fn drivers() -> Vec<ze_driver_handle_t> {
    // SAFETY: room for as many as the count says.
    listed(|count, list| Some(unsafe { ze!(zeDriverGet)?(count, list) }))
}

fn devices_of(driver: ze_driver_handle_t) -> Vec<ze_device_handle_t> {
    // SAFETY: as above.
    listed(|count, list| Some(unsafe { ze!(zeDeviceGet)?(driver, count, list) }))
}

fn parts_of(device: ze_device_handle_t) -> Vec<ze_device_handle_t> {
    // SAFETY: as above.
    listed(|count, list| Some(unsafe { ze!(zeDeviceGetSubDevices)?(device, count, list) }))
}

/// What stands for the answer of a function that the driver does not have.
const LACKING: ze_result_t = ze_result_t::ZE_RESULT_ERROR_UNSUPPORTED_FEATURE;

/// What the driver says of a device, with ticks of its clock per second.
///
/// # Errors
/// If the driver does not say.
pub fn properties(handle: ze_device_handle_t) -> Result<ze_device_properties_t, Undescribed> {
    let mut properties = ze_device_properties_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES_1_2,
        ..Default::default()
    };
    // SAFETY: the driver writes one structure, or fails.
    let ask = ze!(zeDeviceGetProperties).map(|ask| unsafe { ask(handle, &mut properties) });
    said(ask.unwrap_or(LACKING)).map(|()| properties)
}

fn said(result: ze_result_t) -> Result<(), Undescribed> {
    match result {
        ze_result_t::ZE_RESULT_SUCCESS => Ok(()),
        ze_result_t::ZE_RESULT_ERROR_UNINITIALIZED
        | ze_result_t::ZE_RESULT_ERROR_DEVICE_LOST
        | ze_result_t::ZE_RESULT_ERROR_INVALID_NULL_HANDLE => Err(Undescribed::Absent),
        other => Err(Undescribed::Nameless(other.0.into())),
    }
}

/// An identity as text: the bytes in the driver's order, in groups as usual.
pub fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let groups = [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ];
    groups.join("-")
}

/// The identity of a device, the same in the core interface and in Sysman.
///
/// # Errors
/// If the driver does not say.
pub fn id(ordinal: i32) -> Result<String, Undescribed> {
    let handle = handle_of(ordinal).ok_or(Undescribed::Absent)?;
    Ok(uuid_text(&properties(handle)?.uuid.id))
}

/// Everything about the device with that identity.
///
/// # Errors
/// If the driver does not say.
pub fn describe(ordinal: i32, id: String) -> Result<DeviceInfo, Undescribed> {
    let handle = handle_of(ordinal).ok_or(Undescribed::Absent)?;
    let properties = properties(handle)?;
    let bytes = properties.name.map(|c| c as u8);
    let end = bytes
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(bytes.len());
    let name = String::from_utf8_lossy(&bytes[..end]).into_owned();
    Ok(DeviceInfo {
        vendor: Vendor::Intel,
        id,
        simulated: name.contains("simulated"),
        name,
        total_bytes: total_bytes(ordinal)?,
        sharing: sharing(ordinal),
    })
}

/// Work of several processes takes turns on a device's engine, unless this process is shown several of them.
pub fn sharing(ordinal: i32) -> SharingMode {
    match compute_engines(ordinal) {
        2.. => SharingMode::Concurrent,
        _ => SharingMode::Exclusive,
    }
}

/// Compute engines that this process is shown of a device: the most queues that a group for computing has. One, if the
/// driver does not say.
fn compute_engines(ordinal: i32) -> u32 {
    let Some(handle) = handle_of(ordinal) else {
        return 1;
    };
    let mut count = LIST_MAX as u32;
    let mut groups = [ze_command_queue_group_properties_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_COMMAND_QUEUE_GROUP_PROPERTIES,
        ..Default::default()
    }; LIST_MAX];
    let ask = ze!(zeDeviceGetCommandQueueGroupProperties);
    // SAFETY: room for as many as the count says.
    let result = ask.map(|ask| unsafe { ask(handle, &mut count, groups.as_mut_ptr()) });
    if result != Some(ze_result_t::ZE_RESULT_SUCCESS) {
        return 1;
    }
    let compute =
        ze_command_queue_group_property_flag_t::ZE_COMMAND_QUEUE_GROUP_PROPERTY_FLAG_COMPUTE.0;
    let groups = groups.iter().take(count as usize);
    let queues = groups
        .filter(|it| it.flags & compute != 0)
        .map(|it| it.numQueues);
    queues.max().unwrap_or(1)
}

/// What the device has, in all its memories.
///
/// # Errors
/// If the driver does not say.
pub fn total_bytes(ordinal: i32) -> Result<u64, Undescribed> {
    let handle = handle_of(ordinal).ok_or(Undescribed::Absent)?;
    let mut count = LIST_MAX as u32;
    let mut memories = [ze_device_memory_properties_t {
        stype: ze_structure_type_t::ZE_STRUCTURE_TYPE_DEVICE_MEMORY_PROPERTIES,
        ..Default::default()
    }; LIST_MAX];
    let ask = ze!(zeDeviceGetMemoryProperties);
    // SAFETY: room for as many as the count says.
    let result = ask.map(|ask| unsafe { ask(handle, &mut count, memories.as_mut_ptr()) });
    said(result.unwrap_or(LACKING))?;
    Ok(memories
        .iter()
        .take(count as usize)
        .map(|it| it.totalSize)
        .sum())
}

/// The device behind a handle, if it has limits.
#[inline]
pub fn limited(handle: ze_device_handle_t) -> Option<&'static Device> {
    device::at::<Ze>(ordinal_of(handle)?)
}

/// The device behind a handle, which a call is about to take something of: it is in use from now on. `None` for what is no
/// GPU, or has no limits. An error where it cannot be limited and must be, or where what a driver takes for each process
/// does not fit into the quota.
///
/// # Errors
/// What the program gets.
#[inline]
pub fn taken(handle: ze_device_handle_t) -> Result<Option<&'static Device>, ze_result_t> {
    let Some(device) = limited(handle) else {
        return refused(handle).map_or(Ok(None), Err);
    };
    // Relaxed: who finds it unset looks again.
    if !device.had_context.load(Ordering::Relaxed) {
        first_use(device)?;
    }
    Ok(Some(device))
}

#[cold]
fn refused(handle: ze_device_handle_t) -> Option<ze_result_t> {
    let ordinal = ordinal_of(handle).filter(|_| fails_closed())?;
    context::admit::<Ze>(ordinal)
}

#[cold]
fn first_use(device: &Device) -> Result<(), ze_result_t> {
    if device.had_context.swap(true, Ordering::AcqRel) {
        return Ok(());
    }
    if !usage::reserve_context::<Ze>(device) {
        device.had_context.store(false, Ordering::Release);
        return Err(Ze::OUT_OF_MEMORY);
    }
    usage::changed(device);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_in_groups() {
        let uuid = *b"\x86\x80\xda\x0b\x2f\0\0\0\x3a\0\0\0\0\0\0\x01";
        assert_eq!(uuid_text(&uuid), "8680da0b-2f00-0000-3a00-000000000001");
    }
}
