//! From samples to what a report keeps of them.

use crate::model::{Ratio, SAMPLES_KEPT, Stats};
use fcsp_measure::stats::{log_mean_interval, mean, median, median_interval, quantile_sorted};

/// Blocks that an interval of a ratio takes. Student's of two is as wide as the world.
pub const BLOCKS_MIN: usize = 3;

impl Stats {
    /// The summary of samples, in any order; `None` where there is none. Samples that are no finite numbers are left out,
    /// and not counted.
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut ascending: Vec<f64> = samples
            .iter()
            .copied()
            .filter(|it| it.is_finite())
            .collect();
        ascending.sort_by(f64::total_cmp);
        let mean = mean(&ascending);
        let squares: f64 = ascending.iter().map(|it| (it - mean).powi(2)).sum();
        let degrees = ascending.len().saturating_sub(1).max(1) as f64;
        Some(Self {
            mean,
            std_dev: (squares / degrees).sqrt(),
            min: *ascending.first()?,
            max: *ascending.last()?,
            p50: median(&ascending)?,
            p90: quantile_sorted(&ascending, 0.90)?,
            p95: quantile_sorted(&ascending, 0.95)?,
            p99: quantile_sorted(&ascending, 0.99)?,
            count: ascending.len() as u64,
        })
    }
}

/// At most [`SAMPLES_KEPT`] of the samples, evenly spaced over the whole and in their order, the first and the last included.
pub fn thin(samples: &[f64]) -> Vec<f64> {
    if samples.len() <= SAMPLES_KEPT {
        return samples.to_vec();
    }
    let last = samples.len() - 1;
    (0..SAMPLES_KEPT)
        .map(|kept| samples[kept * last / (SAMPLES_KEPT - 1)])
        .collect()
}

impl Ratio {
    /// The median of `ratios`, one for each block, with its confidence interval; `None` for none.
    ///
    /// With fewer blocks than an interval without assumptions takes, it is Student's for their logarithms; with fewer than
    /// [`BLOCKS_MIN`] there is none, and the confidence is below 0.95.
    pub fn of_blocks(ratios: &[f64]) -> Option<Self> {
        let mut interval = median_interval(ratios)?;
        if let Some((low, high)) = log_mean_interval(ratios)
            .filter(|_| ratios.len() >= BLOCKS_MIN && interval.confidence < 0.95)
        {
            // A median far from the mean is within all the same.
            interval.low = low.min(interval.median);
            interval.high = high.max(interval.median);
            interval.confidence = 0.95;
        }
        Some(Self {
            value: interval.median,
            low: interval.low,
            high: interval.high,
            confidence: interval.confidence,
            blocks: ratios.len() as u32,
        })
    }
}

/// Each block of a system over the block of native that ran beside it. Pairs in which the ratio is no number (nothing
/// measured natively, say) are left out, and so is what has no partner.
pub fn block_ratios(system: &[f64], native: &[f64]) -> Vec<f64> {
    let pairs = system.iter().zip(native);
    pairs
        .filter(|(_, native)| **native != 0.0)
        .map(|(system, native)| system / native)
        .filter(|ratio| ratio.is_finite())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use fcsp_measure::random::Random;
    use proptest::prelude::*;

    #[test]
    fn a_summary_of_one_to_hundred() {
        let samples: Vec<f64> = (1..=100).rev().map(f64::from).collect();
        let stats = Stats::of(&samples).expect("samples");
        assert_eq!(
            (stats.min, stats.p50, stats.max, stats.count),
            (1.0, 50.5, 100.0, 100)
        );
        assert_eq!((stats.p90, stats.p95, stats.p99), (90.0, 95.0, 99.0));
        assert!((stats.std_dev - 29.011).abs() < 1e-3, "{}", stats.std_dev);
    }

    #[test]
    fn one_sample_has_no_spread_and_no_number_is_no_sample() {
        let stats = Stats::of(&[f64::NAN, 4.0, f64::INFINITY]).expect("one is left");
        assert_eq!((stats.mean, stats.std_dev, stats.count), (4.0, 0.0, 1));
        assert_eq!(Stats::of(&[f64::NAN]), None);
        assert_eq!(Stats::of(&[]), None);
    }

    #[test]
    fn blocks_without_a_ratio_are_left_out() {
        let ratios = block_ratios(&[2.0, 3.0, f64::NAN, 8.0, 1.0], &[1.0, 0.0, 1.0, 2.0]);
        assert_eq!(ratios, [2.0, 4.0]);
        assert_eq!(Ratio::of_blocks(&[]), None);
    }

    #[test]
    fn two_blocks_have_no_interval_and_three_have() {
        let confidence = |ratios: &[f64]| Ratio::of_blocks(ratios).map(|it| it.confidence);
        assert!(confidence(&[1.0]) < Some(0.95));
        assert!(confidence(&[1.0, 1.1]) < Some(0.95));
        assert_eq!(confidence(&[1.0, 1.1, 1.2]), Some(0.95));
    }

    #[test]
    fn a_drift_that_meets_both_alike_is_not_in_the_ratio() {
        // Both become slower by half over the run; the system costs 10 % more, and blocks scatter by 1 %.
        let mut random = Random::new(1);
        let mut scatter = || 0.99 + random.below(2_001) as f64 / 100_000.0;
        let drift = |block: u32| 100.0 * (1.0 + f64::from(block) / 40.0);
        let native: Vec<f64> = (0..20).map(|block| drift(block) * scatter()).collect();
        let system: Vec<f64> = (0..20)
            .map(|block| 1.1 * drift(block) * scatter())
            .collect();
        let ratio = Ratio::of_blocks(&block_ratios(&system, &native)).expect("blocks");
        assert!(ratio.low <= 1.1 && 1.1 <= ratio.high, "{ratio:?}");
        assert!(ratio.high - ratio.low < 0.02, "{ratio:?}");
        assert_eq!(ratio.blocks, 20);
    }

    proptest! {
        #[test]
        fn thinning_keeps_order_ends_and_count(length in 1usize..5_000) {
            let samples: Vec<f64> = (0..length).map(|it| it as f64).collect();
            let kept = thin(&samples);
            prop_assert_eq!(kept.len(), length.min(SAMPLES_KEPT));
            prop_assert_eq!((kept.first(), kept.last()), (samples.first(), samples.last()));
            prop_assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
        }

        #[test]
        fn quantiles_never_fall(samples in prop::collection::vec(-1e6..1e6f64, 1..300)) {
            let it = Stats::of(&samples).expect("samples");
            let rising = [it.min, it.p50, it.p90, it.p95, it.p99, it.max];
            prop_assert!(rising.windows(2).all(|pair| pair[0] <= pair[1]), "{:?}", rising);
        }
    }
}
