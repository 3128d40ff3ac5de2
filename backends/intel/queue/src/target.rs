//! What is known of a queue ([`Target`]), and how its device counts time ([`Clock`]).

use fcsp_gate::Handle;
use level_zero_sys::{
    ze_command_queue_desc_t, ze_command_queue_mode_t, ze_context_handle_t, ze_device_handle_t,
    ze_device_properties_t,
};

use crate::words::Words;

/// How a device counts time in events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    ticks_per_s: u64,
    valid_bits: u32,
}

impl Clock {
    /// The clock of a device that says so of itself, in the form `ZE_STRUCTURE_TYPE_DEVICE_PROPERTIES_1_2`; without that,
    /// nanoseconds.
    pub fn of(properties: Option<&ze_device_properties_t>) -> Self {
        match properties {
            Some(it) => Self {
                ticks_per_s: it.timerResolution.max(1),
                valid_bits: it.kernelTimestampValidBits.clamp(1, 64),
            },
            None => Self {
                ticks_per_s: 1_000_000_000,
                valid_bits: 64,
            },
        }
    }

    /// Nanoseconds from one reading to a later one; the counter may have begun anew between them.
    pub fn ns_between(self, from: u64, to: u64) -> u64 {
        let mask = u64::MAX >> (64 - self.valid_bits);
        let ticks = u128::from(to.wrapping_sub(from) & mask);
        u64::try_from(ticks * 1_000_000_000 / u128::from(self.ticks_per_s)).unwrap_or(u64::MAX)
    }
}

/// What is known of a queue, and what is made for it must suit.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    context: u64,
    device: u64,
    /// Which of the device's engines: a command queue group.
    pub group: u32,
    /// Whether it is an immediate list.
    pub is_immediate: bool,
    /// Whether calls on it wait until all is done.
    pub is_synchronous: bool,
    /// Its device's.
    pub clock: Clock,
    /// Its driver's ways with words in memory, if it has any.
    pub words: Option<&'static Words>,
}

impl Target {
    /// What is known of a queue that was made by `desc`.
    pub fn new(
        context: ze_context_handle_t,
        device: ze_device_handle_t,
        desc: &ze_command_queue_desc_t,
        is_immediate: bool,
        clock: Clock,
        words: Option<&'static Words>,
    ) -> Self {
        Self {
            context: context.number(),
            device: device.number(),
            group: desc.ordinal,
            is_immediate,
            is_synchronous: desc.mode == ze_command_queue_mode_t::ZE_COMMAND_QUEUE_MODE_SYNCHRONOUS,
            clock,
            words,
        }
    }

    /// The context.
    pub fn context(&self) -> ze_context_handle_t {
        Handle::from_number(self.context)
    }

    /// The device.
    pub fn device(&self) -> ze_device_handle_t {
        Handle::from_number(self.device)
    }

    /// Whether what was made for this serves the other.
    pub fn takes_those_of(&self, other: &Self) -> bool {
        let key = |it: &Self| (it.context, it.device, it.is_immediate, it.group);
        key(self) == key(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_where_a_counter_begins_anew() {
        let properties = ze_device_properties_t {
            timerResolution: 12_500_000,
            kernelTimestampValidBits: 32,
            ..Default::default()
        };
        let clock = Clock::of(Some(&properties));
        assert_eq!(clock.ns_between(100, 200), 8_000);
        assert_eq!(clock.ns_between(u64::from(u32::MAX) - 49, 50), 8_000);
    }
}
