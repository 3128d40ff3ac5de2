//! Which devices there are, what they are called, and how busy they are.

use crate::error::if_supported;
use crate::library::{call, list as list_of, text};
use crate::memory;
use crate::partition;
use crate::sysman::Sysman;
use fcsp_core::backend::{BackendError, DeviceInfo, SharingMode, Vendor};
use level_zero_sys::{
    zes_device_handle_t, zes_engine_group_t, zes_engine_handle_t, zes_engine_properties_t,
    zes_engine_stats_t, zes_structure_type_t,
};
use std::collections::BTreeMap;
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long the load is looked at where nobody has asked before.
const FIRST_LOOK: Duration = Duration::from_millis(20);

/// Whether a device with that name is a simulated one: they all say so in their names.
pub fn is_simulated(name: &str) -> bool {
    name.contains("simulated")
}

/// An identity as text: the bytes in the driver's order, in groups as usual.
pub fn id_of(uuid: &[u8; 16]) -> String {
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

/// Every GPU, in the drivers' order. Where Sysman can be started by itself `ZE_AFFINITY_MASK` hides none.
pub(crate) fn list(sysman: &Sysman) -> Result<Vec<DeviceInfo>, BackendError> {
    let describe = |device: &zes_device_handle_t| {
        let properties = sysman.properties(*device)?;
        let name = text(&properties.core.name);
        Ok(DeviceInfo {
            vendor: Vendor::Intel,
            id: id_of(&properties.core.uuid.id),
            total_bytes: memory::total_bytes(sysman, *device)?,
            sharing: sharing(partition::compute_engines(sysman, *device)?),
            simulated: is_simulated(&name),
            name,
        })
    };
    sysman.devices().iter().map(describe).collect()
}

/// Work of several processes takes turns on an engine. Where a device shows several of them, each can work for another
/// process.
fn sharing(compute_engines: Option<u32>) -> SharingMode {
    match compute_engines {
        Some(2..) => SharingMode::Concurrent,
        _ => SharingMode::Exclusive,
    }
}

/// The device with that identity.
pub(crate) fn find(sysman: &Sysman, id: &str) -> Result<zes_device_handle_t, BackendError> {
    for device in sysman.devices() {
        if id_of(&sysman.properties(*device)?.core.uuid.id) == id {
            return Ok(*device);
        }
    }
    Err(BackendError::NoDevice {
        vendor: Vendor::Intel,
        id: id.to_owned(),
    })
}

/// The kernel driver's version, as the first device has it: one driver serves all.
pub(crate) fn driver_version(sysman: &Sysman) -> Result<String, BackendError> {
    match sysman.devices().first() {
        Some(device) => Ok(text(&sysman.properties(*device)?.driverVersion)),
        None => Err(BackendError::NoDevice {
            vendor: Vendor::Intel,
            id: "0".to_owned(),
        }),
    }
}

/// Engines of a device, each with its kind.
pub(crate) fn engines(
    sysman: &Sysman,
    device: zes_device_handle_t,
) -> Result<Option<Vec<(zes_engine_handle_t, zes_engine_group_t)>>, BackendError> {
    let library = &sysman.library;
    let found = list_of(ptr::null_mut(), |count, place| {
        call!(library, zesDeviceEnumEngineGroups(device, count, place))
    });
    let Some(found) = if_supported(found)? else {
        return Ok(None);
    };
    let kind_of = |engine: zes_engine_handle_t| {
        let mut properties = zes_engine_properties_t {
            stype: zes_structure_type_t::ZES_STRUCTURE_TYPE_ENGINE_PROPERTIES,
            ..Default::default()
        };
        call!(library, zesEngineGetProperties(engine, &mut properties))?;
        Ok((engine, properties.type_))
    };
    found
        .into_iter()
        .map(kind_of)
        .collect::<Result<_, _>>()
        .map(Some)
}

/// What the counters of devices said last.
#[derive(Debug, Default)]
pub(crate) struct BusyCounters(Mutex<BTreeMap<String, (u64, u64)>>);

impl BusyCounters {
    /// Share of the time since somebody asked last in which the device worked, 0 to 1. Who asks first waits for some
    /// milliseconds. `None` where the device does not count, or not for everybody.
    pub(crate) fn busy(
        &self,
        sysman: &Sysman,
        id: &str,
        device: zes_device_handle_t,
    ) -> Result<Option<f64>, BackendError> {
        let Some(engines) = engines(sysman, device)? else {
            return Ok(None);
        };
        let of = |kind| engines.iter().find(|(_, it)| *it == kind);
        let any = of(zes_engine_group_t::ZES_ENGINE_GROUP_ALL)
            .or(of(zes_engine_group_t::ZES_ENGINE_GROUP_COMPUTE_ALL));
        let Some((engine, _)) = any else {
            return Ok(None);
        };
        let read = || {
            let mut stats = zes_engine_stats_t::default();
            let asked = call!(&sysman.library, zesEngineGetActivity(*engine, &mut stats));
            if_supported(asked.map(|()| (stats.activeTime, stats.timestamp)))
        };
        let Some(now) = read()? else { return Ok(None) };
        let before = self.note(id, now);
        let (from, to) = match before {
            Some(before) if before.1 != now.1 => (before, now),
            _ => {
                std::thread::sleep(FIRST_LOOK);
                let Some(later) = read()? else {
                    return Ok(None);
                };
                self.note(id, later);
                (now, later)
            }
        };
        Ok(share(from, to))
    }

    fn note(&self, id: &str, now: (u64, u64)) -> Option<(u64, u64)> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.insert(id.to_owned(), now)
    }
}

/// Of two readings of time at work and time.
fn share(from: (u64, u64), to: (u64, u64)) -> Option<f64> {
    let (busy, time) = (to.0.wrapping_sub(from.0), to.1.wrapping_sub(from.1));
    (time > 0).then(|| (busy as f64 / time as f64).clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_is_written_in_groups() {
        let uuid = *b"\x86\x80\xda\x0b\x2f\0\0\0\x3a\0\0\0\0\0\0\x01";
        assert_eq!(id_of(&uuid), "8680da0b-2f00-0000-3a00-000000000001");
    }

    #[test]
    fn several_engines_work_for_several_processes() {
        assert_eq!(sharing(Some(4)), SharingMode::Concurrent);
        assert_eq!(sharing(Some(1)), SharingMode::Exclusive);
        assert_eq!(sharing(None), SharingMode::Exclusive);
    }

    #[test]
    fn load_is_what_was_worked_between_two_readings() {
        assert_eq!(share((100, 1000), (600, 2000)), Some(0.5));
        assert_eq!(share((100, 1000), (100, 1000)), None);
    }
}
