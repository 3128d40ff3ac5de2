//! How sure a median is.

use super::median;

/// The confidence that is asked for.
const CONFIDENCE: f64 = 0.95;

/// A median with its interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MedianInterval {
    /// The median.
    pub median: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// The probability that such an interval holds the true median: at least 0.95, and less for fewer than 6 values, where
    /// even the smallest and the largest do not reach that.
    pub confidence: f64,
}

/// The median of independent values with its exact confidence interval, whatever their distribution; `None` for nothing.
///
/// The ends are values: the k-th smallest and the k-th largest, with the largest k for which the number of values below the
/// true median, which is binomial with one half, is between k and n − k often enough (Le Boudec, *Performance Evaluation of
/// Computer and Communication Systems*, 2010, theorem 2.1; Conover, *Practical Nonparametric Statistics*, 1999, section 3.2).
pub fn median_interval(values: &[f64]) -> Option<MedianInterval> {
    let median = median(values)?;
    let mut ascending = values.to_vec();
    ascending.sort_by(f64::total_cmp);
    let n = ascending.len();
    let (rank, confidence) = rank_of_interval(n);
    Some(MedianInterval {
        median,
        low: ascending[rank - 1],
        high: ascending[n - rank],
        confidence,
    })
}

/// Student's t for 95 % on both sides, by degrees of freedom from 1 (Conover 1999, table A21).
const STUDENT: [f64; 4] = [12.706, 4.303, 3.182, 2.776];

/// The interval of 95 % of the geometric mean of 2 to 5 values: Student's for the mean of their logarithms, which must be
/// normally distributed for it to hold. For so few there is none without such an assumption, and with more
/// [`median_interval`] needs none. `None` for other counts, and where a value is not above 0 or not finite.
pub fn log_mean_interval(values: &[f64]) -> Option<(f64, f64)> {
    let degrees = values.len().checked_sub(1)?;
    let factor = STUDENT.get(degrees.checked_sub(1)?)?;
    if values.iter().any(|it| *it <= 0.0 || !it.is_finite()) {
        return None;
    }
    let logs: Vec<f64> = values.iter().map(|it| it.ln()).collect();
    let count = logs.len() as f64;
    let mean = logs.iter().sum::<f64>() / count;
    let squares: f64 = logs.iter().map(|it| (it - mean).powi(2)).sum();
    let half = factor * (squares / degrees as f64 / count).sqrt();
    let (low, high) = ((mean - half).exp(), (mean + half).exp());
    (low.is_finite() && high.is_finite()).then_some((low, high))
}

/// The largest rank, from 1, that gives [`CONFIDENCE`], and what it really gives.
fn rank_of_interval(n: usize) -> (usize, f64) {
    // ln of the probability that exactly `below` of n are below the median; 2^-n itself underflows from some 1,000 on.
    let mut ln_exactly = -(n as f64) * std::f64::consts::LN_2;
    let mut outside = 2.0 * ln_exactly.exp();
    let mut found = (1, (1.0 - outside).max(0.0));
    for below in 1..=(n.saturating_sub(1) / 2) {
        ln_exactly += ((n - below + 1) as f64 / below as f64).ln();
        outside += 2.0 * ln_exactly.exp();
        if 1.0 - outside < CONFIDENCE {
            break;
        }
        found = (below + 1, 1.0 - outside);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;
    use proptest::prelude::*;

    /// A number in (0, 1).
    fn uniform(random: &mut Random) -> f64 {
        ((random.next_u64() >> 11) as f64 + 0.5) / (1u64 << 53) as f64
    }

    #[test]
    fn ranks_are_those_of_the_table() {
        // Conover 1999, table A3 (binomial, one half), and Le Boudec 2010, table A.1.
        let rank = |n| rank_of_interval(n).0;
        assert_eq!([6, 8, 9, 15, 20, 30, 50].map(rank), [1, 1, 2, 4, 6, 10, 18]);
        let (_, confidence) = rank_of_interval(6);
        assert!((confidence - 0.96875).abs() < 1e-12, "1 - 2/64");
        let (_, confidence) = rank_of_interval(15);
        assert!((confidence - 0.96484).abs() < 1e-5, "{confidence}");
    }

    #[test]
    fn few_values_say_how_little_they_know() {
        let interval = median_interval(&[3.0, 1.0, 2.0]).expect("three");
        assert_eq!((interval.low, interval.high), (1.0, 3.0));
        assert!((interval.confidence - 0.75).abs() < 1e-12);
        let one = median_interval(&[7.0]).expect("one");
        assert_eq!(
            (one.low, one.median, one.high, one.confidence),
            (7.0, 7.0, 7.0, 0.0)
        );
        assert_eq!(median_interval(&[]), None);
    }

    #[test]
    fn few_values_have_an_interval_if_their_logarithms_are_normal() {
        let (low, high) = log_mean_interval(&[0.99, 1.0, 1.01]).expect("three");
        // ln 1.01 is 0.00995: 4.303 * 0.01 / sqrt 3.
        assert!(
            (low - 0.9755).abs() < 5e-4 && (high - 1.0251).abs() < 5e-4,
            "{low} {high}"
        );
        assert_eq!(log_mean_interval(&[1.0]), None);
        assert_eq!(log_mean_interval(&[1.0; 6]), None);
        assert_eq!(log_mean_interval(&[1.0, 0.0, 2.0]), None);
        let mut random = Random::new(9);
        let mut normal = || (0..12).map(|_| uniform(&mut random)).sum::<f64>() - 6.0;
        for count in 2..=5 {
            const TRIALS: usize = 4_000;
            let held = (0..TRIALS).filter(|_| {
                let values: Vec<f64> = (0..count).map(|_| (0.1 * normal()).exp()).collect();
                log_mean_interval(&values).is_some_and(|(low, high)| low <= 1.0 && 1.0 <= high)
            });
            let part = held.count() as f64 / TRIALS as f64;
            assert!((part - 0.95).abs() < 0.015, "{count}: {part}");
        }
    }

    #[test]
    fn many_values_do_not_underflow() {
        let (rank, confidence) = rank_of_interval(100_000);
        // n/2 - 0.98 √n, the normal approximation.
        assert!((49_689..=49_692).contains(&rank), "{rank}");
        assert!((0.95..0.951).contains(&confidence), "{confidence}");
    }

    #[test]
    fn an_interval_holds_the_true_median_as_often_as_it_says() {
        const TRIALS: usize = 3_000;
        // Distributions with a known median: even, and with a long tail as times have.
        type Draw = fn(f64) -> f64;
        let draws: [(&str, f64, Draw); 3] = [
            ("uniform", 0.5, |u| u),
            ("exponential", std::f64::consts::LN_2, |u| -(1.0 - u).ln()),
            ("pareto", 2.0, |u| 1.0 / (1.0 - u)),
        ];
        let mut random = Random::new(20);
        for (name, truth, draw) in draws {
            for n in [4, 6, 11, 20, 45] {
                let mut held = 0;
                let mut promised = 0.0;
                for _ in 0..TRIALS {
                    let values: Vec<f64> = (0..n).map(|_| draw(uniform(&mut random))).collect();
                    let interval = median_interval(&values).expect("values");
                    held += usize::from(interval.low <= truth && truth <= interval.high);
                    promised = interval.confidence;
                }
                let part = held as f64 / TRIALS as f64;
                // Four standard errors of a proportion.
                let error = 4.0 * (promised * (1.0 - promised) / TRIALS as f64).sqrt();
                assert!(
                    (part - promised).abs() < error,
                    "{name}, {n}: {part} of {promised}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn the_median_is_within_and_order_does_not_matter(mut values in prop::collection::vec(-1e9..1e9f64, 1..60)) {
            let interval = median_interval(&values).expect("values");
            prop_assert!(interval.low <= interval.median && interval.median <= interval.high);
            prop_assert!((0.0..1.0).contains(&interval.confidence));
            prop_assert!(values.len() < 6 || interval.confidence >= CONFIDENCE);
            values.reverse();
            prop_assert_eq!(median_interval(&values), Some(interval));
        }
    }
}
