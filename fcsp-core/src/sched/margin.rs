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

    /// How soon after the last submission the last result can come, as far as is known.
    pub fn least_late_ns(&self) -> Option<u64> {
        self.least_late_ns
    }

    /// Learns from a segment that takes `device_ns` as expected and whose last result had not come when
    /// `missing_ns` were over since its last submission. That it is late is certain only then.
    pub fn learn_missing(&mut self, device_ns: u64, missing_ns: u64, slack_ns: u64) {
        // As long as nothing is known, what came half the segment's length later could have come earlier.
        let least_ns = self.least_late_ns.unwrap_or(device_ns / 2);
        if missing_ns > least_ns + slack_ns && !self.probes() {
            self.learn_late(missing_ns - least_ns - slack_ns);
        }
        self.segments = self.segments.wrapping_add(1);
    }

    fn learn_late(&mut self, late_ns: u64) {
        (self.in_time, self.found) = (0, true);
        self.ns = (self.ns + late_ns.min(UP_NS_MAX) as i64).min(NS_MAX);
    }

    /// Learns from a segment that takes `device_ns` as expected, was granted while it filled, and whose
    /// last result came `late_ns` after its last submission; `slack_ns` more than the least is in time.
    pub fn learn(&mut self, device_ns: u64, late_ns: u64, slack_ns: u64) {
        let least_ns = self.least_late_ns.map_or(late_ns, |it| it.min(late_ns));
        let over_ns = late_ns - least_ns;
        // With that margin the device is not what the program waits for: it has become slower itself.
        let slower_ns = if self.ns == NS_MAX { over_ns / 16 } else { 0 };
        self.least_late_ns = Some(least_ns + slower_ns);
        let probed = self.probes();
        self.segments = self.segments.wrapping_add(1);
        if probed {
            return;
        }
        if over_ns > slack_ns {
            self.learn_late(over_ns - slack_ns);
        } else {
            let doublings = (self.in_time / IN_TIME_RUN).min(DOUBLINGS_MAX);
            self.in_time += 1;
            if self.found {
                self.ns = (self.ns - (DOWN_NS << doublings)).max(-(device_ns as i64));
            } else {
                self.learn_too_early(device_ns);
            }
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
            margin.learn(device_ns, came_ns, us(60));
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

    #[test]
    fn a_program_that_becomes_slower_itself_is_not_granted_early_for_ever() {
        let mut margin = Margin::new(us(1500));
        settle(&mut margin, us(1000), us(1100), us(10), 1000);
        settle(&mut margin, us(1000), us(1100), us(150), 2000);
        let lead_ns = margin.lead_ns(us(1000));
        assert!(lead_ns.abs_diff(us(1060)) < us(80), "{lead_ns}");
    }
}
