//! From the blocks of all systems to their metrics: values, and what they are beside native's, block by block.

use crate::figures::{least, median};
use crate::metrics::{Measure, Value};
use crate::turn::Block;
use fcsp_bench_report::catalogue::Definition;
use fcsp_bench_report::model::{Metric, State};
use fcsp_bench_report::statistics::block_ratios;
use std::collections::HashMap;

/// One system's blocks of one metric.
#[derive(Default)]
pub(crate) struct Taken {
    /// Which block, and what it gave.
    pub(crate) blocks: Vec<(u32, Block)>,
    /// How long they took.
    pub(crate) seconds: f64,
    /// Why there is no value, if there is none.
    pub(crate) failure: Option<State>,
}

/// From blocks to metrics, native's first.
pub(crate) fn assemble(
    definition: &'static Definition,
    measure: &Measure,
    taken: Vec<Taken>,
) -> Vec<Metric> {
    let native: HashMap<u32, (f64, f64)> = taken
        .first()
        .map(|native| {
            native
                .blocks
                .iter()
                .map(|(number, block)| (*number, (block.value, block.compared)))
                .collect()
        })
        .unwrap_or_default();
    let native_state = taken.first().and_then(|native| native.failure.clone());
    taken
        .into_iter()
        .enumerate()
        .map(|(system, taken)| Metric {
            duration_seconds: taken.seconds,
            ..system_metric(
                definition,
                measure,
                taken,
                &native,
                native_state.as_ref(),
                system == 0,
            )
        })
        .collect()
}

/// One system's metric, or why it has none.
fn system_metric(
    definition: &'static Definition,
    measure: &Measure,
    taken: Taken,
    native: &HashMap<u32, (f64, f64)>,
    native_state: Option<&State>,
    is_native: bool,
) -> Metric {
    if let Some(state) = taken.failure {
        return Metric::without_value(definition, state);
    }
    metric(definition, measure, taken.blocks, native, is_native).unwrap_or_else(|| {
        let why = match native_state {
            Some(State::Failed { reason } | State::NotRun { reason }) => format!(": {reason}"),
            _ => String::new(),
        };
        let reason = format!("it is a difference from native, which was not measured{why}");
        Metric::without_value(definition, State::NotRun { reason })
    })
}

/// One system's metric; nothing where native would be needed and is not there.
fn metric(
    definition: &'static Definition,
    measure: &Measure,
    blocks: Vec<(u32, Block)>,
    native: &HashMap<u32, (f64, f64)>,
    is_native: bool,
) -> Option<Metric> {
    let values: Vec<f64> = blocks
        .iter()
        .filter_map(|(number, block)| match measure.value {
            Value::Own | Value::OfSamples | Value::Worst => Some(block.value),
            Value::LessNative => Some(block.value - native.get(number)?.0),
            Value::LackPercent => Some(100.0 * (1.0 - block.compared / native.get(number)?.1)),
        })
        .collect();
    if values.is_empty() {
        return None;
    }
    let mut samples: Vec<f64> = blocks
        .iter()
        .flat_map(|(_, block)| block.samples.iter().copied())
        .collect();
    let value = match measure.value {
        Value::Worst => least(&values),
        Value::OfSamples if !samples.is_empty() => median(&samples),
        _ => median(&values),
    };
    if samples.is_empty() {
        samples = values;
    }
    let mut metric = Metric::measured(definition, value, &samples);
    if !is_native && definition.native.is_some() {
        let (ours, theirs): (Vec<f64>, Vec<f64>) = blocks
            .iter()
            .filter_map(|(number, block)| Some((block.compared, native.get(number)?.1)))
            .unzip();
        metric = metric.with_ratios(block_ratios(&ours, &theirs));
    }
    for (name, value, unit) in details(&blocks) {
        metric = metric.with_detail(&name, value, unit);
    }
    for series in blocks.into_iter().next_back()?.1.series {
        metric = metric.with_series(series);
    }
    Some(metric)
}

/// The median of each further figure over the blocks, in the order of the first block that has it.
fn details(blocks: &[(u32, Block)]) -> Vec<(String, f64, &'static str)> {
    let mut all: Vec<(String, Vec<f64>, &'static str)> = Vec::new();
    for (name, value, unit) in blocks.iter().flat_map(|(_, block)| &block.details) {
        match all.iter_mut().find(|known| known.0 == *name) {
            Some(known) => known.1.push(*value),
            None => all.push((name.clone(), vec![*value], unit)),
        }
    }
    all.into_iter()
        .map(|(name, values, unit)| (name, median(&values), unit))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Needs;
    use fcsp_bench_report::catalogue;

    fn measure(value: Value) -> Measure {
        Measure {
            id: "OH-004",
            seconds: [0.1, 0.1],
            starts: [0; 2],
            learns: false,
            lives: 0,
            who: |_| Ok(()),
            needs: Needs::Nothing,
            value,
            block: |_| Ok(Block::of(0.0)),
        }
    }

    fn taken(values: &[f64]) -> Taken {
        Taken {
            blocks: (0..)
                .zip(values.iter().map(|value| Block::of(*value)))
                .collect(),
            seconds: 0.5,
            failure: None,
        }
    }

    fn assembled(value: Value, native: &[f64], other: &[f64]) -> Vec<Metric> {
        let definition = catalogue::find("OH-004").expect("it exists");
        assemble(
            definition,
            &measure(value),
            vec![taken(native), taken(other)],
        )
    }

    #[test]
    fn differences_and_ratios_are_taken_block_by_block() {
        // Both drift alike; the other one costs 10 more.
        let native: Vec<f64> = (0..8).map(|block| 100.0 * f64::from(block + 1)).collect();
        let other: Vec<f64> = native.iter().map(|value| value + 10.0).collect();
        let metrics = assembled(Value::LessNative, &native, &other);
        assert_eq!(metrics[1].value, Some(10.0));
        assert_eq!(metrics[0].value, Some(0.0));
        assert_eq!(metrics[0].ratio, None);
        let ratio = metrics[1].ratio.expect("of eight blocks");
        assert_eq!(ratio.blocks, 8);
        assert!(metrics.iter().all(|it| it.duration_seconds == 0.5));
        assert!(ratio.low > 1.0, "{ratio:?}");
    }

    #[test]
    fn a_lack_is_of_natives_rate() {
        let metrics = assembled(Value::LackPercent, &[10.0; 6], &[9.0; 6]);
        let lack = metrics[1].value.expect("measured");
        assert!((lack - 10.0).abs() < 1e-9, "{lack}");
    }

    #[test]
    fn a_difference_from_nothing_is_none() {
        let metrics = assembled(Value::LessNative, &[], &[1.0; 6]);
        assert!(matches!(&metrics[1].state, State::NotRun { reason } if reason.contains("native")));
    }

    #[test]
    fn the_median_of_all_samples_has_no_steps_of_those_of_few() {
        let definition = catalogue::find("IS-004").expect("it exists");
        let block = |number, times: [f64; 2]| {
            let middle = f64::midpoint(times[0], times[1]);
            (number, Block::of(middle).with_samples(times.to_vec()))
        };
        let taken = Taken {
            blocks: vec![
                block(0, [0.0, 50.0]),
                block(1, [0.0, 30.0]),
                block(2, [0.0, 0.0]),
            ],
            ..Taken::default()
        };
        let metrics = assemble(definition, &measure(Value::OfSamples), vec![taken]);
        assert_eq!(metrics[0].value, Some(0.0), "four of six");
    }

    #[test]
    fn the_worst_block_counts_where_one_failure_is_too_many() {
        let metrics = assembled(Value::Worst, &[1.0; 3], &[1.0, 0.0, 1.0]);
        assert_eq!(metrics[1].value, Some(0.0));
    }
}
