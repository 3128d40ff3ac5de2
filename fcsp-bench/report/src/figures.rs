//! Figures as people read them.

use crate::catalogue::{self, Better, Definition};
use crate::compare::AGREE_PERCENT;
use crate::model::{Metric, Ratio, Report, State, SystemKind};

/// What is less than this is left of the difference of two numbers that are alike: of some 100,000, the largest that are
/// measured, it is the last digit but a few.
const NOTHING: f64 = 1e-10;

/// A number with four significant digits, and thousands apart from 10,000 on.
pub(crate) fn number(value: f64) -> String {
    if value.abs() < NOTHING {
        return "0".into();
    }
    if !value.is_finite() {
        return format!("{value}");
    }
    let digits = value.abs().log10().floor() as i32;
    match digits {
        ..-4 => format!("{value:.1e}"),
        -4..3 => format!("{value:.0$}", (3 - digits) as usize),
        3 => format!("{value:.0}"),
        _ => grouped(value),
    }
}

fn grouped(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    if value < 0.0 {
        format!("-{text}")
    } else {
        text
    }
}

/// A unit as people read it: `µs`; nothing for a plain ratio.
pub(crate) fn unit(unit: &str) -> &str {
    match unit {
        "us" => "µs",
        "ratio" | "bool" => "",
        unit => unit,
    }
}

/// A value with its unit: `3.120 µs`, `pass`.
pub(crate) fn value(value: f64, of: &str) -> String {
    match (of, unit(of)) {
        ("bool", _) if value >= 1.0 => "pass".to_owned(),
        ("bool", _) => "fail".to_owned(),
        (_, "") => number(value),
        (_, "%") => format!("{} %", number(value)),
        (_, unit) => format!("{} {unit}", number(value)),
    }
}

/// A ratio: `×1.042`.
pub(crate) fn ratio(ratio: f64) -> String {
    if ratio >= 100.0 {
        return format!("×{}", number(ratio));
    }
    format!("×{ratio:.3}")
}

/// The interval of a ratio: `1.031–1.050`; that there is none where there were too few blocks.
pub(crate) fn interval(ratio: &Ratio) -> String {
    if ratio.confidence < 0.95 {
        let blocks = if ratio.blocks == 1 { "block" } else { "blocks" };
        return format!("no interval, {} {blocks}", ratio.blocks);
    }
    format!("{:.3}–{:.3}", ratio.low, ratio.high)
}

/// Which metrics had fewer blocks than planned, and why; nothing where all had theirs.
pub(crate) fn cut(report: &Report) -> Option<String> {
    let metrics = report.cut.iter();
    let names: Vec<String> = metrics
        .map(|it| format!("{} ({} of {})", it.id, it.blocks, it.planned))
        .collect();
    (!names.is_empty()).then(|| {
        format!(
            "Fewer blocks than planned, to hold the run's time on this machine: {}.",
            names.join(", ")
        )
    })
}

/// Which metrics of which systems a second run may find elsewhere by more than [`AGREE_PERCENT`]; nothing where none is.
pub(crate) fn unsteady(report: &Report) -> Option<String> {
    let systems = report.systems.iter();
    let systems: Vec<_> = systems.filter(|it| it.kind != SystemKind::Native).collect();
    let mut names = Vec::new();
    for definition in catalogue::all() {
        let (mut moving, mut steady) = (Vec::new(), 0);
        for system in &systems {
            let metric = system.metrics.iter().find(|it| it.id == definition.id);
            match metric.and_then(|it| may_move(definition, it)) {
                Some(true) => moving.push(system.system_name.as_str()),
                Some(false) => steady += 1,
                None => {}
            }
        }
        match (moving.is_empty(), steady) {
            (true, _) => {}
            (false, 0) => names.push(definition.id.to_owned()),
            (false, _) => names.push(format!("{} ({})", definition.id, moving.join(", "))),
        }
    }
    (!names.is_empty()).then(|| {
        format!(
            "A second run may differ by more than {AGREE_PERCENT} % in what is compared with native, or else in the value, \
             by the intervals of this one: {}.",
            names.join(", ")
        )
    })
}

/// Whether another run's median may be farther than [`AGREE_PERCENT`] from this one's: the difference of two scatters by the
/// root of two of what either does, so the interval that holds it is as much wider. Nothing where there is no value, and for
/// what is passed or failed.
fn may_move(definition: &Definition, metric: &Metric) -> Option<bool> {
    let value = metric.value?;
    if definition.better == Better::Pass {
        return None;
    }
    let (middle, interval) = match metric.ratio {
        Some(ratio) => (ratio.value, Some(ratio)),
        None => (value, Ratio::of_blocks(&metric.samples)),
    };
    Some(interval.is_none_or(|it| {
        let far = (it.high - it.low) / 2.0 * std::f64::consts::SQRT_2;
        it.confidence < 0.95 || far > AGREE_PERCENT / 100.0 * middle.abs()
    }))
}

/// A score: `98.2`; a dash for none.
pub(crate) fn score(score: Option<f64>) -> String {
    score.map_or_else(|| "–".to_owned(), |it| format!("{it:.1}"))
}

/// How a measurement ended, in two words at the most, and why.
pub(crate) fn ending(state: &State) -> (&'static str, &str) {
    match state {
        State::Measured => ("measured", ""),
        State::NotRun { reason } => ("not run", reason),
        State::NotValid { reason } => ("NOT VALID", reason),
        State::Failed { reason } => ("FAILED", reason),
        State::Interrupted => ("interrupted", "the run was interrupted before it"),
    }
}

/// How a system stands against native.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The interval is on the good side of 1.
    Better,
    /// The ratio is within 1 % of 1, or its interval holds 1 and nothing that is beyond 5 %.
    Alike,
    /// Worse, by 5 % at the most.
    Worse,
    /// Worse by more than 5 %.
    FarWorse,
    /// There are too few blocks for an interval of 95 %, or it holds both 1 and what is far from it.
    Unsure,
}

/// How a metric stands against native; nothing where it has no ratio.
pub(crate) fn standing(definition: &Definition, metric: &Metric) -> Option<Standing> {
    let ratio = metric.ratio?;
    // As a cost: above 1 is worse, whichever way the metric counts.
    let (value, low, high) = match definition.native?.better {
        Better::Lower => (ratio.value, ratio.low, ratio.high),
        Better::Higher | Better::Pass => (1.0 / ratio.value, 1.0 / ratio.high, 1.0 / ratio.low),
    };
    Some(match value {
        _ if ratio.confidence < 0.95 => Standing::Unsure,
        _ if low <= 1.0 && 1.0 <= high => match low >= 0.95 && high <= 1.05 {
            true => Standing::Alike,
            false => Standing::Unsure,
        },
        _ if (0.99..=1.01).contains(&value) => Standing::Alike,
        ..1.0 => Standing::Better,
        ..=1.05 => Standing::Worse,
        _ => Standing::FarWorse,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    #[test]
    fn numbers_have_four_digits() {
        let seen = [
            0.0, 0.99931, 1.5, 28.314, 2503.4, 105_612.7, -12_345.0, 0.00012, 1e-9, 2.3e-13, -0.0,
        ]
        .map(number);
        let wanted = [
            "0",
            "0.9993",
            "1.500",
            "28.31",
            "2503",
            "105,613",
            "-12,345",
            "0.0001200",
            "1.0e-9",
            "0",
            "0",
        ];
        assert_eq!(seen, wanted);
    }

    #[test]
    fn units_are_written_as_people_do() {
        assert_eq!(value(3.12, "us"), "3.120 µs");
        assert_eq!(value(99.5, "%"), "99.50 %");
        assert_eq!(value(0.9993, "ratio"), "0.9993");
        assert_eq!([value(1.0, "bool"), value(0.0, "bool")], ["pass", "fail"]);
    }

    #[test]
    fn what_was_cut_is_named_with_its_blocks() {
        let mut report = crate::fixture::report(1, false);
        assert_eq!(cut(&report), None);
        report.cut = vec![crate::model::Cut {
            id: "IS-009".into(),
            blocks: 7,
            planned: 30,
        }];
        let line = cut(&report).expect("something was cut");
        assert!(line.contains("IS-009 (7 of 30)"), "{line}");
    }

    #[test]
    fn what_a_second_run_may_find_elsewhere_is_told_by_the_interval() {
        let moves = |id, value, ratios: &[f64], samples: &[f64]| {
            let definition = catalogue::find(id).expect("it exists");
            let metric = Metric::measured(definition, value, samples);
            may_move(definition, &metric.with_ratios(ratios.to_vec()))
        };
        // Half of the interval is 2 % and 2.5 %; times the root of two 2.8 % and 3.5 %.
        assert_eq!(
            moves("OH-001", 4.0, &[0.98, 1.0, 1.02].repeat(2), &[]),
            Some(false)
        );
        assert_eq!(
            moves("OH-001", 4.0, &[0.975, 1.0, 1.025].repeat(2), &[]),
            Some(true)
        );
        assert_eq!(
            moves("OH-001", 4.0, &[1.0; 2], &[]),
            Some(true),
            "no interval"
        );
        // Without a ratio, by the value.
        assert_eq!(moves("IS-004", 0.0, &[], &[0.0; 12]), Some(false));
        assert_eq!(
            moves("IS-004", 0.0, &[], &[0.0, 0.0, 30.0].repeat(4)),
            Some(true)
        );
        assert_eq!(
            moves("IS-005", 1.0, &[], &[1.0]),
            None,
            "it passes or fails"
        );
    }

    #[test]
    fn what_may_move_is_named_with_the_systems_unless_it_is_all() {
        let mut report = crate::fixture::report(1, false);
        let steady = |id: &str, ratios: &[f64]| {
            let definition = catalogue::find(id).expect("it exists");
            Metric::measured(definition, 1.0, &[]).with_ratios(ratios.to_vec())
        };
        for system in &mut report.systems {
            let strict = system.system_name == "fcsp-strict";
            let far = [0.9, 1.0, 1.1].repeat(2);
            let near = [1.0; 6];
            system.metrics = vec![
                steady("OH-001", if strict { &far } else { &near }),
                steady("OH-002", &far),
                steady("OH-003", &near),
            ];
        }
        let line = unsteady(&report).expect("two may move");
        assert!(line.ends_with(": OH-001 (fcsp-strict), OH-002."), "{line}");
        for system in &mut report.systems {
            system.metrics.truncate(0);
        }
        assert_eq!(unsteady(&report), None);
    }

    #[test]
    fn too_few_blocks_have_no_interval_to_show() {
        let shown = |ratios: &[f64]| interval(&Ratio::of_blocks(ratios).expect("a ratio"));
        assert_eq!(shown(&[1.1]), "no interval, 1 block");
        assert_eq!(shown(&[1.1, 1.2]), "no interval, 2 blocks");
        assert_eq!(shown(&[1.1; 3]), "1.100–1.100");
    }

    #[test]
    fn a_standing_is_by_the_interval_and_the_side_that_is_good() {
        let standing = |id, ratios: &[f64]| {
            let definition = catalogue::find(id).expect("it exists");
            let metric = Metric::measured(definition, 1.0, &[]).with_ratios(ratios.to_vec());
            standing(definition, &metric).expect("it has a ratio")
        };
        let worse = [1.1, 1.2, 1.3, 1.1, 1.2, 1.3];
        assert_eq!(standing("OH-001", &worse), Standing::FarWorse);
        assert_eq!(
            standing("LLM-001", &worse),
            Standing::Better,
            "higher is better"
        );
        assert_eq!(
            standing("OH-001", &worse[..2]),
            Standing::Unsure,
            "two blocks"
        );
        assert_eq!(
            standing("OH-001", &worse[..5]),
            Standing::FarWorse,
            "five blocks, if they are normal"
        );
        assert_eq!(
            standing("OH-001", &[1.02, 1.03, 1.04].repeat(2)),
            Standing::Worse
        );
        assert_eq!(
            standing("OH-001", &[1.002, 1.003, 1.004].repeat(2)),
            Standing::Alike
        );
        let around = [0.98, 1.02, 1.03];
        assert_eq!(standing("OH-001", &around.repeat(2)), Standing::Alike);
        let scattered = [0.9, 1.0, 1.3];
        assert_eq!(standing("OH-001", &scattered.repeat(2)), Standing::Unsure);
        assert_eq!(
            standing("OH-001", &[0.5, 0.6, 0.7].repeat(2)),
            Standing::Better
        );
    }
}
