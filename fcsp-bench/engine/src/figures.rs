//! What the statistics of measurements do not have.

use fcsp_measure::stats;

/// The median; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    stats::median(values).unwrap_or(0.0)
}

/// The smallest value of which that part is no larger; 0 of nothing.
pub(crate) fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    stats::quantile_sorted(&sorted, q).unwrap_or(0.0)
}

/// The geometric mean of what is above 0; 0 of nothing.
pub(crate) fn geometric_mean(values: &[f64]) -> f64 {
    let logs: Vec<f64> = values
        .iter()
        .filter(|x| **x > 0.0)
        .map(|x| x.ln())
        .collect();
    match logs.is_empty() {
        true => 0.0,
        false => stats::mean(&logs).exp(),
    }
}

/// The mean of the middle half: hardly moved by outliers, and where values lie about two places it does not jump from one to
/// the other as a median does; 0 of nothing.
pub(crate) fn middle_mean(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let apart = sorted.len() / 4;
    stats::mean(&sorted[apart..sorted.len() - apart])
}

/// The mean of the longest part of them, of one at least; 0 of nothing.
pub(crate) fn longest_mean(values: &[f64], part: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let count = ((sorted.len() as f64 * part).round() as usize).clamp(1, sorted.len().max(1));
    stats::mean(&sorted[sorted.len().saturating_sub(count)..])
}

/// The least; 0 of nothing.
pub(crate) fn least(values: &[f64]) -> f64 {
    values.iter().copied().reduce(f64::min).unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_what_they_say() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(middle_mean(&[100.0, 1.0, 3.0, 5.0, 4.0]), 4.0);
        assert_eq!(longest_mean(&[1.0, 9.0, 2.0, 7.0], 0.5), 8.0);
        assert_eq!((middle_mean(&[]), longest_mean(&[], 0.05)), (0.0, 0.0));
        assert_eq!(quantile(&[4.0, 1.0, 2.0, 3.0], 0.5), 2.0);
        assert_eq!((median(&[]), least(&[])), (0.0, 0.0));
        assert!((geometric_mean(&[1.0, 100.0]) - 10.0).abs() < 1e-9);
        assert_eq!(least(&[2.0, -1.0]), -1.0);
    }
}
