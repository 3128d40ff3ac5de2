//! From the work that programs report to shares. Pure.

use serde::Deserialize;

/// Work finished by a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Sample {
    /// `CLOCK_MONOTONIC`, nanoseconds.
    pub t_ns: u64,
    /// Nominal device time of what was finished by then, nanoseconds.
    pub work_ns: u64,
}

/// A stretch of time, nanoseconds of `CLOCK_MONOTONIC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Its beginning.
    pub from_ns: u64,
    /// Its end, not before the beginning.
    pub to_ns: u64,
}

impl Span {
    /// The span without its first `ns`.
    pub fn without_first(self, ns: u64) -> Self {
        Self {
            from_ns: (self.from_ns + ns).min(self.to_ns),
            ..self
        }
    }

    /// Its whole windows of that length, one after another.
    pub fn windows(self, length_ns: u64) -> impl Iterator<Item = Self> {
        let count = (self.to_ns - self.from_ns) / length_ns;
        (0..count).map(move |index| {
            let from_ns = self.from_ns + index * length_ns;
            Self {
                from_ns,
                to_ns: from_ns + length_ns,
            }
        })
    }
}

/// Work finished by `t_ns`, interpolated between samples; before the first nothing, after the last
/// all that is known.
fn work_at(samples: &[Sample], t_ns: u64) -> f64 {
    let next = samples.partition_point(|sample| sample.t_ns <= t_ns);
    match (
        next.checked_sub(1).map(|last| samples[last]),
        samples.get(next),
    ) {
        (None, _) => 0.0,
        (Some(last), None) => last.work_ns as f64,
        (Some(last), Some(next)) => {
            let part = (t_ns - last.t_ns) as f64 / (next.t_ns - last.t_ns) as f64;
            last.work_ns as f64 + part * (next.work_ns - last.work_ns) as f64
        }
    }
}

/// Part of the device that a program used during the span: nominal device time per time.
pub fn rate(samples: &[Sample], span: Span) -> f64 {
    let work = work_at(samples, span.to_ns) - work_at(samples, span.from_ns);
    work / (span.to_ns - span.from_ns).max(1) as f64
}

/// What each of the programs received of what they received together.
pub fn shares(programs: &[&[Sample]], span: Span) -> Vec<f64> {
    let rates: Vec<f64> = programs.iter().map(|samples| rate(samples, span)).collect();
    let total: f64 = rates.iter().sum();
    rates
        .iter()
        .map(|rate| if total > 0.0 { rate / total } else { 0.0 })
        .collect()
}

/// Largest difference between entitled and received share in any window of the span, in percentage
/// points; `None` if the span has no whole window.
pub fn share_error_max(
    programs: &[&[Sample]],
    entitled: &[f64],
    span: Span,
    window_ns: u64,
) -> Option<f64> {
    span.windows(window_ns)
        .flat_map(|window| {
            let shares = shares(programs, window);
            let errors = shares
                .iter()
                .zip(entitled)
                .map(|(share, entitled)| share - entitled);
            errors.map(|error| error.abs() * 100.0).collect::<Vec<_>>()
        })
        .reduce(f64::max)
}

/// When one of the programs first finished something after `t_ns`, as far as samples tell.
pub fn progress_after(programs: &[&[Sample]], t_ns: u64) -> Option<u64> {
    programs
        .iter()
        .filter_map(|samples| {
            let next = samples.partition_point(|sample| sample.t_ns <= t_ns);
            let known = samples.get(next)?.work_ns;
            // The first sample after the moment may hold work finished before it.
            samples[next..]
                .iter()
                .find(|sample| sample.work_ns > known)
                .map(|sample| sample.t_ns)
        })
        .min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A program that has `share` of the device from `from_ms` on, sampled every 10 ms for 3 s.
    fn program(share: f64, from_ms: u64) -> Vec<Sample> {
        (0..300_u64)
            .map(|tick| {
                let t_ns = tick * 10_000_000;
                let working_ns = t_ns.saturating_sub(from_ms * 1_000_000);
                Sample {
                    t_ns,
                    work_ns: (working_ns as f64 * share) as u64,
                }
            })
            .collect()
    }

    const ALL: Span = Span {
        from_ns: 0,
        to_ns: 2_900_000_000,
    };

    #[test]
    fn shares_are_parts_of_what_was_received_together() {
        let (a, b) = (program(0.225, 0), program(0.675, 0));
        assert!((rate(&a, ALL) - 0.225).abs() < 1e-6);
        let shares = shares(&[&a, &b], ALL);
        assert!((shares[0] - 0.25).abs() < 1e-6 && (shares[1] - 0.75).abs() < 1e-6);
    }

    #[test]
    fn the_worst_window_counts() {
        let (a, b) = (program(0.5, 500), program(0.5, 0));
        let error = share_error_max(&[&a, &b], &[0.5, 0.5], ALL, 1_000_000_000);
        // Half of the first second is missing: 1/3 instead of 1/2.
        assert!((error.expect("two windows") - 100.0 / 6.0).abs() < 0.01);
        let settled = ALL.without_first(500_000_000);
        let error = share_error_max(&[&a, &b], &[0.5, 0.5], settled, 1_000_000_000);
        assert!(error.expect("two windows") < 0.01);
        assert_eq!(share_error_max(&[&a], &[1.0], ALL, 10_000_000_000), None);
    }

    #[test]
    fn progress_is_found_at_the_sample_that_shows_it() {
        let (stalled, late) = (program(0.0, 0), program(1.0, 105));
        assert_eq!(
            progress_after(&[&stalled, &late], 50_000_000),
            Some(110_000_000)
        );
        assert_eq!(progress_after(&[&stalled], 0), None);
    }

    #[test]
    fn nothing_is_known_before_the_first_sample_and_nothing_more_after_the_last() {
        let samples = [
            Sample {
                t_ns: 10,
                work_ns: 4,
            },
            Sample {
                t_ns: 20,
                work_ns: 8,
            },
        ];
        assert_eq!(work_at(&samples, 5), 0.0);
        assert_eq!(work_at(&samples, 15), 6.0);
        assert_eq!(work_at(&samples, 99), 8.0);
        assert_eq!(work_at(&[], 1), 0.0);
    }
}
