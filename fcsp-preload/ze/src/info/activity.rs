//! Handlers of Sysman's counters of activity: what of it is the tenant's own.
//!
//! An engine's counter says for how long it was busy since some moment, with whoever's work. Nobody knows whose that was
//! before the first question, and only differences mean something; so a program is told the counter as it stands then. From
//! one question to the next it rises by all that the engine's does while the tenant has the device to itself, and by no more
//! than the tenant's device time while others use it as well.

use std::sync::{Mutex, PoisonError};

use fcsp_core::ledger::live::LiveMap;
use fcsp_gate::Handle;
use level_zero_sys::{
    fn_types, ze_result_t, zes_device_handle_t, zes_engine_handle_t, zes_engine_stats_t,
};

use super::sysman::{note_device, view_of};

const SUCCESS: ze_result_t = ze_result_t::ZE_RESULT_SUCCESS;
const NS_PER_US: u64 = 1_000;

/// Whose an engine is: devices by the handles of their engines.
static ENGINES: LiveMap = LiveMap::new();

/// A counter that was asked for.
#[derive(Debug)]
struct Counter {
    engine: u64,
    /// What the engine's said last, microseconds.
    engine_us: u64,
    /// Device time of the tenant at that moment, if others used the device.
    own_ns: Option<u64>,
    /// What the program was told, microseconds.
    told_us: u64,
}

/// As many as somebody asked for. A program has some dozens; asking is a question to the driver, beside which a lock is nothing.
static COUNTERS: Mutex<Vec<Counter>> = Mutex::new(Vec::new());

impl Counter {
    /// A counter that nobody asked for before.
    fn new(engine: u64, engine_us: u64, own_ns: Option<u64>) -> Self {
        Self {
            engine,
            engine_us,
            own_ns,
            told_us: engine_us,
        }
    }

    /// What to say where the engine's counter says `engine_us`.
    fn tell(&mut self, engine_us: u64, own_ns: Option<u64>) -> u64 {
        let all_us = engine_us.saturating_sub(self.engine_us);
        let own_us = match (self.own_ns, own_ns) {
            (Some(before), Some(now)) => all_us.min(now.saturating_sub(before) / NS_PER_US),
            // At one of the two moments it was alone.
            _ => all_us,
        };
        self.told_us += own_us;
        (self.engine_us, self.own_ns) = (engine_us.max(self.engine_us), own_ns);
        self.told_us
    }
}

/// Puts the tenant's own in the place of everybody's.
fn own(engine: zes_engine_handle_t, stats: &mut zes_engine_stats_t) {
    let number = engine.number();
    let Some(device) = ENGINES.get(number) else {
        return;
    };
    let Some(view) = view_of(Handle::from_number(device.bytes)) else {
        return;
    };
    let own_ns = view.usage().map(|usage| usage.own_ns);
    let engine_us = stats.activeTime;
    let mut counters = COUNTERS.lock().unwrap_or_else(PoisonError::into_inner);
    match counters.iter_mut().find(|it| it.engine == number) {
        Some(counter) => stats.activeTime = counter.tell(engine_us, own_ns),
        None => counters.push(Counter::new(number, engine_us, own_ns)),
    }
}

/// # Safety
///
/// As `zesDeviceEnumEngineGroups`.
pub unsafe fn enumerate_engines(
    real: fn_types::zesDeviceEnumEngineGroups,
    device: zes_device_handle_t,
    count: *mut u32,
    engines: *mut zes_engine_handle_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(device, count, engines) };
    if result == SUCCESS && !engines.is_null() {
        // SAFETY: the driver accepted both and wrote so many handles.
        note_device(&ENGINES, device, unsafe {
            core::slice::from_raw_parts(engines, *count as usize)
        });
    }
    result
}

/// # Safety
///
/// As `zesEngineGetActivity`.
pub unsafe fn engine(
    real: fn_types::zesEngineGetActivity,
    engine: zes_engine_handle_t,
    stats: *mut zes_engine_stats_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(engine, stats) };
    if result == SUCCESS {
        // SAFETY: the driver accepted and filled the structure.
        own(engine, unsafe { &mut *stats });
    }
    result
}

/// # Safety
///
/// As `zesEngineGetActivityExt`.
pub unsafe fn engine_and_functions(
    real: fn_types::zesEngineGetActivityExt,
    engine: zes_engine_handle_t,
    count: *mut u32,
    stats: *mut zes_engine_stats_t,
) -> ze_result_t {
    // SAFETY: the program's own call, passed on.
    let result = unsafe { real(engine, count, stats) };
    // Those behind the first are of virtual functions, which are other machines'.
    // SAFETY: the driver accepted both, and filled so many structures.
    if result == SUCCESS && !stats.is_null() && unsafe { *count } > 0 {
        // SAFETY: as above.
        own(engine, unsafe { &mut *stats });
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_told_its_own_while_others_use_the_device() {
        let mut counter = Counter::new(1, 1_000, None);
        assert_eq!(counter.tell(1_500, None), 1_500, "alone");
        assert_eq!(counter.tell(1_700, Some(900_000)), 1_700, "not alone since");
        assert_eq!(counter.tell(2_700, Some(1_150_000)), 1_950, "a quarter");
        assert_eq!(
            counter.tell(2_710, Some(1_250_000)),
            1_960,
            "no more than there was"
        );
        assert_eq!(counter.tell(2_600, Some(1_250_000)), 1_960, "never falls");
        assert_eq!(counter.tell(2_910, None), 2_160, "alone again");
    }
}
