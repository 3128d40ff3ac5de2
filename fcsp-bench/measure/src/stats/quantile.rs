//! Order statistics of latencies.

use serde::{Deserialize, Serialize};
use std::f64::consts::FRAC_PI_2;

/// Summary of a set of durations, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many durations were summarized.
    pub count: usize,
    /// The shortest.
    pub min_ns: u64,
    /// The median.
    pub p50_ns: u64,
    /// 95 % were no longer than this.
    pub p95_ns: u64,
    /// 99 % were no longer than this.
    pub p99_ns: u64,
    /// The longest.
    pub max_ns: u64,
    /// The arithmetic mean.
    pub mean_ns: f64,
}

impl Quantiles {
    /// Summarizes `durations_ns`, which is sorted in place; `None` if it is empty.
    pub fn of(durations_ns: &mut [u64]) -> Option<Self> {
        durations_ns.sort_unstable();
        let (min_ns, max_ns) = (*durations_ns.first()?, *durations_ns.last()?);
        let sum_ns: u128 = durations_ns.iter().map(|&ns| u128::from(ns)).sum();
        Some(Self {
            count: durations_ns.len(),
            min_ns,
            p50_ns: quantile_sorted(durations_ns, 0.50)?,
            p95_ns: quantile_sorted(durations_ns, 0.95)?,
            p99_ns: quantile_sorted(durations_ns, 0.99)?,
            max_ns,
            mean_ns: sum_ns as f64 / durations_ns.len() as f64,
        })
    }
}

/// The nearest-rank quantile of an ascending slice: the smallest element that at least the fraction
/// `q` of all elements do not exceed. `None` if the slice is empty.
pub fn quantile_sorted<T: Copy>(ascending: &[T], q: f64) -> Option<T> {
    let rank = (q.clamp(0.0, 1.0) * ascending.len() as f64).ceil() as usize;
    ascending.get(rank.saturating_sub(1)).copied()
}

/// The median; the mean of the middle two for an even count. `None` if there is nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    if values.is_empty() {
        return None;
    }
    let mut ascending = values.to_vec();
    ascending.sort_by(f64::total_cmp);
    let middle = ascending.len() / 2;
    Some(if ascending.len() % 2 == 1 {
        ascending[middle]
    } else {
        (ascending[middle - 1] + ascending[middle]) / 2.0
    })
}

/// The standard error of the median of independent values that are spread normally: √(π/2) times that of
/// their mean. `None` for fewer than two.
pub fn median_error(values: &[f64]) -> Option<f64> {
    if values.len() < 2 {
        return None;
    }
    let count = values.len() as f64;
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|it| (it - mean).powi(2)).sum::<f64>() / (count - 1.0);
    Some((FRAC_PI_2 * variance / count).sqrt())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_one_to_hundred() {
        let mut durations_ns: Vec<u64> = (1..=100).rev().collect();
        let q = Quantiles::of(&mut durations_ns).expect("hundred values were given");
        assert_eq!((q.min_ns, q.max_ns, q.count), (1, 100, 100));
        assert_eq!((q.p50_ns, q.p95_ns, q.p99_ns), (50, 95, 99));
        assert!((q.mean_ns - 50.5).abs() < 1e-9);
    }

    #[test]
    fn a_single_value_is_every_quantile() {
        let q = Quantiles::of(&mut [7]).expect("one value was given");
        assert_eq!((q.min_ns, q.p50_ns, q.p99_ns, q.max_ns), (7, 7, 7, 7));
    }

    #[test]
    fn nothing_has_no_quantiles() {
        assert_eq!(Quantiles::of(&mut []), None);
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn one_outlier_in_a_thousand_is_not_in_p99() {
        let mut durations_ns = vec![10; 999];
        durations_ns.push(1_000_000);
        let q = Quantiles::of(&mut durations_ns).expect("values were given");
        assert_eq!((q.p99_ns, q.max_ns), (10, 1_000_000));
    }

    #[test]
    fn median_of_odd_and_even_counts() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn the_error_of_a_median_follows_spread_and_number() {
        // A variance of 1 of three values: √(π/2 / 3).
        let error = median_error(&[1.0, 2.0, 3.0]).expect("three");
        assert!((error - 0.7236).abs() < 1e-4, "{error}");
        assert_eq!(median_error(&[1.0, 1.0]), Some(0.0));
        assert_eq!(median_error(&[1.0]), None);
    }
}
