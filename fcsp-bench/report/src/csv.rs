//! A report as a table for other programs: a line for each metric of each system.

use crate::catalogue::{self, Better, Goal};
use crate::figures;
use crate::model::{Metric, Report, System};
use crate::scores;
use serde::Serialize;

/// A line.
#[derive(Serialize)]
struct Line<'a> {
    system: &'a str,
    id: &'a str,
    name: &'a str,
    category: &'static str,
    unit: &'a str,
    better: &'static str,
    state: String,
    reason: &'a str,
    value: Option<f64>,
    mean: Option<f64>,
    std_dev: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
    p50: Option<f64>,
    p90: Option<f64>,
    p95: Option<f64>,
    p99: Option<f64>,
    count: Option<u64>,
    ratio: Option<f64>,
    ratio_low: Option<f64>,
    ratio_high: Option<f64>,
    ratio_confidence: Option<f64>,
    ratio_blocks: Option<u32>,
    score_native: Option<f64>,
    score_ideal: Option<f64>,
    goal: Option<f64>,
    simulated: bool,
    device: &'a str,
    driver: &'a str,
    started: &'a str,
}

/// The report as CSV (RFC 4180, but lines end with a newline only), with a first line of names. A cell of what there is not is
/// empty. Numbers are written in full.
pub fn render(report: &Report) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    for system in &report.systems {
        let scores = scores::of_system(system).metrics;
        for (metric, score) in system.metrics.iter().zip(scores) {
            writer
                .serialize(line(report, system, metric, score.score))
                .expect("all fields are plain, and memory takes all");
        }
    }
    let bytes = writer.into_inner().expect("memory takes all");
    String::from_utf8(bytes).expect("made of strings")
}

fn line<'a>(
    report: &'a Report,
    system: &'a System,
    metric: &'a Metric,
    score: scores::Score,
) -> Line<'a> {
    let definition = catalogue::find(&metric.id);
    let (state, reason) = figures::ending(&metric.state);
    let (stats, ratio) = (metric.stats, metric.ratio);
    Line {
        system: &system.system_name,
        id: &metric.id,
        name: &metric.name,
        category: definition.map_or("", |it| it.category.name()),
        unit: &metric.unit,
        better: definition.map_or("", |it| match it.better {
            Better::Lower => "lower",
            Better::Higher => "higher",
            Better::Pass => "pass",
        }),
        state: state.to_lowercase(),
        reason,
        value: metric.value,
        mean: stats.map(|it| it.mean),
        std_dev: stats.map(|it| it.std_dev),
        min: stats.map(|it| it.min),
        max: stats.map(|it| it.max),
        p50: stats.map(|it| it.p50),
        p90: stats.map(|it| it.p90),
        p95: stats.map(|it| it.p95),
        p99: stats.map(|it| it.p99),
        count: stats.map(|it| it.count),
        ratio: ratio.map(|it| it.value),
        ratio_low: ratio.map(|it| it.low),
        ratio_high: ratio.map(|it| it.high),
        ratio_confidence: ratio.map(|it| it.confidence),
        ratio_blocks: ratio.map(|it| it.blocks),
        score_native: score.native,
        score_ideal: score.ideal,
        goal: definition.and_then(Goal::of).map(|it| it.bound),
        simulated: report.simulated,
        device: &report.gpu.name,
        driver: &report.gpu.driver,
        started: &report.started,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;
    use std::collections::HashMap;

    #[test]
    fn each_metric_of_each_system_has_a_line_that_can_be_read_back() {
        let report = fixture::report(1, true);
        let text = render(&report);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let lines: Vec<HashMap<String, String>> =
            reader.deserialize().collect::<Result<_, _>>().expect("CSV");
        assert_eq!(lines.len(), 5 * 56);
        let first = &report.systems[1].metrics[0];
        let line = &lines[56];
        assert_eq!(
            (line["system"].as_str(), line["id"].as_str()),
            ("fcsp-strict", "OH-001")
        );
        assert_eq!(line["ratio"].parse().ok(), first.ratio.map(|it| it.value));
        assert_eq!(
            (line["simulated"].as_str(), line["state"].as_str()),
            ("true", "measured")
        );
    }

    #[test]
    fn what_failed_has_its_reason_and_no_value() {
        let text = render(&fixture::report(1, false));
        let line = text
            .lines()
            .find(|it| it.starts_with("peer <made up>,ERR-002"))
            .expect("it is there");
        assert!(
            line.contains(
                ",failed,the tenant was killed by signal 11 & gave no result <nothing>,,,"
            ),
            "{line}"
        );
    }

    #[test]
    fn commas_quotes_and_line_breaks_stay_in_their_cell() {
        let mut report = fixture::report(1, true);
        report.systems.truncate(1);
        report.systems[0].system_name = "a \"peer\", of\ntwo lines".into();
        let text = render(&report);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let names: Vec<String> = reader
            .records()
            .map(|it| it.expect("CSV")[0].to_owned())
            .collect();
        assert!(names.iter().all(|it| it == "a \"peer\", of\ntwo lines"));
    }
}
