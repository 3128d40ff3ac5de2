//! When kernels began and ended, which the device notes in events.

use super::super::api::call;
use super::super::{Done, Event, Stamps, Trouble};
use super::Ze;
use level_zero_sys::*;

impl Ze {
    /// An event with times for each kernel.
    pub(super) fn timed_events(&self, count: usize) -> Done<Stamps> {
        let pool = self.pool(count as u32, true)?;
        let events = (0..count as u32)
            .map(|index| Ok(Event(self.event_of(pool, index)?.cast())))
            .collect::<Done<_>>()?;
        Ok(Stamps::Events {
            pool: pool.cast(),
            events,
        })
    }

    /// The times of the first so many, in the host's time; gives the events back.
    pub(super) fn times_of(&self, stamps: Stamps, count: usize) -> Done<Vec<(u64, u64)>> {
        let Stamps::Events { pool, events } = stamps else {
            return Err(Trouble::new("these times are another driver's"));
        };
        let (mut host_ns, mut ticks_now) = (0, 0);
        // SAFETY: two live out-parameters.
        unsafe {
            call!(
                self.api,
                device_clocks(self.device, &mut host_ns, &mut ticks_now)
            )
        }?;
        let clock = Clock {
            host_ns,
            ticks_now,
            ns_per_tick: self.properties.timerResolution.max(1) as f64,
            bits: self.properties.kernelTimestampValidBits,
        };
        let mut times = Vec::with_capacity(count);
        for event in &events[..count] {
            let mut found = ze_kernel_timestamp_result_t::default();
            // SAFETY: a live out-parameter, an event with times whose kernel is done.
            unsafe { call!(self.api, event_times(event.0.cast(), &mut found)) }?;
            let global = found.global;
            times.push((clock.ns(global.kernelStart), clock.ns(global.kernelEnd)));
        }
        // SAFETY: made by `timed_events`; nothing that signals them is under way.
        unsafe {
            for event in events {
                call!(self.api, event_destroy(event.0.cast()))?;
            }
            call!(self.api, event_pool_destroy(pool.cast()))?;
        }
        Ok(times)
    }
}

/// The device's clock beside the host's, which all processes share. The device's has few bits and begins anew after some
/// minutes.
struct Clock {
    host_ns: u64,
    ticks_now: u64,
    ns_per_tick: f64,
    bits: u32,
}

impl Clock {
    /// The host's time of a moment in the past, in ticks.
    fn ns(&self, ticks: u64) -> u64 {
        let mask = match self.bits {
            1..64 => (1 << self.bits) - 1,
            _ => u64::MAX,
        };
        let ago = self.ticks_now.wrapping_sub(ticks) & mask;
        self.host_ns
            .saturating_sub((ago as f64 * self.ns_per_tick) as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_before_the_clock_began_anew_are_before_those_after() {
        let clock = Clock {
            host_ns: 1_000_000,
            ticks_now: 100,
            ns_per_tick: 52.0,
            bits: 32,
        };
        assert_eq!(clock.ns(100), 1_000_000);
        assert_eq!(clock.ns(90), 1_000_000 - 520);
        assert_eq!(clock.ns(u32::MAX.into()), 1_000_000 - 101 * 52);
    }
}
