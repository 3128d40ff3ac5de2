use super::*;
use crate::model::{Ratio, SystemKind};

fn metric(id: &str, value: f64, ratio: Option<f64>) -> Metric {
    let definition = catalogue::find(id).expect("it is one of the catalogue's");
    let metric = Metric::measured(definition, value, &[]);
    Metric {
        ratio: ratio.and_then(|it| Ratio::of_blocks(&[it])),
        ..metric
    }
}

fn ended(id: &str, state: State) -> Metric {
    let definition = catalogue::find(id).expect("it is one of the catalogue's");
    Metric::without_value(definition, state)
}

fn failed(id: &str) -> Metric {
    let reason = "it crashed".to_owned();
    ended(id, State::Failed { reason })
}

fn system(metrics: Vec<Metric>) -> System {
    System {
        system_name: "fcsp-strict".into(),
        kind: SystemKind::Fcsp,
        description: String::new(),
        benchmark_version: "0".into(),
        timestamp: String::new(),
        duration_seconds: 0.0,
        validity: None,
        metrics,
    }
}

fn score(native: f64, ideal: f64) -> Score {
    Score {
        native: Some(native),
        ideal: Some(ideal),
    }
}

#[test]
fn as_fast_as_native_is_full_marks_and_half_as_fast_is_half() {
    let launch = |ratio| of_metric(&metric("OH-001", 3.0, Some(ratio)), false);
    assert_eq!(launch(1.0), score(100.0, 100.0));
    assert_eq!(launch(2.0), score(50.0, 50.0));
    assert_eq!(launch(0.5), score(100.0, 100.0), "better is not worth more");
    let attention = |ratio| of_metric(&metric("LLM-001", 50.0, Some(ratio)), false);
    assert_eq!(attention(0.5), score(50.0, 50.0), "higher is better");
}

#[test]
fn each_kind_of_ideal_has_its_formula() {
    let ideal = |id, value| of_metric(&metric(id, value, Some(1.0)), false).ideal;
    assert_eq!(ideal("IS-001", 75.0), Some(75.0), "of 100 %");
    assert_eq!(ideal("IS-009", 2.0), Some(98.0), "2 % lost");
    assert_eq!(ideal("IS-009", 250.0), Some(0.0), "never below 0");
    assert_eq!(ideal("OH-005", 100.0), Some(50.0), "the cost that is half");
    assert_eq!(ideal("OH-005", -3.0), Some(100.0), "never above 100");
    assert_eq!(ideal("IS-010", 1.0), Some(100.0));
    assert_eq!(ideal("IS-010", 0.0), Some(0.0));
    assert_eq!(ideal("IS-008", 0.95).map(f64::round), Some(95.0));
}

#[test]
fn a_loss_is_compared_by_what_is_left() {
    // OH-010 is a loss in percent, its ratio is of rates: 0.9 of native's rate.
    let seen = of_metric(&metric("OH-010", 10.0, Some(0.9)), false);
    assert_eq!(seen, score(90.0, 90.0));
}

#[test]
fn native_is_full_marks_against_itself() {
    assert_eq!(
        of_metric(&metric("OH-001", 3.0, None), true),
        score(100.0, 100.0)
    );
    let worst_case = of_metric(&metric("IS-009", 30.0, None), true);
    assert_eq!(worst_case, score(100.0, 70.0), "yet not ideal");
}

#[test]
fn what_failed_counts_as_nothing_and_what_was_not_run_counts_nowhere() {
    let reason = "needs 2 GPUs".to_owned();
    let scores = of_system(&system(vec![
        metric("OH-001", 3.0, Some(1.0)),
        failed("OH-002"),
        ended("NCCL-001", State::NotRun { reason }),
        ended("ERR-001", State::Interrupted),
    ]));
    assert_eq!(scores.zero, ["OH-002"]);
    assert_eq!(scores.left_out, ["NCCL-001", "ERR-001"]);
    assert_eq!(scores.overall, score(50.0, 50.0), "only overhead counts");
    let nccl = &scores.categories[1];
    assert_eq!(
        (nccl.category.as_str(), nccl.score),
        ("NCCL and P2P", Score::default())
    );
    assert_eq!(scores.metrics[1].score, score(0.0, 0.0));
}

#[test]
fn not_valid_counts_as_failed() {
    let reason = "a quarter of the compute gave the whole".to_owned();
    let invalid = ended("IS-001", State::NotValid { reason });
    let seen = of_metric(&invalid, false);
    assert_eq!(
        (seen.native, seen.ideal),
        (None, Some(0.0)),
        "IS-001 has no ratio"
    );
}

#[test]
fn categories_count_by_their_weights() {
    let scores = of_system(&system(vec![
        metric("OH-001", 3.0, Some(1.0)),
        failed("LLM-001"),
        metric("FRAG-003", 50.0, Some(1.0)),
    ]));
    // (0.20 · 100 + 0.20 · 0 + 0.03 · 50) / 0.43.
    let ideal = scores.overall.ideal.expect("there are metrics");
    assert!((ideal - 21.5 / 0.43).abs() < 1e-9, "{ideal}");
}

#[test]
fn nothing_measured_has_no_score() {
    assert_eq!(of_system(&system(Vec::new())), Scores::default());
}
