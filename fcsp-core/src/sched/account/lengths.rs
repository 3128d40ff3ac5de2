//! How long a process's work takes, beside what was predicted: [`Lengths`].

use crate::sched::clock::ms;
use crate::sched::cost::{FORGIVEN_EVERY, HELD_UP};
use crate::sched::handover;
use crate::sched::plan::{ProcessView, SegmentView};
use crate::sched::segment::reached;

/// What is expected of a new program counts as so many measurements of its lengths: the first may be far
/// off. And so many count later.
const LENGTHS_FIRST: u64 = 3;
const LENGTHS_MAX: u64 = 7;
/// Hand-overs that tell what they cost, for each length learnt without one.
const HANDOVERS_PER_LENGTH: u32 = 8;
/// Pieces of work of whose lengths a mean is kept.
const PIECES: u64 = 16;
/// Of longer work a few percent are as much as a hand-over.
const HANDOVER_TOLD_BY_NS_MAX: u64 = ms(2);
/// More than twice what hand-overs to four queues took (H200: some 0.4 ms, docs/results/h200-2026-11-27-evening).
const HANDOVER_NS_MAX: u64 = ms(1);
/// Most that an error counts.
const ERROR_PPM_MAX: u64 = 1_000_000;
/// A mean error beyond which an expectation says little.
const ERRATIC_PPM: u64 = 250_000;

/// What segments and hand-overs of one process take, learnt from looks at the device.
#[derive(Clone, Debug, Default)]
pub struct Lengths {
    /// Actual over predicted device time, in millionths.
    pub ratio_ppm: u64,
    /// Measurements that this and the error come from, as far as they are counted.
    count: u64,
    /// For how many more none is forgiven that was held up.
    unforgiving: u64,
    /// How long the pieces are that its work comes in, as expected, on the mean.
    expected_piece_ns: u64,
    /// By how much its turns run over, on the mean: for no longer than what ran then did.
    overrun_ns: u64,
    /// What a hand-over to it costs, by looks; 0 before any. Where queues can be measured, they say better.
    seen_handover_ns: u64,
    /// How many more hand-overs may tell what one costs, before a length is learnt without one again.
    handovers_to_tell: u32,
    /// Mean absolute error of the prediction, in millionths of what was predicted.
    error_ppm: u64,
}

impl Lengths {
    /// Those of a process nothing is known of.
    pub fn new() -> Self {
        Self {
            ratio_ppm: 1_000_000,
            count: LENGTHS_FIRST,
            ..Self::default()
        }
    }

    /// Expected device time of a prediction, as experience corrects it.
    pub fn corrected_ns(&self, predicted_ns: u64) -> u64 {
        predicted_ns * self.ratio_ppm / 1_000_000
    }

    /// Learns from work whose time on the device has no gaps of the program's making, since it was
    /// complete at the beginning. The measurement is part of one of `whole_ns`.
    pub fn learn_length(&mut self, predicted_ns: u64, actual_ns: u64, whole_ns: u64) {
        if predicted_ns == 0 {
            return;
        }
        let expected = self.corrected_ns(predicted_ns);
        let held_up = actual_ns > HELD_UP * expected;
        if held_up && self.count == LENGTHS_MAX && self.unforgiving == 0 {
            self.unforgiving = FORGIVEN_EVERY;
            return;
        }
        self.unforgiving = self.unforgiving.saturating_sub(1);
        self.learn_error(expected.abs_diff(actual_ns), whole_ns);
        let ratio_ppm = (actual_ns * 1_000_000 / predicted_ns).clamp(100_000, 10_000_000);
        self.ratio_ppm = (self.ratio_ppm * self.count + ratio_ppm) / (self.count + 1);
        self.count = (self.count + 1).min(LENGTHS_MAX);
    }

    /// Learns from a measured segment how long the pieces are that its work comes in.
    pub fn learn_piece(&mut self, predicted_ns: u64) {
        let piece_ns = self.corrected_ns(predicted_ns);
        self.expected_piece_ns = mean_of_pieces(self.expected_piece_ns, piece_ns);
    }

    /// Learns by how much a turn ran over.
    pub fn learn_overrun(&mut self, overrun_ns: u64) {
        self.overrun_ns = mean_of_pieces(self.overrun_ns, overrun_ns);
    }

    /// How long the pieces are that its work comes in. Where nobody can tell before how long one takes, the turns tell: one ends
    /// halfway through a piece on the mean.
    pub fn piece_ns(&self) -> u64 {
        self.expected_piece_ns.max(2 * self.overrun_ns)
    }

    /// What a hand-over to that process costs; 0 if nothing is known.
    pub fn handover_ns(&self, process: &ProcessView) -> u64 {
        match process.handover_ns {
            0 => self.seen_handover_ns,
            measured => measured,
        }
    }

    /// Whether hand-overs tell nothing more before a length is learnt without one.
    pub fn lacks_length(&self) -> bool {
        self.handovers_to_tell == 0
    }

    /// The length that was learnt last was of work without a hand-over.
    pub fn note_length_alone(&mut self) {
        self.handovers_to_tell = HANDOVERS_PER_LENGTH;
    }

    /// Learns from the first work of a turn, which took `whole_ns` from its grant: what is beyond its length is the hand-over.
    /// False where nothing else tells the length, or that is so long that its error would be taken for one.
    pub fn learn_handover(&mut self, predicted_ns: u64, whole_ns: u64) -> bool {
        let length_ns = self.corrected_ns(predicted_ns);
        if self.handovers_to_tell == 0 || length_ns > HANDOVER_TOLD_BY_NS_MAX {
            return false;
        }
        self.handovers_to_tell -= 1;
        let seen_ns = whole_ns.saturating_sub(length_ns).min(HANDOVER_NS_MAX);
        self.seen_handover_ns = handover::learn(self.seen_handover_ns, seen_ns);
        true
    }

    /// Learns from a segment whose time on the device may have gaps, that it takes no longer than that.
    pub fn learn_bound(&mut self, predicted_ns: u64, most_ns: u64) {
        if self.corrected_ns(predicted_ns) > most_ns {
            self.learn_length(predicted_ns, most_ns, most_ns);
        }
    }

    /// Learns from an end after `whole_ns` that came at some time in the last `within_ns`: the next one is
    /// looked for earlier.
    pub fn learn_doubt(&mut self, within_ns: u64, whole_ns: u64) {
        self.learn_error(within_ns, whole_ns);
    }

    fn learn_error(&mut self, error_ns: u64, whole_ns: u64) {
        let error_ppm = (error_ns * 1_000_000 / whole_ns.max(1)).clamp(1, ERROR_PPM_MAX);
        self.error_ppm = (self.error_ppm * self.count + error_ppm) / (self.count + 1);
    }

    /// By how much work of `expected_ns`, of which `segment` is the last, is usually off that.
    pub fn error_ns(&self, expected_ns: u64, process: &ProcessView, segment: &SegmentView) -> u64 {
        let one_ns = self.corrected_ns(segment.predicted_ns).min(expected_ns);
        let all_ns = expected_ns * self.error_ppm / 1_000_000;
        all_ns.max(one_ns * spread_ppm(process, segment) / 1_000_000)
    }

    /// True where nobody can tell how long a segment of the program will take.
    pub fn erratic(&self, process: &ProcessView, segment: &SegmentView) -> bool {
        reached(process.guessed, segment.number)
            || self.error_ppm > ERRATIC_PPM
            || spread_ppm(process, segment) > ERRATIC_PPM
    }
}

/// Whether the length of each submission is what was expected of it, more or less.
pub fn is_steady(process: &ProcessView) -> bool {
    u64::from(process.spread_ppm) <= ERRATIC_PPM
}

fn mean_of_pieces(mean_ns: u64, piece_ns: u64) -> u64 {
    (mean_ns * (PIECES - 1) + piece_ns) / PIECES
}

/// By how much a segment is off because its submissions are: independent errors add up as their squares do.
fn spread_ppm(process: &ProcessView, segment: &SegmentView) -> u64 {
    u64::from(process.spread_ppm / segment.launches.max(1).isqrt())
}

/// Whether a segment's predicted length is what its submissions take by the device's own clock: each was measured, and
/// they are alike.
pub fn is_timed(process: &ProcessView, segment: &SegmentView) -> bool {
    !reached(process.guessed, segment.number) && spread_ppm(process, segment) <= ERRATIC_PPM
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::clock::us;

    #[test]
    fn what_is_wrong_with_a_length_is_not_taken_for_a_hand_over() {
        let process = ProcessView::default();
        let mut lengths = Lengths::new();
        assert!(!lengths.learn_handover(ms(1), ms(2)), "no length is known");
        lengths.note_length_alone();
        assert!(!lengths.learn_handover(ms(5), ms(7)), "too long to tell");
        for _ in 0..HANDOVERS_PER_LENGTH {
            assert!(lengths.learn_handover(ms(1), us(1300)));
        }
        assert!(!lengths.learn_handover(ms(1), us(1300)), "no length since");
        assert!((us(200)..=us(310)).contains(&lengths.handover_ns(&process)));
        for _ in 0..100 {
            lengths.note_length_alone();
            assert!(lengths.learn_handover(ms(1), ms(5)));
        }
        assert!(lengths.handover_ns(&process) <= HANDOVER_NS_MAX);
    }

    #[test]
    fn a_length_that_was_held_up_once_in_a_while_does_not_count() {
        let mut lengths = Lengths::new();
        let mut learn = |actual_ns| {
            lengths.learn_length(ms(1), actual_ns, actual_ns);
            lengths.corrected_ns(ms(1))
        };
        for _ in 0..2 {
            for _ in 0..=FORGIVEN_EVERY {
                assert_eq!(learn(ms(1)), ms(1));
            }
            assert_eq!(learn(ms(13)), ms(1));
        }
        // What takes longer from then on does.
        for _ in 0..40 {
            learn(ms(5));
        }
        assert!(learn(ms(5)) > us(4_900));
    }
}
