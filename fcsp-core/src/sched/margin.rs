//! How much earlier than just in time a segment that is still filling is granted.
//!
//! A program that waits for its results submits until shortly before it waits. Granted too late, its
//! last result comes late; granted too early, the device idles between its kernels, and its neighbours
//! lose that. What is seen is how long after the last submission the last result came.
//!
//! The margin is a quantile by stochastic approximation (Robbins and Monro, 1951): a late result moves
//! it up by what it was late, one in time moves it down by a little, so that few are late and the
//! neighbours lose no more than that takes. It may be negative: what submissions are expected to take
//! is measured one by one, and short ones take longer so.
//!
//! An arbiter that wakes up late sees hardly any result come. It knows that one had not come at its last look and was there at
//! this one, and where both say the same, in time or late, that counts as well.

use super::clock::us;

/// Most that one late segment adds.
const UP_NS_MAX: u64 = us(100);
/// What a segment in time takes off: so results are late by 2 µs on average, most of them not at all.
const DOWN_NS: i64 = 2_000;
/// Before the first late one, and where a turn ended before the segment did: this part of the lead.
const DOWN_FAR: i64 = 16;
/// After so many in time in a row, it takes off twice as much: the margin is far off.
const IN_TIME_RUN: u32 = 16;
/// So often at most.
const DOUBLINGS_MAX: u32 = 5;
/// One segment in this many, and one of the first, is granted earlier than the rest, to see how soon its last
/// result can come: what was seen while results were late, or looked for late, says nothing of that.
const PROBE_EVERY: u32 = 32;
const PROBE_FIRST: u32 = 2;
/// By so much, and by no less than this before just in time.
const PROBE_NS: u64 = us(300);
/// A program that would need more is not helped by more.
const NS_MAX: i64 = 1_500_000;

/// One process's margin. Times in nanoseconds.
#[derive(Clone, Debug, Default)]
pub struct Margin {
    ns: i64,
    /// How soon after the last submission the last result can come: what the program does before it
    /// waits, what is no submission of its own, and how soon it is seen.
    least_late_ns: Option<u64>,
    /// Segments in time since the last late one.
    in_time: u32,
    /// One was late.
    found: bool,
    /// Segments learnt from.
    segments: u32,
}

/// When a last result came, counted from the last submission, as far as it was looked for. Times in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub struct Came {
    /// It had not come by then.
    pub missing_ns: u64,
    /// It was there by then.
    pub there_ns: u64,
}

impl Came {
    /// It was seen to come.
    pub fn seen(ns: u64) -> Self {
        Self {
            missing_ns: ns,
            there_ns: ns,
        }
    }

    fn is_seen(self) -> bool {
        self.missing_ns == self.there_ns
    }
}

impl Margin {
    /// A margin to begin with.
    pub fn new(ns: u64) -> Self {
        Self {
            ns: ns as i64,
            ..Self::default()
        }
    }

    /// How long before its end a segment that takes `device_ns` is granted.
    pub fn lead_ns(&self, device_ns: u64) -> u64 {
        let lead_ns = (device_ns as i64 + self.ns).max(0) as u64;
        if self.probes() {
            lead_ns.max(device_ns) + PROBE_NS
        } else {
            lead_ns
        }
    }

    fn probes(&self) -> bool {
        self.segments % PROBE_EVERY == PROBE_FIRST
    }

    /// How soon after the last submission to look for the last result: as soon as it can come, as far as is known, and where
    /// that is to be seen, sooner.
    pub fn look_after_ns(&self) -> Option<u64> {
        let sooner_ns = if self.probes() { PROBE_NS } else { 0 };
        self.least_late_ns.map(|ns| ns.saturating_sub(sooner_ns))
    }

    fn learn_late(&mut self, late_ns: u64) {
        (self.in_time, self.found) = (0, true);
        self.ns = (self.ns + late_ns.min(UP_NS_MAX) as i64).min(NS_MAX);
    }

    /// Learns from a segment that takes `device_ns` as expected and was granted while it filled: when its last result came,
    /// as far as that was seen; `slack_ns` more than the least is in time. What was not looked for in time may tell neither
    /// that it was late nor that it was not.
    pub fn learn(&mut self, device_ns: u64, came: Came, slack_ns: u64) {
        let Came {
            missing_ns,
            there_ns,
        } = came;
        // As long as nothing is known, what came half the segment's length later could have come earlier.
        let guess_ns = if came.is_seen() {
            there_ns
        } else {
            device_ns / 2
        };
        let least_ns = self.least_late_ns.unwrap_or(guess_ns).min(there_ns);
        // With that margin the device is not what the program waits for: it has become slower itself.
        let slower_ns = match self.ns == NS_MAX {
            true => missing_ns.saturating_sub(least_ns) / 16,
            false => 0,
        };
        self.least_late_ns = Some(least_ns + slower_ns);
        let probed = self.probes();
        self.segments = self.segments.wrapping_add(1);
        let in_time_ns = least_ns + slack_ns;
        if probed {
            // It says how soon a result can come, and nothing of the margin.
        } else if missing_ns > in_time_ns {
            self.learn_late(missing_ns - in_time_ns);
        } else if there_ns <= in_time_ns {
            self.learn_in_time(device_ns);
        }
    }

    fn learn_in_time(&mut self, device_ns: u64) {
        let doublings = (self.in_time / IN_TIME_RUN).min(DOUBLINGS_MAX);
        self.in_time += 1;
        if self.found {
            self.ns = (self.ns - (DOWN_NS << doublings)).max(-(device_ns as i64));
        } else {
            self.learn_too_early(device_ns);
        }
    }

    /// Learns from a segment that was still filling when its turn was over.
    pub fn learn_too_early(&mut self, device_ns: u64) {
        let device_ns = device_ns as i64;
        let down_ns = ((device_ns + self.ns) / DOWN_FAR).max(DOWN_NS);
        self.ns = (self.ns - down_ns).max(-device_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Results come `base_ns` after the last submission if the lead is `need_ns` or more, else as much
    /// later as it is less, give or take 20 µs. By how much they are late, on average.
    fn settle(
        margin: &mut Margin,
        device_ns: u64,
        need_ns: u64,
        base_ns: u64,
        segments: u64,
    ) -> u64 {
        let mut late_ns = 0;
        for i in 0..segments {
            let noise_ns = i * 7919 % 40 * 1000;
            let lead_ns = margin.lead_ns(device_ns);
            let came_ns = base_ns + (need_ns + noise_ns).saturating_sub(lead_ns);
            late_ns += came_ns.saturating_sub(base_ns + us(60));
            margin.learn(device_ns, Came::seen(came_ns), us(60));
        }
        late_ns / segments
    }

    #[test]
    fn it_recovers_from_a_beginning_in_which_nothing_could_be_early_enough() {
        let mut margin = Margin::new(us(1500));
        for _ in 0..200 {
            margin.learn_too_early(us(1500));
        }
        assert!(margin.lead_ns(us(1500)) < us(100));
        settle(&mut margin, us(1500), us(1600), us(30), 25);
        let late_ns = settle(&mut margin, us(1500), us(1600), us(30), 100);
        assert!(late_ns < us(20), "{late_ns}");
    }

    #[test]
    fn it_settles_where_few_are_late_whatever_was_expected() {
        for device_ns in [us(300), us(1000), us(2500)] {
            let mut margin = Margin::new(us(1500));
            settle(&mut margin, device_ns, us(1100), us(55), 200);
            let late_ns = settle(&mut margin, device_ns, us(1100), us(55), 1000);
            assert!(late_ns <= us(3), "{late_ns} of those that take {device_ns}");
            let lead_ns = margin.lead_ns(device_ns);
            assert!(lead_ns.abs_diff(us(1060)) < us(60), "{lead_ns}");
        }
    }

    /// Whoever looks only when a result is long there sees none come. That it is in time, or is not, can be told all the same.
    #[test]
    fn it_settles_as_well_where_no_result_is_seen_to_come() {
        let mut margin = Margin::new(us(1500));
        let (device_ns, need_ns, base_ns) = (us(1000), us(1100), us(50));
        for _ in 0..200 {
            margin.learn_too_early(device_ns);
        }
        for i in 0..1_500 {
            let lead_ns = margin.lead_ns(device_ns);
            let came_ns = base_ns + need_ns.saturating_sub(lead_ns);
            // Looked for when it is expected, and again 0.1 ms later, and so on.
            let looks_from_ns = margin.look_after_ns().unwrap_or(base_ns) + us(30 + i % 7);
            let looks = came_ns.saturating_sub(looks_from_ns).div_ceil(us(100));
            let there_ns = looks_from_ns + looks * us(100);
            let missing_ns = match looks {
                0 => 0,
                _ => there_ns - us(100),
            };
            let came = Came {
                missing_ns,
                there_ns,
            };
            margin.learn(device_ns, came, us(60));
        }
        let lead_ns = margin.lead_ns(device_ns);
        // No better than its looks are.
        assert!(lead_ns.abs_diff(need_ns) < us(250), "{lead_ns}");
    }

    #[test]
    fn a_program_that_becomes_slower_itself_is_not_granted_early_for_ever() {
        let mut margin = Margin::new(us(1500));
        settle(&mut margin, us(1000), us(1100), us(10), 1000);
        settle(&mut margin, us(1000), us(1100), us(150), 2000);
        let lead_ns = margin.lead_ns(us(1000));
        assert!(lead_ns.abs_diff(us(1060)) < us(80), "{lead_ns}");
    }
}
