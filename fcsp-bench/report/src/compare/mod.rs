//! What moved from one report to another, and whether it is more than noise.
//!
//! Two runs meet different clocks, temperatures and neighbours, so values of two runs can hardly be compared; ratios to
//! native can, because native ran beside every block. So a metric is compared by its blocks' ratios where it has them, and by
//! its samples only where it has none; native itself always is.

mod text;

use crate::catalogue::{self, Better, Definition};
use crate::model::{Gpu, Metric, Report, State, System, SystemKind};
use crate::scores;
use fcsp_measure::stats::{adjusted, rank_test};
use serde::Serialize;

pub use text::render;

/// How to compare.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// Whether to compare what should not be compared: other devices, or a simulated one with a real one.
    pub anyway: bool,
    /// What moved by less is called noise even where it is surely no chance, in percent: two runs differ by more than their
    /// own scatter tells.
    pub least_percent: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            anyway: false,
            least_percent: 1.0,
        }
    }
}

/// Medians of two runs of the same system should agree within this, in percent.
pub const AGREE_PERCENT: f64 = 3.0;
/// The part of what is called moved that may be chance.
const CHANCE: f64 = 0.05;

/// Why two reports were not compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A simulated device tells nothing of a real one.
    #[error(
        "one report is of a simulated device and the other is not: nothing in them can be compared"
    )]
    Simulated,
    /// Different hardware.
    #[error("the devices differ ({a} and {b}): what moved would be the devices' difference")]
    Devices {
        /// The first report's.
        a: String,
        /// The second's.
        b: String,
    },
    /// No system is in both.
    #[error("no system is in both reports: one has {a}, the other {b}")]
    NothingInCommon {
        /// The first report's.
        a: String,
        /// The second's.
        b: String,
    },
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// When the two runs began, the first and the second.
    pub started: [String; 2],
    /// What wrote them.
    pub fcsp_version: [String; 2],
    /// Whether both are of simulated devices, so that no move tells anything about hardware.
    pub simulated: bool,
    /// What differs between the runs beside what was measured, for people.
    pub notes: Vec<String>,
    /// Each metric of each system that is in both: first what moved most.
    pub changes: Vec<Change>,
    /// How well the metrics of each system but native agree.
    pub agreement: Vec<Agreement>,
}

/// A metric of a system, then and now.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Change {
    /// The system.
    pub system: String,
    /// `OH-001`.
    pub id: String,
    /// Its name.
    pub name: String,
    /// What is compared.
    pub basis: Basis,
    /// The first report's ratio or value; nothing where it has none.
    pub a: Option<f64>,
    /// The second's.
    pub b: Option<f64>,
    /// Of the value; empty for a ratio.
    pub unit: String,
    /// How far it moved, in percent of the first; nothing where that is 0 or one is missing.
    pub percent: Option<f64>,
    /// How likely chance alone moves it as far, adjusted for how many are compared; nothing where it could not be told.
    pub probability: Option<f64>,
    /// What to think of it.
    pub verdict: Verdict,
    /// Why one has no value.
    pub reason: Option<String>,
}

/// What two metrics are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Basis {
    /// Their ratios to native, block by block.
    Ratio,
    /// Their values and samples.
    Value,
}

/// What to think of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The first has a value, the second has none.
    Lost,
    /// Worse, by more than noise.
    Worse,
    /// Better, by more than noise.
    Better,
    /// The first has no value, the second has one.
    Gained,
    /// No more than noise.
    Noise,
    /// Too few blocks or samples to tell.
    Unclear,
}

/// How well the metrics of a system agree: by their ratios to native, and by their values where native has no such figure.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// The system.
    pub system: String,
    /// Metrics that both runs were asked for.
    pub metrics: usize,
    /// Of those, how many moved by no more than [`AGREE_PERCENT`].
    pub agree: usize,
    /// Those that moved farther, by their ids, in the order of metrics.
    pub others: Vec<String>,
    /// Those without a value in one of the runs or both, by their ids.
    pub without: Vec<String>,
    /// Overall scores against the ideal, then and now.
    pub scores: [Option<f64>; 2],
}

/// Compares two reports: what moved from `a` to `b`.
///
/// # Errors
///
/// Where they should not be compared, unless the options say to do it anyway; and where no system is in both.
pub fn compare(a: &Report, b: &Report, options: Options) -> Result<Comparison, Refusal> {
    let obstacles = obstacles(a, b);
    if let (Some(first), false) = (obstacles.first(), options.anyway) {
        return Err(first.clone());
    }
    let pairs: Vec<(&System, &System)> = a
        .systems
        .iter()
        .filter_map(|of_a| {
            let same = |of_b: &&System| of_b.system_name == of_a.system_name;
            Some((of_a, b.systems.iter().find(same)?))
        })
        .collect();
    if pairs.is_empty() {
        return Err(Refusal::NothingInCommon {
            a: names(a),
            b: names(b),
        });
    }
    let mut changes: Vec<Change> = pairs.iter().flat_map(|(a, b)| changes(a, b)).collect();
    judge(&mut changes, options);
    let agreement = pairs
        .iter()
        .filter(|(a, _)| a.kind != SystemKind::Native)
        .map(|(a, b)| agreement(a, b, &changes))
        .collect();
    changes.sort_by(|x, y| {
        let far = |it: &Change| it.percent.map_or(0.0, f64::abs);
        (x.verdict.cmp(&y.verdict)).then(far(y).total_cmp(&far(x)))
    });
    let mut notes: Vec<String> = obstacles.iter().map(ToString::to_string).collect();
    notes.extend(differences(a, b));
    Ok(Comparison {
        started: [a.started.clone(), b.started.clone()],
        fcsp_version: [a.fcsp_version.clone(), b.fcsp_version.clone()],
        simulated: a.simulated && b.simulated,
        notes,
        changes,
        agreement,
    })
}

impl Comparison {
    /// As JSON, for other programs.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("it has string keys only") + "\n"
    }
}

fn obstacles(a: &Report, b: &Report) -> Vec<Refusal> {
    let mut obstacles = Vec::new();
    if a.simulated != b.simulated {
        obstacles.push(Refusal::Simulated);
    }
    let device = |gpu: &Gpu| {
        format!(
            "{} × {}, {} GiB",
            gpu.count,
            gpu.name,
            gpu.memory_bytes >> 30
        )
    };
    let (of_a, of_b) = (device(&a.gpu), device(&b.gpu));
    if of_a != of_b {
        obstacles.push(Refusal::Devices { a: of_a, b: of_b });
    }
    obstacles
}

fn names(report: &Report) -> String {
    let names: Vec<&str> = report
        .systems
        .iter()
        .map(|it| it.system_name.as_str())
        .collect();
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// What else differs.
fn differences(a: &Report, b: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    let texts = [
        ("driver", &a.gpu.driver, &b.gpu.driver),
        ("processor", &a.gpu.processor, &b.gpu.processor),
        ("fcsp", &a.fcsp_version, &b.fcsp_version),
    ];
    for (what, of_a, of_b) in texts.into_iter().filter(|it| it.1 != it.2) {
        notes.push(format!("{what}: {of_a}, then {of_b}"));
    }
    for (report, which) in [(a, "first"), (b, "second")] {
        if report.quick {
            notes.push(format!(
                "the {which} is of a quick run: few blocks, so that only large moves can be told"
            ));
        }
        if report.interrupted {
            notes.push(format!("the {which} was interrupted"));
        }
    }
    for (report, other, which) in [(a, b, "first"), (b, a, "second")] {
        for system in &report.systems {
            if !other
                .systems
                .iter()
                .any(|it| it.system_name == system.system_name)
            {
                notes.push(format!("{} is in the {which} only", system.system_name));
            }
        }
    }
    notes
}

fn changes(a: &System, b: &System) -> Vec<Change> {
    let both = a.metrics.iter().filter_map(|of_a| {
        let of_b = b.metrics.iter().find(|it| it.id == of_a.id)?;
        change(&a.system_name, catalogue::find(&of_a.id)?, of_a, of_b)
    });
    both.collect()
}

/// Everything but the verdict, which depends on how many there are. Nothing where neither has a value.
fn change(system: &str, definition: &Definition, a: &Metric, b: &Metric) -> Option<Change> {
    let by_ratio = a.ratio.zip(b.ratio);
    let (basis, of_a, of_b) = match by_ratio {
        Some((a, b)) => (Basis::Ratio, Some(a.value), Some(b.value)),
        None => (Basis::Value, a.value, b.value),
    };
    let lost = [a, b].into_iter().find(|it| it.value.is_none());
    let change = Change {
        system: system.to_owned(),
        id: definition.id.to_owned(),
        name: definition.name.to_owned(),
        basis,
        a: of_a,
        b: of_b,
        unit: if basis == Basis::Ratio {
            String::new()
        } else {
            definition.unit.to_owned()
        },
        percent: None,
        probability: None,
        verdict: Verdict::Unclear,
        reason: lost.map(|it| reason(&it.state)),
    };
    match (of_a, of_b) {
        (None, None) => None,
        (Some(_), None) => Some(Change {
            verdict: Verdict::Lost,
            ..change
        }),
        (None, Some(_)) => Some(Change {
            verdict: Verdict::Gained,
            ..change
        }),
        (Some(of_a), Some(of_b)) => Some(Change {
            percent: (of_a != 0.0).then(|| 100.0 * (of_b - of_a) / of_a.abs()),
            probability: probability(definition, by_ratio.is_some(), a, b),
            ..change
        }),
    }
}

fn reason(state: &State) -> String {
    let (word, reason) = crate::figures::ending(state);
    format!("{}: {reason}", word.to_lowercase())
}

/// How likely chance alone makes the difference.
fn probability(definition: &Definition, by_ratio: bool, a: &Metric, b: &Metric) -> Option<f64> {
    if definition.better == Better::Pass {
        // It passed or it did not.
        return Some(if a.value == b.value { 1.0 } else { 0.0 });
    }
    let (of_a, of_b) = if by_ratio {
        (&a.block_ratios, &b.block_ratios)
    } else {
        (&a.samples, &b.samples)
    };
    if !of_a.is_empty() && of_a == of_b {
        return Some(1.0);
    }
    rank_test(of_a, of_b)
}

/// Gives each change its verdict, by the probability that is adjusted for how many are looked at together.
fn judge(changes: &mut [Change], options: Options) {
    let known: Vec<f64> = changes.iter().filter_map(|it| it.probability).collect();
    let mut adjusted = adjusted(&known).into_iter();
    for change in changes.iter_mut() {
        if change.probability.is_some() {
            change.probability = adjusted.next();
        }
        let (Some(a), Some(b), Some(definition)) =
            (change.a, change.b, catalogue::find(&change.id))
        else {
            continue;
        };
        let far = change
            .percent
            .is_none_or(|it| it.abs() >= options.least_percent);
        let better = match (change.basis, definition.native) {
            (Basis::Ratio, Some(against)) => against.better,
            _ => definition.better,
        };
        change.verdict = match change.probability {
            _ if a == b => Verdict::Noise,
            None if !far => Verdict::Noise,
            None => Verdict::Unclear,
            Some(probability) if probability >= CHANCE || !far => Verdict::Noise,
            Some(_) if (b < a) == (better == Better::Lower) => Verdict::Better,
            Some(_) => Verdict::Worse,
        };
    }
}

fn agreement(a: &System, b: &System, changes: &[Change]) -> Agreement {
    let in_both = a.metrics.iter().map(|it| it.id.as_str());
    let in_both: Vec<&str> = in_both
        .filter(|id| b.metrics.iter().any(|it| it.id == *id))
        .collect();
    let mut found = Agreement {
        system: a.system_name.clone(),
        metrics: in_both.len(),
        agree: 0,
        others: Vec::new(),
        without: Vec::new(),
        scores: [a, b].map(|it| scores::of_system(it).overall.ideal),
    };
    for id in in_both {
        let of_it = |it: &&Change| it.system == a.system_name && it.id == id;
        let moved = changes.iter().find(of_it).and_then(|it| {
            let (a, b) = (it.a?, it.b?);
            Some(a != b && it.percent.is_none_or(|it| it.abs() > AGREE_PERCENT))
        });
        match moved {
            Some(false) => found.agree += 1,
            Some(true) => found.others.push(id.to_owned()),
            None => found.without.push(id.to_owned()),
        }
    }
    found
}

#[cfg(test)]
mod tests;
