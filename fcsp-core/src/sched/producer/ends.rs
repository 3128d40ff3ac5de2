//! Where turns end.
//!
//! A turn ends with a segment, the one that ends next to its time, and the next tenant's begins there. So what a tenant has in
//! a short window is off by what its segments and the others' are long where turns end. Segments are shorter there than
//! elsewhere: what lies between two of them costs the device some microseconds, for every queue that they use. So programs on several
//! queues have none that are shorter.

use super::Producer;
use crate::region::layout::SEGMENTS;
use crate::sched::clock::us;
use crate::sched::segment::reached;
use crate::sync::Ordering;

/// Segments there are as long as this part of others (what other parts gave: `docs/results/simulated/2026-11-28-windows`),
const PART: u64 = 4;
/// and no shorter than that, of which 6 µs between two are a twentieth,
const SHORT_NS_MIN: u64 = us(125);
/// if they are closer to the end of a turn than this part of one.
const NEAR_PART: u64 = 2;

/// Where in the process's turns the next segment begins.
#[derive(Debug, Default)]
pub(super) struct Ends {
    /// First segment of the newest turn, as far as known.
    from: u32,
    /// The segment that was opened last.
    last: u32,
    /// What is expected of those from the first one to before the last.
    before_ns: u64,
}

impl Producer {
    /// How long the segment `number`, which is opened now, may be where it is in its turn.
    pub(super) fn most_ns(&self, ends: &mut Ends, number: u32) -> u64 {
        // Relaxed: hints.
        let turn_ns = u64::from(self.slot.gate.turn_us.load(Ordering::Relaxed)) * 1000;
        let from = self.slot.gate.turn_from.load(Ordering::Relaxed);
        let before = self.segment(number.wrapping_sub(1));
        if turn_ns == 0 || before.lanes.load(Ordering::Relaxed).count_ones() > 1 {
            return u64::MAX;
        }
        let expected_ns = |number| self.segment(number).predicted_ns.load(Ordering::Relaxed);
        if ends.from == from && ends.last.wrapping_add(1) == number {
            ends.before_ns += expected_ns(ends.last);
        } else if reached(number, from) && number.wrapping_sub(from) < SEGMENTS as u32 {
            let before = number.wrapping_sub(from);
            let before = (0..before).map(|it| expected_ns(from.wrapping_add(it)));
            ends.before_ns = before.sum();
        } else {
            return u64::MAX;
        }
        (ends.from, ends.last) = (from, number);
        most_ns_there(ends.before_ns % turn_ns, turn_ns, self.full_ns())
    }
}

/// How long a segment may be that begins when `since_ns` of a turn are over.
fn most_ns_there(since_ns: u64, turn_ns: u64, full_ns: u64) -> u64 {
    let near_ns = full_ns / NEAR_PART;
    let short_ns = (full_ns / PART).max(SHORT_NS_MIN);
    let left_ns = turn_ns - since_ns;
    if since_ns < near_ns || left_ns < near_ns + short_ns {
        short_ns
    } else {
        (left_ns - near_ns).min(full_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What segments that are as long as they may be end at, in microseconds, in so many turns.
    fn ends_us(turn_us: u64, full_us: u64, turns: u64) -> Vec<u64> {
        let (turn_ns, mut ends) = (us(turn_us), vec![0]);
        while let Some(last) = ends.last().filter(|it| **it < turns * turn_us) {
            let most_ns = most_ns_there(us(*last) % turn_ns, turn_ns, us(full_us));
            ends.push(last + most_ns / us(1));
        }
        ends
    }

    #[test]
    fn segments_are_short_where_a_turn_ends_and_nowhere_else() {
        let ends = ends_us(8_250, 1_000, 3);
        println!("segments end at {ends:?} us");
        for segment in ends.windows(2) {
            let [begins, ends] = [segment[0] % 8_250, (segment[1] - 1) % 8_250 + 1];
            let length = segment[1] - segment[0];
            assert!((250..=1_000).contains(&length), "{segment:?}");
            let is_near = begins < 500 || ends > 8_250 - 500;
            assert!(!is_near || length <= 250, "{segment:?}");
        }
        // Three more than eight or nine long ones are.
        assert!(ends.len() <= 3 * 12 + 1, "{ends:?}");
    }

    #[test]
    fn turns_of_a_segment_or_less_are_divided_as_well() {
        for turn_us in [50, 300, 500, 999, 1_000, 1_250] {
            let ends = ends_us(turn_us, 1_000, 8);
            let most = ends.windows(2).map(|it| it[1] - it[0]).max();
            assert!(most.is_some_and(|it| (1..=500).contains(&it)), "{ends:?}");
        }
    }

    #[test]
    fn segments_that_are_short_anyway_are_not_divided_to_nothing() {
        let ends = ends_us(500, 250, 8);
        let least = ends.windows(2).map(|it| it[1] - it[0]).min();
        assert_eq!(least, Some(SHORT_NS_MIN / us(1)), "{ends:?}");
    }
}
