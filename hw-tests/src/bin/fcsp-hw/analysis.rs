//! What several tenants got of one device, out of their curves.

use anyhow::{Context, Result};
use fcsp_hw_tests::clock::{NS_PER_MS, NS_PER_S};
use fcsp_hw_tests::stats::{
    Cumulative, cv, jain_weighted, mean, share_error_points, shares_per_window,
};
use serde::Serialize;

use crate::bench::{Alone, measured_part};
use crate::cast::Reported;

/// How a device was shared. Progress is a tenant's rate over the rate the same program reaches
/// alone: device time that a program leaves idle between its own kernels is its own.
#[derive(Debug, Clone, Serialize)]
pub struct Shared {
    /// Entitlements, fractions of 1.
    pub entitlements: Vec<f64>,
    /// Raw rates: nominal device time per time.
    pub rates: Vec<f64>,
    /// Progress of each.
    pub progress: Vec<f64>,
    /// Sum of the progress of all: 1 is the throughput of one alone.
    pub total: f64,
    /// Shares of the total in each whole second, `[window][tenant]`.
    pub second_shares: Vec<Vec<f64>>,
    /// Mean deviation of those from the entitlements, in points.
    pub share_error_mean_points: f64,
    /// Largest deviation, in points.
    pub share_error_max_points: f64,
    /// Jain's index of progress over entitlement.
    pub jain: f64,
    /// Of each tenant's progress in windows of 100 ms.
    pub cv_100ms: Vec<f64>,
}

impl Shared {
    /// Compares `reports` with `entitlements` (in percent) and with what each program reaches alone.
    pub fn of(reports: &[Reported], entitled_pct: &[f64], alone: &[Alone]) -> Result<Self> {
        let (from_ns, to_ns) = measured_part(reports)?;
        let entitlements: Vec<f64> = entitled_pct.iter().map(|&pct| pct / 100.0).collect();
        let rates: Vec<f64> = reports
            .iter()
            .map(|reported| reported.work.rate(from_ns, to_ns))
            .collect();
        let progress: Vec<f64> = rates
            .iter()
            .zip(alone)
            .map(|(rate, alone)| rate / alone.rate)
            .collect();
        let curves: Vec<Cumulative> = reports
            .iter()
            .zip(alone)
            .map(|(reported, alone)| reported.work.scaled(1.0 / alone.rate))
            .collect();
        let second_shares = shares_per_window(&curves, from_ns, to_ns, NS_PER_S);
        let (share_error_mean_points, share_error_max_points) =
            share_error_points(&second_shares, &entitlements)
                .context("the programs ran together for less than a second")?;
        Ok(Self {
            total: progress.iter().sum(),
            jain: jain_weighted(&progress, &entitlements).unwrap_or(0.0),
            cv_100ms: curves
                .iter()
                .map(|curve| cv(&curve.window_rates(from_ns, to_ns, 100 * NS_PER_MS)))
                .collect(),
            entitlements,
            rates,
            progress,
            second_shares,
            share_error_mean_points,
            share_error_max_points,
        })
    }

    /// Mean shares over the seconds, as `0.250/0.750`.
    pub fn shares_text(&self) -> String {
        (0..self.entitlements.len())
            .map(|tenant| {
                let shares: Vec<f64> = self
                    .second_shares
                    .iter()
                    .map(|window| window[tenant])
                    .collect();
                format!("{:.4}", mean(&shares))
            })
            .collect::<Vec<_>>()
            .join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cast::steady;

    fn alone(rate: f64) -> Alone {
        Alone {
            rate,
            steps_per_s: None,
            latency: None,
        }
    }

    #[test]
    fn shares_are_of_progress_not_of_raw_work() {
        // The second program reaches only 0.8 alone, so 0.6 of raw work is 0.75 of progress.
        let reports = [steady("a", 0.25, 5), steady("b", 0.6, 5)];
        let shared = Shared::of(&reports, &[25.0, 75.0], &[alone(1.0), alone(0.8)]).expect("5 s");
        assert!((shared.total - 1.0).abs() < 0.001, "{}", shared.total);
        assert!(shared.share_error_max_points < 0.1);
        assert!(shared.jain > 0.9999);
        assert_eq!(shared.shares_text(), "0.2500/0.7500");
        assert_eq!(
            shared.second_shares.len(),
            4,
            "the first half second is warm-up"
        );
    }

    #[test]
    fn equal_halves_miss_unequal_entitlements() {
        let reports = [steady("a", 0.45, 5), steady("b", 0.45, 5)];
        let shared = Shared::of(&reports, &[25.0, 75.0], &[alone(1.0), alone(1.0)]).expect("5 s");
        assert!((shared.share_error_mean_points - 25.0).abs() < 0.1);
        assert!((shared.total - 0.9).abs() < 0.001);
    }
}
