use super::*;
use crate::fixture;
use crate::model::Ratio;
use crate::table::Look;

const PLAIN: Look = Look {
    width: None,
    colour: false,
};

fn metric<'a>(report: &'a mut Report, system: usize, id: &str) -> &'a mut Metric {
    let metrics = &mut report.systems[system].metrics;
    metrics
        .iter_mut()
        .find(|it| it.id == id)
        .expect("it is there")
}

/// All of a metric's blocks times a factor.
fn scale(report: &mut Report, system: usize, id: &str, factor: f64) {
    let metric = metric(report, system, id);
    for ratio in &mut metric.block_ratios {
        *ratio *= factor;
    }
    metric.ratio = Ratio::of_blocks(&metric.block_ratios);
}

fn done(a: &Report, b: &Report) -> Comparison {
    compare(a, b, Options::default()).expect("they can be compared")
}

fn moved(comparison: &Comparison) -> Vec<(&str, &str, Verdict)> {
    let moved = comparison
        .changes
        .iter()
        .filter(|it| !matches!(it.verdict, Verdict::Noise | Verdict::Unclear));
    moved
        .map(|it| (it.system.as_str(), it.id.as_str(), it.verdict))
        .collect()
}

#[test]
fn a_report_has_not_moved_from_itself() {
    let report = fixture::report(1, false);
    let comparison = done(&report, &report);
    assert_eq!(moved(&comparison), []);
    assert!(
        comparison
            .changes
            .iter()
            .all(|it| it.verdict == Verdict::Noise)
    );
    assert!(
        comparison
            .agreement
            .iter()
            .all(|it| it.agree + it.without.len() == it.metrics)
    );
}

#[test]
fn two_runs_of_the_same_differ_by_noise() {
    let comparison = done(&fixture::report(1, false), &fixture::report(2, false));
    let moved = moved(&comparison);
    assert!(moved.len() <= comparison.changes.len() / 20, "{moved:?}");
    assert!(comparison.agreement.iter().all(|it| it.others.is_empty()));
}

#[test]
fn what_moved_is_found_and_nothing_else() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    scale(&mut b, 1, "OH-001", 1.2);
    scale(&mut b, 2, "LLM-001", 1.1);
    scale(&mut b, 3, "OH-010", 0.9);
    let comparison = done(&a, &b);
    assert_eq!(
        moved(&comparison),
        [
            ("fcsp-strict", "OH-001", Verdict::Worse),
            ("fcsp-adaptive", "OH-010", Verdict::Worse),
            ("fcsp-balanced", "LLM-001", Verdict::Better),
        ],
        "a lower rate is worse, and the farthest is first"
    );
    let first = &comparison.changes[0];
    assert!((first.percent.expect("moved") - 20.0).abs() < 1e-6);
    assert!(first.probability.expect("enough blocks") < 0.001);
    let strict = &comparison.agreement[0];
    assert_eq!(
        (strict.system.as_str(), strict.metrics),
        ("fcsp-strict", 56)
    );
    assert_eq!(strict.others, ["OH-001"]);
    assert_eq!(strict.agree + 1 + strict.without.len(), strict.metrics);
}

#[test]
fn a_sure_but_tiny_move_is_noise() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    for ratio in &mut metric(&mut b, 1, "OH-001").block_ratios {
        *ratio = 1.5;
    }
    scale(&mut b, 1, "OH-001", 1.0);
    let mut c = b.clone();
    scale(&mut c, 1, "OH-001", 1.005);
    assert_eq!(moved(&done(&b, &c)), []);
    let strict = Options {
        least_percent: 0.0,
        ..Options::default()
    };
    let comparison = compare(&b, &c, strict).expect("they can be compared");
    assert_eq!(
        moved(&comparison),
        [("fcsp-strict", "OH-001", Verdict::Worse)]
    );
}

#[test]
fn too_few_blocks_cannot_tell() {
    let mut a = fixture::report(1, false);
    metric(&mut a, 1, "OH-001").block_ratios.truncate(3);
    scale(&mut a, 1, "OH-001", 1.0);
    let mut b = a.clone();
    scale(&mut b, 1, "OH-001", 2.0);
    let comparison = done(&a, &b);
    let change = comparison
        .changes
        .iter()
        .find(|it| it.system == "fcsp-strict" && it.id == "OH-001");
    assert_eq!(change.map(|it| it.verdict), Some(Verdict::Unclear));
}

#[test]
fn what_is_no_longer_measured_comes_first_with_its_reason() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    scale(&mut b, 1, "OH-001", 3.0);
    let definition = catalogue::find("IS-009").expect("it exists");
    let reason = "the neighbour hung".to_owned();
    *metric(&mut b, 1, "IS-009") = Metric::without_value(definition, State::Failed { reason });
    *metric(&mut b, 1, "IS-010") =
        Metric::measured(catalogue::find("IS-010").expect("it exists"), 0.0, &[]);
    let comparison = done(&a, &b);
    assert_eq!(comparison.changes[0].verdict, Verdict::Lost);
    assert_eq!(
        comparison.changes[0].reason.as_deref(),
        Some("failed: the neighbour hung")
    );
    assert!(
        moved(&comparison).contains(&("fcsp-strict", "IS-010", Verdict::Worse)),
        "passed, then failed"
    );
    let back = done(&b, &a);
    assert!(moved(&back).contains(&("fcsp-strict", "IS-009", Verdict::Gained)));
    let text = render(&comparison, PLAIN);
    assert!(
        text.contains("IS-009 of fcsp-strict: failed: the neighbour hung"),
        "{text}"
    );
    assert!(text.contains("LOST"), "{text}");
}

#[test]
fn other_devices_are_refused_unless_asked_for() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    b.gpu.name = "Another made-up device".into();
    let refusal = compare(&a, &b, Options::default())
        .expect_err("they differ")
        .to_string();
    assert!(
        refusal.contains("1 × Another made-up device, 80 GiB"),
        "{refusal}"
    );
    let anyway = Options {
        anyway: true,
        ..Options::default()
    };
    let comparison = compare(&a, &b, anyway).expect("it was asked for");
    assert_eq!(comparison.notes, [refusal]);
}

#[test]
fn simulated_is_not_compared_with_real() {
    let (a, b) = (fixture::report(1, false), fixture::report(1, true));
    assert_eq!(compare(&a, &b, Options::default()), Err(Refusal::Simulated));
    assert!(render(&done(&b, &b), PLAIN).starts_with("SIMULATED"));
    assert!(!render(&done(&a, &a), PLAIN).contains("SIMULATED"));
}

#[test]
fn without_a_common_system_there_is_nothing_to_compare() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    b.systems.clear();
    let refusal = compare(&a, &b, Options::default()).expect_err("nothing in common");
    assert!(refusal.to_string().ends_with("the other none"), "{refusal}");
}

#[test]
fn what_else_differs_is_said() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    b.gpu.driver = "999".into();
    b.quick = true;
    b.systems.pop();
    let notes = done(&a, &b).notes;
    assert_eq!(notes.len(), 3);
    assert_eq!(notes[0], "driver: 000.00.00, then 999");
    assert_eq!(notes[2], "peer <made up> is in the first only");
}

#[test]
fn how_many_of_all_metrics_agree_is_said_with_those_that_do_not() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    scale(&mut b, 1, "OH-001", 1.2);
    scale(&mut b, 2, "LLM-001", 1.1);
    let comparison = done(&a, &b);
    let without = comparison.agreement[0].without.len();
    let text = render(&comparison, PLAIN);
    let strict = format!(
        "{} of 56 metrics agree within 3 %, not OH-001 (+20.0 %)",
        55 - without
    );
    assert!(text.contains(&strict), "{strict}: {text}");
    assert!(text.contains("All systems: "), "{text}");
    assert!(
        text.contains("agree within 3 %, not OH-001, LLM-001"),
        "{text}"
    );
    assert!(!text.contains("native: score"), "{text}");
}

#[test]
fn text_and_json_say_the_same() {
    let a = fixture::report(1, false);
    let mut b = a.clone();
    scale(&mut b, 1, "OH-001", 1.2);
    let comparison = done(&a, &b);
    let text = render(&comparison, PLAIN);
    assert!(
        text.contains("+20.0 %") && text.contains("worse") && text.contains("p < 0.001"),
        "{text}"
    );
    let count = format!("1 of {} moved by more than noise", comparison.changes.len());
    assert!(text.contains(&count), "{text}");
    let json: serde_json::Value = serde_json::from_str(&comparison.to_json()).expect("JSON");
    assert_eq!(json["changes"][0]["verdict"], "worse");
    assert_eq!(json["changes"][0]["basis"], "ratio");
    assert_eq!(
        json["changes"].as_array().map(Vec::len),
        Some(comparison.changes.len())
    );
}
