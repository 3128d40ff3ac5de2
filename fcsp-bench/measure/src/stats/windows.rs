//! Rates over equal windows, out of cumulative samples.
//!
//! A tenant samples how much device time its finished kernels are worth. The difference between two
//! moments over the time between them is its rate: 1.0 means that it had the whole device. Window
//! borders seldom fall on a sample, so the cumulative curve is taken as straight between two.

/// A cumulative curve: work done (ns of device time) at moments (ns), both never falling.
#[derive(Debug, Clone, Default)]
pub struct Cumulative {
    points: Vec<(u64, u64)>,
}

impl Cumulative {
    /// A curve through `(t_ns, work_ns)` points; points that step back in time are left out.
    pub fn new(points: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut kept: Vec<(u64, u64)> = Vec::new();
        for point in points {
            if kept.last().is_none_or(|last| point.0 > last.0) {
                kept.push(point);
            }
        }
        Self { points: kept }
    }

    /// The first and the last moment the curve knows of.
    pub fn span_ns(&self) -> Option<(u64, u64)> {
        Some((self.points.first()?.0, self.points.last()?.0))
    }

    /// Work done by `t_ns`, interpolated; flat before the first point and after the last.
    pub fn at(&self, t_ns: u64) -> f64 {
        let after = self.points.partition_point(|point| point.0 <= t_ns);
        match (
            after.checked_sub(1).map(|i| self.points[i]),
            self.points.get(after),
        ) {
            (None, Some(first)) => first.1 as f64,
            (Some(last), None) => last.1 as f64,
            (Some((t0, w0)), Some(&(t1, w1))) => {
                let fraction = (t_ns - t0) as f64 / (t1 - t0) as f64;
                w0 as f64 + fraction * w1.saturating_sub(w0) as f64
            }
            (None, None) => 0.0,
        }
    }

    /// Work per time between two moments; 0 for an empty interval.
    pub fn rate(&self, from_ns: u64, to_ns: u64) -> f64 {
        if to_ns <= from_ns {
            return 0.0;
        }
        (self.at(to_ns) - self.at(from_ns)) / (to_ns - from_ns) as f64
    }

    /// The rate in each whole window of `window_ns` within `from_ns..to_ns`.
    pub fn window_rates(&self, from_ns: u64, to_ns: u64, window_ns: u64) -> Vec<f64> {
        assert!(window_ns > 0, "a window has a length");
        let count = to_ns.saturating_sub(from_ns) / window_ns;
        (0..count)
            .map(|i| from_ns + i * window_ns)
            .map(|start_ns| self.rate(start_ns, start_ns + window_ns))
            .collect()
    }

    /// The same curve with all work multiplied by `factor`.
    pub fn scaled(&self, factor: f64) -> Cumulative {
        let scale = |work_ns: u64| (work_ns as f64 * factor).round() as u64;
        Cumulative {
            points: self.points.iter().map(|&(t, w)| (t, scale(w))).collect(),
        }
    }

    /// The longest time within `from_ns..to_ns` from one moment of progress to the next, to the end at the
    /// latest. As fine as the samples: work that was done between two of them counts at the later.
    pub fn longest_rest_ns(&self, from_ns: u64, to_ns: u64) -> u64 {
        let (mut since_ns, mut longest_ns) = (from_ns, 0);
        let steps = self.points.windows(2).filter(|pair| pair[1].1 > pair[0].1);
        for at_ns in steps.map(|pair| pair[1].0) {
            if (from_ns..=to_ns).contains(&at_ns) {
                longest_ns = longest_ns.max(at_ns - since_ns);
                since_ns = at_ns;
            }
        }
        longest_ns.max(to_ns.saturating_sub(since_ns))
    }

    /// The curve of what several tenants did together, at the moments of any of them.
    pub fn sum(curves: &[&Cumulative]) -> Cumulative {
        let mut moments: Vec<u64> = curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.0))
            .collect();
        moments.sort_unstable();
        moments.dedup();
        Cumulative::new(moments.into_iter().map(|t_ns| {
            let total: f64 = curves.iter().map(|curve| curve.at(t_ns)).sum();
            (t_ns, total as u64)
        }))
    }
}

/// `shares[window][tenant]`: each tenant's part of what all did in that window. Windows in which
/// nobody did anything are reported as all zero, which any entitlement counts as an error.
pub fn shares_per_window(
    curves: &[Cumulative],
    from_ns: u64,
    to_ns: u64,
    window_ns: u64,
) -> Vec<Vec<f64>> {
    let rates: Vec<Vec<f64>> = curves
        .iter()
        .map(|curve| curve.window_rates(from_ns, to_ns, window_ns))
        .collect();
    let count = rates.first().map_or(0, Vec::len);
    (0..count)
        .map(|window| {
            let total: f64 = rates.iter().map(|tenant| tenant[window]).sum();
            rates
                .iter()
                .map(|tenant| {
                    if total > 0.0 {
                        tenant[window] / total
                    } else {
                        0.0
                    }
                })
                .collect()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tenant that runs at `rate` from 0, sampled every 10 units.
    fn steady(rate: f64, until: u64) -> Cumulative {
        Cumulative::new((0..=until / 10).map(|i| (i * 10, (i as f64 * 10.0 * rate) as u64)))
    }

    #[test]
    fn borders_between_samples_are_interpolated() {
        let curve = Cumulative::new([(100, 0), (200, 50)]);
        assert_eq!(curve.at(150), 25.0);
        assert_eq!(curve.at(50), 0.0);
        assert_eq!(curve.at(900), 50.0);
    }

    #[test]
    fn only_whole_windows_count() {
        let rates = steady(0.5, 1_000).window_rates(0, 950, 100);
        assert_eq!(rates.len(), 9);
        assert!(rates.iter().all(|rate| (rate - 0.5).abs() < 1e-9));
    }

    #[test]
    fn shares_are_of_what_was_done_not_of_the_device() {
        let shares = shares_per_window(&[steady(0.2, 1_000), steady(0.6, 1_000)], 0, 1_000, 250);
        assert_eq!(shares.len(), 4);
        for window in shares {
            assert!((window[0] - 0.25).abs() < 1e-9 && (window[1] - 0.75).abs() < 1e-9);
        }
    }

    #[test]
    fn a_window_without_work_has_no_shares() {
        let idle = Cumulative::new([(0, 0), (1_000, 0)]);
        assert_eq!(
            shares_per_window(&[idle.clone(), idle], 0, 1_000, 500),
            vec![vec![0.0, 0.0]; 2]
        );
    }

    #[test]
    fn the_longest_rest_is_between_two_moments_of_progress() {
        let curve = Cumulative::new([(0, 0), (10, 5), (20, 5), (50, 5), (60, 9), (70, 9)]);
        assert_eq!(curve.longest_rest_ns(0, 60), 50, "from 10 to 60");
        assert_eq!(
            curve.longest_rest_ns(30, 60),
            30,
            "what was before is not known"
        );
        assert_eq!(
            curve.longest_rest_ns(0, 200),
            140,
            "it never goes on after 60"
        );
        assert_eq!(Cumulative::default().longest_rest_ns(0, 7), 7);
    }

    #[test]
    fn a_scaled_curve_has_scaled_rates() {
        let curve = steady(0.5, 1_000).scaled(2.0);
        assert!((curve.rate(0, 1_000) - 1.0).abs() < 1e-9);
    }

    #[test]
    fn curves_add_up() {
        let total = Cumulative::sum(&[&steady(0.25, 1_000), &steady(0.5, 1_000)]);
        assert!((total.rate(100, 900) - 0.75).abs() < 0.01);
    }

    #[test]
    fn samples_that_step_back_in_time_are_ignored() {
        let curve = Cumulative::new([(0, 0), (10, 10), (10, 11), (5, 3), (20, 20)]);
        assert_eq!(curve.rate(0, 20), 1.0);
    }
}
