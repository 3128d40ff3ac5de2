//! How the engine makes a [`Metric`].

use crate::catalogue::Definition;
use crate::model::{Detail, Metric, Ratio, Series, State, Stats};
use crate::statistics::thin;

impl Metric {
    /// A metric without a value, and why.
    pub fn without_value(definition: &Definition, state: State) -> Self {
        Self {
            id: definition.id.to_owned(),
            name: definition.name.to_owned(),
            unit: definition.unit.to_owned(),
            success: false,
            value: None,
            state,
            stats: None,
            ratio: None,
            block_ratios: Vec::new(),
            samples: Vec::new(),
            duration_seconds: 0.0,
            details: Vec::new(),
            series: Vec::new(),
        }
    }

    /// A measured metric: its value and all samples in the order they were taken, in the definition's unit. Samples may be
    /// none. A value that is no finite number makes it a failed one.
    pub fn measured(definition: &Definition, value: f64, samples: &[f64]) -> Self {
        if !value.is_finite() {
            let reason = format!("the measurement gave no number ({value})");
            return Self::without_value(definition, State::Failed { reason });
        }
        let samples: Vec<f64> = samples
            .iter()
            .copied()
            .filter(|it| it.is_finite())
            .collect();
        Self {
            success: true,
            value: Some(value),
            stats: Stats::of(&samples),
            samples: thin(&samples),
            ..Self::without_value(definition, State::Measured)
        }
    }

    /// With the ratio to native, from one ratio for each block ([`crate::statistics::block_ratios`]). Ratios that are no
    /// finite numbers are left out.
    #[must_use]
    pub fn with_ratios(mut self, mut block_ratios: Vec<f64>) -> Self {
        block_ratios.retain(|it| it.is_finite());
        self.ratio = Ratio::of_blocks(&block_ratios);
        self.block_ratios = block_ratios;
        self
    }

    /// With a further figure; without it where it is no finite number.
    #[must_use]
    pub fn with_detail(mut self, name: &str, value: f64, unit: &str) -> Self {
        if !value.is_finite() {
            return self;
        }
        self.details.push(Detail {
            name: name.to_owned(),
            value,
            unit: unit.to_owned(),
        });
        self
    }

    /// With a line over time for the charts; points that are no finite numbers are left out.
    #[must_use]
    pub fn with_series(mut self, mut series: Series) -> Self {
        series
            .points
            .retain(|(at, value)| at.is_finite() && value.is_finite());
        self.series.push(series);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;
    use crate::model::SAMPLES_KEPT;

    #[test]
    fn a_measured_metric_keeps_a_part_of_its_samples_and_the_summary_of_all() {
        let definition = catalogue::find("OH-001").expect("it exists");
        let samples: Vec<f64> = (1..=2_000).map(f64::from).collect();
        let metric = Metric::measured(definition, 1_000.5, &samples)
            .with_ratios(vec![1.0, 1.1, 1.2])
            .with_detail("saturated", 3.5, "us");
        assert_eq!(metric.samples.len(), SAMPLES_KEPT);
        assert_eq!(metric.stats.map(|it| it.count), Some(2_000));
        assert_eq!(metric.ratio.map(|it| (it.value, it.blocks)), Some((1.1, 3)));
        assert_eq!((metric.unit.as_str(), metric.success), ("us", true));
        assert_eq!(metric.details.len(), 1);
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let definition = catalogue::find("IS-008").expect("it exists");
        let metric = Metric::measured(definition, 0.9, &[0.9, f64::NAN])
            .with_ratios(vec![1.0, f64::INFINITY])
            .with_detail("p99", f64::NAN, "us")
            .with_series(Series {
                name: "tenant a".into(),
                unit: "%".into(),
                target: None,
                points: vec![(0.0, 1.0), (1.0, f64::NAN)],
            });
        assert_eq!((metric.samples.len(), metric.block_ratios.len()), (1, 1));
        assert_eq!(
            (metric.details.len(), metric.series[0].points.len()),
            (0, 1)
        );
    }

    #[test]
    fn a_value_that_is_no_number_has_failed() {
        let definition = catalogue::find("OH-001").expect("it exists");
        let metric = Metric::measured(definition, f64::NAN, &[1.0]);
        assert!(matches!(metric.state, State::Failed { .. }));
        assert_eq!(
            (metric.success, metric.value, metric.stats),
            (false, None, None)
        );
    }
}
