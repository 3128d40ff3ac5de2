//! How even, and how fair, a set of rates is.

/// The arithmetic mean; 0 for nothing.
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    values.iter().sum::<f64>() / values.len() as f64
}

/// Coefficient of variation: the population standard deviation over the mean. 0 for fewer than two
/// values; infinite where values differ but their mean is 0.
pub fn cv(values: &[f64]) -> f64 {
    if values.len() < 2 {
        return 0.0;
    }
    let m = mean(values);
    let variance = values.iter().map(|v| (v - m).powi(2)).sum::<f64>() / values.len() as f64;
    if variance == 0.0 {
        return 0.0;
    }
    variance.sqrt() / m.abs()
}

/// Jain's fairness index of what each got in proportion to its weight: 1 if all got exactly their
/// proportion, 1/n if one got everything (Jain, Chiu, Hawe 1984, section 3, over `x_i / w_i`).
/// `None` where it is not defined: nothing given, a weight not above 0, or nobody got anything.
pub fn jain_weighted(got: &[f64], weights: &[f64]) -> Option<f64> {
    if got.is_empty() || got.len() != weights.len() || weights.iter().any(|&w| w <= 0.0) {
        return None;
    }
    let normalized: Vec<f64> = got.iter().zip(weights).map(|(x, w)| x / w).collect();
    let sum: f64 = normalized.iter().sum();
    let squares: f64 = normalized.iter().map(|x| x * x).sum();
    (squares > 0.0).then(|| sum * sum / (normalized.len() as f64 * squares))
}

/// Mean and maximum of `|share - entitlement|` in percentage points, over all windows and tenants.
/// `shares[window][tenant]` and `entitlements[tenant]` are fractions of 1. `None` without windows.
pub fn share_error_points(shares: &[Vec<f64>], entitlements: &[f64]) -> Option<(f64, f64)> {
    let errors: Vec<f64> = shares
        .iter()
        .flat_map(|window| {
            assert_eq!(window.len(), entitlements.len(), "one share per tenant");
            window
                .iter()
                .zip(entitlements)
                .map(|(share, entitled)| (share - entitled).abs() * 100.0)
        })
        .collect();
    if errors.is_empty() {
        return None;
    }
    Some((mean(&errors), errors.iter().copied().fold(0.0, f64::max)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jain_is_one_when_everyone_gets_its_proportion() {
        let index = jain_weighted(&[0.1, 0.9], &[10.0, 90.0]).expect("defined");
        assert!((index - 1.0).abs() < 1e-12);
    }

    #[test]
    fn jain_is_one_nth_when_one_gets_everything() {
        let index = jain_weighted(&[1.0, 0.0, 0.0, 0.0], &[1.0; 4]).expect("defined");
        assert!((index - 0.25).abs() < 1e-12);
    }

    #[test]
    fn jain_is_undefined_when_nobody_gets_anything() {
        assert_eq!(jain_weighted(&[0.0, 0.0], &[1.0, 1.0]), None);
        assert_eq!(jain_weighted(&[1.0], &[0.0]), None);
        assert_eq!(jain_weighted(&[1.0], &[1.0, 1.0]), None);
    }

    #[test]
    fn cv_of_constant_and_alternating_rates() {
        assert_eq!(cv(&[0.25; 10]), 0.0);
        assert!((cv(&[0.0, 2.0, 0.0, 2.0]) - 1.0).abs() < 1e-12);
        assert_eq!(cv(&[5.0]), 0.0);
        assert!(cv(&[-1.0, 1.0]).is_infinite());
    }

    #[test]
    fn share_error_counts_points_over_windows_and_tenants() {
        let shares = vec![vec![0.25, 0.75], vec![0.27, 0.73]];
        let (mean_points, max_points) =
            share_error_points(&shares, &[0.25, 0.75]).expect("two windows");
        assert!((mean_points - 1.0).abs() < 1e-9);
        assert!((max_points - 2.0).abs() < 1e-9);
        assert_eq!(share_error_points(&[], &[0.5, 0.5]), None);
    }
}
