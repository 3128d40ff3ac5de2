//! Reports that nobody would write: whatever can be read can be shown and compared, and what cannot is an error.

use crate::model::{Metric, Report};
use crate::{compare, csv, fixture, html, table};
use proptest::prelude::*;

/// Few metrics, so that a case takes little time.
fn small() -> Report {
    let mut report = fixture::report(1, false);
    let kept = ["OH-001", "OH-005", "IS-008", "IS-010", "LLM-001"];
    for system in &mut report.systems {
        system.metrics.retain(|it| kept.contains(&it.id.as_str()));
        for metric in &mut system.metrics {
            metric.samples.truncate(20);
        }
    }
    report
}

/// Numbers at the ends of what there is.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        Just(0.0),
        Just(-0.0),
        Just(f64::MAX),
        Just(f64::MIN),
        Just(f64::MIN_POSITIVE),
        Just(5e-324),
        Just(1.0),
        -1e3..1e3f64,
        any::<f64>().prop_filter("JSON has no others", |it| it.is_finite()),
    ]
}

fn spoil(metric: &mut Metric, numbers: &[f64]) {
    let mut numbers = numbers.iter().copied().cycle();
    let mut next = || numbers.next().unwrap_or_default();
    metric.value = metric.value.map(|_| next());
    for it in metric.samples.iter_mut().chain(&mut metric.block_ratios) {
        *it = next();
    }
    if let Some(ratio) = &mut metric.ratio {
        (ratio.value, ratio.low, ratio.high, ratio.confidence) = (next(), next(), next(), next());
    }
    for point in metric.series.iter_mut().flat_map(|it| &mut it.points) {
        *point = (next(), next());
    }
    for detail in &mut metric.details {
        detail.value = next();
    }
}

fn show(report: &Report) {
    let page = html::render(report);
    assert!(!page.contains("NaN"), "a coordinate that is none");
    csv::render(report);
    for width in [None, Some(1), Some(80)] {
        table::render(
            report,
            table::Look {
                width,
                colour: true,
            },
        );
    }
    let compared = compare::compare(report, &small(), compare::Options::default());
    compare::render(
        &compared.expect("the device is the same"),
        table::Look {
            width: Some(80),
            colour: false,
        },
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn numbers_of_every_size_can_be_shown_together(exponents in prop::collection::vec(-300..300i32, 2..12)) {
        let numbers: Vec<f64> = exponents.iter().map(|it| 10f64.powi(*it)).collect();
        let mut report = small();
        for metric in report.systems.iter_mut().flat_map(|it| &mut it.metrics) {
            spoil(metric, &numbers);
        }
        show(&Report::parse(report.to_json().as_bytes()).expect("all numbers are finite"));
    }

    #[test]
    fn any_numbers_can_be_shown(numbers in prop::collection::vec(number(), 1..12)) {
        let mut report = small();
        for metric in report.systems.iter_mut().flat_map(|it| &mut it.metrics) {
            spoil(metric, &numbers);
        }
        let read = Report::parse(report.to_json().as_bytes()).expect("all numbers are finite");
        show(&read);
    }

    #[test]
    fn damaged_bytes_are_an_error_or_a_report(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut json = small().to_json().into_bytes();
        let at = at.index(json.len());
        json[at] = byte;
        if let Err(error) = Report::parse(&json) {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
