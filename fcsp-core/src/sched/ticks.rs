//! The clock for what happens every few microseconds: the processor's counter, set by [`now_ns`] once a
//! millisecond.
//!
//! To ask the kernel's page for the time costs 20 to 40 ns, half of what a gated submission may add; to
//! read the counter costs a fourth of that, and nothing waits for it. What the counter does is not
//! believed but measured: from one setting to the next, and only while two measurements in a row agree.
//! Where it stands still, jumps, or differs between processors, the clock is asked every time.

use super::clock::{ms, now_ns};

/// How long a setting is good for, and the least time to measure over.
const STRETCH_NS: u64 = ms(1);
/// Longest time that is measured over: beyond it a rate would not fit.
const STRETCH_NS_MAX: u64 = ms(1_000);
/// Measurements agree that differ by less than one part in so many.
const AGREE: u64 = 256;
/// To set takes less than one part in so many of the time it is measured over, or something came between
/// the clock and the counter.
const UNDISTURBED: u64 = 512;
/// A rate is in nanoseconds per tick times two to the power of this.
const RATE_BITS: u32 = 32;

/// A counter set by the clock. One for each lock that guards what is timed.
#[derive(Debug, Default)]
pub struct Ticks {
    /// When it was last set, by the clock and by the counter.
    set_ns: u64,
    set_ticks: u64,
    /// Ticks after which it must be set again; 0 while the counter is not believed.
    good_for: u64,
    rate: u64,
}

impl Ticks {
    /// Now, as [`now_ns`] says it but for a few microseconds. Does not block.
    #[inline(always)]
    pub fn now_ns(&mut self) -> u64 {
        self.at(ticks())
    }

    #[inline]
    fn at(&mut self, ticks: u64) -> u64 {
        let since = ticks.wrapping_sub(self.set_ticks);
        if since < self.good_for {
            return self.set_ns + ((since * self.rate) >> RATE_BITS);
        }
        self.ask()
    }

    #[cold]
    #[inline(never)]
    fn ask(&mut self) -> u64 {
        let before = ticks();
        let now = now_ns();
        self.set(now, before, ticks());
        now
    }

    /// The clock was `now` when the counter was between `before` and `after`.
    fn set(&mut self, now: u64, before: u64, after: u64) {
        let ns = now.saturating_sub(self.set_ns);
        if self.good_for == 0 && ns < STRETCH_NS {
            return;
        }
        let ticks = after.wrapping_sub(self.set_ticks);
        let measured =
            ns <= STRETCH_NS_MAX && ticks != 0 && after.wrapping_sub(before) <= ticks / UNDISTURBED;
        self.good_for = 0;
        if measured {
            let rate = (ns << RATE_BITS) / ticks;
            if rate != 0 && rate.abs_diff(self.rate) <= rate / AGREE {
                self.good_for = (STRETCH_NS << RATE_BITS) / rate;
            }
            self.rate = rate;
        }
        (self.set_ns, self.set_ticks) = (now, after);
    }
}

/// The processor's counter. It counts at one rate, whatever the processor's own is, on all that is sold
/// today (the invariant TSC of x86, the generic timer of ARM). 0 where we know of none.
#[inline]
fn ticks() -> u64 {
    #[cfg(test)]
    if super::clock::virtual_time::get().is_some() {
        return 0;
    }
    #[cfg(target_arch = "x86_64")]
    // SAFETY: reads a counter. A program that forbade itself to read it could not read the clock either,
    // which does the same.
    let ticks = unsafe { core::arch::x86_64::_rdtsc() };
    #[cfg(target_arch = "aarch64")]
    let ticks = {
        let ticks;
        // SAFETY: reads a counter that Linux lets every program read.
        unsafe {
            core::arch::asm!("mrs {}, cntvct_el0", out(reg) ticks, options(nomem, nostack, preserves_flags));
        }
        ticks
    };
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    let ticks = 0;
    ticks
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::clock::us;

    /// A clock that was asked each time, for as long as it takes to believe the counter of so many ticks
    /// a microsecond.
    fn set(per_us: u64) -> Ticks {
        let mut ticks = Ticks::default();
        for now in [ms(5), ms(6), ms(7), ms(8)] {
            let count = now / 1000 * per_us;
            ticks.set(now, count - per_us / 10, count);
        }
        ticks
    }

    #[test]
    fn the_counter_is_believed_once_it_was_measured_twice() {
        for per_us in [25, 1_000, 2_100, 5_000] {
            let mut ticks = set(per_us);
            assert_ne!(ticks.good_for, 0, "{per_us}");
            let now = ticks.at((ms(8) + us(400)) / 1000 * per_us);
            let late_ns = (ms(8) + us(400)) - now;
            assert!(late_ns <= us(1), "{per_us}: late by {late_ns} ns");
        }
    }

    #[test]
    fn a_counter_that_stands_still_is_not_believed() {
        let mut ticks = Ticks::default();
        for now in 1..10 {
            ticks.set(ms(now), 0, 0);
            assert_eq!(ticks.good_for, 0);
        }
    }

    #[test]
    fn a_counter_that_jumped_or_went_back_is_believed_only_when_it_was_measured_again() {
        for jump in [ms(100), ms(1).wrapping_neg()] {
            let mut ticks = set(1_000);
            let count = |now: u64| now.wrapping_add(jump);
            ticks.set(ms(9), count(ms(9)), count(ms(9)));
            assert_eq!(ticks.good_for, 0);
            for now in [10, 11, 12] {
                ticks.set(ms(now), count(ms(now)), count(ms(now)));
            }
            assert_ne!(ticks.good_for, 0);
        }
    }

    #[test]
    fn what_came_between_clock_and_counter_is_no_measurement() {
        let mut ticks = set(1_000);
        ticks.set(ms(9), ms(9), ms(9) + us(200));
        assert_eq!(ticks.good_for, 0);
        assert_eq!(ticks.rate, 1 << RATE_BITS, "the rate is not forgotten");
    }

    #[test]
    fn the_counter_of_this_machine_keeps_to_the_clock() {
        let mut ticks = Ticks::default();
        let until = now_ns() + ms(20);
        loop {
            let before = now_ns();
            let now = ticks.now_ns();
            let after = now_ns();
            // What two settings may be off by, and what the rate may over a stretch.
            let off_ns = STRETCH_NS / AGREE + STRETCH_NS / UNDISTURBED;
            assert!(
                now + off_ns >= before && now <= after + off_ns,
                "{before} {now} {after}"
            );
            if after >= until {
                break;
            }
        }
    }
}
