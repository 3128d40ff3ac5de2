//! Scores: one figure for each metric, category and system, from 0 to 100.
//!
//! [`FORMULA`] says it for people, and stands in every output and in `docs/metrics.md`.

use crate::catalogue::{self, Better, Category, Definition, Ideal};
use crate::model::{Metric, Report, State, System};
use serde::{Deserialize, Serialize};

/// How scores are made, as Markdown.
pub const FORMULA: &str = "\
Two scores from 0 to 100 for each metric:

- **Against native**, from the ratio r to native: `100 × min(1, 1/r)` where lower is better, `100 × min(1, r)` where higher is
  better. As fast as native is 100; half as fast is 50. Metrics without a ratio have none.
- **Against the ideal**, from the value v. Where the ideal is *as native*: the score against native. Where it is a value i:
  `100 × min(1, v/i)`. Where it is nothing of a whole w (0 % of 100): `100 × (1 - v/w)`. Where it is nothing, without an end to
  the other side: `100 × h/(h + v)`, with h the cost that is worth half (the metric says which, and why). Pass 100, fail 0. Never
  below 0 or above 100.

A category's score is the mean of its metrics'. A system's score is the mean of its categories', weighted as below; the weights of
categories without any score are left out and the others keep their proportions. What failed or is not valid counts 0 in both
scores. What was not run counts nowhere, and is named.

Better than native or the ideal is not worth more than 100, so that nothing gained in one metric hides a loss in another; the
ratio shows it.
";

/// How scores are made, in a few sentences for where there is no room for [`FORMULA`].
pub const FORMULA_SHORT: &str = "\
Scores: against native 100 × native/value (value/native where higher is better), at most 100; against the ideal the same where \
it is as native, else 100 × value/ideal, 100 × (1 - lost/whole) or 100 × h/(h + cost) with h the cost worth half; pass 100, fail 0. A \
category is the mean of its metrics, overall the weighted mean of categories. Failed and not valid count 0, not run counts \
nowhere. docs/metrics.md has it all.";

/// The two scores of whatever they are of; nothing where none can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Against native: 0 to 100.
    pub native: Option<f64>,
    /// Against the ideal: 0 to 100.
    pub ideal: Option<f64>,
}

/// The scores of one system.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Scores {
    /// Of everything.
    pub overall: Score,
    /// Of each category that has a metric in the report, in the catalogue's order.
    pub categories: Vec<CategoryScore>,
    /// Of each metric, in the report's order.
    pub metrics: Vec<MetricScore>,
    /// Metrics that count 0 because they failed or are not valid, by their ids.
    pub zero: Vec<String>,
    /// Metrics that count nowhere because they were not run, by their ids.
    pub left_out: Vec<String>,
}

impl Scores {
    /// The scores of a category; none where it has no metric in the report.
    pub fn category(&self, category: Category) -> Score {
        let found = self
            .categories
            .iter()
            .find(|it| it.category == category.name());
        found.map_or_else(Score::default, |it| it.score)
    }
}

/// The score of one category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryScore {
    /// Its name.
    pub category: String,
    /// Its weight in the overall score.
    pub weight: f64,
    /// The scores.
    #[serde(flatten)]
    pub score: Score,
}

/// The score of one metric.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricScore {
    /// Its id.
    pub id: String,
    /// The scores.
    #[serde(flatten)]
    pub score: Score,
}

/// The scores of a metric. Both are missing where it was not run, or is none of the catalogue's.
pub fn of_metric(metric: &Metric, is_native: bool) -> Score {
    let Some(definition) = catalogue::find(&metric.id) else {
        return Score::default();
    };
    match &metric.state {
        State::NotRun { .. } | State::Interrupted => Score::default(),
        State::Failed { .. } | State::NotValid { .. } => Score {
            native: definition.native.map(|_| 0.0),
            ideal: Some(0.0),
        },
        State::Measured => {
            let native = if is_native {
                definition.native.map(|_| 100.0)
            } else {
                against_native(definition, metric)
            };
            Score {
                native,
                ideal: against_ideal(definition, metric, native),
            }
        }
    }
}

fn against_native(definition: &Definition, metric: &Metric) -> Option<f64> {
    let ratio = metric.ratio?.value;
    let part = match definition.native?.better {
        Better::Lower if ratio <= 0.0 => 1.0,
        Better::Lower => 1.0 / ratio,
        Better::Higher | Better::Pass => ratio,
    };
    Some(percent(part))
}

fn against_ideal(definition: &Definition, metric: &Metric, native: Option<f64>) -> Option<f64> {
    let value = metric.value?;
    Some(match definition.ideal {
        Ideal::LikeNative => native?,
        Ideal::Value(ideal) => percent(value / ideal),
        Ideal::NothingOf { whole } => percent(1.0 - value / whole),
        Ideal::Nothing { half_at } => percent(half_at / (half_at + value.max(0.0))),
        Ideal::Pass => percent(if value >= 1.0 { 1.0 } else { 0.0 }),
    })
}

fn percent(part: f64) -> f64 {
    100.0 * part.clamp(0.0, 1.0)
}

/// The scores of a system.
pub fn of_system(system: &System) -> Scores {
    let is_native = system.kind == crate::model::SystemKind::Native;
    let scored: Vec<(&Metric, Score)> = system
        .metrics
        .iter()
        .map(|metric| (metric, of_metric(metric, is_native)))
        .collect();
    let categories: Vec<CategoryScore> = Category::ALL
        .into_iter()
        .filter_map(|category| of_category(category, &scored))
        .collect();
    let overall = |part: fn(&Score) -> Option<f64>| {
        weighted(
            categories
                .iter()
                .filter_map(|it| Some((part(&it.score)?, it.weight))),
        )
    };
    let named = |chosen: fn(&State) -> bool| {
        let chosen = system.metrics.iter().filter(|it| chosen(&it.state));
        chosen.map(|it| it.id.clone()).collect()
    };
    Scores {
        overall: Score {
            native: overall(|it| it.native),
            ideal: overall(|it| it.ideal),
        },
        metrics: scored
            .iter()
            .map(|(metric, score)| MetricScore {
                id: metric.id.clone(),
                score: *score,
            })
            .collect(),
        zero: named(|it| matches!(it, State::Failed { .. } | State::NotValid { .. })),
        left_out: named(|it| matches!(it, State::NotRun { .. } | State::Interrupted)),
        categories,
    }
}

fn of_category(category: Category, scored: &[(&Metric, Score)]) -> Option<CategoryScore> {
    let of_it: Vec<&Score> = scored
        .iter()
        .filter(|(metric, _)| catalogue::find(&metric.id).map(|it| it.category) == Some(category))
        .map(|(_, score)| score)
        .collect();
    let mean = |part: fn(&Score) -> Option<f64>| {
        weighted(of_it.iter().filter_map(|score| Some((part(score)?, 1.0))))
    };
    (!of_it.is_empty()).then(|| CategoryScore {
        category: category.name().to_owned(),
        weight: category.weight(),
        score: Score {
            native: mean(|it| it.native),
            ideal: mean(|it| it.ideal),
        },
    })
}

/// The mean of values with their weights; nothing of nothing.
fn weighted(values: impl Iterator<Item = (f64, f64)>) -> Option<f64> {
    let (sum, weights) = values.fold((0.0, 0.0), |(sum, weights), (value, weight)| {
        (sum + value * weight, weights + weight)
    });
    (weights > 0.0).then(|| sum / weights)
}

/// The categories that any system of a report has a metric of, in order.
pub fn categories(report: &Report) -> Vec<Category> {
    let of = |metric: &Metric| catalogue::find(&metric.id).map(|it| it.category);
    let metrics = || report.systems.iter().flat_map(|it| &it.metrics);
    let is_there = |category: &Category| metrics().any(|it| of(it) == Some(*category));
    Category::ALL.into_iter().filter(is_there).collect()
}

/// The scores of all systems of a report, in its order.
pub fn of_report(report: &Report) -> Vec<Scores> {
    report.systems.iter().map(of_system).collect()
}

#[cfg(test)]
#[path = "scores_tests.rs"]
mod tests;
