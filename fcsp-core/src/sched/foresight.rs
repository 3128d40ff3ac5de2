//! When a program that waits for its results will have submitted all of the batch that it is just filling.
//!
//! There are two ways to tell. By time: batches take as long as those before. By work: what a batch holds in the end is
//! what those before held, and the rest of it comes as quickly as what is there already came. On a quiet host the first
//! is right to some microseconds; on one that others use, steps of PyTorch's decoding took 6 to 13 ms (H200, 16
//! processors of a virtual machine, November 2026), and held the same work each. So both are compared with what comes
//! true, and the better one is believed.

/// An error counts for this part of the mean.
const BLEND: u64 = 8;
/// Steps that are told by their time to within this part of it are told by their time: that does not change with every
/// submission.
const EVEN: u64 = 32;

/// What a program submits between two waits, on average.
#[derive(Clone, Copy, Debug)]
pub struct Usual {
    /// For how long it submits, nanoseconds.
    pub fill_ns: u64,
    /// Device time of all of it, nanoseconds.
    pub device_ns: u64,
}

/// What it submitted since it last waited.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// When its newest segment was opened.
    pub opened_ns: u64,
    /// When something was last submitted.
    pub submitted_ns: u64,
    /// For how long it submitted before that segment, nanoseconds.
    pub filled_before_ns: u64,
    /// Device time of all of it, nanoseconds.
    pub device_ns: u64,
}

/// When a batch will be complete, nanoseconds of the clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Completion {
    by_time_ns: u64,
    by_work_ns: u64,
}

impl Completion {
    /// What is expected of a batch that has come so far.
    pub fn expected(usual: Usual, so_far: Progress) -> Self {
        let by_time_ns = so_far.opened_ns + usual.fill_ns.saturating_sub(so_far.filled_before_ns);
        let filled_ns = so_far.submitted_ns.saturating_sub(so_far.opened_ns);
        let filled_ns = filled_ns + so_far.filled_before_ns;
        let missing_ns = usual.device_ns.saturating_sub(so_far.device_ns);
        let missing_of = |ns: u64| match usual.device_ns {
            0 => ns,
            all => (u128::from(ns) * u128::from(missing_ns) / u128::from(all)) as u64,
        };
        // The more of it is there, the more its own pace counts and the less that of those before.
        let left_ns = missing_of(filled_ns + missing_of(usual.fill_ns));
        Self {
            by_time_ns,
            by_work_ns: so_far.submitted_ns + left_ns,
        }
    }
}

/// Which of the two to believe, of one process.
#[derive(Clone, Copy, Debug, Default)]
pub struct Foresight {
    time_error_ns: u64,
    work_error_ns: u64,
}

impl Foresight {
    /// Whether batches that take `fill_ns` are told by their work.
    pub fn goes_by_work(&self, fill_ns: u64) -> bool {
        EVEN * self.time_error_ns > fill_ns && 4 * self.work_error_ns < 3 * self.time_error_ns
    }

    /// The better guess for batches that take `fill_ns`.
    pub fn complete_ns(&self, fill_ns: u64, expected: Completion) -> u64 {
        match self.goes_by_work(fill_ns) {
            true => expected.by_work_ns,
            false => expected.by_time_ns,
        }
    }

    /// Learns that a batch of which that was expected, when it was decided upon, was complete at `complete_ns`.
    pub fn learn(&mut self, expected: Completion, complete_ns: u64) {
        let blend = |error_ns: &mut u64, expected_ns: u64| {
            let new_ns = expected_ns.abs_diff(complete_ns);
            *error_ns = (*error_ns * (BLEND - 1) + new_ns) / BLEND;
        };
        blend(&mut self.time_error_ns, expected.by_time_ns);
        blend(&mut self.work_error_ns, expected.by_work_ns);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sched::clock::us;

    const USUAL: Usual = Usual {
        fill_ns: us(8_000),
        device_ns: us(1_600),
    };

    /// A batch that takes `fill_ns` and is looked at when `percent` of it are there.
    fn at(percent: u64, fill_ns: u64) -> Completion {
        let so_far = Progress {
            opened_ns: us(100),
            submitted_ns: us(100) + fill_ns * percent / 100,
            filled_before_ns: 0,
            device_ns: USUAL.device_ns * percent / 100,
        };
        Completion::expected(USUAL, so_far)
    }

    #[test]
    fn a_usual_batch_is_complete_when_the_usual_time_is_over() {
        for percent in [0, 10, 50, 90, 100] {
            let expected = at(percent, USUAL.fill_ns);
            assert_eq!(expected.by_time_ns, us(8_100));
            assert!(
                expected.by_work_ns.abs_diff(us(8_100)) <= 1,
                "{percent}: {expected:?}"
            );
        }
    }

    #[test]
    fn a_batch_that_comes_more_quickly_is_complete_earlier() {
        // It takes 5 ms; how far off what is expected may be while so much of it is there.
        for (percent, off_us) in [(50, 800), (75, 200), (90, 40), (100, 0)] {
            let expected = at(percent, us(5_000));
            let off_ns = expected.by_work_ns.abs_diff(us(5_100));
            assert!(off_ns <= us(off_us), "{percent}: {expected:?}");
        }
    }

    #[test]
    fn what_was_submitted_before_the_segment_counts() {
        let so_far = Progress {
            opened_ns: us(4_100),
            submitted_ns: us(6_100),
            filled_before_ns: us(4_000),
            device_ns: us(1_200),
        };
        let expected = Completion::expected(USUAL, so_far);
        assert_eq!(
            (expected.by_time_ns, expected.by_work_ns),
            (us(8_100), us(8_100))
        );
    }

    #[test]
    fn the_one_that_comes_true_is_believed() {
        let mut foresight = Foresight::default();
        let expected = |by_time_ns, by_work_ns| Completion {
            by_time_ns,
            by_work_ns,
        };
        let goes_by_work = |it: &Foresight| it.goes_by_work(us(100));
        assert_eq!(
            foresight.complete_ns(us(100), expected(1, 2)),
            1,
            "nothing is known"
        );
        for _ in 0..20 {
            foresight.learn(expected(us(90), us(110)), us(100));
        }
        assert!(!goes_by_work(&foresight), "both are as good: {foresight:?}");
        for _ in 0..20 {
            foresight.learn(expected(us(60), us(110)), us(100));
        }
        assert!(goes_by_work(&foresight), "{foresight:?}");
        assert!(
            !foresight.goes_by_work(us(2_000)),
            "steps are even: {foresight:?}"
        );
        for _ in 0..20 {
            foresight.learn(expected(us(101), us(60)), us(100));
        }
        assert!(!goes_by_work(&foresight), "{foresight:?}");
    }
}
